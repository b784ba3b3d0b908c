//! `POST /v1/metrics/batch` on the gateway: POS terminals and other agents post here as they would to the cloud.
//!
//! An answer 200 means durable in the spool. A sender proves itself by a push token, which opens nothing else; where no
//! tokens are configured only this box itself can reach the listener. A store key is refused: it never leaves the box it
//! was made for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use sha2::{Digest as _, Sha256};
use storepulse_shared::answer::{Ack, PROBLEM_MEDIA_TYPE, Problem, TIME_HEADER, TIME_UNKNOWN};
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Batch, Lane, flat};
use storepulse_shared::ids::{BatchId, Epoch};
use storepulse_shared::key::PushToken;
use storepulse_shared::limits::BODY_BYTES_MAX;
use storepulse_shared::request::{BodyError, HeadError, RequestHead, decode_batch, flat_problem};
use tokio::sync::Semaphore;

use crate::config::Push;
use crate::spool::{Forwarded, PushVerdict, Pushed, Sender, Spool};
use crate::time::BoxClock;

/// Bodies that are inflated at the same time; more wait. It bounds what pushes can take of the box's memory.
const AT_ONCE: usize = 4;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the push listener works with.
pub(crate) struct PushState {
    spool: Spool,
    lane: Lane,
    clock: BoxClock,
    /// Hash of the token to the name of the sender.
    senders: HashMap<[u8; 32], String>,
    /// No token is asked for.
    is_open: bool,
    places: Semaphore,
}

impl PushState {
    /// Reads the files that hold tokens. A sender whose file cannot be read is refused until the next start; that is no
    /// reason to stop collecting.
    pub(crate) fn load(spool: Spool, push: &Push, clock: BoxClock) -> Self {
        let mut senders = HashMap::new();
        for token in &push.tokens {
            match token.read() {
                Ok(known) => drop(senders.insert(known.hash(), token.name.clone())),
                Err(error) => tracing::error!(%error, "this sender cannot push until it is corrected"),
            }
        }
        let is_open = push.tokens.is_empty();
        Self { spool, lane: push.lane, clock, senders, is_open, places: Semaphore::new(AT_ONCE) }
    }
}

/// A refusal.
pub(super) struct Refusal(Box<Problem>);

impl Refusal {
    fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Problem::of(status.as_u16(), code, detail).into()
    }

    fn about(mut self, batch: BatchId) -> Self {
        self.0.batch = Some(batch);
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        response
    }
}

/// An agent that posts here asks this for the time, which this box may not know either.
pub(super) async fn show_health(
    State(state): State<Arc<PushState>>,
) -> ([(HeaderName, String); 1], Json<serde_json::Value>) {
    let time = state.clock.true_ms().map_or_else(|| TIME_UNKNOWN.to_owned(), |ms| ms.to_string());
    ([(HeaderName::from_static(TIME_HEADER), time)], Json(serde_json::json!({ "status": "ok" })))
}

pub(super) async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "a gateway takes POST /v1/metrics/batch, nothing else")
}

pub(super) async fn post_batch(
    State(state): State<Arc<PushState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Ack>, Refusal> {
    let sender = state.authenticate(&headers)?;
    let head = RequestHead::read(&headers)?;
    let Ok(_place) = state.places.acquire().await else { return Err(unavailable("the gateway is stopping")) };
    let body = read_body(body).await?;
    head.check_arrival(&body)?;
    let content = match &head.batch {
        Some(header) => forwarded(&head, header, body)?,
        None => Content::Good(flat_content(&state, &head, &body)?),
    };
    // A body that cannot be understood closes its number, here and in the cloud, before it is refused.
    let (content, refusal) = match content {
        Content::Good(content) => (content, None),
        Content::Malformed { header, refusal } => (Forwarded::Closing { header: *header }, Some(refusal)),
    };
    let verdict = state.spool.push(Pushed { sender, content }, state.clock.now_ms()).await;
    match (verdict, refusal) {
        (Err(error), _) => Err(unavailable(&error.to_string())),
        (Ok(PushVerdict::Closed(_)), Some(refusal)) => Err(refusal),
        (Ok(verdict), _) => answer(verdict),
    }
}

pub(super) async fn delete_batch(
    State(state): State<Arc<PushState>>,
    headers: HeaderMap,
) -> Result<Json<Ack>, Refusal> {
    let sender = state.authenticate(&headers)?;
    let Some(header) = RequestHead::read(&headers)?.batch else {
        let detail = "DELETE needs the header StorePulse-Batch, which names the batch";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "batch_header_missing", detail));
    };
    let content = Forwarded::Closing { header };
    let verdict = state.spool.push(Pushed { sender, content }, state.clock.now_ms()).await;
    answer(verdict.map_err(|e| unavailable(&e.to_string()))?)
}

