//! `/health` and `/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};

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

/// `?lang=` is the language of the findings' words; English otherwise.
pub(super) async fn show_status(State(state): State<Arc<StatusState>>, uri: Uri) -> Json<serde_json::Value> {
    let asked = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("lang="));
    let language = asked.and_then(Language::of_tag).unwrap_or(Language::En);
    Json(state.look().await.to_json(language))
}
