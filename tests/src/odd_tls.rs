//! A server with certificates as no cloud should have them, which writes down what reaches it.
//!
//! It speaks just enough HTTP/1.1 to be asked for the time, says whatever date it is told to, and acknowledges nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A head longer than this is none.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What the server claims.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Host in its certificate: an address or a name.
    pub host: String,
    /// First and last moment of the certificate, Unix milliseconds.
    pub valid: (i64, i64),
    /// What it says in `Date`, Unix milliseconds.
    pub date_ms: i64,
}

/// A running server.
#[derive(Debug)]
pub struct OddServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Of its authority.
    pub ca: PathBuf,
    heads: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl OddServer {
    /// Makes an authority in `dir`, a certificate, and serves.
    ///
    /// # Errors
    /// No port is free, or the certificate cannot be made.
    pub async fn start(dir: &Path, claims: &Claims) -> anyhow::Result<Self> {
        let ca = dir.join("odd-ca.pem");
        let acceptor = TlsAcceptor::from(Arc::new(server_config(claims, &ca)?));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let serving = serve(listener, acceptor, claims.date_ms, Arc::clone(&heads), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(serving);
        Ok(Self { address, ca, heads, stop, task })
    }

    /// Heads of all requests that reached it, in lower case.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes everything.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the server's has been printed; nothing depends on it any more.
        let _ = self.task.await;
    }
}

fn server_config(claims: &Claims, ca_file: &Path) -> anyhow::Result<ServerConfig> {
    let at = |ms: i64| OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000));
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    std::fs::write(ca_file, authority.self_signed(&authority_key)?.pem())?;
    let issuer = Issuer::from_params(&authority, authority_key);
    let mut params = CertificateParams::new(Vec::new())?;
    params.subject_alt_names.push(match claims.host.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(claims.host.as_str().try_into()?),
    });
    (params.not_before, params.not_after) = (at(claims.valid.0)?, at(claims.valid.1)?);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?)
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    date_ms: i64,
    heads: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, _)) = accepted {
            connections.spawn(answer(acceptor.clone(), stream, date_ms, Arc::clone(&heads)));
        }
    }
}

/// Answers one request after the other, so that a connection can be used again; who does not like the certificate hangs
/// up before.
async fn answer(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    date_ms: i64,
    heads: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let since = Duration::from_millis(u64::try_from(date_ms).unwrap_or_default());
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since);
    let text = format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}");
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        let mut body = (&mut stream).take(length.unwrap_or(0));
        tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await?;
    }
}
