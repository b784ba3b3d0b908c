//! `GET /v1/tenants/{tenant_id}/audit` and `GET /v1/audit`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;

use super::{Chain, Entry, page};
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::ReadRefusals;
use crate::operator::request::{Asked, Named, NumberedPage, page_limit};
use crate::problem::ApiError;

/// A page of the audit, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Audit {
    entries: Vec<Entry>,
    /// What to give as `after` for the next page; null if there is none yet.
    next: Option<i64>,
}

/// List who did what to a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/audit",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant"), NumberedPage),
    responses((status = 200, description = "a page of it", body = Audit), ReadRefusals)
)]
pub(crate) async fn list_tenant_audit(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Asked(query): Asked<NumberedPage>,
) -> Result<Json<Audit>, ApiError> {
    read(&app, Chain::Tenant(&tenant), &query).await
}

/// List what operators did that belongs to no tenant
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "tenants",
    security(("operator_key" = [])),
    params(NumberedPage),
    responses((status = 200, description = "a page of it", body = Audit), ReadRefusals)
)]
pub(crate) async fn list_operator_audit(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Asked(query): Asked<NumberedPage>,
) -> Result<Json<Audit>, ApiError> {
    read(&app, Chain::Operators, &query).await
}

async fn read(app: &App, chain: Chain<'_>, query: &NumberedPage) -> Result<Json<Audit>, ApiError> {
    let limit = page_limit(query.limit)?;
    let mut tx = app.db.control().await?;
    let entries = page(&mut tx, chain, query.after.unwrap_or(0), limit).await?;
    let is_full = i64::try_from(entries.len()).is_ok_and(|count| count == limit);
    let next = entries.last().filter(|_| is_full).map(|entry| entry.no);
    Ok(Json(Audit { entries, next }))
}
