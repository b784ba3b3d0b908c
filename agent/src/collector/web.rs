//! One GET over HTTP or HTTPS, for kinds that ask a web server in the shop: bounded in time and bytes, without redirects,
//! without a proxy, and with every way to fail as one of our faults.
//!
//! Certificates are verified with the system's authorities and those of `ca_file`, at the time that the clock of the box
//! shows. After a failure of TLS the client is made anew, so that a renewed `ca_file` counts without a restart. Nothing that
//! a server says goes into the text of a fault.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use storepulse_shared::gzip::{self, GzipError};

use super::fault::{Fault, FaultKind};
use super::secret::Secret;

/// What is asked, and what for.
pub(crate) struct Question<'a> {
    pub url: &'a str,
    pub accept: &'static str,
    pub ca_file: Option<&'a Path>,
    /// From the beginning to the last byte of the answer.
    pub timeout: Duration,
    /// Longest answer, as sent and inflated.
    pub answer_bytes_max: usize,
    pub credential: Option<Credential>,
    /// Others than those above.
    pub headers: HeaderMap,
}

/// What was answered with 200.
#[derive(Debug)]
pub(crate) struct Answer {
    /// In lower case.
    pub content_type: String,
    pub body: Vec<u8>,
}

/// The connection to a server, kept from one question to the next.
#[derive(Debug, Default)]
pub(crate) struct Web {
    client: Option<reqwest::Client>,
}

/// Whether a URL is one that can be asked.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("url: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
        return Err("url: not http://host[:port]/path or https://…".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("url: holds a password; it belongs into a setting of its own".to_owned());
    }
    if parsed.fragment().is_some() { Err("url: holds a #".to_owned()) } else { Ok(()) }
}

/// `host:port` of a URL: its path and its query may hold what is nobody's business.
pub(crate) fn host_of(url: &str) -> String {
    let parsed = reqwest::Url::parse(url).ok();
    let place = parsed.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default())));
    match place {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host,
        None => String::new(),
    }
}

/// Who asks.
#[derive(Clone)]
pub(crate) enum Credential {
    Bearer(String),
    Basic { username: String, password: String },
}

impl Web {
    /// Asks once.
    ///
    /// # Errors
    /// Whatever is not a whole answer with status 200.
    pub(crate) async fn get(&mut self, question: &Question<'_>) -> Result<Answer, Fault> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(build(question)?).clone(),
        };
        let asked =
            client.get(question.url).header(ACCEPT, question.accept).headers(question.headers.clone());
        let asked = match &question.credential {
            None => asked,
            Some(Credential::Bearer(token)) => asked.bearer_auth(token),
            Some(Credential::Basic { username, password }) => asked.basic_auth(username, Some(password)),
        };
        let response = match asked.timeout(question.timeout).send().await {
            Ok(response) => response,
            Err(error) => {
                let fault = fault(&error, question.timeout);
                if fault.kind == FaultKind::Tls {
                    self.client = None;
                }
                return Err(fault);
            }
        };
        judge(response.status().as_u16())?;
        read(response, question).await
    }
}

/// What the status of an answer means.
fn judge(status: u16) -> Result<(), Fault> {
    match status {
        200 => Ok(()),
        401 | 403 => Err(Fault::new(
            FaultKind::Denied,
            format!("answered with {status}: the password or token is missing or wrong"),
        )),
        300..=399 => Err(Fault::new(
            FaultKind::Exception,
            format!(
                "answered with {status}, a redirect, which is not followed; write where it leads to into url"
            ),
        )),
        _ => Err(Fault::new(FaultKind::Exception, format!("answered with {status}"))),
    }
}

async fn read(mut response: reqwest::Response, question: &Question<'_>) -> Result<Answer, Fault> {
    let limit = question.answer_bytes_max;
    let too_large = || Fault::new(FaultKind::TooLarge, format!("an answer of more than {limit} bytes"));
    let text = |name| {
        let value = response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default().trim().to_ascii_lowercase()
    };
    let (content_type, encoding) = (text(CONTENT_TYPE), text(CONTENT_ENCODING));
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| {
        Fault::new(FaultKind::ShortFrame, format!("{} bytes of an answer, and then no more", body.len()))
    })? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    // It was not asked for; some servers always do.
    match encoding.as_str() {
        "" | "identity" => {}
        "gzip" => {
            body = gzip::inflate(&body, limit).map_err(|error| match error {
                GzipError::TooLarge(_) => too_large(),
                GzipError::Truncated => Fault::new(FaultKind::ShortFrame, error.to_string()),
                _ => Fault::new(FaultKind::Checksum, error.to_string()),
            })?;
        }
        _ => {
            return Err(Fault::new(
                FaultKind::Unsupported,
                "an answer in an encoding that was not asked for",
            ));
        }
    }
    Ok(Answer { content_type, body })
}

