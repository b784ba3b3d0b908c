//! A request to `/v1/metrics/batch` as cloud and gateway both read it: its head, whether its body arrived whole, and
//! what refuses it.
//!
//! What may have happened on the way (a damaged body, a stripped header) is refused without naming the batch, so that its
//! sender tries again. What is wrong with the batch itself is a [`BodyError`], which closes its number.

use std::borrow::Cow;

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::answer::Problem;
use crate::batch::header::{self, BatchHeader, BodyDigest};
use crate::batch::{Batch, BatchError, decode};
use crate::gzip::{self, GzipError};
use crate::limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, INFLATED_BYTES_MAX, SAMPLES_MAX};

/// Name of the header that makes a flat body count once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What stands before the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Of the agent form; without it the body is in the flat form.
    pub batch: Option<BatchHeader>,
    /// `Content-Encoding: gzip`.
    pub gzipped: bool,
    /// Of the flat form.
    pub idempotency_key: Option<String>,
}

/// Why a request is refused before its batch is looked at; no number is closed by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct HeadError {
    /// 400 or 415.
    pub status: u16,
    /// The word that programs compare.
    pub code: &'static str,
    /// What is wrong, with the value and the way out.
    pub detail: String,
}

impl HeadError {
    fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }
}

impl From<HeadError> for Problem {
    fn from(error: HeadError) -> Self {
        Self::of(error.status, error.code, error.detail)
    }
}

impl RequestHead {
    /// Reads the headers.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub fn read(headers: &HeaderMap) -> Result<Self, HeadError> {
        Ok(Self {
            batch: read_batch_header(headers)?,
            gzipped: read_encoding(headers)?,
            idempotency_key: read_idempotency_key(headers)?,
        })
    }

    /// Whether the body is the one that was sent.
    ///
    /// # Errors
    /// It was changed on the way.
    pub fn check_arrival(&self, body: &[u8]) -> Result<(), HeadError> {
        if !self.gzipped && body.starts_with(&gzip::MAGIC) {
            let detail =
                "the body is gzip, but no Content-Encoding says so; something on the way has removed it";
            return Err(HeadError::new(400, "content_encoding_missing", detail));
        }
        let Some(header) = &self.batch else { return Ok(()) };
        let digest = BodyDigest::of(body);
        if digest == header.digest {
            return Ok(());
        }
        let detail = format!(
            "the body's SHA-256 begins with {digest}, the header says {}; it was changed on the way, send it again",
            header.digest
        );
        Err(HeadError::new(400, "body_damaged", detail))
    }

    /// The JSON text of the body.
    ///
    /// # Errors
    /// [`BodyError::Gzip`].
    pub fn text<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, [u8]>, BodyError> {
        Ok(if self.gzipped { gzip::inflate(body, INFLATED_BYTES_MAX)?.into() } else { body.into() })
    }
}

/// Decodes a body in the agent form, which must be what its header says.
///
/// # Errors
/// See [`BodyError`].
pub fn decode_batch<'a>(header: &BatchHeader, text: &'a [u8]) -> Result<Batch<'a>, BodyError> {
    let said = header.samples as usize;
    if said > SAMPLES_MAX {
        let (count, limit) = (said, SAMPLES_MAX);
        return Err(BatchError::TooLarge { code: "too_many_samples", what: "samples", count, limit }.into());
    }
    let batch = decode::decode(text)?;
    let found = batch.samples();
    if found == said { Ok(batch) } else { Err(BodyError::SampleCount { said, found }) }
}

/// The problem of a flat body that could not be decoded. An agent body without its header is the most likely mistake, and
/// has its own words.
#[must_use]
pub fn flat_problem(text: &[u8], error: BatchError) -> Problem {
    if decode::decode(text).is_ok() {
        let detail = "this is the agent form, which needs the header StorePulse-Batch; without it send {\"metrics\":[…]}";
        return Problem::of(400, "batch_header_missing", detail);
    }
    BodyError::from(error).problem()
}

/// Why a body is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is not one whole gzip member within the limit.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// It is not a batch, or too much of one.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Header and body do not agree.
    #[error("the header says samples={said}, the body has {found}")]
    SampleCount {
        /// In the header.
        said: usize,
        /// In the body.
        found: usize,
    },
    /// It is longer than what is read.
    #[error("the body has {0} bytes: at most {BODY_BYTES_MAX} are taken; split the batch")]
    TooLong(usize),
}

