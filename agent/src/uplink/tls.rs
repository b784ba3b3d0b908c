//! TLS on a box that may not know the date.
//!
//! Certificates are verified at the best time that is known: one that was assumed for good reason (see
//! [`super::clock`]); otherwise the true one, if somebody has told it; otherwise what the clock shows, but never a time
//! before the agent was built or before the last one that was trusted. Nothing here ever accepts a
//! certificate that is not valid at that time, but for one handshake that has its own, keyless client: there the chain and
//! the host are verified as always and the dates only against each other, because all that is asked over it is the time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::client::ClientError;
use crate::time::BoxClock;

/// Certificates of a chain that can each be out of date once, before and after.
const TRIES_MAX: usize = 16;
/// No time is assumed.
const NOTHING: i64 = i64::MIN;

/// What certificates are verified with, and when.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    moment: Arc<Moment>,
}

/// The time at which certificates are verified.
#[derive(Debug)]
struct Moment {
    clock: BoxClock,
    /// The base of a clock that is assumed to be right.
    assumed_base_ms: AtomicI64,
    doubted: AtomicBool,
}

impl Trust {
    /// Reads the system's authorities, and those of this file.
    pub(super) fn load(ca_file: Option<&Path>, clock: &BoxClock) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = ca_file {
            let refused = |why: String| ClientError::CaFile { path: path.to_owned(), why };
            let pem = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| refused(e.to_string()))?;
                roots.add(certificate).map_err(|e| refused(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(refused("it holds no certificate".to_owned()));
            }
        }
        // One that cannot be read is no reason to do without the others.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|e| ClientError::Tls(format!("no certificate authorities: {e}")))?;
        let moment = Moment {
            clock: clock.clone(),
            assumed_base_ms: AtomicI64::new(NOTHING),
            doubted: AtomicBool::new(false),
        };
        Ok(Self { verifier, moment: Arc::new(moment) })
    }

    /// For every connection that a key may be sent over.
    pub(super) fn with_dates(&self) -> Result<ClientConfig, ClientError> {
        self.config(Arc::clone(&self.verifier) as Arc<dyn ServerCertVerifier>)
    }

    /// For the one that asks for the time.
    pub(super) fn without_dates(&self) -> Result<ClientConfig, ClientError> {
        self.config(Arc::new(Dateless(Arc::clone(&self.verifier))))
    }

    /// What verifies, and what verifies all but dates.
    pub(super) fn verifiers(&self) -> [Arc<dyn ServerCertVerifier>; 2] {
        [Arc::clone(&self.verifier) as _, Arc::new(Dateless(Arc::clone(&self.verifier)))]
    }

    pub(super) fn config(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, ClientError> {
        let time = Arc::clone(&self.moment) as Arc<dyn TimeProvider>;
        let builder = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), time)
            .with_safe_default_protocol_versions()
            .map_err(|e| ClientError::Tls(e.to_string()))?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Verifies at this time, counted on from now, until [`Self::assume_nothing`].
    pub(super) fn assume(&self, time_ms: i64) {
        let base_ms = time_ms.saturating_sub(self.moment.clock.read().boot_ms);
        self.moment.assumed_base_ms.store(base_ms, Ordering::Relaxed);
    }

    /// Verifies at the best time that is known.
    pub(super) fn assume_nothing(&self) {
        self.moment.assumed_base_ms.store(NOTHING, Ordering::Relaxed);
    }

    /// A certificate was out of date at the best time that is known, so that may be wrong.
    pub(super) fn doubt(&self) {
        self.moment.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether that has happened since the last call.
    pub(super) fn take_doubt(&self) -> bool {
        self.moment.doubted.swap(false, Ordering::Relaxed)
    }
}

impl TimeProvider for Moment {
    fn current_time(&self) -> Option<UnixTime> {
        let time_ms = match self.assumed_base_ms.load(Ordering::Relaxed) {
            NOTHING => self.clock.true_ms().unwrap_or_else(|| self.clock.now_ms().max(self.clock.floor_ms())),
            base_ms => base_ms.saturating_add(self.clock.read().boot_ms),
        };
        let since = Duration::from_millis(u64::try_from(time_ms).unwrap_or_default());
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// Verifies chain and host, and that all certificates were valid together at some moment, whenever that was.
#[derive(Debug)]
struct Dateless(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Dateless {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let at =
            |moment| self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, moment);
        let (mut earliest, mut latest) = (0, u64::MAX);
        let mut verdict = at(now);
        for _ in 0..TRIES_MAX {
            let moment = match &verdict {
                Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) => {
                    earliest = earliest.max(not_before.as_secs());
                    *not_before
                }
                Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) => {
                    latest = latest.min(not_after.as_secs());
                    *not_after
                }
                _ => return verdict,
            };
            if earliest > latest {
                return verdict;
            }
            verdict = at(moment);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether a connection failed because a certificate is not valid at this time, and because of nothing that was looked at
/// before that.
pub(super) fn only_dates(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let of_tls = error.downcast_ref::<rustls::Error>().or_else(|| inside?.downcast_ref());
        if let Some(rustls::Error::InvalidCertificate(why)) = of_tls {
            return is_of_dates(why);
        }
        cause = match inside {
            // The source of an I/O error is that of the error inside, not that error itself.
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

/// Whether a certificate is good but for its dates, as far as it was looked at.
pub(super) fn is_of_dates(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}
