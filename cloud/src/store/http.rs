//! `GET /v1/stores`, `/v1/stores/{store_id}/status`, `/v1/stores/{store_id}/metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::sql;
use crate::app::{App, now_ms, rfc3339};
use crate::auth::StoreAuth;
use crate::problem::ApiError;
use crate::samples::{self, Range, ReadError};

/// Most samples in one answer. Beyond: 413 with the way out.
const SAMPLES_MAX: usize = 100_000;
/// Openings of a spool that a status tells of.
const STREAMS_SHOWN: i64 = 20;
/// Events that a status tells of.
const EVENTS_SHOWN: i64 = 20;

/// A store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Store {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// `active` or `suspended`.
    status: String,
    /// When the last batch was committed, RFC 3339.
    last_received: Option<String>,
}

/// The stores that the credential may see.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stores {
    stores: Vec<Store>,
}

/// A store and what has arrived from it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreStatus {
    #[serde(flatten)]
    store: Store,
    /// Batches that were sealed and have neither arrived nor been closed.
    missing: i64,
    /// The spool was restored from a copy, or cloned, at least once.
    forked: bool,
    /// The latest openings of the spool, newest first.
    streams: Vec<Stream>,
    /// What was lost or rejected, by reason.
    losses: Vec<Losses>,
    /// The latest events, newest first.
    events: Vec<Event>,
}

/// One opening of the spool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stream {
    epoch: Uuid,
    /// Highest batch number sealed.
    sealed: i64,
    /// Batches received.
    received: i64,
    /// Batches that will never come, accounted for by losses or refusals.
    void: i64,
    /// Batches that are due.
    missing: i64,
    /// The end of the contiguous range received or void.
    through: i64,
    samples: i64,
    forked: bool,
    agent_version: Option<String>,
    /// RFC 3339.
    last_received: String,
}

/// Losses of one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Losses {
    reason: String,
    losses: i64,
    samples: i64,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    device: String,
    /// Unix milliseconds UTC.
    t: i64,
    kind: String,
    text: String,
}

/// Which samples.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsQuery {
    /// Only this device.
    device: Option<String>,
    /// Only this metric.
    metric: Option<String>,
    /// From this time on, Unix milliseconds UTC; an hour ago if it is left out.
    from: Option<i64>,
    /// Up to this time, included; now if it is left out.
    to: Option<i64>,
}

/// Samples of a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// Unix milliseconds UTC.
    from: i64,
    /// Unix milliseconds UTC.
    to: i64,
    series: Vec<Series>,
}

/// The samples of one series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    device: String,
    /// The collector kind of the device.
    kind: String,
    /// `metric{label="value",…}`
    name: String,
    /// UCUM, if the metric is in the catalogue.
    unit: Option<String>,
    /// `[time in Unix milliseconds UTC, value]`, ascending.
    #[schema(value_type = Vec<Vec<f64>>)]
    samples: Vec<(i64, f64)>,
}

/// List the stores that the credential may see
#[utoipa::path(
    get,
    path = "/v1/stores",
    tag = "stores",
    security(("store_key" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    responses(
        (status = 200, description = "a store key sees its own store", body = Stores),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_stores(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
) -> Result<Json<Stores>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let row = sql::find_store(&mut tx, &auth.store).await?;
    Ok(Json(Stores { stores: row.into_iter().map(Store::from).collect() }))
}

/// Show a store: what has arrived, what is missing, what was lost
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/status",
    tag = "stores",
    security(("store_key" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    responses(
        (status = 200, description = "the store", body = StoreStatus),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_store_status(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    Path(store_id): Path<String>,
) -> Result<Json<StoreStatus>, ApiError> {
    let store = auth.own_store(&store_id)?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let row = sql::find_store(&mut tx, store).await?.ok_or(ApiError::NotFound)?;
    let streams = sql::streams(&mut tx, store, STREAMS_SHOWN).await?;
    let totals = sql::stream_totals(&mut tx, store).await?;
    let losses = sql::loss_totals(&mut tx, store).await?;
    let events = sql::latest_events(&mut tx, store, EVENTS_SHOWN).await?;
    Ok(Json(StoreStatus {
        store: row.into(),
        missing: totals.missing,
        forked: totals.forked,
        streams: streams.into_iter().map(Stream::from).collect(),
        losses: losses.into_iter().map(Losses::from).collect(),
        events: events.into_iter().map(Event::from).collect(),
    }))
}

/// Read samples of a store
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/metrics",
    tag = "stores",
    security(("store_key" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        MetricsQuery,
    ),
    responses(
        (status = 200, description = "every sample of the range once", body = Metrics),
        (status = 400, description = "a parameter is not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "more samples than one answer holds", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_metrics(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
    Path(store_id): Path<String>,
    query: Result<Query<MetricsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Metrics>, ApiError> {
    let store = auth.own_store(&store_id)?;
    let Query(query) =
        query.map_err(|e| ApiError::refused(StatusCode::BAD_REQUEST, "bad_query", e.body_text()))?;
    let to = query.to.unwrap_or_else(now_ms);
    let from = query.from.unwrap_or_else(|| to.saturating_sub(3_600_000));
    if from > to {
        let detail = format!("from={from} is after to={to}");
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "bad_query", detail));
    }
    let mut tx = app.db.snapshot(&auth.tenant).await?;
    let (device, metric) = (query.device.as_deref(), query.metric.as_deref());
    let series = sql::series(&mut tx, store, device, metric).await?;
    let series_ids: Vec<i32> = series.iter().map(|s| s.series_id).collect();
    let range = Range { store, series_ids: &series_ids, from_ms: from, to_ms: to };
    let mut samples = match samples::read(&mut tx, range, SAMPLES_MAX).await {
        Ok(samples) => samples,
        Err(ReadError::Sqlx(error)) => return Err(error.into()),
        Err(error @ ReadError::TooMany { .. }) => {
            let detail = format!("{error}: choose a shorter range, a device or a metric");
            return Err(ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "range_too_large", detail));
        }
    };
    let series = series.into_iter().map(|s| Series {
        samples: samples.remove(&s.series_id).unwrap_or_default(),
        device: s.device_id,
        kind: s.device_kind,
        name: s.name,
        unit: s.unit,
    });
    Ok(Json(Metrics { from, to, series: series.filter(|s| !s.samples.is_empty()).collect() }))
}

impl From<sql::StoreRow> for Store {
    fn from(row: sql::StoreRow) -> Self {
        let last_received = row.last_received_at.map(rfc3339);
        Self { id: row.store_id, name: row.name, status: row.status, last_received }
    }
}

impl From<sql::StreamRow> for Stream {
    fn from(row: sql::StreamRow) -> Self {
        Self {
            epoch: row.epoch,
            sealed: row.sealed,
            received: row.received,
            void: row.void,
            missing: row.missing,
            through: row.through,
            samples: row.samples,
            forked: row.forked,
            agent_version: row.agent_version,
            last_received: rfc3339(row.last_received_at),
        }
    }
}

impl From<sql::LossTotals> for Losses {
    fn from(row: sql::LossTotals) -> Self {
        Self { reason: row.reason, losses: row.losses, samples: row.samples }
    }
}

impl From<sql::EventRow> for Event {
    fn from(row: sql::EventRow) -> Self {
        Self { device: row.device_id, t: row.t, kind: row.kind, text: row.text }
    }
}
