//! `GET /v1/stores/{store_id}/losses`: what an agent has told as lost, and the samples that the cloud has rejected.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::cursor::Continued;
use super::parameters::{TimeRange, bad_query, failed_read, page_limit};
use super::sql::losses::{LossFilter, LossPlace, losses};
use crate::app::App;
use crate::delivery::Loss;
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::{Scope, StoreReader};

/// Records of one page unless the caller asks for another number, and at most.
const LOSSES_DEFAULT: i64 = 100;
const LOSSES_MAX: i64 = 1_000;
/// Longest that the statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LossesQuery {
    /// Those that reach this time or a later one, Unix milliseconds UTC or RFC 3339; all if it is left out.
    from: Option<String>,
    /// Those that begin up to this time; all if it is left out.
    to: Option<String>,
    /// Only of this reason: `spool_full`, `rejected:time_ahead`, …
    reason: Option<String>,
    /// `true`: only samples that were rejected. `false`: only what was lost.
    rejected: Option<bool>,
    /// Records of a page, 1 to 1,000; 100 if it is left out.
    limit: Option<i64>,
    /// `next` of the page before; the other parameters stay as they were.
    cursor: Option<String>,
}

/// What was lost or rejected of a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreLosses {
    /// The last recorded first.
    losses: Vec<StoreLoss>,
    /// Give it as `cursor` for the next page; null on the last one.
    next: Option<String>,
}

/// A record with the epoch whose batch told it, or was rejected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreLoss {
    epoch: Uuid,
    #[serde(flatten)]
    loss: Loss,
}

/// List what was lost or rejected of a store
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/losses",
    tag = "stores",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        LossesQuery,
    ),
    responses(
        (status = 200, description = "a page of records", body = StoreLosses),
        (status = 400, description = "a parameter is not understood, or the cursor belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, come back after Retry-After; or it took too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_losses(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadStores>,
    query: Result<Query<LossesQuery>, QueryRejection>,
) -> Result<Json<StoreLosses>, ApiError> {
    let store = &reader.store;
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    // A loss may be of times that a wrong clock put into the future.
    let to = query.to.clone().unwrap_or_else(|| i64::MAX.to_string());
    let from = query.from.clone().unwrap_or_else(|| i64::MIN.to_string());
    let range = TimeRange::parse(Some(&from), Some(&to), 0)?;
    let limit = page_limit(query.limit, LOSSES_DEFAULT, LOSSES_MAX)?;
    let rejected = query.rejected.map(|rejected| if rejected { "true" } else { "false" });
    let parameters = [query.from.as_deref(), query.to.as_deref(), query.reason.as_deref(), rejected];
    let continued = Continued::new(&Scope::from(&reader), "losses", &parameters);
    let before: Option<LossPlace> = query.cursor.as_deref().map(|text| continued.read(text)).transpose()?;
    let mut tx = app.db.read(&reader.tenant, STATEMENT_MAX).await?;
    let filter = LossFilter {
        range,
        reason: query.reason.as_deref(),
        rejected: query.rejected,
        before: before.as_ref(),
        // One more shows that there is a next page.
        limit: limit + 1,
    };
    let mut rows = losses(&mut tx, store, &filter).await.map_err(failed_read)?;
    tx.rollback().await?;
    let is_last = i64::try_from(rows.len()).is_ok_and(|n| n <= limit);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let next = rows.last().filter(|_| !is_last).map(|row| continued.write(LossPlace::of(row)));
    let losses = rows.into_iter().map(|row| StoreLoss { epoch: row.epoch, loss: row.into() });
    Ok(Json(StoreLosses { losses: losses.collect(), next: next.transpose()? }))
}
