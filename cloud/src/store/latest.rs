//! `GET /v1/stores/{store_id}/latest`: the newest value of each series, with its time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::StoreId;
use storepulse_shared::limits::TIME_MAX_MS;
use utoipa::{IntoParams, ToSchema};

use super::metrics::walk::{Expected, Walk};
use super::parameters::{TimeRange, bad_query, failed_read};
use super::sql::series::{Filter, series};
use crate::app::{App, now_ms};
use crate::auth::StoreAuth;
use crate::db::TenantTx;
use crate::problem::ApiError;
use crate::samples::ReadError;

/// How far back is looked, step by step: most series have spoken in the first one.
const LOOK_BACK_MS: [i64; 3] = [15 * 60_000, 2 * 3_600_000, 24 * 3_600_000];
/// Longest that one statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Which series.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LatestQuery {
    /// Only this device.
    device: Option<String>,
    /// Only this metric.
    metric: Option<String>,
}

/// The newest values of a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Latest {
    /// The cloud's clock, Unix milliseconds UTC.
    now: i64,
    /// How far back was looked, milliseconds. A series without a value since then has none here.
    look_back: i64,
    /// By device and name.
    series: Vec<LatestValue>,
}

/// The newest value of a series. A value that is not there is null and never 0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatestValue {
    device: String,
    /// The collector kind of the device.
    kind: String,
    /// `metric{label="value",…}`
    name: String,
    /// UCUM, if the metric is in the catalogue.
    unit: Option<String>,
    /// When it was sampled, Unix milliseconds UTC.
    t: Option<i64>,
    /// How long ago that was by the cloud's clock, milliseconds; below 0 if the sender's clock was ahead.
    age: Option<i64>,
    value: Option<f64>,
}

/// Show the newest value of each series of a store
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/latest",
    tag = "stores",
    security(("store_key" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        LatestQuery,
    ),
    responses(
        (status = 200, description = "one value for each series", body = Latest),
        (status = 400, description = "a parameter is not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, come back after Retry-After; or it took too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_latest(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    Path(store_id): Path<String>,
    query: Result<Query<LatestQuery>, QueryRejection>,
) -> Result<Json<Latest>, ApiError> {
    let store = auth.own_store(&store_id)?;
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    let _turn = app.reads.turn(&auth.tenant).await?;
    let mut tx = app.db.read(&auth.tenant, STATEMENT_MAX).await?;
    let filter = Filter { device: query.device, metric: query.metric, label: None };
    let rows = series(&mut tx, store, &filter).await.map_err(failed_read)?;
    let now = now_ms();
    let ids = rows.iter().map(|row| row.series_id).collect();
    let expected = Expected::new(now, auth.retention_days);
    let newest = newest(&mut tx, store, ids, now, expected).await.map_err(|error| match error {
        ReadError::Sqlx(error) => failed_read(error),
        error @ ReadError::TooMany { .. } => ApiError::Internal(error.into()),
    })?;
    let values = rows.into_iter().map(|row| {
        let found = newest.get(&row.series_id);
        LatestValue {
            device: row.device_id,
            kind: row.device_kind,
            name: row.name,
            unit: row.unit,
            t: found.map(|(t, _)| *t),
            age: found.map(|(t, _)| now - t),
            value: found.map(|(_, value)| *value),
        }
    });
    Ok(Json(Latest { now, look_back: LOOK_BACK_MS[LOOK_BACK_MS.len() - 1], series: values.collect() }))
}

/// The newest sample of each series, as far back as is looked. All that is known of where samples lie is behind this
/// function: what keeps the newest sample at hand takes its place.
async fn newest(
    tx: &mut TenantTx,
    store: &StoreId,
    mut silent: Vec<i32>,
    now: i64,
    expected: Expected,
) -> Result<HashMap<i32, (i64, f64)>, ReadError> {
    let mut newest = HashMap::new();
    let mut to_ms = TIME_MAX_MS;
    for back_ms in LOOK_BACK_MS {
        let range = TimeRange { from_ms: now - back_ms, to_ms };
        let mut walk = Walk::new(store, silent.clone(), range, expected);
        while let Some(parts) = walk.next(tx, usize::MAX).await? {
            let found = parts.iter().filter_map(|part| Some((silent[part.series], *part.samples.last()?)));
            newest.extend(found);
        }
        silent.retain(|id| !newest.contains_key(id));
        if silent.is_empty() {
            break;
        }
        to_ms = range.from_ms - 1;
    }
    Ok(newest)
}
