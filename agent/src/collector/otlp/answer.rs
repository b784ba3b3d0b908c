//! What an exporter is told, in the encoding that it has sent: an `ExportMetricsServiceResponse`, or a `google.rpc.Status`.
//!
//! Exporters try again after 429, 502, 503 and 504 only, and throw away what is refused otherwise. So whatever may pass by
//! itself is 503 with `Retry-After`.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::wire::{put_bytes, put_varint};

/// Of `google.rpc.Code`.
const INVALID_ARGUMENT: u64 = 3;
/// Of `google.rpc.Code`.
const UNAVAILABLE: u64 = 14;
/// When to come back.
const RETRY_SECONDS: u64 = 5;

/// How request and answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// All is durable; or all but so many data points, for these reasons.
    pub(super) fn success(self, refused: u64, why: &str) -> Response {
        let body = match (self, refused) {
            (Self::Protobuf, 0) => Vec::new(),
            (Self::Json, 0) => b"{}".to_vec(),
            (Self::Protobuf, _) => {
                let mut partial = Vec::new();
                put_varint(&mut partial, 1, refused);
                put_bytes(&mut partial, 2, why.as_bytes());
                let mut body = Vec::new();
                put_bytes(&mut body, 1, &partial);
                body
            }
            (Self::Json, _) => {
                let partial =
                    serde_json::json!({ "rejectedDataPoints": refused.to_string(), "errorMessage": why });
                serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
        };
        self.respond(StatusCode::OK, body)
    }

    /// Nothing is taken.
    pub(super) fn failure(self, status: StatusCode, message: &str) -> Response {
        let comes_back = status == StatusCode::SERVICE_UNAVAILABLE;
        let code = if comes_back { UNAVAILABLE } else { INVALID_ARGUMENT };
        let body = match self {
            Self::Protobuf => {
                let mut body = Vec::new();
                put_varint(&mut body, 1, code);
                put_bytes(&mut body, 2, message.as_bytes());
                body
            }
            Self::Json => serde_json::json!({ "code": code, "message": message }).to_string().into_bytes(),
        };
        let mut response = self.respond(status, body);
        if comes_back {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        response
    }

    fn respond(self, status: StatusCode, body: Vec<u8>) -> Response {
        let media_type = match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        };
        (status, [(CONTENT_TYPE, media_type)], body).into_response()
    }
}
