//! What is still on its way when a request is refused from its head.
//!
//! Over HTTP/1 a client sends its whole body before it looks at the answer. If the connection is closed meanwhile, the answer is
//! lost with it, and a refused key looks like a link that failed. So what an honest client may send is still taken from the
//! connection beside the answer, and thrown away. HTTP/2 ends the stream alone and needs none of this.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Version;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt as _};
use storepulse_shared::limits::BODY_BYTES_MAX;
use tokio::task::JoinSet;

use crate::app::App;

/// How long the rest of a body may take.
const REST_MAX: Duration = Duration::from_secs(5);

/// Rests that are still on their way: at most one a connection.
#[derive(Debug, Default)]
pub(super) struct Rests(Mutex<JoinSet<()>>);

impl Rests {
    /// Takes it from its connection; who sends more than is ever taken, or too slowly, may lose the answer.
    fn throw_away(&self, rest: BodyDataStream) {
        // A panic in it leaves tasks, which end by themselves.
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while rests.try_join_next().is_some() {}
        rests.spawn(async {
            let _ = tokio::time::timeout(REST_MAX, read_away(rest)).await;
        });
    }
}

/// A body that comes back if it is not read to its end.
struct Lent {
    body: Option<BodyDataStream>,
    back: Arc<Mutex<Option<BodyDataStream>>>,
}

/// Answers, and has the client read the answer.
pub(crate) async fn read_on(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let back = Arc::default();
    let lend = |body: Body| Lent { body: Some(body.into_data_stream()), back: Arc::clone(&back) };
    let answer = next.run(request.map(|body| Body::from_stream(lend(body)))).await;
    let rest = back.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(rest) = rest {
        app.admission.rests.throw_away(rest);
    }
    answer
}

async fn read_away(mut rest: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(data)) = rest.next().await {
        bytes += data.len();
        if bytes > BODY_BYTES_MAX {
            return;
        }
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            *self.back.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
