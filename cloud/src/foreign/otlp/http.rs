//! `POST /v1/metrics`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::Response;
use storepulse_shared::answer::Problem;

use super::answer::Form;
use super::points::Points;
use super::{json, protobuf};
use crate::app::App;
use crate::auth::StoreAuth;
use crate::foreign::OTLP_KIND;
use crate::foreign::body::{self, described_by, not_understood};
use crate::foreign::store::{self, Arrival};
use crate::problem::ApiError;

const UNDERSTOOD: &str = "application/x-protobuf or application/json with an ExportMetricsServiceRequest";
const UNDERSTOOD_ENCODING: &str = "gzip or none";

/// Take metrics by OTLP/HTTP
#[utoipa::path(
    post,
    path = "/v1/metrics",
    tag = "ingest",
    security(("store_key" = [])),
    params(
        ("Content-Type" = String, Header, description = "application/x-protobuf or application/json: an ExportMetricsServiceRequest"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip: exactly one member; or none"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    request_body(content((String = "application/x-protobuf"), (Object = "application/json"))),
    responses(
        (status = 200, description = "committed, or was before; an ExportMetricsServiceResponse that tells what was refused", content((String = "application/x-protobuf"), (Object = "application/json"))),
        (status = 400, description = "not understood: a google.rpc.Status in the encoding of the request", content((String = "application/x-protobuf"), (Object = "application/json"))),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "too large; the limit is told: a google.rpc.Status", content((String = "application/x-protobuf"), (Object = "application/json"))),
        (status = 415, description = "another type or encoding", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the samples lie too far apart: a google.rpc.Status", content((String = "application/x-protobuf"), (Object = "application/json"))),
        (status = 503, description = "busy, or failing; come back after Retry-After", content((String = "application/x-protobuf"), (Object = "application/json"), (Problem = "application/problem+json"))),
    )
)]
pub(crate) async fn export_metrics(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    // Before it is known which encoding its sender reads, a refusal is one of ours.
    let form = form(&headers)?;
    let is_gzip = match described_by(&headers, &CONTENT_ENCODING) {
        None => false,
        Some((encoding, _)) if encoding == "identity" => false,
        Some((encoding, _)) if encoding == "gzip" => true,
        Some((encoding, _)) => return Err(not_understood(&CONTENT_ENCODING, &encoding, UNDERSTOOD_ENCODING)),
    };
    Ok(match take(&app, &auth, form, is_gzip, body).await {
        Ok(refused) => form.success(refused),
        Err(error) => form.failure(error),
    })
}

fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let (media_type, _) = described_by(headers, &CONTENT_TYPE).unwrap_or_default();
    match media_type.as_str() {
        "application/x-protobuf" => Ok(Form::Protobuf),
        "application/json" => Ok(Form::Json),
        other => Err(not_understood(&CONTENT_TYPE, other, UNDERSTOOD)),
    }
}

/// How many data points were refused and why, if any were.
async fn take(
    app: &App,
    auth: &StoreAuth,
    form: Form,
    is_gzip: bool,
    body: Body,
) -> Result<Option<(u64, String)>, ApiError> {
    let (sent, _let_in) = body::read(app, auth, body).await?;
    let content = if is_gzip { body::inflate_gzip(&sent)?.into() } else { sent.clone() };
    let mut points = Points::default();
    match form {
        Form::Protobuf => protobuf::decode(&content, &mut points)?,
        Form::Json => json::decode(&content, &mut points)?,
    }
    let Points { gathered, seen, refused, without_value } = points;
    let refused_here: u64 = gathered.rejections().iter().map(|r| r.told.samples).sum();
    let arrival = Arrival { kind: OTLP_KIND, sent: &sent, content: &content };
    let outcome = store::take(app, auth, arrival, gathered).await?;
    // A sample that was refused for its time or its new series may be one of several of its data point.
    let refused_there = outcome.refused.saturating_sub(refused_here);
    let refused = refused.saturating_add(refused_there).saturating_add(without_value).min(seen);
    let no_value = (without_value > 0).then(|| format!("{without_value} data points have no finite value"));
    let why: Vec<String> = outcome.told.into_iter().chain(no_value).collect();
    Ok((refused > 0).then(|| (refused, why.join("; "))))
}
