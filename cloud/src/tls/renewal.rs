//! A renewed certificate is taken up while connections go on: the two files are looked at every two seconds.
//!
//! They are compared by content, so it does not matter how they were replaced. A pair that does not fit (the key has been
//! written and the certificate not yet, or one of them is broken) changes nothing: the old one stays, which is said once, and
//! the files are looked at again.

use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::{TlsError, TlsFiles, expiry};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often a certificate of our own authority is looked at for its age.
const OWN: Duration = Duration::from_secs(3600);

/// What stands in the two files.
#[derive(PartialEq, Eq)]
struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// Follows the files until `closing`; `expires` tells when the certificate in use ends, Unix seconds.
pub(crate) async fn follow(
    files: TlsFiles,
    config: RustlsConfig,
    expires: Gauge,
    closing: CancellationToken,
) {
    let (mut look, mut own) = (tokio::time::interval(LOOK), tokio::time::interval(OWN));
    let mut known: Option<Result<Pair, String>> = None;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = look.tick() => {}
            _ = own.tick() => {
                if let Err(error) = files.make_again_if_old() {
                    tracing::error!(%error, "the certificate of our own authority could not be renewed; the old one stays");
                }
            }
        }
        let read = read(&files).await.map_err(|error| error.to_string());
        if known.as_ref() == Some(&read) {
            continue;
        }
        match &read {
            Ok(pair) => match take_up(&files, pair, &config).await {
                Ok(ends) => {
                    expires.set(ends);
                    if known.is_some() {
                        tracing::info!(certificate = %files.cert.display(), ends, "the certificate was renewed");
                    }
                }
                Err(error) => tracing::warn!(%error, "the certificate is not taken up; the old one stays"),
            },
            Err(error) => tracing::warn!(%error, "the certificate cannot be read; the old one stays"),
        }
        known = Some(read);
    }
}

async fn read(files: &TlsFiles) -> Result<Pair, TlsError> {
    let read = async |path: &std::path::Path| {
        tokio::fs::read(path).await.map_err(|error| TlsError::file(path, error))
    };
    Ok(Pair { cert: read(&files.cert).await?, key: read(&files.key).await? })
}

/// Only a pair that fits replaces the one in use. Returns when it ends.
async fn take_up(files: &TlsFiles, pair: &Pair, config: &RustlsConfig) -> Result<i64, TlsError> {
    let ends = expiry::of_pem(&pair.cert).map_err(|why| TlsError::file(&files.cert, why))?;
    let taken = config.reload_from_pem(pair.cert.clone(), pair.key.clone()).await;
    taken.map_err(|e| TlsError::file(&files.cert, format!("{e} (with key {})", files.key.display())))?;
    Ok(ends)
}
