//! `GET /v1/stores/{store_id}/delivery`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use storepulse_shared::answer::Problem;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answer::{Delivery, EpochDelivery, LOSSES_MAX};
use super::sql;
use crate::app::App;
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::StoreReader;

/// Epochs of one page unless the caller asks for another number, and at most.
const EPOCHS_DEFAULT: i64 = 20;
const EPOCHS_MAX: i64 = 100;
/// Ranges of numbers that one answer tells of each kind and epoch; the counts are always whole.
const RANGES_MAX: i64 = 200;

/// Which part of the account.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Epochs in the answer, 1 to 100; 20 if it is left out.
    limit: Option<i64>,
    /// Epochs that came before this one: `next` of the page before.
    before: Option<Uuid>,
    /// Only this epoch.
    epoch: Option<Uuid>,
    /// Losses that were recorded before this one: `losses_next` of the page before. Needs `epoch`.
    losses_before: Option<String>,
}

/// Account for what a store's spool has sealed
///
/// Missing numbers are due; void ones never come, and their losses say why. Epochs come newest first, in pages.
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/delivery",
    tag = "stores",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        DeliveryQuery,
    ),
    responses(
        (status = 200, description = "by epoch: sealed, received, void, missing, losses", body = Delivery),
        (status = 400, description = "a parameter is not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_store_delivery(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadStores>,
    query: Result<Query<DeliveryQuery>, QueryRejection>,
) -> Result<Json<Delivery>, ApiError> {
    let store = &reader.store;
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    let limit = query.limit.unwrap_or(EPOCHS_DEFAULT);
    if !(1..=EPOCHS_MAX).contains(&limit) {
        return Err(bad_query(format!("limit={limit}: 1 to {EPOCHS_MAX}")));
    }
    if query.losses_before.is_some() && query.epoch.is_none() {
        return Err(bad_query("losses_before needs epoch, whose losses it continues".to_owned()));
    }
    let mut tx = app.db.tenant(&reader.tenant).await?;
    let totals = sql::totals(&mut tx, store).await?;
    let page = sql::Page { epoch: query.epoch, before: query.before, limit: limit + 1 };
    let mut rows = sql::epochs(&mut tx, store, &page, RANGES_MAX).await?;
    if rows.is_empty()
        && let Some(named) = query.epoch.or(query.before)
    {
        return Err(bad_query(format!("{named} is no epoch of this store, or nothing came before it")));
    }
    let is_last = i64::try_from(rows.len()).is_ok_and(|n| n <= limit);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next = rows.last().filter(|_| !is_last).map(|row| row.epoch);
    let shown: Vec<Uuid> = rows.iter().map(|row| row.epoch).collect();
    let mut reasons = by_epoch(sql::reasons(&mut tx, store, &shown).await?, |row| row.epoch);
    let before = query.losses_before.as_deref();
    let losses = sql::losses(&mut tx, store, &shown, before, LOSSES_MAX + 1).await?;
    let mut losses = by_epoch(losses, |row| row.epoch);
    let epochs = rows.into_iter().map(|row| {
        let reasons = reasons.remove(&row.epoch).unwrap_or_default();
        let losses = losses.remove(&row.epoch).unwrap_or_default();
        EpochDelivery::of(row, reasons, losses)
    });
    Ok(Json(Delivery { store: store.to_string(), totals: totals.into(), epochs: epochs.collect(), next }))
}

fn bad_query(detail: String) -> ApiError {
    ApiError::refused(StatusCode::BAD_REQUEST, "bad_query", detail)
}

fn by_epoch<T>(rows: Vec<T>, epoch: impl Fn(&T) -> Uuid) -> BTreeMap<Uuid, Vec<T>> {
    let mut all: BTreeMap<Uuid, Vec<T>> = BTreeMap::new();
    for row in rows {
        all.entry(epoch(&row)).or_default().push(row);
    }
    all
}
