//! A whole range as a stream: read, encoded and sent piece by piece, as fast as it is taken.
//!
//! A task reads and encodes, so that a client that takes nothing for [`STALL_MAX`] holds neither a connection to the
//! database nor its turn; it ends with the answer's body, which owns it. Beside a piece of samples it holds the rows of
//! [`ROWS_AT_ONCE`] as bytes, three times over (being encoded, waiting, being sent). What fails after the first bytes ends the
//! connection in the middle of the answer: a client that follows HTTP knows that it has not got everything.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::failed;
use super::query::Step;
use super::series::ReadSeries;
use super::walk::{Part, Walk};
use crate::budget::Turn;
use crate::db::TenantTx;
use crate::export::{Column, EncodeError, Encoder, Format, Value, encoder};
use crate::problem::ApiError;
use crate::samples::aggregate::{Aggregate, Bucket, Folding};
use crate::scope::Scope;

/// Longest that a client may take nothing.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Longest that a stream takes.
const STREAM_MAX: Duration = Duration::from_secs(15 * 60);
/// Most series × days of one stream: 5,000 series of four days, or 50 of 400. Beyond: 413.
const SERIES_DAYS_MAX: f64 = 20_000.0;
/// Samples that are encoded in one go, away from the tasks that answer others.
const ROWS_AT_ONCE: usize = 20_000;

/// What a stream is made of.
pub(super) struct Source {
    pub tx: TenantTx,
    pub turn: Turn,
    pub walk: Walk,
    pub series: Vec<ReadSeries>,
    pub step: Option<Step>,
}

/// Why a stream ends before its end.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Read(#[from] crate::samples::ReadError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("encoding was given up: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("it took longer than {STREAM_MAX:?}")]
    TooLong,
    #[error("the client took nothing for {STALL_MAX:?}, or is gone")]
    Stalled,
}

type Piece = Result<Vec<u8>, StreamError>;

/// Answers with the whole range in this format. `days` is how many days of it hold samples.
///
/// # Errors
/// 413 if it is too much; and whatever the first piece fails with.
pub(super) async fn respond(
    source: Source,
    format: Format,
    scope: &Scope,
    days: f64,
) -> Result<Response, ApiError> {
    check_size(source.series.len(), days)?;
    let columns = source.step.as_ref().map_or_else(
        || vec![Column { name: "value", is_count: false }],
        |step| {
            let column = |a: &Aggregate| Column { name: a.name(), is_count: *a == Aggregate::Count };
            step.aggregates.iter().map(column).collect()
        },
    );
    let encoder = encoder(format, scope.is_of_many(), columns).map_err(|e| ApiError::Internal(e.into()))?;
    let (out, mut pieces) = mpsc::channel(1);
    // Aborts the task when the body is dropped.
    let mut task = JoinSet::new();
    task.spawn(produce(source, encoder, out));
    let first = match pieces.recv().await {
        Some(Ok(first)) => first,
        Some(Err(StreamError::Read(error))) => return Err(failed(error)),
        Some(Err(error)) => return Err(ApiError::Internal(error.into())),
        None => return Err(ApiError::Internal(anyhow::anyhow!("an export ended before it began"))),
    };
    let rest = stream::unfold((pieces, task), async |(mut pieces, task)| {
        let piece = pieces.recv().await?;
        Some((piece.map(Bytes::from), (pieces, task)))
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(Bytes::from(first))]), rest);
    let mut response = Body::from_stream(all).into_response();
    let name = format!("attachment; filename=\"{}-metrics.{}\"", scope.name(), format.extension());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn check_size(series: usize, days: f64) -> Result<(), ApiError> {
    #[expect(clippy::cast_precision_loss, reason = "a request reads some ten thousand series at most")]
    let size = series as f64 * days;
    if size <= SERIES_DAYS_MAX {
        return Ok(());
    }
    let detail = format!(
        "{series} series over {days:.0} days are {size:.0} days of a series, and one export holds {SERIES_DAYS_MAX:.0}: \
         choose a shorter range, a store, a device, a metric or a label"
    );
    Err(ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "range_too_large", detail))
}

