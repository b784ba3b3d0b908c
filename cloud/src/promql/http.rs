//! `/api/v1/…`: `query`, `query_range`, `series`, `labels`, `label/{name}/values`, `metadata`, `status/buildinfo`, over the
//! key's own store, or the stores that a person sees, with a label `store`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

use super::answer::{Answer, BuildInfo, Json, Metadata, QueryError, QueryResult};
use super::api;
use super::params::Params;
use super::refusals::QueryRefusals;
use crate::app::App;
use crate::people::may;
use crate::scope::Reader;

/// Ask for the value of a PromQL expression at one time
#[utoipa::path(
    method(get, post),
    path = "/api/v1/query",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("time" = Option<String>, Query, description = "Unix seconds or RFC 3339; now if it is left out"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses((status = 200, description = "as Prometheus answers", body = Answer<QueryResult>), QueryRefusals)
)]
pub(crate) async fn query(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    params: Params,
) -> Result<Json, QueryError> {
    api::query(&app, &scope, &params).await
}

/// Ask for the values of a PromQL expression over a range of time
#[utoipa::path(
    method(get, post),
    path = "/api/v1/query_range",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("start" = String, Query, description = "Unix seconds or RFC 3339"),
        ("end" = String, Query, description = "Unix seconds or RFC 3339"),
        ("step" = String, Query, description = "seconds, or a duration"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses((status = 200, description = "as Prometheus answers", body = Answer<QueryResult>), QueryRefusals)
)]
pub(crate) async fn query_range(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    params: Params,
) -> Result<Json, QueryError> {
    api::query_range(&app, &scope, &params).await
}

/// List the series that selectors mean
#[utoipa::path(
    method(get, post),
    path = "/api/v1/series",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("match[]" = Vec<String>, Query, description = "a selector, at least once; `start` and `end` are checked and narrow nothing"),
    ),
    responses((status = 200, description = "their labels", body = Answer<Vec<BTreeMap<String, String>>>), QueryRefusals)
)]
pub(crate) async fn list_series(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    params: Params,
) -> Result<Json, QueryError> {
    api::list_series(&app, &scope, &params).await
}

/// List the names of labels
#[utoipa::path(
    method(get, post),
    path = "/api/v1/labels",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("match[]" = Option<Vec<String>>, Query, description = "only of the series that any of these means"),
    ),
    responses((status = 200, description = "names", body = Answer<Vec<String>>), QueryRefusals)
)]
pub(crate) async fn list_labels(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    params: Params,
) -> Result<Json, QueryError> {
    api::list_labels(&app, &scope, &params).await
}

/// List the values of a label
#[utoipa::path(
    get,
    path = "/api/v1/label/{name}/values",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("name" = String, Path, description = "the label; `__name__` is the metric"),
        ("match[]" = Option<Vec<String>>, Query, description = "only of the series that any of these means"),
    ),
    responses((status = 200, description = "values", body = Answer<Vec<String>>), QueryRefusals)
)]
pub(crate) async fn list_label_values(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    label: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Json, QueryError> {
    let Path(label) = label.map_err(|error| QueryError::BadData(error.body_text()))?;
    api::list_label_values(&app, &scope, &label, &params).await
}

/// Show what is known of the store's metrics
#[utoipa::path(
    get,
    path = "/api/v1/metadata",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("metric" = Option<String>, Query, description = "only this one, in either spelling"),
        ("limit" = Option<i64>, Query, description = "at most so many metrics"),
    ),
    responses((status = 200, description = "type, meaning and UCUM unit of those in the catalogue", body = Answer<BTreeMap<String, Vec<Metadata>>>), QueryRefusals)
)]
pub(crate) async fn show_metadata(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadMetrics>,
    params: Params,
) -> Result<Json, QueryError> {
    api::show_metadata(&app, &scope, &params).await
}

/// Show the version of Prometheus that these answers equal
#[utoipa::path(
    get,
    path = "/api/v1/status/buildinfo",
    tag = "prometheus",
    security(("store_key" = []), ("access_token" = [])),
    responses((status = 200, description = "for clients that look at it", body = Answer<BuildInfo>), QueryRefusals)
)]
pub(crate) async fn show_buildinfo(_: Reader<may::ReadMetrics>) -> Result<Json, QueryError> {
    api::show_buildinfo()
}
