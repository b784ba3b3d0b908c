//! One request: a batch out, an answer back. Certificates are always verified.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use sha2::{Digest as _, Sha256};
use storepulse_shared::batch::header;
use storepulse_shared::key::StoreKey;

use super::outcome::Answer;
use super::tls::{Trust, only_dates};
use crate::config::Cloud;
use crate::spool::Outgoing;
use crate::time::BoxClock;

/// Most of an answer that is read; a batch can have many rejected samples to tell of.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Sends batches to one cloud.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    cloud: Cloud,
    url: String,
    trust: Trust,
}

impl Client {
    pub(crate) fn new(cloud: &Cloud, clock: &BoxClock) -> Result<Self, ClientError> {
        let trust = Trust::load(cloud.ca_file.as_deref(), clock)?;
        let http = builder(cloud)?.tls_backend_preconfigured(trust.with_dates()?).build()?;
        let url = cloud.url.trim_end_matches('/').to_owned();
        Ok(Self { http, cloud: cloud.clone(), url, trust })
    }

    /// Gives up all connections, so that the next ones are verified anew.
    pub(super) fn renew(&mut self, clock: &BoxClock) -> Result<(), ClientError> {
        *self = Self::new(&self.cloud, clock)?;
        Ok(())
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) fn health_url(&self) -> String {
        format!("{}/health", self.url)
    }

    /// One without connections, which verifies as always.
    pub(super) fn fresh(&self) -> Result<reqwest::Client, ClientError> {
        Ok(builder(&self.cloud)?.tls_backend_preconfigured(self.trust.with_dates()?).build()?)
    }

    /// One that verifies everything but dates: to ask for the time, never to send a key.
    pub(super) fn dateless(&self) -> Result<reqwest::Client, ClientError> {
        Ok(builder(&self.cloud)?.tls_backend_preconfigured(self.trust.without_dates()?).build()?)
    }

    /// Sends a batch. An error is one of the way: no answer came back whole.
    pub(super) async fn send(&self, batch: &Outgoing, key: &StoreKey) -> Result<Answer, String> {
        let mut credential = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
            .map_err(|_| "the key cannot stand in a header".to_owned())?;
        credential.set_sensitive(true);
        let request = self
            .http
            .post(format!("{}/v1/metrics/batch", self.url))
            .header(AUTHORIZATION, credential)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header(header::NAME, &batch.header)
            .body(batch.body.clone());
        let mut response = request.send().await.map_err(|e| {
            if only_dates(&e) {
                self.trust.doubt();
            }
            reason(&e)
        })?;
        let text = |name| {
            let value = response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
            value.map(str::to_owned)
        };
        let (media_type, retry_after) = (text(CONTENT_TYPE), text(RETRY_AFTER));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| reason(&e))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status().as_u16(), media_type, retry_after, body })
    }
}

/// What all clients of a cloud have in common.
fn builder(cloud: &Cloud) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .user_agent(user_agent())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT.min(cloud.timeout))
        .timeout(cloud.timeout)
        .pool_max_idle_per_host(2)
        .tcp_nodelay(true);
    Ok(match &cloud.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
        None => builder,
    })
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
