//! `GET /v1/stores/{store_id}/metrics`: samples, or what they sum up to, as JSON at once or in pages, or as a stream; and the
//! same of all stores that the caller sees, one after the other: `GET /v1/metrics`.

mod answer;
mod page;
mod query;
mod series;
mod stream;
pub(super) mod walk;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::StoreId;

use self::answer::Metrics;
use self::page::{Filling, Place};
use self::query::{Asked, MetricsQuery};
use self::series::ReadSeries;
use self::walk::{Expected, Walk};
use super::parameters::{TimeRange, bad_query, failed_read};
use super::sql;
use super::sql::series::SERIES_MAX;
use crate::app::{App, now_ms};
use crate::db::TenantTx;
use crate::export::Format;
use crate::people::answers::ReadRefusals;
use crate::people::may;
use crate::problem::ApiError;
use crate::samples::ReadError;
use crate::scope::{Reader, Scope, StoreReader};

/// Longest that one statement of a read takes.
const STATEMENT_MAX: Duration = Duration::from_secs(15);

/// Read samples of a store
///
/// As they are, or summed up in steps of time. A step without samples is absent and never 0.
#[utoipa::path(
    get,
    path = "/v1/stores/{store_id}/metrics",
    tag = "stores",
    security(("store_key" = []), ("access_token" = [])),
    params(
        ("store_id" = String, Path, description = "the key's own store, or one that the person sees"),
        ("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused"),
        ("Accept" = Option<String>, Header, description = "application/json, application/x-ndjson, text/csv or application/vnd.apache.parquet; `format` comes first"),
        MetricsQuery,
    ),
    responses(
        (status = 200, description = "every sample of the range once; as JSON, or in another format as a stream, whose end is missing if it could not be read to the end", content(
            (Metrics = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.parquet"),
        )),
        (status = 400, description = "a parameter is not understood, or the cursor belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no credential, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, X-Tenant-ID names another tenant, or the role may not do this", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no such store, or not yours", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "more than one answer holds; says how to get it", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy, come back after Retry-After; or it took too long", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_store_metrics(
    State(app): State<Arc<App>>,
    reader: StoreReader<may::ReadMetrics>,
    headers: HeaderMap,
    query: Result<Query<MetricsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    read(&app, &Scope::from(&reader), query, &headers).await
}

/// Read samples of all stores that one sees
///
/// Store by store, each series with its `store`: as they are, or summed up in steps of time. A step without samples is absent
/// and never 0.
#[utoipa::path(
    get,
    path = "/v1/metrics",
    tag = "stores",
    security(("store_key" = []), ("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(
        ("Accept" = Option<String>, Header, description = "application/json, application/x-ndjson, text/csv or application/vnd.apache.parquet; `format` comes first"),
        MetricsQuery,
    ),
    responses(
        (status = 200, description = "every sample of the range once; as JSON, or in another format as a stream, whose end is missing if it could not be read to the end", content(
            (Metrics = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.parquet"),
        )),
        ReadRefusals,
        (status = 413, description = "more than one answer holds; says how to get it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_metrics(
    State(app): State<Arc<App>>,
    Reader(scope, _): Reader<may::ReadMetrics>,
    headers: HeaderMap,
    query: Result<Query<MetricsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    read(&app, &scope, query, &headers).await
}

async fn read(
    app: &App,
    scope: &Scope,
    query: Result<Query<MetricsQuery>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|e| bad_query(e.body_text()))?;
    let mut asked = query.parse(scope, headers)?;
    let place = resume(&mut asked)?;
    let turn = app.reads.turn(&scope.tenant).await?;
    let mut tx = app.db.read(&scope.tenant, STATEMENT_MAX).await?;
    let (series, walked) = find(&mut tx, scope, &asked).await?;
    let expected = Expected::new(now_ms(), scope.retention_days);
    let mut walk = Walk::new(walked, asked.range, expected);
    if asked.format != Format::Json {
        let days = expected.days(asked.range);
        let source = stream::Source { tx, turn, walk, series, step: asked.step };
        return stream::respond(source, asked.format, scope, days).await;
    }
    if let Some((at, time_ms)) = place.map(|place| place.find(&series)) {
        walk.begin_at(at, time_ms);
    }
    let Asked { range, step, page, .. } = &asked;
    let filling = Filling { walk, series: &series, range: *range, step: step.as_ref(), page: page.as_ref() };
    let answer = filling.fill(&mut tx).await?;
    // Not dropped: the connection that was used last is used next, and knows its tables and plans.
    tx.rollback().await?;
    drop(turn);
    Ok(Json(answer).into_response())
}

/// The series that are asked for, in the order in which they are read.
async fn find(
    tx: &mut TenantTx,
    scope: &Scope,
    asked: &Asked,
) -> Result<(Vec<ReadSeries>, Vec<(StoreId, i32)>), ApiError> {
    let mut stores = scope.stores(tx).await.map_err(failed_read)?;
    if let Some(wanted) = &asked.store {
        stores.retain(|store| store.as_str() == wanted);
        if stores.is_empty() {
            return Err(ApiError::NotFound);
        }
    }
    let rows = sql::series::series(tx, &stores, &asked.filter).await.map_err(failed_read)?;
    if rows.len() > SERIES_MAX {
        let detail = format!(
            "more than {SERIES_MAX} series of {} stores: choose a store, a device or a metric",
            stores.len()
        );
        return Err(ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "too_many_series", detail));
    }
    let stores: HashMap<&str, &StoreId> = stores.iter().map(|store| (store.as_str(), store)).collect();
    let known = rows.into_iter().filter_map(|row| {
        let store = (*stores.get(row.store_id.as_str())?).clone();
        let walked = (store, row.series_id);
        Some((ReadSeries::of(row, scope.is_of_many()), walked))
    });
    Ok(known.unzip())
}

/// Where a page begins, if it is not the first. It is of the same range, whatever time it has become.
fn resume(asked: &mut Asked) -> Result<Option<Place>, ApiError> {
    let Some(page) = &asked.page else { return Ok(None) };
    let Some(cursor) = &page.cursor else { return Ok(None) };
    let place: Place = page.continued.read(cursor)?;
    asked.range = TimeRange { from_ms: place.from, to_ms: place.to };
    Ok(Some(place))
}

/// Samples could not be read.
fn failed(error: ReadError) -> ApiError {
    match error {
        ReadError::Sqlx(error) => failed_read(error),
        ReadError::TooMany { .. } => {
            let detail = format!("{error} in one millisecond of one series: choose another range");
            ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "range_too_large", detail)
        }
    }
}
