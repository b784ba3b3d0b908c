//! `/v1/tenants/{tenant_id}/prometheus/api/v1/…`: the same over all stores of a tenant, for an operator. Every series says its
//! `store`. The URL of a data source is what stands before `/api/v1`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use super::answer::{Answer, BuildInfo, Json, Metadata, QueryError, QueryResult};
use super::api;
use super::params::Params;
use super::refusals::TenantQueryRefusals;
use crate::app::App;
use crate::operator::request::Named;
use crate::scope::TenantScope;

/// The label of a path; its tenant is the scope's.
#[derive(Deserialize)]
pub(crate) struct InPath {
    name: String,
}

/// Ask for the value of a PromQL expression over all stores at one time
#[utoipa::path(
    method(get, post),
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/query",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("time" = Option<String>, Query, description = "Unix seconds or RFC 3339; now if it is left out"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses((status = 200, description = "as Prometheus answers", body = Answer<QueryResult>), TenantQueryRefusals)
)]
pub(crate) async fn query_tenant(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    params: Params,
) -> Result<Json, QueryError> {
    api::query(&app, &scope, &params).await
}

/// Ask for the values of a PromQL expression over all stores and a range of time
#[utoipa::path(
    method(get, post),
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/query_range",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("start" = String, Query, description = "Unix seconds or RFC 3339"),
        ("end" = String, Query, description = "Unix seconds or RFC 3339"),
        ("step" = String, Query, description = "seconds, or a duration"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses((status = 200, description = "as Prometheus answers", body = Answer<QueryResult>), TenantQueryRefusals)
)]
pub(crate) async fn query_tenant_range(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    params: Params,
) -> Result<Json, QueryError> {
    api::query_range(&app, &scope, &params).await
}

/// List the series of all stores that selectors mean
#[utoipa::path(
    method(get, post),
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/series",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("match[]" = Vec<String>, Query, description = "a selector, at least once; `start` and `end` are checked and narrow nothing"),
    ),
    responses((status = 200, description = "their labels", body = Answer<Vec<BTreeMap<String, String>>>), TenantQueryRefusals)
)]
pub(crate) async fn list_tenant_series(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    params: Params,
) -> Result<Json, QueryError> {
    api::list_series(&app, &scope, &params).await
}

/// List the names of labels of all stores
#[utoipa::path(
    method(get, post),
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/labels",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("match[]" = Option<Vec<String>>, Query, description = "only of the series that any of these means"),
    ),
    responses((status = 200, description = "names", body = Answer<Vec<String>>), TenantQueryRefusals)
)]
pub(crate) async fn list_tenant_labels(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    params: Params,
) -> Result<Json, QueryError> {
    api::list_labels(&app, &scope, &params).await
}

/// List the values of a label over all stores
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/label/{name}/values",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "the label; `__name__` is the metric"),
        ("match[]" = Option<Vec<String>>, Query, description = "only of the series that any of these means"),
    ),
    responses((status = 200, description = "values", body = Answer<Vec<String>>), TenantQueryRefusals)
)]
pub(crate) async fn list_tenant_label_values(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    Named(InPath { name }): Named<InPath>,
    params: Params,
) -> Result<Json, QueryError> {
    api::list_label_values(&app, &scope, &name, &params).await
}

/// Show what is known of all stores' metrics
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/metadata",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("metric" = Option<String>, Query, description = "only this one, in either spelling"),
        ("limit" = Option<i64>, Query, description = "at most so many metrics"),
    ),
    responses((status = 200, description = "type, meaning and UCUM unit of those in the catalogue", body = Answer<BTreeMap<String, Vec<Metadata>>>), TenantQueryRefusals)
)]
pub(crate) async fn show_tenant_metadata(
    State(app): State<Arc<App>>,
    TenantScope(scope): TenantScope,
    params: Params,
) -> Result<Json, QueryError> {
    api::show_metadata(&app, &scope, &params).await
}

/// Show the version of Prometheus that these answers equal
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant_id}/prometheus/api/v1/status/buildinfo",
    tag = "prometheus",
    security(("operator_key" = [])),
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
    ),
    responses((status = 200, description = "for clients that look at it", body = Answer<BuildInfo>), TenantQueryRefusals)
)]
pub(crate) async fn show_tenant_buildinfo(_: TenantScope) -> Result<Json, QueryError> {
    api::show_buildinfo()
}
