//! Requests as an agent makes them, for thousands of agents in one process: the body is made before, and only what decides
//! about the batch is read of the answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use storepulse_shared::answer::{Ack, Problem};
use storepulse_shared::batch::header::{BatchHeader, NAME};

/// As an agent's: beyond it, no answer is coming.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which HTTP is spoken. Giving a request up closes the connection in the first, and only a stream of it in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

/// What TLS is spoken with. Connections are never resumed: each makes a whole handshake, as the first of an agent does.
pub(super) fn tls(ca: &Path, http: Http) -> anyhow::Result<ClientConfig> {
    let pem = std::fs::read(ca).with_context(|| ca.display().to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.with_context(|| ca.display().to_string())?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![if http == Http::One { b"http/1.1".to_vec() } else { b"h2".to_vec() }];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// One agent's way to the cloud.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: reqwest::Client,
    url: String,
    bearer: String,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is stored.
    Taken(Box<Ack>),
    /// Its number is closed.
    Closed,
    /// The cloud asks to come back after this time.
    Busy(Duration),
    /// Nothing, or not all of it.
    Lost,
}

impl Wire {
    pub(super) fn new(config: &ClientConfig, cloud_url: &str, bearer: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .tcp_nodelay(true)
            .tls_backend_preconfigured(config.clone())
            .build()?;
        Ok(Self { client, url: format!("{cloud_url}/v1/metrics/batch"), bearer })
    }

    /// The same connections with another store's key.
    pub(super) fn with_key(&self, bearer: String) -> Self {
        Self { bearer, ..self.clone() }
    }

    /// Sends a batch.
    ///
    /// # Errors
    /// The answer is one that a good batch must not get.
    pub(super) async fn post(&self, header: &BatchHeader, gzipped: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
        self.ask(header, request.header(CONTENT_ENCODING, "gzip").body(gzipped)).await
    }

    /// Asks to close a batch's number.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub(super) async fn close(&self, header: &BatchHeader) -> anyhow::Result<Answer> {
        self.ask(header, self.client.delete(&self.url)).await
    }

    async fn ask(&self, header: &BatchHeader, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let request = request.header(AUTHORIZATION, &self.bearer).header(NAME, header.to_string());
        let Ok(response) = request.send().await else { return Ok(Answer::Lost) };
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let Ok(body) = response.bytes().await else { return Ok(Answer::Lost) };
        let text = || String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => {
                let ack: Ack = serde_json::from_slice(&body).with_context(text)?;
                anyhow::ensure!(ack.batch == header.batch, "{} is answered by {}", header.batch, ack.batch);
                Ok(Answer::Taken(Box::new(ack)))
            }
            410 => {
                let problem: Problem = serde_json::from_slice(&body).with_context(text)?;
                anyhow::ensure!(problem.batch == Some(header.batch), "{}: {}", header.batch, text());
                Ok(Answer::Closed)
            }
            429 | 503 => {
                let after = after.with_context(|| format!("{status} without Retry-After: {}", text()))?;
                Ok(Answer::Busy(Duration::from_secs(after)))
            }
            _ => anyhow::bail!("{}: {status} {}", header.batch, text()),
        }
    }
}