/// Sends every piece, then ends; or sends why it cannot.
async fn produce(mut source: Source, encoder: Box<dyn Encoder>, out: mpsc::Sender<Piece>) {
    if let Err(error) = send_all(&mut source, encoder, &out).await {
        tracing::warn!(%error, samples = source.walk.read(), "an export ended before its end");
        let _ = tokio::time::timeout(STALL_MAX, out.send(Err(error))).await;
    }
    // The connection goes back before the next reader has its turn.
    let Source { tx, turn, .. } = source;
    if let Err(error) = tx.rollback().await {
        tracing::warn!(%error, "the connection of an export broke");
    }
    drop(turn);
}

async fn send_all(
    source: &mut Source,
    encoder: Box<dyn Encoder>,
    out: &mpsc::Sender<Piece>,
) -> Result<(), StreamError> {
    let began = Instant::now();
    let mut press = Press {
        encoder,
        step: source.step.clone(),
        series: std::mem::take(&mut source.series),
        folding: None,
        at: None,
    };
    let mut is_first = true;
    while let Some(parts) = source.walk.next(&mut source.tx, usize::MAX).await? {
        for parts in cut(parts) {
            if began.elapsed() > STREAM_MAX {
                return Err(StreamError::TooLong);
            }
            let bytes;
            (press, bytes) = tokio::task::spawn_blocking(move || {
                let bytes = press.rows(&parts);
                (press, bytes)
            })
            .await?;
            let bytes = bytes?;
            if is_first || !bytes.is_empty() {
                send(out, bytes).await?;
                is_first = false;
            }
        }
    }
    let last = tokio::task::spawn_blocking(move || press.finish()).await??;
    if is_first || !last.is_empty() {
        send(out, last).await?;
    }
    Ok(())
}

async fn send(out: &mpsc::Sender<Piece>, bytes: Vec<u8>) -> Result<(), StreamError> {
    match tokio::time::timeout(STALL_MAX, out.send(Ok(bytes))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(StreamError::Stalled),
    }
}

/// The same parts in groups of at most [`ROWS_AT_ONCE`] samples.
fn cut(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let mut groups = vec![Vec::new()];
    let mut room = ROWS_AT_ONCE;
    for mut part in parts {
        while part.samples.len() > room {
            let rest = part.samples.split_off(room);
            let whole = std::mem::replace(&mut part.samples, rest);
            if let Some(group) = groups.last_mut() {
                group.push(Part { series: part.series, samples: whole, is_last: false });
            }
            groups.push(Vec::new());
            room = ROWS_AT_ONCE;
        }
        room -= part.samples.len();
        if let Some(group) = groups.last_mut() {
            group.push(part);
        }
    }
    groups
}

/// Turns samples into bytes; what it knows between two pieces.
struct Press {
    encoder: Box<dyn Encoder>,
    step: Option<Step>,
    series: Vec<ReadSeries>,
    folding: Option<Folding>,
    /// The series that the encoder was told of.
    at: Option<usize>,
}

impl Press {
    fn rows(&mut self, parts: &[Part]) -> Result<Vec<u8>, EncodeError> {
        for part in parts {
            match self.step.take() {
                None => {
                    self.begin(part.series, part.samples.is_empty())?;
                    for (t, value) in &part.samples {
                        self.encoder.row(*t, &[Some(Value::Number(*value))])?;
                    }
                }
                Some(step) => {
                    let mut folding = self.folding.take().unwrap_or_else(|| Folding::by(step.ms));
                    let mut buckets = Vec::new();
                    folding.add(&part.samples, &mut buckets);
                    if part.is_last {
                        folding.finish(&mut buckets);
                    } else {
                        self.folding = Some(folding);
                    }
                    self.buckets(part.series, &buckets, &step)?;
                    self.step = Some(step);
                }
            }
        }
        self.encoder.take()
    }

    fn buckets(&mut self, series: usize, buckets: &[Bucket], step: &Step) -> Result<(), EncodeError> {
        self.begin(series, buckets.is_empty())?;
        for bucket in buckets {
            let row = self.series[series].row(bucket, step);
            self.encoder.row(row.t, &row.values)?;
        }
        Ok(())
    }

    fn begin(&mut self, series: usize, is_empty: bool) -> Result<(), EncodeError> {
        if !is_empty && self.at != Some(series) {
            self.encoder.series(&self.series[series].head)?;
            self.at = Some(series);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        self.encoder.finish()?;
        self.encoder.take()
    }
}