fn answer(verdict: PushVerdict) -> Result<Json<Ack>, Refusal> {
    match verdict {
        PushVerdict::Ack(ack) => Ok(Json(*ack)),
        PushVerdict::NotYours(epoch) => {
            let detail = format!("epoch {epoch} belongs to this gateway or to another sender");
            Err(Refusal::new(StatusCode::FORBIDDEN, "epoch_not_yours", detail))
        }
        PushVerdict::Conflict(batch) => {
            let detail = format!("number {batch} holds another body; open a new epoch for this one");
            Err(Refusal::new(StatusCode::CONFLICT, "batch_conflict", detail).about(batch))
        }
        PushVerdict::Closed(batch) => {
            let detail = format!("number {batch} is closed; send its content under a new one");
            Err(Refusal::new(StatusCode::GONE, "batch_closed", detail).about(batch))
        }
        PushVerdict::KeyReused => {
            let detail = "this Idempotency-Key was used with another body in the last 7 days; take a new one";
            Err(Refusal::new(StatusCode::CONFLICT, "idempotency_conflict", detail))
        }
    }
}

impl PushState {
    fn authenticate(&self, headers: &HeaderMap) -> Result<Sender, Refusal> {
        let value = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let bearer = value.and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
        let credential = bearer.map(|(_, credential)| credential.trim());
        if credential.is_some_and(|c| c.starts_with("store_")) {
            let detail = "this is a store key, which never leaves the box it was made for; a gateway takes push tokens";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "store_key_refused", detail));
        }
        if self.is_open {
            return Ok(Sender(Vec::new()));
        }
        let hash = credential.and_then(|c| c.parse::<PushToken>().ok()).map(|token| token.hash());
        match hash.filter(|hash| self.senders.contains_key(hash)) {
            Some(hash) => Ok(Sender(hash.to_vec())),
            None => {
                let detail = "the push token is missing or unknown; it stands in this gateway's agent.yaml";
                Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
            }
        }
    }
}

enum Content {
    Good(Forwarded),
    /// Whole on arrival, but not a batch.
    Malformed {
        header: Box<BatchHeader>,
        refusal: Refusal,
    },
}

/// Another agent's batch: checked as the cloud would, kept as it is.
fn forwarded(head: &RequestHead, header: &BatchHeader, body: Vec<u8>) -> Result<Content, Refusal> {
    if !head.gzipped {
        let detail = "a batch with the header StorePulse-Batch is forwarded as it is, and must be gzip";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "not_gzip", detail));
    }
    let text = head.text(&body);
    let read = |text: std::borrow::Cow<'_, [u8]>| {
        decode_batch(header, &text).map(|batch| (batch.span(), named_epochs(&batch), batch.recovers))
    };
    match text.and_then(read) {
        Ok((span, named, recovers)) => Ok(Content::Good(Forwarded::Batch {
            header: header.clone(),
            header_text: header.to_string(),
            body,
            span,
            named,
            recovers,
        })),
        Err(error) => {
            let refusal = Refusal::from(error.problem()).about(header.batch);
            Ok(Content::Malformed { header: Box::new(header.clone()), refusal })
        }
    }
}

fn named_epochs(batch: &Batch<'_>) -> Vec<Epoch> {
    let lost = batch.losses.iter().flat_map(|loss| loss.seqs.keys().copied());
    lost.chain(batch.recovers.map(|recovers| recovers.epoch)).collect()
}

fn flat_content(state: &PushState, head: &RequestHead, body: &[u8]) -> Result<Forwarded, Refusal> {
    let text = head.text(body).map_err(|error| error.problem())?;
    let idempotency = head.idempotency_key.clone().map(|key| (key, Sha256::digest(&text).to_vec()));
    let flat = flat::decode(&text).map_err(|error| flat_problem(&text, error))?;
    Ok(Forwarded::Flat { frames: flat.batch.frames, rows: flat.rows as u64, lane: state.lane, idempotency })
}

fn unavailable(why: &str) -> Refusal {
    tracing::error!(why, "a push could not be taken");
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "spool_unavailable",
        "the gateway cannot store it now; keep it and try again",
    )
}

async fn read_body(body: Body) -> Result<Vec<u8>, Refusal> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            // How long it would have been is not known: reading stopped.
            Err(BodyError::TooLong(BODY_BYTES_MAX + 1).problem().into())
        }
        Ok(Err(_)) | Err(_) => {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_incomplete", "the body did not arrive whole"))
        }
    }
}
