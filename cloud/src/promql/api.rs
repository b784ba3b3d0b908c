//! What each route of the query API answers, for whichever stores it is asked: [`http`](super::http) says whose they are, by its
//! [`Scope`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use promql_parser::parser::Expr;
use storepulse_shared::catalogue::{self, MetricKind};
use storepulse_shared::ids::StoreId;
use tokio::time::timeout_at;

use super::answer::{self, BuildInfo, Json, Metadata, QueryError};
use super::labels::{is_label, metric_identifier};
use super::params::Params;
use super::parse::parse;
use super::plan::{SeriesMatchers, Steps, series_matchers};
use super::run::{Asked, TIMEOUT, run};
use super::select::{Known, candidates};
use super::{PROMETHEUS_VERSION, sql};
use crate::app::{App, now_ms};
use crate::scope::Scope;

/// Most steps of a range query, as in Prometheus.
const STEPS_MAX: i64 = 11_000;

/// `query`: an expression at one time.
pub(super) async fn query(app: &App, scope: &Scope, params: &Params) -> Result<Json, QueryError> {
    let time = params.time("time")?.unwrap_or_else(now_ms);
    run(app, scope, params.required("query")?, Asked::At(time), timeout(params)?).await
}

/// `query_range`: an expression over a range of time.
pub(super) async fn query_range(app: &App, scope: &Scope, params: &Params) -> Result<Json, QueryError> {
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
    run(app, scope, params.required("query")?, asked, timeout(params)?).await
}

/// `series`: the label sets that selectors mean.
pub(super) async fn list_series(app: &App, scope: &Scope, params: &Params) -> Result<Json, QueryError> {
    if params.all("match[]")?.is_empty() {
        return Err(QueryError::BadData("no match[] parameter provided".to_owned()));
    }
    let series = meant(app, scope, params).await?;
    let labels: BTreeSet<_> = series.iter().map(|one| &one.labels).collect();
    Ok(answer::metrics(labels.into_iter()))
}

/// `labels`: the names of labels.
pub(super) async fn list_labels(app: &App, scope: &Scope, params: &Params) -> Result<Json, QueryError> {
    let series = meant(app, scope, params).await?;
    let names: BTreeSet<&str> =
        series.iter().flat_map(|one| one.labels.iter().map(|(name, _)| name)).collect();
    answer::success(&names)
}

/// `label/{name}/values`: the values of a label.
pub(super) async fn list_label_values(
    app: &App,
    scope: &Scope,
    name: &str,
    params: &Params,
) -> Result<Json, QueryError> {
    if !is_label(name) {
        return Err(QueryError::BadData(format!("invalid label name: {name:.60?}")));
    }
    let series = meant(app, scope, params).await?;
    let values: BTreeSet<&str> = series.iter().map(|one| one.labels.get(name)).collect();
    answer::success(&values.into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>())
}

/// `metadata`: what the catalogue knows of the metrics that there are.
pub(super) async fn show_metadata(app: &App, scope: &Scope, params: &Params) -> Result<Json, QueryError> {
    let limit = params.get("limit").map(|text| text.parse::<i64>().map(|limit| (text, limit)));
    let limit = match limit {
        None => usize::MAX,
        // Below zero is no limit, as in Prometheus.
        Some(Ok((_, limit))) => usize::try_from(limit).unwrap_or(usize::MAX),
        Some(Err(_)) => return Err(QueryError::BadData("limit must be a number".to_owned())),
    };
    let wanted = params.get("metric").map(metric_identifier);
    let metrics = metrics_of(app, scope).await?;
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

/// `status/buildinfo`: the version of Prometheus that answers equal.
pub(super) fn show_buildinfo() -> Result<Json, QueryError> {
    answer::success(&BuildInfo {
        version: PROMETHEUS_VERSION,
        revision: concat!("storepulse-cloud-", env!("CARGO_PKG_VERSION")),
        ..BuildInfo::default()
    })
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
async fn meant(app: &App, scope: &Scope, params: &Params) -> Result<Vec<Known>, QueryError> {
    if let (Some(start), Some(end)) = (params.time("start")?, params.time("end")?)
        && end < start
    {
        return Err(QueryError::parameter("end", "end timestamp must not be before start time"));
    }
    let selectors = params.all("match[]")?;
    let selectors: Vec<SeriesMatchers> = selectors.into_iter().map(selector).collect::<Result<_, _>>()?;
    let matchers: Vec<&SeriesMatchers> = selectors.iter().collect();
    let mut known = within(app, scope, "listing series", async || {
        let mut tx = app.db.snapshot(&scope.tenant).await?;
        let known = candidates(&mut tx, scope, &matchers).await?;
        tx.rollback().await?;
        Ok(known)
    })
    .await?;
    if !selectors.is_empty() {
        known.retain(|one| selectors.iter().any(|selector| selector.hold(&one.metric, &one.labels)));
    }
    Ok(known)
}

async fn metrics_of(app: &App, scope: &Scope) -> Result<Vec<String>, QueryError> {
    within(app, scope, "listing metrics", async || {
        let mut tx = app.db.snapshot(&scope.tenant).await?;
        let stores: Vec<String> = scope.stores(&mut tx).await?.iter().map(StoreId::to_string).collect();
        let metrics = sql::metrics(&mut tx, &stores).await?;
        tx.rollback().await?;
        Ok(metrics)
    })
    .await
}

/// A list within the time of a query. One over all stores of a tenant takes the turn of a query, since it may read as much.
async fn within<T>(
    app: &App,
    scope: &Scope,
    what: &'static str,
    list: impl AsyncFnOnce() -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let deadline = Instant::now() + TIMEOUT;
    let _turn = match scope.is_of_many() {
        true => Some(app.queries.turn(deadline).await?),
        false => None,
    };
    timeout_at(deadline.into(), list()).await.map_err(|_| QueryError::Timeout(what))?
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
