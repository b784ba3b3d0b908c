//! `POST` and `DELETE /v1/metrics/batch`: from a request to the flow, and back.
//!
//! What may have happened on the way (a damaged body, a stripped header) is refused without naming the batch, so that
//! the agent tries again; only what is wrong with the batch itself closes its number.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use storepulse_shared::answer::{Ack, Problem};
use storepulse_shared::batch::header::{self, BatchHeader, BodyDigest};
use storepulse_shared::limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX};

use super::sql::receipts::Sender;
use super::take::{self, BodyError, Received};
use crate::app::App;
use crate::auth::StoreAuth;
use crate::problem::ApiError;

/// How much of a body that is too large is still read, so that its sender reads our answer instead of a reset.
const DRAIN_BYTES_MAX: usize = 32 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Take a batch of samples, events and losses, once
///
/// With the header `StorePulse-Batch` the body is in the agent form, without it in the flat form.
#[utoipa::path(
    post,
    path = "/v1/metrics/batch",
    tag = "ingest",
    security(("store_key" = [])),
    params(
        ("StorePulse-Batch" = Option<String>, Header, description = "identity and facts of the batch, for the agent form"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip: exactly one member; or none"),
        ("Idempotency-Key" = Option<String>, Header, description = "for the flat form: the same key and body is stored once"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "committed, or was before", body = Ack),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the number holds another body", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "the number was closed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "too large; the limit is told", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "an unknown Content-Encoding", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "nothing of it can be stored", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_batch(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Ack>, ApiError> {
    let header = batch_header(&headers)?;
    let gzipped = content_encoding(&headers)?;
    let sender = sender(&headers);
    let bytes = match read_body(body).await? {
        Ok(bytes) => bytes,
        Err(total) => {
            let error = BodyError::TooLong(total);
            return match header {
                Some(header) => take::take_batch(&app, &auth, &header, &Err(error)).await.map(Json),
                None => Err(error.into()),
            };
        }
    };
    if !gzipped && bytes.starts_with(&[0x1f, 0x8b]) {
        let detail = "the body is gzip, but no Content-Encoding says so; something on the way has removed it";
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "content_encoding_missing", detail));
    }
    let received = Received { bytes, gzipped, sender };
    let Some(header) = header else {
        let key = idempotency_key(&headers)?;
        return take::take_flat(&app, &auth, &received, key).await.map(Json);
    };
    let digest = BodyDigest::of(&received.bytes);
    if digest != header.digest {
        let detail = format!(
            "the body's SHA-256 begins with {digest}, the header says {}; it was changed on the way, send it again",
            header.digest
        );
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "body_damaged", detail));
    }
    take::take_batch(&app, &auth, &header, &Ok(received)).await.map(Json)
}

/// Close a batch number, so that it will never be stored
///
/// 200 if the batch had been received, 410 once the number is closed.
#[utoipa::path(
    delete,
    path = "/v1/metrics/batch",
    tag = "ingest",
    security(("store_key" = [])),
    params(
        ("StorePulse-Batch" = String, Header, description = "the header that the batch was sent with"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    responses(
        (status = 200, description = "it had been received", body = Ack),
        (status = 400, description = "no header, or not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "it is closed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_batch(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    headers: HeaderMap,
) -> Result<Json<Ack>, ApiError> {
    let Some(header) = batch_header(&headers)? else {
        let detail = "DELETE needs the header StorePulse-Batch, which names the batch";
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "batch_header_missing", detail));
    };
    take::close_batch(&app, &auth, &header).await.map(Json)
}

fn batch_header(headers: &HeaderMap) -> Result<Option<BatchHeader>, ApiError> {
    let refused = |detail: String| ApiError::refused(StatusCode::BAD_REQUEST, "bad_batch_header", detail);
    let mut values = headers.get_all(header::NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("header StorePulse-Batch: given more than once".to_owned()));
    }
    let text = value.to_str().map_err(|_| refused("header StorePulse-Batch: not ASCII".to_owned()))?;
    text.parse().map(Some).map_err(|e: header::HeaderError| refused(e.to_string()))
}

/// Whether the body is gzip.
fn content_encoding(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(CONTENT_ENCODING).map(axum::http::HeaderValue::as_bytes) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"identity") => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"gzip") => Ok(true),
        Some(value) => {
            let value = String::from_utf8_lossy(value);
            let detail = format!("Content-Encoding {value:.40?}: gzip or none");
            Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", detail))
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|k| !k.is_empty() && k.len() <= IDEMPOTENCY_KEY_BYTES_MAX);
    key.map(Some).ok_or_else(|| {
        let detail = format!("Idempotency-Key: 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
        ApiError::refused(StatusCode::BAD_REQUEST, "bad_idempotency_key", detail)
    })
}

/// `User-Agent: storepulse-agent/<version> (<host id>)`.
fn sender(headers: &HeaderMap) -> Sender {
    let text = headers.get(USER_AGENT).and_then(|v| v.to_str().ok());
    let Some(rest) = text.and_then(|t| t.strip_prefix("storepulse-agent/")) else { return Sender::default() };
    let (version, host) = rest.split_once(' ').unwrap_or((rest, ""));
    let host = host.strip_prefix('(').and_then(|h| h.strip_suffix(')'));
    let short = |text: &str| Some(text.chars().take(64).collect::<String>()).filter(|t| !t.is_empty());
    Sender { agent_version: short(version), host_id: host.and_then(short) }
}

/// The whole body, or how long one was that is too large.
async fn read_body(mut body: Body) -> Result<Result<bytes::Bytes, usize>, ApiError> {
    let read = async {
        let mut bytes = bytes::BytesMut::new();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            total += data.len();
            if total <= BODY_BYTES_MAX {
                bytes.extend_from_slice(&data);
            } else if total > DRAIN_BYTES_MAX {
                break;
            }
        }
        Ok::<_, axum::Error>(if total > BODY_BYTES_MAX { Err(total) } else { Ok(bytes.freeze()) })
    };
    let incomplete = |why: &str| {
        let detail = format!("the body did not arrive whole: {why}");
        ApiError::refused(StatusCode::REQUEST_TIMEOUT, "body_incomplete", detail)
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(_)) => Err(incomplete("the connection broke")),
        Err(_) => Err(incomplete("it took longer than 60 s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_read_from_the_user_agent() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, text.parse().unwrap());
            sender(&headers)
        };
        let known = of("storepulse-agent/0.1.0 (4f2a)");
        assert_eq!(known.agent_version.as_deref(), Some("0.1.0"));
        assert_eq!(known.host_id.as_deref(), Some("4f2a"));
        assert_eq!(of("storepulse-agent/0.1.0").host_id, None);
        assert_eq!(of("curl/8.0").agent_version, None);
        assert_eq!(of(&format!("storepulse-agent/{}", "9".repeat(500))).agent_version.unwrap().len(), 64);
    }

    #[test]
    fn encodings_are_gzip_or_none() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, text.parse().unwrap());
            content_encoding(&headers)
        };
        assert!(matches!(of("gzip"), Ok(true)));
        assert!(matches!(of("Identity"), Ok(false)));
        assert!(of("zstd").is_err());
        assert!(of("gzip, gzip").is_err());
    }
}
