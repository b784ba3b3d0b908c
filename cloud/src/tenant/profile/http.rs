//! `/v1/tenants`, `/v1/tenants/{tenant_id}` and its status.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use storepulse_shared::ids::TenantId;
use utoipa::{IntoParams, ToSchema};

use super::{NewTenant, Tenant, TenantChange};
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Asked, Named, Told, page_limit};
use crate::problem::ApiError;
use crate::tenant::status::Status;

/// Which tenants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TenantsQuery {
    /// Only those whose id comes after this one.
    after: Option<String>,
    /// At most so many, 1 to 1000; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// Only those in this state.
    status: Option<Status>,
}

/// A page of tenants, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tenants {
    tenants: Vec<Tenant>,
    /// What to give as `after` for the next page; null if this was the last one.
    next: Option<String>,
}

/// Where to move a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusChange {
    status: Status,
}

/// Create a tenant, which is pending then
#[utoipa::path(
    post,
    path = "/v1/tenants",
    tag = "tenants",
    security(("operator_key" = [])),
    request_body = NewTenant,
    responses((status = 201, description = "it is there", body = Tenant), ChangeRefusals)
)]
pub(crate) async fn create_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Told(new): Told<NewTenant>,
) -> Result<(StatusCode, Json<Tenant>), ApiError> {
    let mut tx = app.db.control().await?;
    let tenant = super::create(&mut tx, &auth.actor(), &new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// List the tenants
#[utoipa::path(
    get,
    path = "/v1/tenants",
    tag = "tenants",
    security(("operator_key" = [])),
    params(TenantsQuery),
    responses((status = 200, description = "a page of them", body = Tenants), ReadRefusals)
)]
pub(crate) async fn list_tenants(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Asked(query): Asked<TenantsQuery>,
) -> Result<Json<Tenants>, ApiError> {
    let limit = page_limit(query.limit)?;
    // No id is such a text, so nothing comes after it; the database takes no NUL.
    let after = query.after.unwrap_or_default().replace('\0', "");
    let mut tx = app.db.control().await?;
    let mut tenants = super::list(&mut tx, &after, query.status, limit + 1).await?;
    let is_last = tenants.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
    if !is_last {
        tenants.pop();
    }
    let next = tenants.last().filter(|_| !is_last).map(|tenant| tenant.tenant_id.clone());
    Ok(Json(Tenants { tenants, next }))
}

/// Show a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    responses((status = 200, description = "the tenant", body = Tenant), ReadRefusals)
)]
pub(crate) async fn show_tenant(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named(tenant): Named<TenantId>,
) -> Result<Json<Tenant>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(super::show(&mut tx, &tenant).await?))
}

/// Change a tenant
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = TenantChange,
    responses((status = 200, description = "the tenant as it is now", body = Tenant), ChangeRefusals)
)]
pub(crate) async fn update_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Told(change): Told<TenantChange>,
) -> Result<Json<Tenant>, ApiError> {
    let mut tx = app.db.control().await?;
    let tenant = super::update(&mut tx, &auth.actor(), &tenant, &change).await?;
    tx.commit().await?;
    Ok(Json(tenant))
}

/// End a tenant: it becomes inactive, and nothing of it is deleted
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant, which must be suspended")),
    responses((status = 200, description = "it is inactive", body = Tenant), ChangeRefusals)
)]
pub(crate) async fn delete_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
) -> Result<Json<Tenant>, ApiError> {
    move_to(&app, &auth, &tenant, Status::Inactive).await
}

/// Move a tenant to another state: pending → active ⇄ suspended → inactive
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant_id}/status",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = StatusChange,
    responses((status = 200, description = "it is in that state", body = Tenant), ChangeRefusals)
)]
pub(crate) async fn set_tenant_status(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Told(change): Told<StatusChange>,
) -> Result<Json<Tenant>, ApiError> {
    move_to(&app, &auth, &tenant, change.status).await
}

async fn move_to(
    app: &App,
    auth: &OperatorAuth,
    tenant: &TenantId,
    to: Status,
) -> Result<Json<Tenant>, ApiError> {
    let mut tx = app.db.control().await?;
    let tenant = super::set_status(&mut tx, &auth.actor(), tenant, to).await?;
    tx.commit().await?;
    Ok(Json(tenant))
}
