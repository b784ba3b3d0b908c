//! Answers in Prometheus' envelopes, and refusals in its words: `status`, `data`, `errorType`, `error`.
//!
//! A credential that does not pass is answered as everywhere else (RFC 9457), before anything here is reached.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::eval::{EvalError, Series};
use super::format;
use super::labels::Labels;
use super::plan::Steps;
use crate::problem::ApiError;
use crate::samples::ReadError;

/// Why a query was not answered.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// 400: a parameter, or the query itself.
    BadData(String),
    /// 413: more than a request may carry.
    TooLarge(String),
    /// 422: it cannot be computed, or needs too much.
    Execution(String),
    /// 503
    Timeout(&'static str),
    /// 503 with `Retry-After`
    Unavailable { retry_after: Duration },
    /// 500; the cause goes to the log.
    Internal(anyhow::Error),
}

impl QueryError {
    /// A parameter that is not understood.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::BadData(format!("invalid parameter {name:?}: {why}"))
    }

    fn into_parts(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::BadData(why) => (StatusCode::BAD_REQUEST, "bad_data", why),
            Self::TooLarge(why) => (StatusCode::PAYLOAD_TOO_LARGE, "bad_data", why),
            Self::Execution(why) => (StatusCode::UNPROCESSABLE_ENTITY, "execution", why),
            Self::Timeout(where_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "timeout", format!("query timed out in {where_}"))
            }
            Self::Unavailable { .. } => {
                let why = "the service is busy; come back after Retry-After";
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", why.to_owned())
            }
            Self::Internal(cause) => {
                tracing::error!(cause = format!("{cause:#}"), "a query failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service failed; try again".to_owned())
            }
        }
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        let retry_after = match &self {
            Self::Unavailable { retry_after } => Some(*retry_after),
            _ => None,
        };
        let (status, error_type, error) = self.into_parts();
        let body = QueryProblem { status: "error", error_type, error };
        let mut response = (status, axum::Json(body)).into_response();
        if let Some(wait) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<EvalError> for QueryError {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Execution(why) => Self::Execution(why),
            EvalError::Timeout => Self::Timeout("expression evaluation"),
        }
    }
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        match ApiError::from(error) {
            ApiError::Overloaded { retry_after } => Self::Unavailable { retry_after },
            ApiError::Internal(cause) => Self::Internal(cause),
            other => Self::Internal(anyhow::anyhow!("{other:?}")),
        }
    }
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlx(error) => error.into(),
            error @ ReadError::TooMany { .. } => {
                Self::Execution(format!("the query needs {error}: choose fewer series or a shorter range"))
            }
        }
    }
}

/// A refusal in Prometheus' words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueryProblem {
    /// `error`
    status: &'static str,
    /// The word that programs compare: `bad_data`, `execution`, `timeout`, `unavailable`, `internal`.
    #[serde(rename = "errorType")]
    error_type: &'static str,
    /// What is wrong, and with which value.
    error: String,
}

/// An answer in Prometheus' envelope.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer<T> {
    /// `success`
    status: &'static str,
    /// What was asked for.
    data: T,
}

/// What a query comes to, as it is written here by hand.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the shape of it for the document of the routes")]
pub(crate) struct QueryResult {
    /// `vector`, `matrix`, `scalar` or `string`.
    #[schema(rename = "resultType")]
    result_type: &'static str,
    /// A list of `{"metric": {…}, "value": [seconds, "number"]}`, or with `values` over a range; or one `[seconds, "text"]`.
    result: Vec<serde_json::Value>,
}

/// What is known of a metric.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metadata {
    /// `counter` or `gauge`.
    pub(super) r#type: &'static str,
    /// What it means.
    pub(super) help: &'static str,
    /// UCUM.
    pub(super) unit: &'static str,
}

/// What clients look at to learn what they may ask. Nothing of ours was built by Go.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildInfo {
    /// Of the Prometheus that answers equal.
    pub(super) version: &'static str,
    /// Ours.
    pub(super) revision: &'static str,
    /// Empty.
    pub(super) branch: &'static str,
    /// Empty.
    pub(super) build_user: &'static str,
    /// Empty.
    pub(super) build_date: &'static str,
    /// Empty.
    pub(super) go_version: &'static str,
}

/// A body that is JSON already.
#[derive(Debug)]
pub(crate) struct Json(pub String);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// `data` in the envelope of success.
pub(super) fn success(data: &impl Serialize) -> Result<Json, QueryError> {
    let answer = serde_json::to_string(&Answer { status: "success", data });
    Ok(Json(answer.map_err(|error| QueryError::Internal(error.into()))?))
}

fn envelope(data: &str) -> Json {
    Json(format!(r#"{{"status":"success","data":{data}}}"#))
}

fn result(result_type: &str, result: &str) -> Json {
    envelope(&format!(r#"{{"resultType":"{result_type}","result":{result}}}"#))
}

/// One number at one time.
pub(super) fn scalar(time: i64, value: f64) -> Json {
    result("scalar", &pair(time, value))
}

/// One text at one time.
pub(super) fn text(time: i64, text: &str) -> Json {
    result("string", &format!("[{},{}]", format::time(time), serde_json::Value::from(text)))
}

/// The value of each series at one time.
pub(super) fn vector(time: i64, series: &[Series]) -> Json {
    let one = |series: &Series| {
        let value = series.values.first().copied().flatten()?;
        Some(format!(r#"{{"metric":{},"value":{}}}"#, metric(&series.labels), pair(time, value)))
    };
    result("vector", &list(series.iter().filter_map(one)))
}

/// The values of each series over the steps.
pub(super) fn matrix_of_steps(series: &[Series], steps: Steps) -> Json {
    let samples = |one: &Series| {
        let samples = steps.iter().zip(one.values.iter().copied());
        samples.filter_map(|(time, value)| Some((time, value?))).collect()
    };
    matrix(series.iter().map(|one| (&one.labels, samples(one))))
}

/// The samples of each series.
pub(super) fn matrix<'a>(series: impl Iterator<Item = (&'a Labels, Vec<(i64, f64)>)>) -> Json {
    let one = |(labels, samples): (&Labels, Vec<(i64, f64)>)| {
        let values = list(samples.iter().map(|(time, value)| pair(*time, *value)));
        format!(r#"{{"metric":{},"values":{values}}}"#, metric(labels))
    };
    result("matrix", &list(series.filter(|(_, samples)| !samples.is_empty()).map(one)))
}

fn pair(time: i64, value: f64) -> String {
    format!(r#"[{},"{}"]"#, format::time(time), format::value(value))
}

/// Labels as a JSON object.
pub(super) fn metric(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (at, (name, value)) in labels.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let (name, value) = (serde_json::Value::from(name), serde_json::Value::from(value));
        // Writing into a text does not fail.
        let _ = write!(text, "{comma}{name}:{value}");
    }
    text.push('}');
    text
}

/// The labels of series as a JSON list, in the envelope.
pub(super) fn metrics<'a>(series: impl Iterator<Item = &'a Labels>) -> Json {
    envelope(&list(series.map(metric)))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::from("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}
