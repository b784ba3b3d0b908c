//! `/api/v1/…`: `query`, `query_range`, `series`, `labels`, `label/{name}/values`, `metadata`, `status/buildinfo`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use promql_parser::parser::Expr;
use serde::Serialize;
use storepulse_shared::answer::Problem;
use storepulse_shared::catalogue::{self, MetricKind};

use super::answer::{self, Json, QueryError};
use super::labels::{is_label, metric_identifier};
use super::params::Params;
use super::parse::parse;
use super::plan::{SeriesMatchers, Steps, series_matchers};
use super::run::{Asked, run};
use super::select::{Known, candidates};
use super::{PROMETHEUS_VERSION, sql};
use crate::app::{App, now_ms};
use crate::auth::StoreAuth;

/// Most steps of a range query, as in Prometheus.
const STEPS_MAX: i64 = 11_000;

/// Ask for the value of a PromQL expression at one time
#[utoipa::path(
    method(get, post),
    path = "/api/v1/query",
    tag = "prometheus",
    security(("store_key" = [])),
    params(
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("time" = Option<String>, Query, description = "Unix seconds or RFC 3339; now if it is left out"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses(
        (status = 200, description = "as Prometheus answers", body = Object),
        (status = 400, description = "`bad_data`: not understood, or outside of the subset", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the form is too large", body = Object),
        (status = 422, description = "`execution`: cannot be computed, or needs too much", body = Object),
        (status = 503, description = "`timeout` or `unavailable`", body = Object),
    )
)]
pub(crate) async fn query(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    params: Params,
) -> Result<Json, QueryError> {
    let time = params.time("time")?.unwrap_or_else(now_ms);
    run(&app, &auth, params.required("query")?, Asked::At(time), timeout(&params)?).await
}

/// Ask for the values of a PromQL expression over a range of time
#[utoipa::path(
    method(get, post),
    path = "/api/v1/query_range",
    tag = "prometheus",
    security(("store_key" = [])),
    params(
        ("query" = String, Query, description = "PromQL; all parameters may stand in a form instead"),
        ("start" = String, Query, description = "Unix seconds or RFC 3339"),
        ("end" = String, Query, description = "Unix seconds or RFC 3339"),
        ("step" = String, Query, description = "seconds, or a duration"),
        ("timeout" = Option<String>, Query, description = "a duration, 30s at most"),
    ),
    responses(
        (status = 200, description = "as Prometheus answers", body = Object),
        (status = 400, description = "`bad_data`: not understood, more than 11,000 steps, or outside of the subset", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the form is too large", body = Object),
        (status = 422, description = "`execution`: cannot be computed, or needs too much", body = Object),
        (status = 503, description = "`timeout` or `unavailable`", body = Object),
    )
)]
pub(crate) async fn query_range(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    params: Params,
) -> Result<Json, QueryError> {
    let (start, end) = (params.required_time("start")?, params.required_time("end")?);
    params.required("step")?;
    let step = params.duration("step")?.unwrap_or_default();
    if end < start {
        return Err(QueryError::parameter("end", "end timestamp must not be before start time"));
    }
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(QueryError::parameter("step", why));
    }
    if (end - start) / step > STEPS_MAX {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(QueryError::BadData(why.to_owned()));
    }
    let asked = Asked::Over(Steps { start, end, step });
    run(&app, &auth, params.required("query")?, asked, timeout(&params)?).await
}

/// List the series that selectors mean
#[utoipa::path(
    method(get, post),
    path = "/api/v1/series",
    tag = "prometheus",
    security(("store_key" = [])),
    params(("match[]" = String, Query, description = "a selector, at least once; `start` and `end` are checked and narrow nothing")),
    responses(
        (status = 200, description = "their labels", body = Object),
        (status = 400, description = "`bad_data`: a parameter is not understood", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = Object),
    )
)]
pub(crate) async fn list_series(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    params: Params,
) -> Result<Json, QueryError> {
    if params.all("match[]")?.is_empty() {
        return Err(QueryError::BadData("no match[] parameter provided".to_owned()));
    }
    let series = meant(&app, &auth, &params).await?;
    let labels: BTreeSet<_> = series.iter().map(|one| &one.labels).collect();
    Ok(answer::metrics(labels.into_iter()))
}

/// List the names of labels
#[utoipa::path(
    method(get, post),
    path = "/api/v1/labels",
    tag = "prometheus",
    security(("store_key" = [])),
    params(("match[]" = Option<String>, Query, description = "only of the series that any of these means")),
    responses(
        (status = 200, description = "names", body = Object),
        (status = 400, description = "`bad_data`: a parameter is not understood", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = Object),
    )
)]
pub(crate) async fn list_labels(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    params: Params,
) -> Result<Json, QueryError> {
    let series = meant(&app, &auth, &params).await?;
    let names: BTreeSet<&str> =
        series.iter().flat_map(|one| one.labels.iter().map(|(name, _)| name)).collect();
    answer::success(&names)
}

