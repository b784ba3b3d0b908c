//! `POST /api/v1/write`.
//!
//! Prometheus tries again after 5xx and 429, and throws away what is answered with another 4xx, logging the first line of
//! the answer. Samples that are refused do not keep the others from being stored; that some were is told by a 400 after
//! the commit, which is how Prometheus' own receiver tells it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use storepulse_shared::answer::Problem;

use super::decode::decode;
use crate::app::App;
use crate::auth::StoreAuth;
use crate::foreign::PROMETHEUS_KIND;
use crate::foreign::body::{self, described_by, not_understood};
use crate::foreign::gathered::Gathered;
use crate::foreign::store::{self, Arrival};
use crate::problem::ApiError;

const UNDERSTOOD: &str = "application/x-protobuf with a prometheus.WriteRequest (remote write 1.0); set protobuf_message to it, or leave it out";
const UNDERSTOOD_ENCODING: &str = "snappy (the block format)";

/// Take samples by Prometheus remote write 1.0
#[utoipa::path(
    post,
    path = "/api/v1/write",
    tag = "ingest",
    security(("store_key" = [])),
    params(
        ("Content-Type" = Option<String>, Header, description = "application/x-protobuf: a prometheus.WriteRequest"),
        ("Content-Encoding" = Option<String>, Header, description = "snappy"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    request_body(content = String, content_type = "application/x-protobuf"),
    responses(
        (status = 204, description = "committed, or was before"),
        (status = 400, description = "not understood; or some samples were refused and the others are committed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "too large; the limit is told", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "another type, encoding or version of remote write", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the samples lie too far apart", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn write_series(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    check_form(&headers)?;
    let (sent, _let_in) = body::read(&app, &auth, body).await?;
    let content = body::inflate_snappy(&sent)?;
    let mut gathered = Gathered::default();
    decode(&content, &mut gathered)?;
    let arrival = Arrival { kind: PROMETHEUS_KIND, sent: &sent, content: &content };
    let outcome = store::take(&app, &auth, arrival, gathered).await?;
    match outcome.told {
        None => Ok(StatusCode::NO_CONTENT),
        Some(detail) => Err(ApiError::refused(StatusCode::BAD_REQUEST, "samples_refused", detail)),
    }
}

/// Senders must name all three headers; as in Prometheus, one that does not is taken at its best.
fn check_form(headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some((media_type, parameters)) = described_by(headers, &CONTENT_TYPE) {
        let message = parameters.split(';').find_map(|p| p.trim().strip_prefix("proto="));
        if media_type != "application/x-protobuf" || message.is_some_and(|m| m != "prometheus.writerequest") {
            return Err(not_understood(&CONTENT_TYPE, &format!("{media_type};{parameters}"), UNDERSTOOD));
        }
    }
    match described_by(headers, &CONTENT_ENCODING) {
        Some((encoding, _)) if encoding != "snappy" => {
            Err(not_understood(&CONTENT_ENCODING, &encoding, UNDERSTOOD_ENCODING))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, encoding: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        check_form(&headers).is_ok()
    }

    #[test]
    fn only_version_one_in_snappy_is_understood() {
        assert!(check("application/x-protobuf", "snappy"));
        assert!(check("Application/X-Protobuf; proto=prometheus.WriteRequest", "Snappy"));
        assert!(!check("application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy"));
        assert!(!check("application/json", "snappy"));
        assert!(!check("application/x-protobuf", "gzip"));
        assert!(check_form(&HeaderMap::new()).is_ok());
    }
}
