//! The flow of one batch: receipt, decode, series, store, answer.
//!
//! Nothing is inflated before the number has been looked up, unless this process has stored others of its stream and not this
//! one: then it is most likely open, and the statement that stores it finds out otherwise. The transaction that looked is the one that
//! stores, unless new series have to be made first: they need a transaction of their own, so the first one is given up and
//! all is looked up again. Nothing is refused as a whole, and no duplicate answered, without a look-up.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use storepulse_shared::answer::{Ack, Pace, Rejected, Success};
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Batch, Clock, Event, Lane, flat};
use storepulse_shared::ids::{AGENT_DEVICE, BatchId, Epoch};
use storepulse_shared::request::{BodyError, RequestHead, decode_batch, flat_problem};
use storepulse_shared::seqs::SeqSet;

use super::columns::{Columns, Rejection, Window, lay_out};
use super::sql::receipts::{self, Receipt, Sender};
use super::sql::{idempotency, records, records::Place};
use super::unnumbered::Unnumbered;
use crate::app::{App, now_ms};
use crate::auth::StoreAuth;
use crate::db::TenantTx;
use crate::problem::ApiError;

/// How often a flow is begun again because something else happened in between.
const ATTEMPTS: usize = 4;

/// A request as it came, whole.
#[derive(Debug)]
pub(super) struct Received {
    pub bytes: bytes::Bytes,
    pub head: RequestHead,
    pub sender: Sender,
}

/// Takes an agent's batch, once.
pub(super) async fn take_batch(
    app: &App,
    auth: &StoreAuth,
    header: &BatchHeader,
    received: &Result<Received, BodyError>,
) -> Result<Ack, ApiError> {
    let text = std::sync::OnceLock::new();
    let stream = (auth.tenant.clone(), auth.store.clone(), header.batch.epoch);
    let mut must_look_up = false;
    for _ in 0..ATTEMPTS {
        let generation = app.db.generation(&auth.tenant);
        let mut looking = None;
        if must_look_up || !app.streams.is_likely_open(&stream, header.batch.seq, generation) {
            let mut tx = app.db.tenant(&auth.tenant).await?;
            if let Some(answer) = answered_before(app, &mut tx, auth, header).await? {
                tx.rollback().await?;
                return Ok(answer);
            }
            looking = Some(tx);
        }
        let decoded = received.as_ref().map_err(Clone::clone).and_then(|received| {
            let text = text.get_or_init(|| received.head.text(&received.bytes)).as_ref();
            Ok((received, decode_batch(header, text.map_err(Clone::clone)?)?))
        });
        let (received, batch) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                if let Some(tx) = looking {
                    return refuse(tx, auth, header, &error).await;
                }
                // Nothing is refused whose number was not looked up.
                must_look_up = true;
                continue;
            }
        };
        let Some(ids) = app.series.known(generation, &auth.tenant, &auth.store, &batch) else {
            if let Some(tx) = looking {
                tx.rollback().await?;
            }
            app.series.create(&app.db, &auth.tenant, &auth.store, &batch).await?;
            continue;
        };
        let window = Window::new(now_ms(), auth.retention_days, header.clock != Clock::Unsure);
        let (columns, rejections) = lay_out(&batch, &ids, header.offset_ms, window);
        let tx = match looking {
            Some(tx) => tx,
            None => app.db.tenant(&auth.tenant).await?,
        };
        if app.db.generation(&auth.tenant) != generation {
            // The ids may be those of other rows than the ones that this transaction sees.
            continue;
        }
        if let Some(ack) = store(app, tx, auth, header, received, &batch, &columns, &rejections).await? {
            app.streams.note_stored(&stream, header.batch.seq, generation);
            return Ok(ack);
        }
        // Another request took or closed the number.
        must_look_up = true;
    }
    Err(ApiError::Internal(anyhow::anyhow!("batch {} found no rest in {ATTEMPTS} attempts", header.batch)))
}

