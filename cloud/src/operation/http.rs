//! Handlers of the operating routes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use storepulse_shared::answer::{Problem, TIME_HEADER};
use utoipa::ToSchema;

use crate::app::{App, now_ms};
use crate::problem::ApiError;

/// How long a look at the database counts: whoever asks more often costs it nothing.
const READINESS_KEPT: Duration = Duration::from_secs(1);
/// The same for the numbers that the database has.
const NUMBERS_KEPT: Duration = Duration::from_secs(5);
/// How long `/metrics` waits for them: the others must be told above all when the database is slow.
const NUMBERS_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
    version: &'static str,
}

const HEALTH: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Say that the process answers, and what time it is
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    responses((status = 200, description = "it does", body = Health))
)]
pub(crate) async fn show_health() -> ([(HeaderName, String); 1], Json<Health>) {
    ([(HeaderName::from_static(TIME_HEADER), now_ms().to_string())], Json(HEALTH))
}

/// Say whether requests can be served
///
/// The database answers, its roles and schema are still safe, the inbox has its partitions, and the process is not about to stop.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operation",
    responses(
        (status = 200, description = "they can", body = Health),
        (status = 503, description = "not now; the log says why", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_readiness(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    if app.draining.is_on() {
        let detail = "this instance stops; another one takes requests";
        return Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, "draining", detail));
    }
    let mut last = app.readiness.lock().await;
    let fresh = last.filter(|(at, _)| at.elapsed() < READINESS_KEPT);
    let ready = match fresh {
        Some((_, ready)) => ready,
        None => {
            let ready = look(&app).await;
            *last = Some((Instant::now(), ready));
            ready
        }
    };
    if ready {
        return Ok(Json(HEALTH));
    }
    let detail = "the database cannot be served from; the service's log says why";
    Err(ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail))
}

async fn look(app: &App) -> bool {
    let looked = match app.db.check(app.waiver).await {
        Ok(()) => app.db.default_partition_bytes().await.map_err(Into::into),
        Err(error) => Err(error),
    };
    match looked {
        Ok(bytes) => {
            app.metrics.default_partition_bytes.set(bytes);
            true
        }
        Err(error) => {
            tracing::error!(%error, "not ready");
            false
        }
    }
}

/// Looks at the database for the numbers that it has, unless somebody just did.
async fn refresh(app: &App) {
    let mut last = app.numbers_read.lock().await;
    if last.is_some_and(|at| at.elapsed() < NUMBERS_KEPT) {
        return;
    }
    *last = Some(Instant::now());
    let looked = tokio::time::timeout(NUMBERS_TIMEOUT, app.metrics.database.refresh(&app.db)).await;
    match looked {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the database's own numbers could not be read"),
        Err(_) => tracing::warn!("the database's own numbers could not be read in time"),
    }
}

/// Show the service's own numbers
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn show_metrics(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 1], String) {
    refresh(&app).await;
    (
        [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        app.metrics.text(&app.admission.look()),
    )
}
