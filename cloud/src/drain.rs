//! Stopping so that nobody's request fails, behind whatever spreads requests over several instances.
//!
//! ```text
//! SIGTERM ─▶ /ready says 503, all else is served; HTTP/1 answers say `Connection: close`
//!    delay ─▶ no new connections; HTTP/2 says GOAWAY, idle HTTP/1 connections close
//!    [`IN_FLIGHT`] at most ─▶ what was begun is answered, and the process ends
//! ```
//!
//! The delay is for whoever asks `/ready`: it must be longer than he takes to notice. Where nobody does, it is zero.
//! Background work that answers depend on (revocations, limits) goes on until the delay is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use axum::middleware::Next;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How long requests in flight may take once connections are closed.
const IN_FLIGHT: Duration = Duration::from_secs(10);

/// Whether this process is about to stop.
#[derive(Debug, Default)]
pub(crate) struct Draining(AtomicBool);

impl Draining {
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Waits for `shutdown`, and closes connections after the delay; `closing` ends what has gone on until then.
pub(crate) async fn on(
    shutdown: CancellationToken,
    app: Arc<App>,
    delay: Duration,
    handle: axum_server::Handle<SocketAddr>,
    closing: CancellationToken,
) {
    shutdown.cancelled().await;
    app.draining.0.store(true, Ordering::Release);
    tracing::info!(?delay, "stopping: not ready any more");
    tokio::select! {
        // The server has ended by itself.
        () = closing.cancelled() => {}
        () = tokio::time::sleep(delay) => closing.cancel(),
    }
    handle.graceful_shutdown(Some(IN_FLIGHT));
}

/// Tells whoever keeps an HTTP/1 connection open that the next request is better sent elsewhere. HTTP/2 has GOAWAY for it.
pub(crate) async fn send_elsewhere(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let keeps_alive_by_header = request.version() <= Version::HTTP_11;
    let mut answer = next.run(request).await;
    if keeps_alive_by_header && app.draining.is_on() {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
