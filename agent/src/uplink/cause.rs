//! What exactly is broken on the way to the cloud, judged by the types of errors and by what an answer is, never by guessing.

use std::error::Error;

use rustls::CertificateError;
use serde::Serialize;

use super::names::NameError;
use super::outcome::Answer;

/// The first thing on the way that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The name does not resolve.
    Dns,
    /// Nobody answers at the address, or the connection broke.
    Address,
    /// The proxy does not answer, or refuses.
    Proxy,
    /// The certificate has expired.
    TlsExpired,
    /// The certificate is not trusted, or is for another name.
    TlsUntrusted,
    /// The dates of good certificates look bad: the clock.
    TlsClock,
    /// The handshake fails for another reason.
    Tls,
    /// Something else answers in the cloud's place.
    Portal,
    /// The agent's own key cannot be used.
    OwnKey,
    /// The cloud refuses the key (401).
    Key,
    /// The cloud has suspended tenant or store (403).
    Suspended,
    /// There is nothing for this agent (404).
    Place,
    /// The cloud is overloaded or limits us.
    Busy,
    /// The cloud answers with an error.
    Server,
}

/// A request that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub cause: Cause,
    /// For people and the log.
    pub why: String,
}

impl Failure {
    pub(super) fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into() }
    }
}

/// Why a connection failed.
pub(super) fn of_error(error: &(dyn Error + 'static), through_proxy: bool) -> Cause {
    if let Some(tls) = find::<rustls::Error>(error) {
        return of_tls(tls);
    }
    // Whoever is connected to through a proxy is the proxy.
    if through_proxy && error.downcast_ref::<reqwest::Error>().is_none_or(reqwest::Error::is_connect) {
        return Cause::Proxy;
    }
    if find::<NameError>(error).is_some() {
        return Cause::Dns;
    }
    // A connection that is made, and then closed in the middle of the handshake.
    let is_eof = |e: &std::io::Error| e.kind() == std::io::ErrorKind::UnexpectedEof;
    let is_cut = causes(error).any(|error| error.downcast_ref().is_some_and(is_eof));
    let is_connecting = error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
    if is_cut && is_connecting { Cause::Tls } else { Cause::Address }
}

fn of_tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::TlsExpired,
            // Nobody serves a certificate of tomorrow: it is the box that lives in yesterday.
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Cause::TlsClock,
            _ => Cause::TlsUntrusted,
        },
        _ => Cause::Tls,
    }
}

/// Why an answer is no ack: by who gives it.
pub(super) fn of_answer(answer: &Answer, is_problem: bool) -> Cause {
    match answer.status {
        // The cloud's own answers that it is not our batch are problems as well; a page is somebody else's.
        200 | 300..=399 | 511 => Cause::Portal,
        401 => Cause::Key,
        403 if is_problem => Cause::Suspended,
        403 => Cause::Portal,
        404 => Cause::Place,
        407 => Cause::Proxy,
        429 => Cause::Busy,
        _ => Cause::Server,
    }
}

/// The first error of this type among the causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// An error and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// An I/O error's source is that of the error inside, not that error itself.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}