/// List the values of a label
#[utoipa::path(
    get,
    path = "/api/v1/label/{name}/values",
    tag = "prometheus",
    security(("store_key" = [])),
    params(
        ("name" = String, Path, description = "the label; `__name__` is the metric"),
        ("match[]" = Option<String>, Query, description = "only of the series that any of these means"),
    ),
    responses(
        (status = 200, description = "values", body = Object),
        (status = 400, description = "`bad_data`: a parameter is not understood", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = Object),
    )
)]
pub(crate) async fn list_label_values(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
    params: Params,
) -> Result<Json, QueryError> {
    let Path(name) = name.map_err(|error| QueryError::BadData(error.body_text()))?;
    if !is_label(&name) {
        return Err(QueryError::BadData(format!("invalid label name: {name:.60?}")));
    }
    let series = meant(&app, &auth, &params).await?;
    let values: BTreeSet<&str> = series.iter().map(|one| one.labels.get(&name)).collect();
    answer::success(&values.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>())
}

/// What is known of a metric.
#[derive(Debug, Serialize)]
struct Metadata {
    r#type: &'static str,
    help: &'static str,
    unit: &'static str,
}

/// Show what is known of the store's metrics
#[utoipa::path(
    get,
    path = "/api/v1/metadata",
    tag = "prometheus",
    security(("store_key" = [])),
    params(
        ("metric" = Option<String>, Query, description = "only this one, in either spelling"),
        ("limit" = Option<i64>, Query, description = "at most so many metrics"),
    ),
    responses(
        (status = 200, description = "type, meaning and UCUM unit of those in the catalogue", body = Object),
        (status = 400, description = "`bad_data`: a parameter is not understood", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = Object),
    )
)]
pub(crate) async fn show_metadata(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    params: Params,
) -> Result<Json, QueryError> {
    let limit = params.get("limit").map(|text| text.parse::<i64>().map(|limit| (text, limit)));
    let limit = match limit {
        None => usize::MAX,
        // Below zero is no limit, as in Prometheus.
        Some(Ok((_, limit))) => usize::try_from(limit).unwrap_or(usize::MAX),
        Some(Err(_)) => return Err(QueryError::BadData("limit must be a number".to_owned())),
    };
    let wanted = params.get("metric").map(metric_identifier);
    let mut tx = app.db.snapshot(&auth.tenant).await?;
    let metrics = sql::metrics(&mut tx, &auth.store).await?;
    let mut data: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    for metric in metrics.iter().filter_map(|name| catalogue::find(name)) {
        let name = metric_identifier(metric.name);
        if wanted.as_ref().is_some_and(|wanted| *wanted != name)
            || (data.len() >= limit && !data.contains_key(&name))
        {
            continue;
        }
        let r#type = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge | MetricKind::State(_) => "gauge",
        };
        data.entry(name).or_default().push(Metadata { r#type, help: metric.meaning, unit: metric.unit });
    }
    answer::success(&data)
}

/// Show the version of Prometheus that these answers equal
#[utoipa::path(
    get,
    path = "/api/v1/status/buildinfo",
    tag = "prometheus",
    security(("store_key" = [])),
    responses(
        (status = 200, description = "for clients that look at it", body = Object),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_buildinfo(_: StoreAuth) -> Result<Json, QueryError> {
    answer::success(&serde_json::json!({
        "version": PROMETHEUS_VERSION,
        "revision": concat!("storepulse-cloud-", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

fn timeout(params: &Params) -> Result<Option<Duration>, QueryError> {
    match params.duration("timeout")? {
        None => Ok(None),
        Some(ms) => match u64::try_from(ms) {
            Ok(ms) => Ok(Some(Duration::from_millis(ms))),
            Err(_) => Err(QueryError::parameter("timeout", "it is below zero")),
        },
    }
}

/// The series that any of the parameters `match[]` means; all without one.
async fn meant(app: &App, auth: &StoreAuth, params: &Params) -> Result<Vec<Known>, QueryError> {
    if let (Some(start), Some(end)) = (params.time("start")?, params.time("end")?)
        && end < start
    {
        return Err(QueryError::parameter("end", "end timestamp must not be before start time"));
    }
    let selectors = params.all("match[]")?;
    let selectors: Vec<SeriesMatchers> = selectors.into_iter().map(selector).collect::<Result<_, _>>()?;
    let mut tx = app.db.snapshot(&auth.tenant).await?;
    let mut known = candidates(&mut tx, &auth.store, &selectors.iter().collect::<Vec<_>>()).await?;
    tx.rollback().await?;
    if !selectors.is_empty() {
        known.retain(|one| selectors.iter().any(|selector| selector.hold(&one.metric, &one.labels)));
    }
    Ok(known)
}

fn selector(text: &str) -> Result<SeriesMatchers, QueryError> {
    let bad = |why| QueryError::parameter("match[]", why);
    match parse(text).map_err(bad)? {
        Expr::VectorSelector(selector) if selector.offset.is_none() && selector.at.is_none() => {
            series_matchers(selector.name.as_deref(), &selector.matchers).map_err(bad)
        }
        other => {
            Err(bad(format!("a selector such as metric{{label=\"value\"}} is expected, not {other:.60}")))
        }
    }
}
