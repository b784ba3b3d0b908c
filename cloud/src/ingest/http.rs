//! `POST` and `DELETE /v1/metrics/batch`: from a request to the flow, and back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use storepulse_shared::answer::{Ack, Problem};
use storepulse_shared::limits::BODY_BYTES_MAX;
use storepulse_shared::request::{BodyError, RequestHead};

use super::described::Posted;
use super::sql::receipts::Sender;
use super::take::{self, Received};
use crate::app::App;
use crate::auth::StoreAuth;
use crate::limits::length;
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
    request_body(content = Posted, content_type = "application/json"),
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
    let head = RequestHead::read(&headers)?;
    let mut held = app.admission.hold_body(head.batch.as_ref(), length(&headers))?;
    let read = read_body(body).await?;
    let bytes_len = read.as_ref().map_or(0, bytes::Bytes::len);
    held.shrink_to(bytes_len);
    if length(&headers).is_none() {
        auth.allowance.owe(0, bytes_len as u64);
    }
    let _place = app.admission.enter(head.batch.as_ref()).await?;
    // Said with the answer, not stored with it: it is of this moment.
    let pace_for = head.batch.clone();
    let answer = |ack: Ack| {
        let pace =
            pace_for.as_ref().map_or(ack.pace, |header| app.admission.pace(&auth, header, bytes_len, &ack));
        Json(Ack { rotate_key: auth.rotate_key, settings: auth.settings, pace, ..ack })
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(total) => {
            let error = BodyError::TooLong(total);
            return match &head.batch {
                Some(header) => take::take_batch(&app, &auth, header, &Err(error)).await.map(answer),
                None => Err(error.problem().into()),
            };
        }
    };
    head.check_arrival(&bytes)?;
    let received = Received { bytes, sender: sender(&headers), head };
    match &received.head.batch {
        None => take::take_flat(&app, &auth, &received).await.map(answer),
        Some(header) => {
            let header = header.clone();
            take::take_batch(&app, &auth, &header, &Ok(received)).await.map(answer)
        }
    }
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
    let Some(header) = RequestHead::read(&headers)?.batch else {
        let detail = "DELETE needs the header StorePulse-Batch, which names the batch";
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "batch_header_missing", detail));
    };
    let _place = app.admission.enter(Some(&header)).await?;
    take::close_batch(&app, &auth, &header).await.map(Json)
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
pub(crate) async fn read_body(mut body: Body) -> Result<Result<bytes::Bytes, usize>, ApiError> {
    let read = async {
        let mut bytes = bytes::BytesMut::new();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            total += data.len();
            if total <= BODY_BYTES_MAX {
                bytes.extend_from_slice(&data);
            } else {
                bytes = bytes::BytesMut::new();
                if total > DRAIN_BYTES_MAX {
                    break;
                }
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
}
