//! `GET /v1/tenants/{tenant_id}/stats`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use storepulse_shared::ids::TenantId;

use super::TenantStats;
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::ReadRefusals;
use crate::operator::request::Named;
use crate::problem::ApiError;

/// Show a tenant in numbers: what it has sent, what it holds, when it was last heard of
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stats",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    responses((status = 200, description = "its numbers", body = TenantStats), ReadRefusals)
)]
pub(crate) async fn show_tenant_stats(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named(tenant): Named<TenantId>,
) -> Result<Json<TenantStats>, ApiError> {
    Ok(Json(super::stats(&app.db, &tenant).await?))
}
