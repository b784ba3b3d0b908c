//! The body of a foreign request: read, unpacked, and what refuses it as a whole.
//!
//! What may pass by itself (a broken connection, a slow one) is never answered with 4xx: Prometheus and OpenTelemetry throw
//! away what is refused so. What is too large is noticed before the memory for it is taken.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use bytes::Bytes;
use storepulse_shared::answer::Problem;
use storepulse_shared::gzip::{self, GzipError};
use storepulse_shared::limits::{BODY_BYTES_MAX, INFLATED_BYTES_MAX, SAMPLES_MAX};

use super::gathered::{TooManyDays, TooManySamples};
use super::protobuf::Broken;
use crate::admission::{Held, Place};
use crate::app::App;
use crate::auth::StoreAuth;
use crate::ingest;
use crate::problem::ApiError;

/// No byte of a snappy body stands for more than 22: three bytes copy 64 at most. What promises more is no snappy.
const SNAPPY_RATIO_MAX: usize = 22;

/// Why a body is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// As sent.
    #[error("the body has {0} bytes: at most {BODY_BYTES_MAX} are taken; send less in one request")]
    TooLong(usize),
    /// As its header promises.
    #[error(
        "the body would inflate to {0} bytes: at most {INFLATED_BYTES_MAX} are taken; send less in one request"
    )]
    InflatesTooFar(usize),
    /// Of remote write.
    #[error("the snappy body is broken: {0}")]
    Snappy(String),
    /// Of OTLP.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// Of both.
    #[error(transparent)]
    Protobuf(#[from] Broken),
    /// Of OTLP.
    #[error("the JSON is not an OTLP metrics request: {0}")]
    Json(String),
    /// Of OTLP: a list that is longer than anything that could be stored.
    #[error("a list of more than {0} elements; send less in one request")]
    ListTooLong(usize),
    /// Of both.
    #[error("{0}; send less in one request")]
    TooManySamples(#[from] TooManySamples),
    /// Of both.
    #[error(transparent)]
    TooManyDays(#[from] TooManyDays),
}

impl BodyError {
    fn problem(&self) -> Problem {
        let (status, code, limit) = match self {
            Self::TooLong(_) => (413, "body_too_large", Some(BODY_BYTES_MAX)),
            Self::InflatesTooFar(_) => (413, "inflated_too_large", Some(INFLATED_BYTES_MAX)),
            Self::Gzip(GzipError::TooLarge(limit)) => (413, "inflated_too_large", Some(*limit)),
            Self::Snappy(_) => (400, "bad_snappy", None),
            Self::Gzip(_) => (400, "bad_gzip", None),
            Self::Protobuf(_) => (400, "bad_protobuf", None),
            Self::Json(_) => (400, "bad_json", None),
            Self::ListTooLong(limit) => (413, "too_many_elements", Some(*limit)),
            Self::TooManySamples(_) => (413, "too_many_samples", Some(SAMPLES_MAX)),
            Self::TooManyDays(_) => (422, "span_too_long", None),
        };
        let mut problem = Problem::of(status, code, self.to_string());
        problem.limit = limit.map(|n| n as u64);
        problem
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        error.problem().into()
    }
}

/// The body as sent, and what was let in of it: to be held until the answer.
pub(super) async fn read(
    app: &App,
    auth: &StoreAuth,
    body: Body,
) -> Result<(Bytes, (Held, Place)), ApiError> {
    let told = body.size_hint().exact();
    let mut held = app.admission.hold_body(None, told)?;
    let sent = match ingest::http::read_body(body).await {
        Ok(read) => read.map_err(BodyError::TooLong)?,
        // It did not arrive whole. That is nobody's fault, and it may arrive another time.
        Err(_) => return Err(ApiError::Overloaded { retry_after: Duration::from_secs(1) }),
    };
    held.shrink_to(sent.len());
    if told.is_none() {
        auth.allowance.owe(0, sent.len() as u64);
    }
    let place = app.admission.enter(None).await?;
    Ok((sent, (held, place)))
}

/// Unpacks one block of snappy, whose header promises a length.
pub(super) fn inflate_snappy(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    let broken = |error: snap::Error| BodyError::Snappy(error.to_string());
    if body.is_empty() {
        return Err(BodyError::Snappy("it is empty".to_owned()));
    }
    let promised = snap::raw::decompress_len(body).map_err(broken)?;
    if promised > INFLATED_BYTES_MAX {
        return Err(BodyError::InflatesTooFar(promised));
    }
    if promised > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(BodyError::Snappy(format!("{} bytes cannot become {promised}", body.len())));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(broken)
}

/// Unpacks one gzip member.
pub(super) fn inflate_gzip(body: &[u8]) -> Result<Vec<u8>, BodyError> {
    Ok(gzip::inflate(body, INFLATED_BYTES_MAX)?)
}

/// A header that says how the body is to be understood: its first value without parameters, in lower case, and the
/// parameters.
pub(super) fn described_by(headers: &HeaderMap, name: &HeaderName) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).to_ascii_lowercase();
    let (value, parameters) = text.split_once(';').unwrap_or((&text, ""));
    Some((value.trim().to_owned(), parameters.trim().to_owned()))
}

/// 415: another type or encoding than what is understood.
pub(super) fn not_understood(name: &HeaderName, value: &str, understood: &str) -> ApiError {
    let code = if name == CONTENT_ENCODING { "unknown_encoding" } else { "unknown_media_type" };
    debug_assert!(name == CONTENT_ENCODING || name == CONTENT_TYPE, "{name}");
    let detail = format!("{name} {value:.100?} is not understood: {understood}");
    ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snappy(plain: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(plain).unwrap()
    }

    fn refusal(body: &[u8]) -> (u16, String) {
        let problem = inflate_snappy(body).unwrap_err().problem();
        (problem.status, problem.code)
    }

    #[test]
    fn a_snappy_block_is_unpacked_whatever_its_ratio() {
        for plain in [vec![0; INFLATED_BYTES_MAX], b"fridge-dairy".to_vec(), vec![7; 100], Vec::new()] {
            assert_eq!(inflate_snappy(&snappy(&plain)).unwrap(), plain);
        }
    }

    #[test]
    fn a_snappy_body_that_promises_too_much_is_refused_by_its_header() {
        let bomb = snappy(&vec![0; INFLATED_BYTES_MAX + 1]);
        assert_eq!(refusal(&bomb), (413, "inflated_too_large".into()));
        assert_eq!(refusal(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]), (413, "inflated_too_large".into()));
        // Fifteen megabytes, says a body of six bytes.
        assert_eq!(refusal(&[0x80, 0x80, 0xc0, 0x07, 0, 0]), (400, "bad_snappy".into()));
    }

    #[test]
    fn a_broken_snappy_body_is_refused() {
        let good = snappy(&b"fridge-dairy ".repeat(50));
        for bad in [&good[..good.len() - 1], b"", b"hello", &[0xff; 11]] {
            assert_eq!(refusal(bad), (400, "bad_snappy".into()), "{bad:?}");
        }
    }
}