/// The answer that the number has already, if it has one.
async fn answered_before(
    app: &App,
    tx: &mut TenantTx,
    auth: &StoreAuth,
    header: &BatchHeader,
) -> Result<Option<Ack>, ApiError> {
    match receipts::look_up(tx, &auth.store, header.batch).await? {
        Receipt::Open => Ok(None),
        Receipt::Void => Err(closed(header.batch)),
        Receipt::Received(Some(digest)) if digest != header.digest && !header.resumed => {
            let detail = format!("number {} holds another body; open a new epoch for this one", header.batch);
            app.metrics.conflicts.inc();
            Err(ApiError::refused_batch(StatusCode::CONFLICT, "batch_conflict", detail, header.batch))
        }
        Receipt::Received(_) => {
            let place = Place { store: &auth.store, batch: header.batch };
            let rejected = records::rejections(tx, place).await?;
            let through = receipts::through(tx, &auth.store, header.batch.epoch).await?;
            let through = all_through(app, tx, auth, header.batch.epoch, through).await?;
            app.metrics.duplicates.inc();
            let taken = u64::from(header.samples).saturating_sub(rejected.iter().map(|r| r.samples).sum());
            Ok(Some(ack(header.batch, taken, true, rejected, through)))
        }
    }
}

fn closed(batch: BatchId) -> ApiError {
    let detail = format!("number {batch} was closed before; send its content under a new one");
    ApiError::refused_batch(StatusCode::GONE, "batch_closed", detail, batch)
}

/// Stores the batch and all that belongs to it, and commits. `None`: the number is not open any more.
#[expect(clippy::too_many_arguments, reason = "the parts of one batch, each from another step")]
async fn store(
    app: &App,
    mut tx: TenantTx,
    auth: &StoreAuth,
    header: &BatchHeader,
    received: &Received,
    batch: &Batch<'_>,
    columns: &Columns,
    rejections: &[Rejection],
) -> Result<Option<Ack>, ApiError> {
    let forked = prepare_streams(&mut tx, auth, header, batch).await?;
    let bytes = received.bytes.len();
    let through = receipts::take(&mut tx, &auth.store, header, bytes, columns, &received.sender).await?;
    let Some(mut through) = through else { return Ok(None) };
    let place = Place { store: &auth.store, batch: header.batch };
    records::insert_events(&mut tx, place, &batch.events, 0, header.offset_ms, header.clock).await?;
    if forked {
        let event = forked_event(header);
        records::insert_events(&mut tx, place, &[event], -1, 0, Clock::Ok).await?;
    }
    records::insert_rejections(&mut tx, place, header.lane, rejections).await?;
    for loss in &batch.losses {
        let mut after_all = BTreeMap::new();
        for (epoch, seqs) in &loss.seqs {
            let arrived = close_numbers(&mut tx, auth, *epoch, seqs).await?;
            if !arrived.is_empty() {
                after_all.insert(*epoch, arrived);
            }
        }
        records::insert_loss(&mut tx, place, loss, header.offset_ms, &after_all).await?;
    }
    if let Some(lost) = batch.recovers {
        records::insert_recovery(&mut tx, place, lost, batch.samples(), batch.events.len()).await?;
    }
    if !batch.losses.is_empty() {
        through = receipts::through(&mut tx, &auth.store, header.batch.epoch).await?;
    }
    if header.after.is_some() {
        let stream = (auth.tenant.clone(), auth.store.clone(), header.batch.epoch);
        app.streams.forget_chain(&stream, app.db.generation(&auth.tenant));
    }
    let through = all_through(app, &mut tx, auth, header.batch.epoch, through).await?;
    tx.commit().await?;
    let samples = columns.samples() as u64;
    app.metrics.batches.inc();
    app.metrics.samples.inc_by(samples);
    app.metrics.body_bytes.inc_by(bytes as u64);
    auth.allowance.has_stored(samples, bytes as u64);
    let rejected = rejections.iter().map(|r| r.told.clone()).collect();
    Ok(Some(ack(header.batch, samples, false, rejected, through)))
}

