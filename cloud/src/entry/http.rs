//! `/v1/tenants/{tenant_id}/entries`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use storepulse_shared::ids::TenantId;
use uuid::Uuid;

use super::{Entry, NewEntry};
use crate::app::App;
use crate::auth::{OperatorAuth, doubt_entry};
use crate::operator::answers::ChangeRefusals;
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;

/// Enter a tenant, for a reason that stands in its audit; the token is in the answer, and nowhere else
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/entries",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = NewEntry,
    responses((status = 201, description = "what opens this tenant for a while", body = Entry), ChangeRefusals)
)]
pub(crate) async fn enter_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Told(new): Told<NewEntry>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<Entry>), ApiError> {
    let mut tx = app.db.control().await?;
    let entry = super::enter(&mut tx, &tenant, auth.names(), &new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(entry)))
}

/// Leave a tenant before the time is over
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}/entries/{entry_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("entry_id" = Uuid, Path, description = "the entry"),
    ),
    responses((status = 204, description = "its token opens nothing"), ChangeRefusals)
)]
pub(crate) async fn leave_tenant(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, entry)): Named<(TenantId, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.control().await?;
    super::leave(&mut tx, &tenant, &auth.actor(), entry).await?;
    tx.commit().await?;
    doubt_entry(&app, entry);
    Ok(StatusCode::NO_CONTENT)
}
