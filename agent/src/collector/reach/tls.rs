//! A TLS handshake that ends there, and the certificate that the server has shown in it, trusted or not.
//!
//! Nothing is sent but the handshake and its close. Each has its own configuration: of a session that is resumed there is no
//! certificate to see.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::fault::{Fault, FaultKind};

/// How long our goodbye may take.
const CLOSE: Duration = Duration::from_secs(1);

/// A name, or an address.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("server_name {name:?} is neither a name nor an address"))
}

/// What is trusted, and whom we ask for.
#[derive(Debug)]
pub(super) struct Tls {
    name: ServerName<'static>,
    verify: bool,
    ca_file: Option<PathBuf>,
    /// Made for the first handshake.
    trusted: Option<Arc<WebPkiServerVerifier>>,
}

impl Tls {
    pub(super) fn new(name: ServerName<'static>, verify: bool, ca_file: Option<PathBuf>) -> Self {
        Self { name, verify, ca_file, trusted: None }
    }

    /// Shakes hands, and says which certificate was shown, if one was, and how long it took.
    pub(super) async fn handshake(
        &mut self,
        stream: TcpStream,
        timeout: Duration,
    ) -> (Option<Vec<u8>>, Result<Duration, Fault>) {
        let witness = match self.witness() {
            Ok(witness) => Arc::new(witness),
            Err(fault) => return (None, Err(fault)),
        };
        let config = match config(&witness) {
            Ok(config) => config,
            Err(fault) => return (None, Err(fault)),
        };
        let began = Instant::now();
        let connecting = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream);
        let taken = match tokio::time::timeout(timeout, connecting).await {
            Err(_) => {
                let timeout = humantime::format_duration(timeout);
                Err(Fault::new(FaultKind::Timeout, format!("no TLS handshake within {timeout}")))
            }
            Ok(Err(error)) => Err(Fault::new(FaultKind::Tls, why(&error))),
            Ok(Ok(mut stream)) => {
                let taken = began.elapsed();
                // Whether the goodbye arrives is of no matter.
                let _ = tokio::time::timeout(CLOSE, stream.shutdown()).await;
                Ok(taken)
            }
        };
        (witness.shown(), taken)
    }

    fn witness(&mut self) -> Result<Witness, Fault> {
        if self.verify && self.trusted.is_none() {
            self.trusted = Some(trusted(self.ca_file.as_deref())?);
        }
        let provider = Arc::new(ring::default_provider());
        Ok(Witness { trusted: self.trusted.clone(), provider, leaf: Mutex::default() })
    }
}

fn config(witness: &Arc<Witness>) -> Result<ClientConfig, Fault> {
    let verifier: Arc<dyn ServerCertVerifier> = witness.clone();
    let config = ClientConfig::builder_with_provider(witness.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new(FaultKind::Internal, format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn trusted(ca_file: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, Fault> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let denied =
            |why: String| Fault::new(FaultKind::Denied, format!("ca_file {}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| denied(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| denied("it is not PEM".to_owned()))?;
            roots.add(certificate).map_err(|error| denied(error.to_string()))?;
        }
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|_| {
            Fault::new(
                FaultKind::Unsupported,
                "this box has no certificate authorities: set ca_file, or verify: false",
            )
        })
}

/// Notes the certificate of the server, and says of it what the verifier says; without one, that all is well: nothing is
/// sent over the connection, and nothing that comes over it is believed.
#[derive(Debug)]
struct Witness {
    trusted: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    leaf: Mutex<Option<Vec<u8>>>,
}

impl Witness {
    fn shown(&self) -> Option<Vec<u8>> {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
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
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf.to_vec());
        match &self.trusted {
            Some(trusted) => trusted.verify_server_cert(leaf, others, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.trusted.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake failed, in our words: the library's may hold names of the server's certificate.
fn why(error: &std::io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return "the connection was closed during the TLS handshake; is this the port for TLS?".to_owned();
    };
    match error {
        rustls::Error::InvalidCertificate(why) => format!("its certificate {}", untrusted(why)),
        rustls::Error::AlertReceived(alert) => format!("it ended the TLS handshake with the alert {alert:?}"),
        rustls::Error::PeerIncompatible(_) => {
            "it has no version of TLS and no cipher that we have".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "what it says is no TLS; is this the port for TLS?".to_owned(),
        _ => "the TLS handshake failed".to_owned(),
    }
}

fn untrusted(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has ended; or the date of this box is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the date of this box right?"
        }
        CertificateError::UnknownIssuer => {
            "is of an authority that is not trusted; set ca_file, or verify: false"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name; set server_name"
        }
        CertificateError::Revoked => "was revoked",
        _ => "is not accepted; a self-signed one needs verify: false",
    }
}
