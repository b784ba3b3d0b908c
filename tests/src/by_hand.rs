//! An agent by hand: batches made and sent one by one, good ones and bad ones.

use std::path::Path;

use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::{self, BatchHeader, BodyDigest};
use storepulse_shared::batch::{Batch, Clock, Column, Frame, Lane};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch};

use crate::cloud::http_client;

/// Whoever sends with one credential to one place.
#[derive(Debug, Clone)]
pub struct ByHand {
    http: reqwest::Client,
    url: String,
    bearer: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, `null` if it is not JSON.
    pub json: serde_json::Value,
}

impl Answer {
    /// The `code` of a problem.
    #[must_use]
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// The `detail` of a problem.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }

    /// Whether the problem names a batch, whose number is then closed.
    #[must_use]
    pub fn names_a_batch(&self) -> bool {
        self.json["batch"].is_string()
    }
}

impl ByHand {
    /// Sends to `url` with this header `Authorization`.
    ///
    /// # Errors
    /// The authority's file cannot be read.
    pub fn new(url: &str, ca: Option<&Path>, bearer: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { http: http_client(ca)?, url: url.to_owned(), bearer })
    }

    /// A request to a path, with the credential.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.bearer {
            Some(bearer) => request.header("Authorization", bearer),
            None => request,
        }
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// None came back.
    pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok(Answer { status, json: serde_json::from_slice(&body).unwrap_or_default() })
    }

    /// Sends a batch.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn send(&self, batch: &HandBatch) -> anyhow::Result<Answer> {
        let request = self
            .request(reqwest::Method::POST, "/v1/metrics/batch")
            .header("Content-Encoding", "gzip")
            .header(header::NAME, batch.header.to_string())
            .body(batch.body.clone());
        Self::answer(request).await
    }

    /// Asks to close the number of a batch.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn close(&self, batch: &HandBatch) -> anyhow::Result<Answer> {
        let request = self.request(reqwest::Method::DELETE, "/v1/metrics/batch");
        Self::answer(request.header(header::NAME, batch.header.to_string())).await
    }

    /// Posts a flat body.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn push(&self, body: &str, idempotency_key: Option<&str>) -> anyhow::Result<Answer> {
        let mut request = self.request(reqwest::Method::POST, "/v1/metrics/batch").body(body.to_owned());
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        Self::answer(request).await
    }

    /// Reads a path.
    ///
    /// # Errors
    /// No answer came back.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Self::answer(self.request(reqwest::Method::GET, path)).await
    }
}

/// A batch with its header; both can be tampered with.
#[derive(Debug, Clone)]
pub struct HandBatch {
    /// What stands before the body.
    pub header: BatchHeader,
    /// The body as sent.
    pub body: Vec<u8>,
}

impl HandBatch {
    /// A well-formed batch with this content.
    #[must_use]
    pub fn of(epoch: Epoch, seq: u64, content: &Batch<'_>) -> Self {
        let samples = u32::try_from(content.samples()).unwrap_or(u32::MAX);
        Self::with_body(epoch, seq, samples, gzip::compress(&encode(content)))
    }

    /// A batch whose body is what you say, and whose header fits it.
    #[must_use]
    pub fn with_body(epoch: Epoch, seq: u64, samples: u32, body: Vec<u8>) -> Self {
        let header = BatchHeader {
            batch: BatchId { epoch, seq },
            lane: Lane::Normal,
            samples,
            sealed: seq,
            digest: BodyDigest::of(&body),
            offset_ms: 0,
            clock: Clock::Ok,
            resumed: false,
            after: None,
        };
        Self { header, body }
    }

    /// The same from the JSON text of a body.
    #[must_use]
    pub fn of_text(epoch: Epoch, seq: u64, samples: u32, text: &str) -> Self {
        Self::with_body(epoch, seq, samples, gzip::compress(text.as_bytes()))
    }
}

/// One frame of one series of the device `d`.
#[must_use]
pub fn frame(series: &str, times: &[i64], values: &[f64]) -> Frame<'static> {
    Frame {
        device: "d".into(),
        kind: "host".into(),
        times: times.to_vec(),
        columns: vec![Column { series: series.to_owned().into(), values: values.to_vec() }],
    }
}

/// A batch of one such frame.
#[must_use]
pub fn samples(series: &str, times: &[i64], values: &[f64]) -> Batch<'static> {
    Batch { frames: vec![frame(series, times, values)], ..Batch::default() }
}
