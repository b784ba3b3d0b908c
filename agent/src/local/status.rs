//! `/health` and `/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::reader::Reader;
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
) -> Json<serde_json::Value> {
    Json(state.look().await.to_json(reader.language))
}