impl BodyError {
    /// As a problem, which names no batch yet.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (status, code, limit) = match self {
            Self::Gzip(GzipError::TooLarge(limit)) => (413, "inflated_too_large", Some(*limit)),
            Self::Gzip(_) => (400, "bad_gzip", None),
            Self::Batch(error @ BatchError::Malformed { .. }) => (400, error.code(), None),
            Self::Batch(error @ BatchError::TooLarge { limit, .. }) => (413, error.code(), Some(*limit)),
            Self::Batch(error @ BatchError::SpanTooLong { .. }) => (422, error.code(), None),
            Self::SampleCount { .. } => (400, "sample_count", None),
            Self::TooLong(_) => (413, "body_too_large", Some(BODY_BYTES_MAX)),
        };
        let mut problem = Problem::of(status, code, self.to_string());
        problem.limit = limit.map(|n| n as u64);
        problem
    }
}

fn read_batch_header(headers: &HeaderMap) -> Result<Option<BatchHeader>, HeadError> {
    let refused = |detail: String| HeadError::new(400, "bad_batch_header", detail);
    let mut values = headers.get_all(header::NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("header StorePulse-Batch: given more than once".to_owned()));
    }
    let text = value.to_str().map_err(|_| refused("header StorePulse-Batch: not ASCII".to_owned()))?;
    text.parse().map(Some).map_err(|e: header::HeaderError| refused(e.to_string()))
}

fn read_encoding(headers: &HeaderMap) -> Result<bool, HeadError> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"identity") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"gzip") => Ok(true),
        Some(value) => {
            let value = String::from_utf8_lossy(value);
            Err(HeadError::new(
                415,
                "unknown_encoding",
                format!("Content-Encoding {value:.40?}: gzip or none"),
            ))
        }
    }
}

fn read_idempotency_key(headers: &HeaderMap) -> Result<Option<String>, HeadError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|k| !k.is_empty() && k.len() <= IDEMPOTENCY_KEY_BYTES_MAX);
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!("Idempotency-Key: 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        HeadError::new(400, "bad_idempotency_key", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Result<RequestHead, HeadError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        RequestHead::read(&headers)
    }

    #[test]
    fn encodings_are_gzip_or_none() {
        assert!(read("content-encoding", "GZIP").unwrap().gzipped);
        assert!(!read("content-encoding", "identity").unwrap().gzipped);
        for bad in ["zstd", "gzip, gzip", ""] {
            assert_eq!(read("content-encoding", bad).unwrap_err().code, "unknown_encoding", "{bad}");
        }
    }

    #[test]
    fn an_idempotency_key_is_short_and_visible() {
        assert_eq!(read(IDEMPOTENCY_KEY, "a b").unwrap().idempotency_key.as_deref(), Some("a b"));
        for bad in ["", &"k".repeat(129)] {
            assert_eq!(read(IDEMPOTENCY_KEY, bad).unwrap_err().code, "bad_idempotency_key");
        }
    }

    #[test]
    fn a_body_must_be_the_one_that_the_header_speaks_of() {
        let line = include_str!("../testdata/header.txt").lines().next().unwrap();
        let mut head = read(header::NAME, line).unwrap();
        assert_eq!(head.check_arrival(b"{}").unwrap_err().code, "body_damaged");
        if let Some(header) = &mut head.batch {
            header.digest = BodyDigest::of(b"{}");
        }
        assert_eq!(head.check_arrival(b"{}"), Ok(()));
        let stripped = head.check_arrival(&gzip::compress(b"{}")).unwrap_err();
        assert_eq!(stripped.code, "content_encoding_missing");
        assert_eq!(Problem::from(stripped).batch, None);
    }

    #[test]
    fn a_header_that_promises_too_much_is_too_large_before_the_body_is_decoded() {
        let line = include_str!("../testdata/header.txt").lines().next().unwrap();
        let header = line.replace("samples=186", "samples=20001").parse().unwrap();
        let error = decode_batch(&header, b"not even JSON").unwrap_err();
        assert_eq!((error.problem().status, error.problem().limit), (413, Some(20_000)));
    }
}
