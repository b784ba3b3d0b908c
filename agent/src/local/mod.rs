//! What the agent serves on its own box: status for people and monitoring, and the road for those who push.
//!
//! Two listeners, so that opening the one to the LAN does not open the other. Both are on loopback unless the
//! configuration names an interface.

mod action;
mod metrics;
pub(crate) mod page;
mod push;
mod reader;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::status::StatusState;

pub(crate) use self::push::PushState;

/// Serves `/health`, `/status` and `/metrics` until `stop`.
pub(crate) async fn serve_status(state: Arc<StatusState>, listener: TcpListener, stop: CancellationToken) {
    let router = Router::new()
        .route("/health", get(status::show_health))
        .route("/status", get(status::show_status))
        .route("/metrics", get(metrics::show_metrics))
        .with_state(state);
    serve(router, listener, stop, "status").await;
}

/// Serves `/v1/metrics/batch` until `stop`.
pub(crate) async fn serve_push(state: Arc<PushState>, listener: TcpListener, stop: CancellationToken) {
    let batch = axum::routing::post(push::post_batch).delete(push::delete_batch);
    let router = Router::new()
        .route("/health", get(push::show_health))
        .route("/v1/metrics/batch", batch)
        .fallback(push::not_found)
        .with_state(state);
    serve(router, listener, stop, "push").await;
}

async fn serve(router: Router, listener: TcpListener, stop: CancellationToken, what: &str) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, what, "the local server failed");
    }
}
