//! `GET /v1/stores/{store_id}/events`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use utoipa::{IntoParams, ToSchema};

use super::cursor::Continued;
use super::parameters::{TimeRange, bad_query, failed_read, page_limit};
use super::sql::events::{EventFilter, EventPlace, EventRow, events};
use crate::app::{App, rfc3339};
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::{Scope, StoreReader};

/// Events of one page unless the caller asks for another number, and at most.
const EVENTS_DEFAULT: i64 = 100;
const EVENTS_MAX: i64 = 1_000;
/// Longest that the statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// From this time on, Unix milliseconds UTC or RFC 3339; from the first event on if it is left out.
    from: Option<String>,
    /// Up to this time, included; now if it is left out.
    to: Option<String>,
    /// Only of this device.
    device: Option<String>,
    /// Only of this kind.
    kind: Option<String>,
    /// Events of a page, 1 to 1,000; 100 if it is left out.
    limit: Option<i64>,
    /// `next` of the page before; the other parameters stay as they were.
    cursor: Option<String>,
}

/// Events of a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Events {
    /// Newest first.
    events: Vec<StoreEvent>,
    /// Give it as `cursor` for the next page; null on the last one.
    next: Option<String>,
}

/// An event with where it came from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreEvent {
    device: String,
    /// Unix milliseconds UTC.
    t: i64,
    kind: String,
    text: String,
    /// What its time is worth: `ok`, `repaired` or `unsure`.
    clock: String,
    /// `<epoch>/<number>` of the batch that brought it, or on whose arrival the cloud said it.
    batch: String,
    /// When it was committed, RFC 3339.
    received: String,
}

/// Where the next page begins, with the range that the first one was of.
#[derive(Serialize, Deserialize)]
struct Place {
    from: i64,
    to: i64,
    after: EventPlace,
}

/// List events of a store
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/events",
    tag = "stores",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        EventsQuery,
    ),
    responses(
        (status = 200, description = "a page of events", body = Events),
        (status = 400, description = "a parameter is not understood, or the cursor belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, come back after Retry-After; or it took too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_events(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadEvents>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<Events>, ApiError> {
    let store = &reader.store;
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    let mut range = TimeRange::parse(query.from.as_deref(), query.to.as_deref(), i64::MAX)?;
    let limit = page_limit(query.limit, EVENTS_DEFAULT, EVENTS_MAX)?;
    let parameters = [&query.from, &query.to, &query.device, &query.kind].map(Option::as_deref);
    let continued = Continued::new(&Scope::from(&reader), "events", &parameters);
    let place: Option<Place> = query.cursor.as_deref().map(|text| continued.read(text)).transpose()?;
    if let Some(place) = &place {
        range = TimeRange { from_ms: place.from, to_ms: place.to };
    }
    let mut tx = app.db.read(&reader.tenant, STATEMENT_MAX).await?;
    let filter = EventFilter {
        range,
        device: query.device.as_deref(),
        kind: query.kind.as_deref(),
        before: place.as_ref().map(|place| &place.after),
        // One more shows that there is a next page.
        limit: limit + 1,
    };
    let mut rows = events(&mut tx, store, &filter).await.map_err(failed_read)?;
    tx.rollback().await?;
    let is_last = i64::try_from(rows.len()).is_ok_and(|n| n <= limit);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next = rows.last().filter(|_| !is_last).map(|row| {
        let after = EventPlace { t: row.t, epoch: row.epoch, seq: row.seq, no: row.no };
        continued.write(Place { from: range.from_ms, to: range.to_ms, after })
    });
    Ok(Json(Events { events: rows.into_iter().map(StoreEvent::from).collect(), next: next.transpose()? }))
}

impl From<EventRow> for StoreEvent {
    fn from(row: EventRow) -> Self {
        Self {
            device: row.device_id,
            t: row.t,
            kind: row.kind,
            text: row.text,
            clock: row.clock,
            batch: format!("{}/{}", row.epoch, row.seq),
            received: rfc3339(row.received_at),
        }
    }
}
