//! `/v1/tenants/{tenant_id}/settings` and `/v1/tenants/{tenant_id}/stores/{store_id}/settings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use utoipa::ToSchema;

use super::{Effective, OfStore, OfTenant};
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;

/// What every setting of a tenant is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantSettings {
    /// By type and name.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, Effective>>)]
    settings: OfTenant,
}

/// What every setting of a store is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreSettings {
    /// By name.
    #[schema(value_type = BTreeMap<String, Effective>)]
    settings: OfStore,
}

/// A value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewValue {
    /// Of the form that the setting has.
    value: Value,
}

/// Show what every setting of a tenant is, and who says so
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/settings",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("tenant_id" = String, Path, description = "the tenant")),
    responses((status = 200, description = "all of them", body = TenantSettings), ReadRefusals)
)]
pub(crate) async fn list_tenant_settings(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named(tenant): Named<TenantId>,
) -> Result<Json<TenantSettings>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(TenantSettings { settings: super::of_tenant(&mut tx, &tenant).await? }))
}

/// Set a setting of a tenant
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant_id}/settings/{type}/{name}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("type" = String, Path, description = "general, auth, billing, features or integrations"),
        ("name" = String, Path, description = "the setting"),
    ),
    request_body = NewValue,
    responses((status = 200, description = "what it is now", body = Effective), ChangeRefusals)
)]
pub(crate) async fn set_tenant_setting(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, kind, name)): Named<(TenantId, String, String)>,
    Told(new): Told<NewValue>,
) -> Result<Json<Effective>, ApiError> {
    let mut tx = app.db.control().await?;
    let (actor, value) = (auth.actor(), Some(&new.value));
    let now = super::set_for_tenant(&mut tx, &actor, &tenant, (&kind, &name), value).await?;
    tx.commit().await?;
    Ok(Json(now))
}

/// Take a tenant's own value away: plan or default say again what it is
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}/settings/{type}/{name}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("type" = String, Path, description = "general, auth, billing, features or integrations"),
        ("name" = String, Path, description = "the setting"),
    ),
    responses((status = 200, description = "what it is now", body = Effective), ChangeRefusals)
)]
pub(crate) async fn reset_tenant_setting(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, kind, name)): Named<(TenantId, String, String)>,
) -> Result<Json<Effective>, ApiError> {
    let mut tx = app.db.control().await?;
    let now = super::set_for_tenant(&mut tx, &auth.actor(), &tenant, (&kind, &name), None).await?;
    tx.commit().await?;
    Ok(Json(now))
}

/// Show what every setting of a store is, and who says so
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/settings",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
    ),
    responses((status = 200, description = "all of them", body = StoreSettings), ReadRefusals)
)]
pub(crate) async fn list_store_settings(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named((tenant, store)): Named<(TenantId, StoreId)>,
) -> Result<Json<StoreSettings>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(StoreSettings { settings: super::of_store(&mut tx, &tenant, &store).await? }))
}

/// Set a setting of a store
#[utoipa::path(
    put,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
        ("name" = String, Path, description = "pos_system, thresholds or time_zone"),
    ),
    request_body = NewValue,
    responses((status = 200, description = "what it is now", body = Effective), ChangeRefusals)
)]
pub(crate) async fn set_store_setting(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store, name)): Named<(TenantId, StoreId, String)>,
    Told(new): Told<NewValue>,
) -> Result<Json<Effective>, ApiError> {
    let mut tx = app.db.control().await?;
    let (actor, value) = (auth.actor(), Some(&new.value));
    let now = super::set_for_store(&mut tx, &actor, &tenant, &store, &name, value).await?;
    tx.commit().await?;
    Ok(Json(now))
}

/// Take a store's own value away: tenant or default say again what it is
#[utoipa::path(
    delete,
    path = "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("store_id" = String, Path, description = "the store"),
        ("name" = String, Path, description = "pos_system, thresholds or time_zone"),
    ),
    responses((status = 200, description = "what it is now", body = Effective), ChangeRefusals)
)]
pub(crate) async fn reset_store_setting(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named((tenant, store, name)): Named<(TenantId, StoreId, String)>,
) -> Result<Json<Effective>, ApiError> {
    let mut tx = app.db.control().await?;
    let now = super::set_for_store(&mut tx, &auth.actor(), &tenant, &store, &name, None).await?;
    tx.commit().await?;
    Ok(Json(now))
}

/// Whether a feature may be used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Feature {
    /// Its name, as it was asked for.
    feature: String,
    /// One that nobody knows is denied, too.
    allowed: bool,
}

/// Show whether a tenant may use a feature
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/features/{feature}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("feature" = String, Path, description = "the feature; one that is not known is denied"),
    ),
    responses((status = 200, description = "whether it may", body = Feature), ReadRefusals)
)]
pub(crate) async fn show_feature(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
    Named((tenant, feature)): Named<(TenantId, String)>,
) -> Result<Json<Feature>, ApiError> {
    let mut tx = app.db.control().await?;
    let allowed = super::allows(&mut tx, &tenant, &feature).await?;
    Ok(Json(Feature { feature, allowed }))
}
