//! A handshake with the cloud that ends there, for people who look for what is wrong: the certificates that were shown, and
//! what the uplink's own verification says of them. Nothing is sent over the connection.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::client::ClientError;
use super::tls::{Trust, is_of_dates};
use crate::config::Cloud;
use crate::time::BoxClock;

/// What came of a handshake.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The certificates that were shown, the server's own first, each as DER; none if it did not come to that.
    pub chain: Vec<Vec<u8>>,
    /// What the uplink would make of it.
    pub verdict: Verdict,
}

/// What the verification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is trusted, at the time of this box.
    Trusted,
    /// All is well but the dates, whatever the time is: each certificate is trusted at some time, all of them together.
    Dates,
    /// Nobody whom this box trusts has signed it.
    UnknownIssuer,
    /// It is for these names.
    OtherName(Vec<String>),
    /// It is refused for another reason.
    Refused(String),
    /// What answers speaks no TLS.
    NoTls,
    /// The handshake failed.
    Failed(String),
}

/// Shakes hands as the uplink would, and says goodbye.
///
/// # Errors
/// Our own side cannot be set up: `cloud.ca_file`, or a name that is none.
pub(crate) async fn shake_hands<S>(
    cloud: &Cloud,
    clock: &BoxClock,
    host: &str,
    stream: S,
) -> Result<Shown, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let trust = Trust::load(cloud.ca_file.as_deref(), clock)?;
    let [verifier, dateless] = trust.verifiers();
    let witness = Arc::new(Witness { verifier, dateless, seen: Mutex::default() });
    let config = trust.config(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|_| ClientError::Tls(format!("{host:?} is neither a name nor an address")))?;
    let failed = match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(mut stream) => {
            // Whether the goodbye arrives is of no matter.
            let _ = stream.shutdown().await;
            None
        }
        Err(error) => Some(error),
    };
    let seen = std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
    let verdict = match (seen.verdict, failed) {
        (Some(refused), _) => refused,
        (None, None) => Verdict::Trusted,
        (None, Some(error)) => without_certificate(&error),
    };
    Ok(Shown { chain: seen.chain, verdict })
}

fn without_certificate(error: &std::io::Error) -> Verdict {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => Verdict::NoTls,
        Some(error) => Verdict::Failed(error.to_string()),
        None => Verdict::Failed(error.to_string()),
    }
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    /// Unless it was trusted.
    verdict: Option<Verdict>,
}

/// Verifies as the uplink does, and notes what it saw.
#[derive(Debug)]
struct Witness {
    verifier: Arc<dyn ServerCertVerifier>,
    dateless: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Seen>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(leaf, others, name, ocsp, now);
        let verdict = verified.as_ref().err().map(|error| match error {
            rustls::Error::InvalidCertificate(why) if is_of_dates(why) => {
                match self.dateless.verify_server_cert(leaf, others, name, ocsp, now) {
                    Ok(_) => Verdict::Dates,
                    Err(error) => refused(&error),
                }
            }
            error => refused(error),
        });
        let chain = std::iter::once(leaf).chain(others).map(|one| one.to_vec()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { chain, verdict };
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn refused(error: &rustls::Error) -> Verdict {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Verdict::UnknownIssuer,
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName) => {
            Verdict::OtherName(Vec::new())
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            Verdict::OtherName(presented.clone())
        }
        error => Verdict::Refused(error.to_string()),
    }
}
