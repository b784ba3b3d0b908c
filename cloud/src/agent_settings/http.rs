//! `/v1/store/settings` for the agent, `/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings` for its operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::settings::{Overlay, SettingsReport, StoreSettings};

use super::AgentSettings;
use crate::app::App;
use crate::auth::{OperatorAuth, StoreAuth};
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;

/// What to run by: what lies over the `agent.yaml` of the key's store
#[utoipa::path(
    get,
    path = "/v1/store/settings",
    tag = "agents",
    security(("store_key" = [])),
    params(
        ("If-None-Match" = Option<String>, Header, description = "the version that is known, as ETag told it"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    responses(
        (status = 200, description = "the version that is set, 0 if none ever was; ETag repeats it", body = StoreSettings),
        (status = 304, description = "it is the one that is known"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_own_settings(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let settings = super::of_agent(&mut tx, &auth.store).await?;
    tx.rollback().await?;
    let etag = StoreSettings::etag(settings.version);
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let tag = [(ETAG, etag)];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, tag).into_response()
    } else {
        (tag, Json(settings)).into_response()
    })
}

/// Tell what became of a version of the settings
#[utoipa::path(
    put,
    path = "/v1/store/settings/report",
    tag = "agents",
    security(("store_key" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    request_body = SettingsReport,
    responses(
        (status = 204, description = "it is noted"),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "no settings were ever set for this store", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn report_own_settings(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    Told(report): Told<SettingsReport>,
) -> Result<StatusCode, ApiError> {
    if !(1..=VERSION_MAX).contains(&report.version) {
        let detail = format!("version {}: 1 to {VERSION_MAX}", report.version);
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "bad_version", detail));
    }
    let mut tx = app.db.tenant(&auth.tenant).await?;
    if !super::note(&mut tx, &auth.store, &report).await? {
        let detail = format!("no settings were ever set for the store {}", auth.store);
        return Err(ApiError::refused(StatusCode::CONFLICT, "no_settings", detail));
    }
    tx.commit().await?;
    tracing::info!(
        tenant = %auth.tenant, store = %auth.store, version = report.version, state = report.state.as_str(),
        "an agent tells of its settings"
    );
    Ok(StatusCode::NO_CONTENT)
}

/// No store gets here; what counts on from it still fits everywhere.
const VERSION_MAX: u64 = 1 << 40;

/// Show what is set for the agent of a store, and what it says became of it
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 200, description = "what is set, and how far it has come", body = AgentSettings), ReadRefusals)
)]
pub(crate) async fn show_agent_settings(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<Json<AgentSettings>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(super::show(&mut tx, &tenant, &store).await?))
}

/// Set what is to lie over the `agent.yaml` of a store: all of it, as its next version
///
/// The agent tries it for a minute, and goes back by itself to what it had if that does not go well. `{}` takes everything away.
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    request_body(content = Object, description = "like {\"devices\":{\"scale-1\":{\"interval\":\"30s\"}}}"),
    responses((status = 200, description = "what is set now; its agent has not spoken of it yet", body = AgentSettings), ChangeRefusals)
)]
pub(crate) async fn set_agent_settings(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
    Told(settings): Told<Overlay>,
) -> Result<Json<AgentSettings>, ApiError> {
    let mut tx = app.db.control().await?;
    let now = super::set(&mut tx, &auth.actor(), &tenant, &store, &settings).await?;
    tx.commit().await?;
    Ok(Json(now))
}