/// Locks, in one order, every stream that this batch will touch, and notes its predecessor. Says whether the spool
/// turned out to be a copy.
async fn prepare_streams(
    tx: &mut TenantTx,
    auth: &StoreAuth,
    header: &BatchHeader,
    batch: &Batch<'_>,
) -> Result<bool, sqlx::Error> {
    let mut epochs: Vec<Epoch> = batch.losses.iter().flat_map(|loss| loss.seqs.keys().copied()).collect();
    epochs.extend(header.after.map(|after| after.epoch));
    if epochs.is_empty() {
        return Ok(false);
    }
    epochs.push(header.batch.epoch);
    receipts::lock_in_order(tx, &auth.store, &epochs).await?;
    match header.after {
        Some(after) => receipts::follow(tx, &auth.store, header.batch.epoch, after).await,
        None => Ok(false),
    }
}

fn forked_event(header: &BatchHeader) -> Event<'static> {
    let after = header.after.map_or_else(|| "an earlier epoch".to_owned(), |after| after.to_string());
    let text = format!(
        "the spool continues after {after}, but its history goes on elsewhere: it was restored from a copy, or cloned"
    );
    Event { device: AGENT_DEVICE.into(), t: now_ms(), kind: "agent.spool_forked".into(), text: text.into() }
}

async fn close_numbers(
    tx: &mut TenantTx,
    auth: &StoreAuth,
    epoch: Epoch,
    seqs: &SeqSet,
) -> Result<SeqSet, sqlx::Error> {
    let Some((_, last)) = seqs.ranges().last() else { return Ok(SeqSet::new()) };
    receipts::close(tx, &auth.store, epoch, seqs, *last).await
}

/// Closes the number, durably, and then refuses the batch.
async fn refuse<T>(
    mut tx: TenantTx,
    auth: &StoreAuth,
    header: &BatchHeader,
    error: &BodyError,
) -> Result<T, ApiError> {
    let mut problem = error.problem();
    problem.batch = Some(header.batch);
    let arrived = close_one(&mut tx, auth, header).await?;
    tx.commit().await?;
    if !arrived.is_empty() {
        // Another copy of the batch was stored since we looked; refusing it now would be wrong.
        return Err(ApiError::Overloaded { retry_after: std::time::Duration::from_secs(1) });
    }
    tracing::info!(
        batch = %header.batch, store = %auth.store, tenant = %auth.tenant, key = %auth.key_id, %error,
        "batch refused"
    );
    Err(problem.into())
}

async fn close_one(tx: &mut TenantTx, auth: &StoreAuth, header: &BatchHeader) -> Result<SeqSet, sqlx::Error> {
    let mut one = SeqSet::new();
    one.insert(header.batch.seq);
    receipts::close(tx, &auth.store, header.batch.epoch, &one, header.sealed).await
}

/// Closes a number on request: `true` if it had been received.
pub(super) async fn close_batch(app: &App, auth: &StoreAuth, header: &BatchHeader) -> Result<Ack, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let arrived = close_one(&mut tx, auth, header).await?;
    if arrived.is_empty() {
        tx.commit().await?;
        return Err(closed(header.batch));
    }
    let relaxed = BatchHeader { resumed: true, ..header.clone() };
    match answered_before(app, &mut tx, auth, &relaxed).await? {
        Some(answer) => Ok(answer),
        None => Err(ApiError::Internal(anyhow::anyhow!("{} was received and is not", header.batch))),
    }
}

/// Takes a flat body; with an `Idempotency-Key`, once.
pub(super) async fn take_flat(app: &App, auth: &StoreAuth, received: &Received) -> Result<Ack, ApiError> {
    let text = received.head.text(&received.bytes).map_err(|error| error.problem())?;
    let flat = flat::decode(&text).map_err(|error| flat_problem(&text, error))?;
    let body = Unnumbered {
        batch: &flat.batch,
        samples: flat.rows,
        refused: &[],
        by_reason: false,
        idempotency_key: received.head.idempotency_key.as_deref(),
        sha256: sha256(&text),
        digest: BodyDigest::of(&received.bytes),
        body_bytes: received.bytes.len(),
    };
    take_unnumbered(app, auth, &body).await
}

