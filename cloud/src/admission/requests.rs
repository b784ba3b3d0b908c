//! Requests under way, and reads among them.
//!
//! All requests together are bounded before their key is looked up: each costs a little memory while it waits for that.
//! Reads have a number of their own and a short queue, so that they and ingest never take each other's connections of the
//! database; a read counts until the last byte of its answer has left.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::App;
use crate::problem::ApiError;

/// Requests under way. Beyond: 503.
const REQUESTS_MAX: usize = 8_192;
/// Reads that wait for their turn. Beyond: 503.
const READS_WAITING_MAX: usize = 64;
/// How long they wait. Beyond: 503.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);
/// When to come back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Requests {
    all: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    reads_waiting: Arc<Semaphore>,
}

impl Requests {
    pub(super) fn new(reads: usize) -> Self {
        let of = |permits| Arc::new(Semaphore::new(permits));
        Self { all: of(REQUESTS_MAX), reads: of(reads), reads_waiting: of(READS_WAITING_MAX) }
    }

    /// `None`: too many read, or wait to.
    async fn read(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.reads).try_acquire_owned() {
            return Some(turn);
        }
        let _waiting = self.reads_waiting.try_acquire().ok()?;
        tokio::time::timeout(READ_WAIT_MAX, Arc::clone(&self.reads).acquire_owned()).await.ok()?.ok()
    }
}

/// Lets a request in, or answers 503 at once.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let requests = &app.admission.requests;
    let overloaded = || ApiError::Overloaded { retry_after: RETRY_AFTER }.into_response();
    let Ok(_under_way) = requests.all.try_acquire() else { return overloaded() };
    if !is_read(&request) {
        return next.run(request).await;
    }
    match requests.read().await {
        Some(turn) => held_by_body(next.run(request).await, turn),
        None => overloaded(),
    }
}

/// Whether it reads a tenant's data: all that may be got from an API, but not what operators look at, nor what waits for a tenant's
/// provider, which has turns of its own.
fn is_read(request: &Request) -> bool {
    let path = request.uri().path();
    let is_of_data = path.starts_with("/v1/") || path.starts_with("/api/");
    request.method() == Method::GET && is_of_data && !path.starts_with("/v1/providers/")
}

/// The answer with its turn, which ends when the body does. Its length stays known: every 401 is to look like all others.
fn held_by_body(mut answer: Response, turn: OwnedSemaphorePermit) -> Response {
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_end = &turn;
            frame
        }))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_read_counts_until_its_answer_has_left() {
        let requests = Requests::new(1);
        let turn = requests.read().await.unwrap();
        let answer = held_by_body(Response::new(Body::from("x")), turn);
        assert_eq!(requests.reads.available_permits(), 0);
        answer.into_body().collect().await.unwrap();
        assert_eq!(requests.reads.available_permits(), 1);
    }

    #[tokio::test]
    async fn reads_wait_their_turn_and_beyond_the_queue_they_are_refused() {
        let requests = Requests::new(1);
        let turn = requests.read().await.unwrap();
        let mut waiting = Box::pin(requests.read());
        assert!(waiting.as_mut().now_or_never().is_none());
        let others = requests.reads_waiting.try_acquire_many(63).unwrap();
        assert!(requests.read().now_or_never().unwrap().is_none(), "the queue is full");
        drop((others, turn));
        assert!(waiting.await.is_some());
    }
}
