//! What the agent serves on its own box: its page for people, status for monitoring, and the road for those who push.
//!
//! Two listeners, so that opening the one to the LAN does not open the other. Both are on loopback unless the
//! configuration names an interface. [`guard`] stands before everything of the page; the connections of both are bounded by
//! it. Looking is free for whoever reaches the listener; doing ([`action`]) needs the PIN.

mod action;
mod guard;
mod metrics;
mod page;
mod push;
mod reader;
#[cfg(test)]
mod scene;
mod setup;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use maud::html;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use self::action::{Jobs, MakeBundle, TestDevice, bundle_by, test_by};
pub(crate) use self::guard::{Access, Guard, SESSION};
pub(crate) use self::push::PushState;
use self::reader::Reader;
pub(crate) use self::setup::Setup;
use crate::maintenance::Maintenance;
use crate::status::StatusState;
use crate::trial::Trial;

/// What the page works with. Clones are one.
#[derive(Clone)]
pub(crate) struct LocalState {
    pub status: Arc<StatusState>,
    pub guard: Arc<Guard>,
    pub access: Arc<Access>,
    pub jobs: Jobs,
    pub maintenance: Maintenance,
    pub trial: Trial,
    pub test: TestDevice,
    pub bundle: MakeBundle,
    pub setup: Setup,
}

impl FromRef<LocalState> for Arc<StatusState> {
    fn from_ref(state: &LocalState) -> Self {
        Self::clone(&state.status)
    }
}

/// Serves the page, `/health`, `/status` and `/metrics` until `stop`.
pub(crate) async fn serve_status(state: LocalState, listener: TcpListener, stop: CancellationToken) {
    guard::serve(router(state), listener, guard::PAGE_LIMITS, stop, "status").await;
}

fn router(state: LocalState) -> Router {
    let check = axum::middleware::from_fn_with_state(Arc::clone(&state.guard), guard::check);
    Router::new()
        .route("/health", get(status::show_health))
        .route("/status", get(status::show_status))
        .route("/metrics", get(metrics::show_metrics))
        .route("/", get(page::show_home))
        .route("/fragment", get(page::show_fragment))
        .route("/device/{id}", get(page::show_device))
        .route("/style.css", get(page::show_style))
        .route("/page.js", get(page::show_script))
        .route("/icon.svg", get(page::show_icon))
        .route("/sign-in", get(action::show_sign_in).post(action::sign_in))
        .route("/sign-out", post(action::sign_out))
        .route("/device/{id}/test", post(action::test_device))
        .route("/identify", post(action::identify))
        .route("/job/{id}", get(action::show_job))
        .route("/support-bundle", post(action::make_bundle))
        .route("/support-bundle/{id}", get(action::show_bundle))
        .route("/maintenance", post(action::begin_maintenance))
        .route("/maintenance/end", post(action::end_maintenance))
        .merge(setup::routes())
        .layer(check)
        .with_state(state)
}

/// A page that says why something was not done, and leads back.
fn refuse(reader: &Reader, status: StatusCode, why: &str) -> Response {
    let words = reader.words();
    let body = html! {
        section.card {
            h1 { (words.not_done) }
            p.problem { (why) }
            p { a href="/" { "StorePulse" } }
        }
    };
    let mut response = page::shell(reader, words.not_done, body);
    *response.status_mut() = status;
    response
}

/// Serves `/v1/metrics/batch` until `stop`.
pub(crate) async fn serve_push(state: Arc<PushState>, listener: TcpListener, stop: CancellationToken) {
    let batch = axum::routing::post(push::post_batch).delete(push::delete_batch);
    let router = Router::new()
        .route("/health", get(push::show_health))
        .route("/v1/metrics/batch", batch)
        .fallback(push::not_found)
        .with_state(state);
    guard::serve(router, listener, guard::PUSH_LIMITS, stop, "push").await;
}