/// Takes what came without a number; with an idempotency key, once.
pub(crate) async fn take_unnumbered(
    app: &App,
    auth: &StoreAuth,
    body: &Unnumbered<'_>,
) -> Result<Ack, ApiError> {
    // No header has told of them.
    auth.allowance.owe(body.samples as u64, 0);
    for _ in 0..ATTEMPTS {
        let mut tx = app.db.tenant(&auth.tenant).await?;
        if let Some(key) = body.idempotency_key
            && let Some(known) = idempotency::find(&mut tx, &auth.store, key).await?
        {
            return if known.body_sha256 == body.sha256 {
                app.metrics.duplicates.inc();
                Ok(known.verdict)
            } else {
                let detail =
                    "this Idempotency-Key was used with another body in the last 7 days; take a new one";
                Err(ApiError::refused(StatusCode::CONFLICT, "idempotency_conflict", detail))
            };
        }
        let generation = app.db.generation(&auth.tenant);
        let Some(ids) = app.series.known(generation, &auth.tenant, &auth.store, body.batch) else {
            tx.rollback().await?;
            app.series.create(&app.db, &auth.tenant, &auth.store, body.batch).await?;
            continue;
        };
        let (columns, rejections) =
            lay_out(body.batch, &ids, 0, Window::new(now_ms(), auth.retention_days, true));
        let rejections = body.all_rejections(rejections);
        let (digest, bytes) = (body.digest, body.body_bytes);
        let batch = receipts::take_flat(&mut tx, &auth.store, digest, bytes, &columns).await?;
        records::insert_rejections(&mut tx, Place { store: &auth.store, batch }, Lane::Normal, &rejections)
            .await?;
        let rejected: Vec<Rejected> = rejections.into_iter().map(|r| r.told).collect();
        let lost: u64 = rejected.iter().map(|r| r.samples).sum();
        let through = BTreeMap::from([(batch.epoch, batch.seq)]);
        let answer = ack(batch, (body.samples as u64).saturating_sub(lost), false, rejected, through);
        if let Some(key) = body.idempotency_key
            && !idempotency::remember(&mut tx, &auth.store, key, &body.sha256, &answer).await?
        {
            tx.rollback().await?;
            continue;
        }
        tx.commit().await?;
        app.metrics.batches.inc();
        app.metrics.samples.inc_by(columns.samples() as u64);
        app.metrics.body_bytes.inc_by(bytes as u64);
        auth.allowance.has_stored(columns.samples() as u64, bytes as u64);
        return Ok(answer);
    }
    Err(ApiError::Internal(anyhow::anyhow!("a body without a number found no rest in {ATTEMPTS} attempts")))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}

/// The batch's own epoch, and the earlier ones that still miss something.
async fn all_through(
    app: &App,
    tx: &mut TenantTx,
    auth: &StoreAuth,
    epoch: Epoch,
    own: u64,
) -> Result<BTreeMap<Epoch, u64>, sqlx::Error> {
    let mut through = BTreeMap::new();
    let stream = (auth.tenant.clone(), auth.store.clone(), epoch);
    let generation = app.db.generation(&auth.tenant);
    if !app.streams.has_complete_chain(&stream, generation) {
        through = receipts::incomplete_before(tx, &auth.store, epoch).await?;
        if through.is_empty() {
            app.streams.note_complete_chain(&stream, generation);
        }
    }
    through.insert(epoch, own);
    Ok(through)
}

fn ack(
    batch: BatchId,
    processed: u64,
    duplicate: bool,
    rejected: Vec<Rejected>,
    through: BTreeMap<Epoch, u64>,
) -> Ack {
    Ack {
        status: Success::Success,
        batch,
        processed,
        duplicate,
        rejected,
        through,
        server_time: now_ms(),
        // Whoever answers over HTTP gives the pace of the moment; nobody else sends backlogs.
        pace: Pace { backlog_bytes_per_s: PACE_BYTES_PER_S, start_in_ms: 0 },
        rotate_key: false,
        settings: None,
    }
}

/// What an agent may send of its backlog while nothing here is short: 1 MB/s.
const PACE_BYTES_PER_S: u64 = 1_000_000;
