//! Certificates: read from files, or made for a machine that has none.
//!
//! `--tls-self-signed DIR` makes a certificate authority of its own, whose certificate `onboard` packs for the agents: no
//! switch anywhere turns verification off. The server's certificate is made anew when it is near its end; the authority
//! stays, so the agents notice nothing.
//!
//! Whoever made them, renewed files are taken up while the service runs ([`renewal`]).

mod expiry;
pub(crate) mod pinned;
pub(crate) mod renewal;

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

/// How long the authority is valid: as long as a shop's box may stand.
const CA_DAYS: i64 = 3650;
/// How long a server certificate is valid.
const SERVER_DAYS: i64 = 397;
/// How old a server certificate may get before a start makes a new one.
const RENEW_AFTER: Duration = Duration::from_secs(300 * 24 * 3600);

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written, or does not hold what it should.
    #[error("tls: {path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A certificate could not be made.
    #[error("tls: {0}")]
    Make(#[from] rcgen::Error),
}

impl TlsError {
    fn file(path: &Path, why: impl ToString) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}

/// Where certificate chain and key are, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The names of a certificate that our own authority, in the same folder, made: it is made anew when it is old.
    pub own: Option<Vec<String>>,
}

impl TlsFiles {
    pub(crate) async fn load(&self) -> Result<RustlsConfig, TlsError> {
        let loaded = RustlsConfig::from_pem_file(&self.cert, &self.key).await;
        loaded.map_err(|e| TlsError::file(&self.cert, format!("{e} (with key {})", self.key.display())))
    }

    /// A certificate of our own authority is made anew near its end.
    fn make_again_if_old(&self) -> Result<(), TlsError> {
        match (&self.own, self.cert.parent()) {
            (Some(names), Some(dir)) => self_signed(dir, names).map(drop),
            _ => Ok(()),
        }
    }
}

/// Makes ring the process's TLS provider; the first call counts.
pub fn install_provider() {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The file in the folder of [`self_signed`] that agents need.
#[must_use]
pub fn ca_file(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// The certificate in that folder that the service shows.
#[must_use]
pub fn server_file(dir: &Path) -> PathBuf {
    dir.join("server.pem")
}

/// Makes what is missing in `dir`: an authority, and a server certificate for these names.
///
/// # Errors
/// A file cannot be written or read.
pub fn self_signed(dir: &Path, names: &[String]) -> Result<TlsFiles, TlsError> {
    std::fs::create_dir_all(dir).map_err(|e| TlsError::file(dir, e))?;
    let (ca_cert, ca_key) = (ca_file(dir), dir.join("ca.key"));
    let files = TlsFiles { cert: server_file(dir), key: dir.join("server.key"), own: Some(names.to_vec()) };
    if !ca_cert.exists() || !ca_key.exists() {
        let key = KeyPair::generate()?;
        let cert = ca_params()?.self_signed(&key)?;
        write(&ca_key, &key.serialize_pem(), 0o600)?;
        write(&ca_cert, &cert.pem(), 0o644)?;
    }
    let wanted = names.join("\n");
    let names_file = dir.join("server.names");
    let fresh = is_younger_than(&files.cert, RENEW_AFTER)
        && std::fs::read_to_string(&names_file).is_ok_and(|known| known == wanted);
    if !fresh {
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| TlsError::file(path, e));
        let issuer_key = KeyPair::from_pem(&read(&ca_key)?)?;
        let ca = ca_params()?;
        let issuer = Issuer::from_params(&ca, issuer_key);
        let key = KeyPair::generate()?;
        let cert = server_params(names)?.signed_by(&key, &issuer)?;
        write(&files.key, &key.serialize_pem(), 0o600)?;
        write(&files.cert, &cert.pem(), 0o644)?;
        write(&names_file, &wanted, 0o644)?;
    }
    Ok(files)
}

fn is_younger_than(path: &Path, age: Duration) -> bool {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|since| since < age))
}

fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    // A shop's clock may be a little behind ours.
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(days);
}

fn ca_params() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "StorePulse private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_DAYS);
    Ok(params)
}

fn server_params(names: &[String]) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "StorePulse cloud");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    valid_for(&mut params, SERVER_DAYS);
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|e| TlsError::file(path, e))
}
