//! `GET /v1/stores/{store_id}/latest`: the newest value of each series, with its time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::StoreId;
use storepulse_shared::limits::{TIME_MAX_MS, TIME_MIN_MS};
use utoipa::{IntoParams, ToSchema};

use super::parameters::{bad_query, failed_read};
use super::sql::series::{Filter, series};
use crate::app::{App, now_ms};
use crate::db::TenantTx;
use crate::people::may;
use crate::problem::ApiError;
use crate::samples::{self, Range, ReadError};
use crate::scope::StoreReader;

/// Most samples that are held at once: those of the last day of a group of series.
const SAMPLES_MAX: usize = 250_000;
/// Series of a group at first; fewer if they have too many samples.
const TOGETHER: usize = 128;
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
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        LatestQuery,
    ),
    responses(
        (status = 200, description = "one value for each series", body = Latest),
        (status = 400, description = "a parameter is not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "a series has more samples in its last day than can be held", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, come back after Retry-After; or it took too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_latest(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadMetrics>,
    query: Result<Query<LatestQuery>, QueryRejection>,
) -> Result<Json<Latest>, ApiError> {
    let store = &reader.store;
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    let _turn = app.reads.turn(&reader.tenant).await?;
    let mut tx = app.db.read(&reader.tenant, STATEMENT_MAX).await?;
    let filter = Filter { device: query.device, metric: query.metric, label: None };
    let rows = series(&mut tx, std::slice::from_ref(store), &filter).await.map_err(failed_read)?;
    let now = now_ms();
    let ids: Vec<i32> = rows.iter().map(|row| row.series_id).collect();
    let newest = newest(&mut tx, store, &ids, now).await.map_err(failed)?;
    tx.rollback().await?;
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
    Ok(Json(Latest { now, series: values.collect() }))
}

/// The newest sample of each series, from a moment that has come or from one that a wrong clock made up. Series are taken
/// in groups, since those of a group have all samples of their last day in hand at once.
async fn newest(
    tx: &mut TenantTx,
    store: &StoreId,
    series_ids: &[i32],
    now: i64,
) -> Result<HashMap<i32, (i64, f64)>, ReadError> {
    let mut newest = HashMap::new();
    // Apart, because a single series that is ahead would make all others look silent.
    for (from_ms, to_ms) in [(TIME_MIN_MS, now), (now + 1, TIME_MAX_MS)] {
        let mut rest = series_ids;
        let mut together = TOGETHER;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(together.min(rest.len()));
            let range = Range { store, series_ids: group, from_ms, to_ms };
            match samples::latest(tx, range, SAMPLES_MAX).await {
                Ok(found) => {
                    newest.extend(found);
                    rest = later;
                }
                Err(ReadError::TooMany { .. }) if together > 1 => together /= 2,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(newest)
}

fn failed(error: ReadError) -> ApiError {
    match error {
        ReadError::Sqlx(error) => failed_read(error),
        ReadError::TooMany { .. } => {
            let detail = format!(
                "{error} in the last day of one series: choose other devices or metrics, or read /metrics"
            );
            ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "range_too_large", detail)
        }
    }
}
