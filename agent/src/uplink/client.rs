//! One request: a batch out, an answer back. Certificates are always verified.
//!
//! `cloud.ca_file` is looked at while requests are made, so that a renewed authority needs no restart. A file that cannot
//! be used changes nothing: the authorities that were trusted before stay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use sha2::{Digest as _, Sha256};
use storepulse_shared::batch::header;
use storepulse_shared::key::StoreKey;

use super::cause::{Cause, Failure, of_error};
use super::names::Names;
use super::outcome::Answer;
use super::tls::{Trust, only_dates};
use crate::config::Cloud;
use crate::spool::Outgoing;
use crate::time::BoxClock;

/// Most of an answer that is read; a batch can have many rejected samples to tell of.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The part of it that its name may take.
const NAME_PART: f64 = 0.8;
/// How often `cloud.ca_file` is looked at, at most.
const CA_LOOK: Duration = Duration::from_secs(1);

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authority's file.
    #[error("cloud.ca_file {path}: {why}")]
    CaFile {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// TLS as a whole.
    #[error("cloud: {0}")]
    Tls(String),
    /// The proxy.
    #[error("cloud: {0}")]
    Build(#[from] reqwest::Error),
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    cloud: Cloud,
    base: String,
    clock: BoxClock,
    current: Arc<Mutex<Current>>,
}

/// The connections, and the authorities that they were made with.
#[derive(Debug)]
struct Current {
    http: reqwest::Client,
    trust: Trust,
    /// What stood in `cloud.ca_file`.
    ca: Option<Vec<u8>>,
    looked: Instant,
}

impl Client {
    pub(crate) fn new(cloud: &Cloud, clock: &BoxClock) -> Result<Self, ClientError> {
        let current = Arc::new(Mutex::new(Current::new(cloud, clock)?));
        let base = cloud.url.trim_end_matches('/').to_owned();
        Ok(Self { cloud: cloud.clone(), base, clock: clock.clone(), current })
    }

    /// The connections, made anew if the authority's file has changed.
    pub(super) fn http(&self) -> reqwest::Client {
        let mut current = self.current();
        if let Some(path) = &self.cloud.ca_file
            && current.looked.elapsed() >= CA_LOOK
        {
            current.looked = Instant::now();
            // A file that is being replaced is there again the next time.
            if let Ok(ca) = std::fs::read(path)
                && current.ca.as_ref() != Some(&ca)
            {
                match Current::new(&self.cloud, &self.clock) {
                    Ok(new) => {
                        tracing::info!(path = %path.display(), "cloud.ca_file has changed and is used from now on");
                        *current = new;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the changed authority cannot be used; the one before stays");
                    }
                }
                // Also when it cannot be used, so that this is said once.
                current.ca = Some(ca);
            }
        }
        current.http.clone()
    }

    /// Gives up all connections, so that the next ones are verified anew.
    pub(super) fn renew(&self) -> Result<(), ClientError> {
        *self.current() = Current::new(&self.cloud, &self.clock)?;
        Ok(())
    }

    pub(super) fn trust(&self) -> Trust {
        self.current().trust.clone()
    }

    pub(super) fn health_url(&self) -> String {
        format!("{}/health", self.base)
    }

    /// One without connections, which verifies as always.
    pub(super) fn fresh(&self) -> Result<reqwest::Client, ClientError> {
        Ok(builder(&self.cloud)?.tls_backend_preconfigured(self.trust().with_dates()?).build()?)
    }

    /// One that verifies everything but dates: to ask for the time, never to send a key.
    pub(super) fn dateless(&self) -> Result<reqwest::Client, ClientError> {
        Ok(builder(&self.cloud)?.tls_backend_preconfigured(self.trust().without_dates()?).build()?)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request. If it fails only because of dates, the time is asked for before the next one.
    pub(super) async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Failure> {
        request.send().await.map_err(|error| {
            let mut failure = self.failure(&error);
            if only_dates(&error) {
                self.trust().doubt();
                // Whether the certificate or the clock is out of date is known only if somebody vouches for the clock.
                if self.clock.truth().is_none() {
                    failure.cause = Cause::TlsClock;
                }
            }
            failure
        })
    }

    /// What this error says of the way.
    pub(super) fn failure(&self, error: &reqwest::Error) -> Failure {
        Failure::new(of_error(error, self.cloud.proxy.is_some()), reason(error))
    }

    /// A small question beside the batches, and what came back: status and body.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        key: &StoreKey,
        json: Option<String>,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut request = self.http().request(method, format!("{}{path}", self.base));
        if let Some(json) = json {
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        self.call_over(request, key).await
    }

    /// Asks for what is not of this `ETag`.
    pub(crate) async fn call_unless(
        &self,
        path: &str,
        key: &StoreKey,
        known: Option<&str>,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = self.http().get(format!("{}{path}", self.base));
        let request = match known {
            Some(tag) => request.header(IF_NONE_MATCH, tag),
            None => request,
        };
        self.call_over(request, key).await
    }

    async fn call_over(
        &self,
        request: reqwest::RequestBuilder,
        key: &StoreKey,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = request.header(AUTHORIZATION, credential(key).map_err(|failure| failure.why)?);
        let mut response = self.exchange(request).await.map_err(|failure| failure.why)?;
        let body = self.read_body(&mut response).await.map_err(|failure| failure.why)?;
        Ok((response.status().as_u16(), body))
    }

    /// Sends a batch. An error is one of the way: no answer came back whole.
    pub(super) async fn send(&self, batch: &Outgoing, key: &StoreKey) -> Result<Answer, Failure> {
        let request = self.http().post(self.batch_url()).header(CONTENT_TYPE, "application/json");
        let request = request.header(CONTENT_ENCODING, "gzip").body(batch.body.clone());
        self.answer(self.exchange(authorized(request, batch, key)?).await?).await
    }

    /// Asks to have the number of a batch closed.
    pub(super) async fn close(&self, batch: &Outgoing, key: &StoreKey) -> Result<Answer, Failure> {
        let request = authorized(self.http().delete(self.batch_url()), batch, key)?;
        self.answer(self.exchange(request).await?).await
    }

    fn batch_url(&self) -> String {
        format!("{}/v1/metrics/batch", self.base)
    }

    async fn answer(&self, mut response: reqwest::Response) -> Result<Answer, Failure> {
        let text = |name| {
            let value = response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
            value.map(str::to_owned)
        };
        let (media_type, retry_after) = (text(CONTENT_TYPE), text(RETRY_AFTER));
        let body = self.read_body(&mut response).await?;
        Ok(Answer { status: response.status().as_u16(), media_type, retry_after, body })
    }

    async fn read_body(&self, response: &mut reqwest::Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let why = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(Failure::new(Cause::Server, why));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn authorized(
    request: reqwest::RequestBuilder,
    batch: &Outgoing,
    key: &StoreKey,
) -> Result<reqwest::RequestBuilder, Failure> {
    Ok(request.header(AUTHORIZATION, credential(key)?).header(header::NAME, &batch.header))
}

impl Current {
    fn new(cloud: &Cloud, clock: &BoxClock) -> Result<Self, ClientError> {
        let trust = Trust::load(cloud.ca_file.as_deref(), clock)?;
        let http = builder(cloud)?.tls_backend_preconfigured(trust.with_dates()?).build()?;
        let ca = cloud.ca_file.as_deref().and_then(|path| std::fs::read(path).ok());
        Ok(Self { http, trust, ca, looked: Instant::now() })
    }
}

/// What all clients of a cloud have in common.
fn builder(cloud: &Cloud) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let connect_timeout = CONNECT_TIMEOUT.min(cloud.timeout);
    let builder = reqwest::Client::builder()
        .user_agent(user_agent())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Names { timeout: connect_timeout.mul_f64(NAME_PART) })
        .connect_timeout(connect_timeout)
        .timeout(cloud.timeout)
        .pool_max_idle_per_host(4)
        .tcp_nodelay(true);
    Ok(match &cloud.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
        None => builder,
    })
}

fn credential(key: &StoreKey) -> Result<HeaderValue, Failure> {
    let mut credential = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| Failure::new(Cause::OwnKey, "the key cannot stand in a header"))?;
    credential.set_sensitive(true);
    Ok(credential)
}

/// The innermost causes say what is broken: the address, the connection, the certificate.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Version and, where the box has one, a stable id of it: the hash of the machine id, which itself stays here.
fn user_agent() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match std::fs::read("/etc/machine-id") {
        Ok(id) if id.len() >= 32 => {
            let hash = Sha256::digest([b"storepulse host ".as_slice(), id.trim_ascii()].concat());
            let short: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
            format!("storepulse-agent/{version} ({short})")
        }
        _ => format!("storepulse-agent/{version}"),
    }
}
