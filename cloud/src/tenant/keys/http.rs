//! `/v1/tenants/{tenant_id}/stores/{store_id}/keys`, `…/imported-keys` and `…/rotation`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::rotation::KeyHash;
use utoipa::{IntoParams, ToSchema};

use super::{ImportedKey, Key, RevokedKey, WINDOW_MAX};
use crate::app::{App, rfc3339};
use crate::auth::OperatorAuth;
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Asked, Named, Told};
use crate::problem::ApiError;

/// A key that was made now.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedKey {
    /// Its public part.
    key_id: String,
    /// The key. It cannot be shown again.
    key: String,
}

/// The keys of a store, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Keys {
    keys: Vec<Key>,
}

/// The hash of a key of an older system.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyImport {
    /// SHA-256 of the whole key, 64 hex digits in lower case.
    #[schema(value_type = String)]
    sha256: KeyHash,
}

/// How long the agent has for its new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWindow {
    /// In seconds, 1 to 86400; that if it is left out.
    window_s: Option<u64>,
}

/// A window that is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenWindow {
    /// RFC 3339.
    closes_at: String,
}

/// How to revoke.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeQuery {
    /// Somebody else may have it: also closes a window that is open for a new key.
    compromised: Option<bool>,
}

/// Make a key for a store; it cannot be shown again
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/keys",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 201, description = "the key", body = IssuedKey), ChangeRefusals)
)]
pub(crate) async fn issue_key(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<IssuedKey>), ApiError> {
    let mut tx = app.db.control().await?;
    let key = super::issue(&mut tx, &auth.actor(), &tenant, &store).await?;
    tx.commit().await?;
    let issued = IssuedKey { key_id: key.label(), key: key.expose().to_owned() };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(issued)))
}

/// List the keys of a store, without the keys
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/keys",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 200, description = "all that it ever had", body = Keys), ReadRefusals)
)]
pub(crate) async fn list_keys(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<Json<Keys>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(Keys { keys: super::list(&mut tx, &tenant, &store).await? }))
}

/// Take over the hash of a key of an older system
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/imported-keys",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    request_body = KeyImport,
    responses((status = 201, description = "it is known", body = ImportedKey), ChangeRefusals)
)]
pub(crate) async fn import_key(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
    Told(import): Told<KeyImport>,
) -> Result<(StatusCode, Json<ImportedKey>), ApiError> {
    let mut tx = app.db.control().await?;
    let imported = super::import(&mut tx, &auth.actor(), &tenant, &store, import.sha256).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(imported)))
}

/// Let the store's agent make a new key, once; it retires the old one itself
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/rotation",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    request_body = NewWindow,
    responses((status = 200, description = "a window is open", body = OpenWindow), ChangeRefusals)
)]
pub(crate) async fn open_rotation(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
    Told(new): Told<NewWindow>,
) -> Result<Json<OpenWindow>, ApiError> {
    let window = new.window_s.map_or(WINDOW_MAX, Duration::from_secs);
    let mut tx = app.db.control().await?;
    let closes_at = super::open_window(&mut tx, &auth.actor(), &tenant, &store, window).await?;
    tx.commit().await?;
    Ok(Json(OpenWindow { closes_at: rfc3339(closes_at) }))
}

/// Close the window for a new key, if one is open
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/rotation",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 204, description = "none is open"), ChangeRefusals)
)]
pub(crate) async fn close_rotation(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.control().await?;
    super::close_window(&mut tx, &auth.actor(), &tenant, &store).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revoke a key; it opens nothing within five seconds
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/keys/{key_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
        ("key_id" = String, Path, description = "the key's public part, as the list shows it"),
        RevokeQuery,
    ),
    responses((status = 200, description = "it is revoked", body = RevokedKey), ChangeRefusals)
)]
pub(crate) async fn revoke_key(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store, key_id)): Named<(TenantId, StoreId, String)>,
    Asked(query): Asked<RevokeQuery>,
) -> Result<Json<RevokedKey>, ApiError> {
    let compromised = query.compromised.unwrap_or(false);
    // The public part of a key is of such letters; the database takes no NUL.
    if !key_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(ApiError::NotFound);
    }
    let mut tx = app.db.control().await?;
    let revoked = super::revoke(&mut tx, &auth.actor(), &tenant, &store, &key_id, compromised).await?;
    tx.commit().await?;
    Ok(Json(revoked))
}
