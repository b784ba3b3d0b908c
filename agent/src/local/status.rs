//! `/health` and `/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::reader::Reader;
use crate::finding::Finding;
use crate::language::Language;
use crate::status::StatusState;

/// Healthy is whoever can still accept and keep samples. That the cloud is away is no illness of the box, and must not
/// make a container runtime restart it.
pub(super) async fn show_health(
    State(state): State<Arc<StatusState>>,
) -> (StatusCode, Json<serde_json::Value>) {
    match state.spool.probe().await {
        Ok(()) => (StatusCode::OK, Json(serde_json::json!({ "status": "ok" }))),
        Err(error) => {
            let body = serde_json::json!({ "status": "failing", "reason": error.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

/// The status, each finding with its words in the reader's language (`?lang=`).
pub(super) async fn show_status(
    State(state): State<Arc<StatusState>>,
    reader: Reader,
) -> Result<Json<Value>, (StatusCode, String)> {
    let status = state.read().await.map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    let mut told =
        serde_json::to_value(&status).map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    put_into_words(&status.verdict.findings, reader.language, &mut told["verdict"]["findings"]);
    Ok(Json(told))
}

/// Adds `text` and `next` to findings that were written as JSON.
fn put_into_words(findings: &[Finding], language: Language, told: &mut Value) {
    for (finding, told) in findings.iter().zip(told.as_array_mut().into_iter().flatten()) {
        told["text"] = finding.text(language).into();
        told["next"] = finding.next(language).into();
    }
}
