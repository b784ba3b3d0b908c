//! `POST` and `DELETE /v1/key/rotation`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde_json::json;
use storepulse_shared::answer::Problem;
use storepulse_shared::rotation::{KeyRegistered, KeyRetired, NewKey};

use super::sql::{self, Registration};
use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::StoreAuth;
use crate::db::ControlTx;
use crate::problem::ApiError;

/// Register the key that is to follow the one of this request
///
/// Needs a window that an operator has opened, and closes it. The same key again has the same answer.
#[utoipa::path(
    post,
    path = "/v1/key/rotation",
    tag = "keys",
    security(("store_key" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    request_body = NewKey,
    responses(
        (status = 200, description = "it opens from now on", body = KeyRegistered),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "no window is open, two keys are active, or this key cannot be taken", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn register_key(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    body: Result<Json<NewKey>, JsonRejection>,
) -> Result<Json<KeyRegistered>, ApiError> {
    let Json(new) = body.map_err(|e| bad_key(e.body_text()))?;
    let id = &new.key_id;
    if id.len() != KEY_ID_LEN || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(bad_key(format!("key_id {id:.40?} is not {KEY_ID_LEN} letters and digits")));
    }
    let mut tx = app.db.control().await?;
    let refused = |code, detail| Err(ApiError::refused(StatusCode::CONFLICT, code, detail));
    match sql::register(&mut tx, &auth, &new).await? {
        Registration::Done => {}
        Registration::WasDone => return Ok(Json(KeyRegistered { registered: new.key_id })),
        Registration::OldIsGone => return Err(ApiError::Unauthorized),
        Registration::NoWindow => {
            return refused(
                "no_rotation_window",
                "no window is open: an operator opens one with `key rotate`",
            );
        }
        Registration::TwoActive => {
            return refused("two_active_keys", "the store has two active keys already: revoke one first");
        }
        Registration::NotToBeTaken => {
            return refused("key_refused", "this key cannot be taken: make another one");
        }
    }
    record(&mut tx, &auth, "key.registered", &new.key_id).await?;
    tx.commit().await?;
    tracing::info!(tenant = %auth.tenant, store = %auth.store, key = %auth.key_id, new = new.key_id, "key registered");
    Ok(Json(KeyRegistered { registered: new.key_id }))
}

/// Retire the key over which the one of this request was registered
#[utoipa::path(
    delete,
    path = "/v1/key/rotation",
    tag = "keys",
    security(("store_key" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    responses(
        (status = 200, description = "it opens nothing any more, or there was none", body = KeyRetired),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn retire_key(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
) -> Result<Json<KeyRetired>, ApiError> {
    let mut tx = app.db.control().await?;
    let retired = sql::retire_before(&mut tx, &auth).await?;
    if let Some(retired) = &retired {
        record(&mut tx, &auth, "key.retired", retired).await?;
    }
    tx.commit().await?;
    if let Some(retired) = &retired {
        tracing::info!(tenant = %auth.tenant, store = %auth.store, key = %auth.key_id, retired, "key retired");
    }
    Ok(Json(KeyRetired { active: auth.key_id.to_string(), retired }))
}

/// In the audit of the tenant, in the transaction of what it tells of.
async fn record(tx: &mut ControlTx, auth: &StoreAuth, action: &str, key_id: &str) -> Result<(), sqlx::Error> {
    let actor = Actor::Agent { store: auth.store.clone(), key_id: auth.key_id.to_string() };
    let subject = format!("store:{}", auth.store);
    let deed = Deed { action, subject: &subject, detail: json!({ "key_id": key_id }) };
    audit::record(tx, &auth.tenant, &actor, deed).await
}

/// Characters of a key's public part.
const KEY_ID_LEN: usize = 8;

fn bad_key(detail: String) -> ApiError {
    ApiError::refused(StatusCode::BAD_REQUEST, "bad_key", detail)
}