fn build(question: &Question<'_>) -> Result<reqwest::Client, Fault> {
    let tls = |why: String| Fault::new(FaultKind::Tls, why);
    let mut roots = RootCertStore::empty();
    if question.url.starts_with("https:") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = question.ca_file {
            add_file(&mut roots, path).map_err(|why| tls(format!("ca_file {}: {why}", path.display())))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .user_agent(concat!("storepulse-agent/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .tls_backend_preconfigured(config)
        .build()
        .map_err(|error| tls(error.without_url().to_string()))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut held = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        held += 1;
    }
    if held == 0 { Err("it holds no certificate".to_owned()) } else { Ok(()) }
}

/// Why there is no answer.
fn fault(error: &reqwest::Error, timeout: Duration) -> Fault {
    let timeout = humantime::format_duration(timeout);
    let causes =
        || std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (**cause).source());
    let says = |words: &str| causes().any(|cause| cause.to_string().contains(words));
    let tls = causes().find_map(of_tls);
    let io = causes().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let (kind, text) = if error.is_builder() {
        (FaultKind::Denied, "what is configured as password or token cannot stand in a header".to_owned())
    } else if error.is_timeout() {
        (FaultKind::Timeout, format!("no answer within {timeout}"))
    } else if let Some(tls) = tls {
        (FaultKind::Tls, tls.to_string())
    } else if says("dns error") {
        (FaultKind::Dns, "the name does not resolve".to_owned())
    } else if error.is_connect() {
        (FaultKind::Refused, io.map_or("no connection".to_owned(), |kind| format!("no connection: {kind}")))
    } else if says("too large") {
        (FaultKind::TooLarge, "the head of the answer is too large".to_owned())
    } else if io.is_some_and(|kind| kind != ErrorKind::InvalidData) || says("closed before") {
        (FaultKind::Refused, "closed from the other side instead of an answer".to_owned())
    } else {
        (FaultKind::Framing, "the answer is not HTTP".to_owned())
    };
    Fault::new(kind, text)
}

fn of_tls<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let inside = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.downcast_ref().or_else(|| inside?.downcast_ref())
}

/// The credential that settings make.
///
/// # Errors
/// A file that holds a secret cannot be read.
pub(crate) fn credential(
    token: Option<&Secret>,
    username: Option<&str>,
    password: Option<&Secret>,
) -> Result<Option<Credential>, Fault> {
    Ok(match (token, username) {
        (Some(token), _) => Some(Credential::Bearer(token.read()?)),
        (None, Some(username)) => {
            let password = password.map(Secret::read).transpose()?.unwrap_or_default();
            Some(Credential::Basic { username: username.to_owned(), password })
        }
        (None, None) => None,
    })
}

/// What such settings have wrong together.
pub(crate) fn check_credential(
    has_token: bool,
    has_username: bool,
    has_password: bool,
) -> Result<(), String> {
    match (has_token, has_username, has_password) {
        (true, true, _) => Err("token and username are both given; keep one".to_owned()),
        (_, false, true) => Err("a password without a username".to_owned()),
        _ => Ok(()),
    }
}

/// The files of settings that have a `ca_file` and secrets.
pub(crate) fn paths<'a>(
    ca_file: &'a mut Option<PathBuf>,
    secrets: impl Iterator<Item = &'a mut Secret>,
) -> Vec<&'a mut PathBuf> {
    ca_file.iter_mut().chain(secrets.filter_map(Secret::path_mut)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_host_is_shown() {
        for (url, host) in [
            ("http://fridge.lan/api?token=secret", "fridge.lan:80"),
            ("https://10.0.0.5:8443/x", "10.0.0.5:8443"),
            ("https://[fe80::1]/", "[fe80::1]:443"),
            ("no url", ""),
        ] {
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_refused() {
        for good in ["http://127.0.0.1:9100/metrics", "https://fridge.lan/api?x=1"] {
            check_url(good).unwrap();
        }
        for bad in ["", "127.0.0.1:9100", "ftp://x/", "http://u:p@x/", "http://x/#a", "http://"] {
            let error = check_url(bad).unwrap_err();
            assert!(error.starts_with("url: ") && !error.contains("u:p"), "{bad}: {error}");
        }
    }
}
