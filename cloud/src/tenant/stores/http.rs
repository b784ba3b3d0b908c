//! `/v1/tenants/{tenant_id}/stores`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use storepulse_shared::ids::{StoreId, TenantId};
use utoipa::ToSchema;

use super::{NewStore, Store, StoreChange};
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;
use crate::store::overview::{StoreOverview, overview};

/// Longest that a statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// The stores of a tenant, with what has arrived of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoresOverview {
    /// By id.
    stores: Vec<StoreOverview>,
}

/// Create a store, if the tenant may have another one
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant_id}/stores",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = NewStore,
    responses((status = 201, description = "it is there", body = Store), ChangeRefusals)
)]
pub(crate) async fn create_store(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(tenant): Named<TenantId>,
    Told(new): Told<NewStore>,
) -> Result<(StatusCode, Json<Store>), ApiError> {
    let mut tx = app.db.control().await?;
    let store = super::create(&mut tx, &auth.actor(), &tenant, &new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(store)))
}

/// List the stores of a tenant, with what has arrived of each
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stores",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    responses((status = 200, description = "all of them", body = StoresOverview), ReadRefusals)
)]
pub(crate) async fn list_tenant_stores(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named(tenant): Named<TenantId>,
) -> Result<Json<StoresOverview>, ApiError> {
    let mut tx = app.db.read(&tenant, STATEMENT_MAX).await?;
    let stores = overview(&mut tx).await?.ok_or(ApiError::NotFound)?;
    tx.rollback().await?;
    Ok(Json(StoresOverview { stores }))
}

/// Show a store of a tenant
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 200, description = "the store", body = Store), ReadRefusals)
)]
pub(crate) async fn show_tenant_store(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<Json<Store>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(super::show(&mut tx, &tenant, &store).await?))
}

/// Change a store's name, suspend it or let it send again
#[utoipa::path(
    patch,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    request_body = StoreChange,
    responses((status = 200, description = "the store as it is now", body = Store), ChangeRefusals)
)]
pub(crate) async fn update_tenant_store(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
    Told(change): Told<StoreChange>,
) -> Result<Json<Store>, ApiError> {
    let mut tx = app.db.control().await?;
    let store = super::update(&mut tx, &auth.actor(), &tenant, &store, &change).await?;
    tx.commit().await?;
    Ok(Json(store))
}
