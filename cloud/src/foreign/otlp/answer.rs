//! What an OTLP exporter is told, in the encoding it has sent: an `ExportMetricsServiceResponse`, or a `google.rpc.Status`.
//!
//! Exporters try again after 429, 502, 503 and 504 only. So what is ours to mend is 503 here, not 500.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::foreign::protobuf::{put_bytes, put_varint};
use crate::problem::ApiError;

/// Of `google.rpc.Code`.
const INVALID_ARGUMENT: u64 = 3;
/// Of `google.rpc.Code`.
const UNAVAILABLE: u64 = 14;
/// What a failure of ours asks for.
const RETRY_SECONDS: u64 = 5;

/// How request and answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// All is stored; or all but so many data points, for these reasons.
    pub(super) fn success(self, refused: Option<(u64, String)>) -> Response {
        let body = match (self, refused) {
            (Self::Protobuf, None) => Vec::new(),
            (Self::Json, None) => b"{}".to_vec(),
            (Self::Protobuf, Some((points, why))) => {
                let mut partial = Vec::new();
                put_varint(&mut partial, 1, points);
                put_bytes(&mut partial, 2, why.as_bytes());
                let mut body = Vec::new();
                put_bytes(&mut body, 1, &partial);
                body
            }
            (Self::Json, Some((points, why))) => {
                let partial =
                    serde_json::json!({ "rejectedDataPoints": points.to_string(), "errorMessage": why });
                serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
        };
        self.respond(StatusCode::OK, body)
    }

    /// Nothing is stored.
    pub(super) fn failure(self, error: ApiError) -> Response {
        let (problem, wait) = error.into_parts();
        let is_ours = problem.status >= 500;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let status = if is_ours { StatusCode::SERVICE_UNAVAILABLE } else { status };
        let code = if is_ours { UNAVAILABLE } else { INVALID_ARGUMENT };
        let message = format!("{}: {}", problem.code, problem.detail);
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
        if is_ours {
            let seconds = wait.map_or(RETRY_SECONDS, |wait| wait.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
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
