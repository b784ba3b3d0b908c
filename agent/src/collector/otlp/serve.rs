//! `POST /v1/metrics`: from a request to an answer.
//!
//! An answer 200 means durable. Who is a stranger is told before the body is read; bodies are read two at a time, which
//! bounds what senders can take of the memory of the box.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http_body_util::{BodyExt as _, Limited};
use storepulse_shared::gzip::{self, GzipError};
use tokio::sync::{Mutex, Semaphore};

use super::answer::Form;
use super::point::Points;
use super::senders::{Senders, Stranger};
use super::totals::Totals;
use super::{protobuf, text};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::sink::Sink;
use crate::spool::PUSH_WAIT_MAX;

/// Largest body as sent.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Largest body once inflated.
const INFLATED_BYTES_MAX: usize = 4 << 20;
/// Bodies that are read at the same time; more wait.
const AT_ONCE: usize = 2;
/// How long they wait, and how long a body may take to arrive.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What requests are taken with.
pub(super) struct Receiver {
    pub sink: Sink,
    pub senders: Senders,
    pub labels: Vec<String>,
    totals: Mutex<Totals>,
    places: Semaphore,
    /// Told when something was taken.
    heard: tokio::sync::watch::Sender<()>,
}

impl Receiver {
    pub(super) fn new(sink: Sink, senders: Senders, labels: Vec<String>) -> Self {
        let (totals, places) = (Mutex::new(Totals::default()), Semaphore::new(AT_ONCE));
        Self { sink, senders, labels, totals, places, heard: tokio::sync::watch::Sender::new(()) }
    }

    /// Something is taken.
    pub(super) fn heard(&self) -> tokio::sync::watch::Receiver<()> {
        self.heard.subscribe()
    }
}

/// The one road.
pub(super) fn router(receiver: Arc<Receiver>) -> Router {
    Router::new().route("/v1/metrics", post(export)).with_state(receiver)
}

/// Why nothing of a request is taken.
struct Refusal(StatusCode, FaultKind, String);

async fn export(
    State(receiver): State<Arc<Receiver>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Before it is known which encoding its sender reads, a refusal is plain text.
    let plain = |status, kind, text: &str| {
        receiver.sink.error(kind, format!("{} was answered {status}: {text}", peer.ip().to_canonical()));
        (status, text.to_owned()).into_response()
    };
    if let Err(stranger) = receiver.senders.admit(peer.ip(), &headers) {
        let (status, text) = match stranger {
            Stranger::Address => (StatusCode::FORBIDDEN, "this address is not listed in `from`"),
            Stranger::Token => (StatusCode::UNAUTHORIZED, "the push token is missing or unknown"),
            Stranger::StoreKey => {
                (StatusCode::FORBIDDEN, "a store key never leaves its box; a push token is needed")
            }
        };
        return plain(status, FaultKind::Denied, text);
    }
    let form = match described_by(&headers, &CONTENT_TYPE).as_str() {
        "application/x-protobuf" => Form::Protobuf,
        "application/json" => Form::Json,
        _ => {
            let text = "neither application/x-protobuf nor application/json";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, FaultKind::Unsupported, text);
        }
    };
    let is_gzip = match described_by(&headers, &CONTENT_ENCODING).as_str() {
        "" | "identity" => false,
        "gzip" => true,
        _ => {
            let text = "an encoding that is neither gzip nor none";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, FaultKind::Unsupported, text);
        }
    };
    match take(&receiver, form, is_gzip, body).await {
        Ok((refused, why)) => form.success(refused, &why),
        Err(Refusal(status, kind, text)) => {
            receiver.sink.error(kind, format!("{} was answered {status}: {text}", peer.ip().to_canonical()));
            form.failure(status, &text)
        }
    }
}

/// The first value of a header without parameters, in lower case.
fn described_by(headers: &HeaderMap, name: &HeaderName) -> String {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// How many data points were refused, and why.
async fn take(receiver: &Receiver, form: Form, is_gzip: bool, body: Body) -> Result<(u64, String), Refusal> {
    let busy = |text: &str| Refusal(StatusCode::SERVICE_UNAVAILABLE, FaultKind::Timeout, text.to_owned());
    let Ok(Ok(_place)) = tokio::time::timeout(WAIT_MAX, receiver.places.acquire()).await else {
        return Err(busy("too many requests at the same time"));
    };
    let sent = match tokio::time::timeout(WAIT_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(sent)) => sent.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(too_large(format!("a body of more than {BODY_BYTES_MAX} bytes")));
        }
        // That is nobody's fault, and it may arrive another time.
        Ok(Err(_)) | Err(_) => return Err(busy("the body did not arrive whole")),
    };
    let content = if is_gzip { inflate(&sent)?.into() } else { sent };
    let mut points = Points::new(&receiver.labels);
    let decoded = match form {
        Form::Protobuf => protobuf::decode(&content, &mut points),
        Form::Json => text::decode(&content, &mut points),
    };
    decoded.map_err(|kind| match kind {
        FaultKind::TooLarge => too_large("more points or parts of points than are taken at once".to_owned()),
        kind => Refusal(StatusCode::BAD_REQUEST, kind, "not an ExportMetricsServiceRequest".to_owned()),
    })?;
    drop(content);
    keep(receiver, points).await
}

async fn keep(receiver: &Receiver, points: Points<'_>) -> Result<(u64, String), Refusal> {
    let seen = points.seen;
    // Held until it is durable: two requests must not add to the same total.
    let mut totals = receiver.totals.lock().await;
    let (ticks, left_out, pending) = points.finish(&totals, receiver.sink.now_ms());
    let has_values = !ticks.is_empty();
    let beyond = receiver.sink.offer(ticks, PUSH_WAIT_MAX).await.map_err(|error| {
        tracing::error!(%error, "an export could not be taken");
        let text = "the spool does not take it now; keep it and come again";
        Refusal(StatusCode::SERVICE_UNAVAILABLE, FaultKind::Internal, text.to_owned())
    })?;
    totals.keep(pending);
    drop(totals);
    if has_values {
        receiver.heard.send_replace(());
    }
    let mut why: Vec<String> = Vec::new();
    for Fault { kind, text, .. } in left_out.faults() {
        receiver.sink.error(kind, text.clone());
        why.push(text);
    }
    if beyond > 0 {
        why.push(format!("{beyond} values left out: more series than a device may have"));
    }
    // Values are counted: a histogram has several, so there can be more of them than points.
    Ok(((left_out.count() + beyond) as u64).min(seen)).map(|refused| (refused, why.join("; ")))
}

fn inflate(sent: &[u8]) -> Result<Vec<u8>, Refusal> {
    gzip::inflate(sent, INFLATED_BYTES_MAX).map_err(|error| match error {
        GzipError::TooLarge(_) => too_large(error.to_string()),
        GzipError::Truncated => Refusal(StatusCode::BAD_REQUEST, FaultKind::ShortFrame, error.to_string()),
        _ => Refusal(StatusCode::BAD_REQUEST, FaultKind::Checksum, error.to_string()),
    })
}

fn too_large(text: String) -> Refusal {
    Refusal(StatusCode::PAYLOAD_TOO_LARGE, FaultKind::TooLarge, text)
}
