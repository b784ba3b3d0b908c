//! `GET /v1/stores/{store_id}/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storepulse_shared::answer::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::list::Store;
use super::sql::stores as sql;
use crate::agent_settings::{self, AgentSettingsState};
use crate::app::{App, rfc3339};
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::StoreReader;

/// Openings of a spool that a status tells of.
const STREAMS_SHOWN: i64 = 20;
/// Events that a status tells of.
const EVENTS_SHOWN: i64 = 20;

/// A store and what has arrived from it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreStatus {
    #[serde(flatten)]
    store: Store,
    /// Batches that were sealed and have neither arrived nor been closed.
    missing: i64,
    /// The spool was restored from a copy, or cloned, at least once.
    forked: bool,
    /// Of the opening of the spool that was heard of last.
    agent_version: Option<String>,
    /// What is set for its agent, and how far that has come.
    agent_settings: AgentSettingsState,
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

/// Show a store: what has arrived, what is missing, what was lost
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/status",
    tag = "stores",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
    ),
    responses(
        (status = 200, description = "the store", body = StoreStatus),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_store_status(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadStores>,
) -> Result<Json<StoreStatus>, ApiError> {
    let store = &reader.store;
    let mut tx = app.db.tenant(&reader.tenant).await?;
    let row = sql::find_store(&mut tx, store).await?.ok_or(ApiError::NotFound)?;
    let streams = sql::streams(&mut tx, store, STREAMS_SHOWN).await?;
    let totals = sql::stream_totals(&mut tx, store).await?;
    let losses = sql::loss_totals(&mut tx, store).await?;
    let events = sql::latest_events(&mut tx, store, EVENTS_SHOWN).await?;
    let agent_settings = agent_settings::state_of(&mut tx, store).await?;
    Ok(Json(StoreStatus {
        store: row.into(),
        missing: totals.missing,
        forked: totals.forked,
        agent_version: streams.iter().find_map(|stream| stream.agent_version.clone()),
        agent_settings,
        streams: streams.into_iter().map(Stream::from).collect(),
        losses: losses.into_iter().map(Losses::from).collect(),
        events: events.into_iter().map(Event::from).collect(),
    }))
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
