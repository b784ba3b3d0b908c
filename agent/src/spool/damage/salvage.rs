//! Salvage: what can be read of a spool that was set aside is delivered, in the background, under the numbers it had.
//!
//! A number that was delivered before is a duplicate at the cloud and stored once. What is neither delivered nor readable
//! is told as one loss; its range begins no later than the first sample that may be missing. An interrupted salvage
//! begins again: what it had adopted is recognised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{OpenFlags, params};
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::{Event, Lane, Loss};
use storepulse_shared::gzip;
use storepulse_shared::ids::{AGENT_DEVICE, BatchId, Epoch};
use storepulse_shared::limits::SEQ_MAX;
use storepulse_shared::seqs::SeqSet;
use tokio_util::sync::CancellationToken;

use super::super::core::{Core, integer, lane_number, lane_of, state};
use super::super::label::Label;
use super::super::settle::decoded;
use super::super::{FILE, Spool, SpoolError};
use super::read::{BatchRow, Body, EpochRow, Wreck};

/// Bodies that are adopted in one change.
const AT_ONCE: usize = 32;
/// How much older than the newest trace the first lost sample may be.
const MARGIN_MS: i64 = 60_000;
/// Numbers after the last known one that may have been given, of an epoch that will give no more.
const TAIL: u64 = 1_000_000;
/// How far back a loss reaches of which nothing at all can be read.
const UNKNOWN_MS: i64 = 30 * 24 * 3_600_000;

/// Salvages what waits, now and whenever the spool is replaced, until `stop`.
pub async fn run(spool: Spool, dir: PathBuf, stop: CancellationToken) {
    if let Err(error) = look_through(&spool, &dir).await {
        tracing::warn!(%error, "the spool could not be looked through");
    }
    loop {
        for aside in super::waiting(&dir).unwrap_or_default() {
            let salvaged = tokio::select! {
                () = stop.cancelled() => return,
                salvaged = salvage(&spool, &aside) => salvaged,
            };
            let ended = salvaged.and_then(|()| super::done(&aside).map_err(|e| SpoolError::open(&aside, e)));
            if let Err(error) = ended {
                tracing::error!(%error, file = %aside.display(), "the salvage ended early; the next start goes on");
                break;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = spool.replaced() => {}
        }
    }
}

/// Rows can vanish without an error where a page still makes sense: SQLite's own check finds that. It reads the whole file,
/// beside the collection.
async fn look_through(spool: &Spool, dir: &Path) -> Result<(), SpoolError> {
    let path = dir.join(FILE);
    let found: String = blocking(move || {
        let db = rusqlite::Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.query_row("pragma quick_check(1)", [], |row| row.get(0))
    })
    .await?
    .or_else(|error| match SpoolError::from(error) {
        error if super::is_damage(&error) => Ok(error.to_string()),
        error => Err(error),
    })?;
    if found == "ok" {
        return Ok(());
    }
    spool.write(move |_| Err(SpoolError::Damaged(found))).await
}

async fn salvage(spool: &Spool, aside: &Path) -> Result<(), SpoolError> {
    tracing::warn!(file = %aside.display(), "salvaging a damaged spool");
    let path = aside.to_owned();
    let mut work = blocking(move || Work::begin(&path)).await?;
    while !work.is_done() {
        let (rest, found) = blocking(move || {
            let mut work = work;
            let found = work.read();
            (work, found)
        })
        .await?;
        work = rest;
        if !found.is_empty() {
            spool.write(move |core| core.adopt(found)).await?;
        }
    }
    let report = work.report();
    tracing::warn!(adopted = report.adopted, lost = report.samples, "a damaged spool was salvaged");
    spool.write(move |core| core.tell_damage(&report)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SpoolError::Damaged(error.to_string()))
}

/// A batch that was read, to go on under its number.
pub(in crate::spool) struct Found {
    epoch: EpochRow,
    body: Body,
}

/// What came of a salvage.
pub(in crate::spool) struct Report {
    adopted: u64,
    samples: u64,
    events: u64,
    from: i64,
    seqs: BTreeMap<Epoch, SeqSet>,
}

/// A salvage at work.
struct Work {
    wreck: Option<Wreck>,
    epochs: BTreeMap<Epoch, EpochRow>,
    rows: BTreeMap<i64, BatchRow>,
    ids: std::ops::Range<i64>,
    /// Numbers that have been adopted, or need nothing.
    accounted: BTreeMap<Epoch, SeqSet>,
    adopted: u64,
    /// First time of what may be lost.
    from: i64,
    lost: (u64, u64),
}

impl Work {
    fn begin(aside: &Path) -> Self {
        let wreck = Wreck::open(aside).ok();
        let mut epochs: Vec<EpochRow> = wreck.as_ref().map(Wreck::epochs).unwrap_or_default();
        // Where even its row is gone, all that can be said of the running epoch is that nothing more comes of it.
        if let Some(running) = super::running_beside(aside)
            && epochs.iter().all(|epoch| epoch.epoch != running)
        {
            epochs.push(EpochRow::unread(running, 0));
        }
        let rows = wreck.as_ref().map(Wreck::batches).unwrap_or_default();
        let ids = wreck.as_ref().map_or(0..0, Wreck::body_ids);
        let newest = wreck.as_ref().and_then(Wreck::newest_ms);
        let mut work = Self {
            wreck,
            accounted: epochs.iter().map(|epoch| (epoch.epoch, epoch.settled.clone())).collect(),
            epochs: epochs.into_iter().map(|epoch| (epoch.epoch, epoch)).collect(),
            rows: rows.into_iter().map(|row| (row.id, row)).collect(),
            ids,
            adopted: 0,
            from: newest.map_or_else(|| crate::time::now_ms() - UNKNOWN_MS, |newest| newest - MARGIN_MS),
            lost: (0, 0),
        };
        work.account_for_what_needs_nothing();
        work
    }

    fn is_done(&self) -> bool {
        self.ids.is_empty()
    }

    /// Acknowledged batches, and those in quarantine, which were told as a loss.
    fn account_for_what_needs_nothing(&mut self) {
        let of: BTreeMap<i64, Epoch> = self.epochs.values().map(|epoch| (epoch.no, epoch.epoch)).collect();
        for row in self.rows.values() {
            if matches!(row.state, state::ACKED | state::QUARANTINED)
                && (1..=SEQ_MAX).contains(&row.seq)
                && let Some(epoch) = of.get(&row.epoch_no)
            {
                self.accounted.entry(*epoch).or_default().insert(row.seq);
            }
        }
    }

    /// Reads on; what it found is not yet adopted.
    fn read(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        while found.len() < AT_ONCE
            && let Some(id) = self.ids.next()
        {
            let row = self.rows.get(&id).copied();
            let Some(wreck) = &self.wreck else { break };
            let body = match (wreck.body(id), row) {
                (Some(body), _) => Some(body),
                (None, Some(row)) if row.state == state::OPEN => self.open_body(wreck, row),
                (None, _) => None,
            };
            match body {
                Some(body) if self.is_needed(&body.label) => found.push(self.take(body)),
                Some(_) => {}
                None => self.give_up(row),
            }
        }
        found
    }

    /// The content of an open batch; more of it may have been there.
    fn open_body(&self, wreck: &Wreck, row: BatchRow) -> Option<Body> {
        let epoch = self.epochs.values().find(|epoch| epoch.no == row.epoch_no && epoch.sender.is_none())?;
        let batch = wreck.content(row.id);
        if batch.is_empty() || !(1..=SEQ_MAX).contains(&row.seq) {
            return None;
        }
        let label = Label {
            batch: BatchId { epoch: epoch.epoch, seq: row.seq },
            lane: lane_of(row.lane).unwrap_or(Lane::Critical),
            samples: batch.samples() as u64,
            events: batch.events.len() as u64,
            span: batch.span(),
        };
        Some(Body { label, header: None, bytes: gzip::compress(&encode(&batch)) })
    }

    fn is_needed(&self, label: &Label) -> bool {
        !self.accounted.get(&label.batch.epoch).is_some_and(|numbers| numbers.contains(label.batch.seq))
    }

    fn take(&mut self, body: Body) -> Found {
        let BatchId { epoch, seq } = body.label.batch;
        self.adopted += 1;
        self.accounted.entry(epoch).or_default().insert(seq);
        let began_ms = body.label.span.map_or(0, |(first, _)| first);
        let row = self.epochs.entry(epoch).or_insert_with(|| EpochRow::unread(epoch, began_ms));
        row.last_seq = row.last_seq.max(seq);
        row.sealed = row.sealed.max(seq);
        Found { epoch: row.clone(), body }
    }

    /// What is known of a batch that cannot be read.
    fn give_up(&mut self, row: Option<BatchRow>) {
        let Some(row) = row else { return };
        let is_needed = |epoch: &EpochRow| {
            !self.accounted.get(&epoch.epoch).is_some_and(|numbers| numbers.contains(row.seq))
        };
        if self.epochs.values().any(|epoch| epoch.no == row.epoch_no && is_needed(epoch)) {
            self.lost = (self.lost.0 + row.samples, self.lost.1 + row.events);
        }
        self.from = self.from.min(row.span.map_or(row.opened_ms - MARGIN_MS, |(first, _)| first));
    }

    fn report(mut self) -> Report {
        let mut seqs = BTreeMap::new();
        for epoch in self.epochs.values() {
            let accounted = self.accounted.remove(&epoch.epoch).unwrap_or_default();
            let needed: Vec<(u64, u64)> = match &epoch.sender {
                None => vec![(1, epoch.last_seq.saturating_add(TAIL).min(SEQ_MAX))],
                Some(_) => epoch.received.ranges().to_vec(),
            };
            let lost = without(&needed, accounted.ranges());
            if lost.first().is_some_and(|(first, _)| *first <= epoch.last_seq) {
                self.from = self.from.min(epoch.began_ms - MARGIN_MS);
            }
            match SeqSet::from_ranges(&lost) {
                Ok(lost) if lost.is_empty() => {}
                Ok(lost) => {
                    seqs.insert(epoch.epoch, lost);
                }
                Err(error) => {
                    tracing::error!(epoch = %epoch.epoch, %error, "lost numbers cannot be told; the cloud goes on missing them");
                }
            }
        }
        // An open batch may have lost ticks without a trace.
        let open =
            self.rows.values().filter(|row| row.state == state::OPEN).map(|row| row.opened_ms - MARGIN_MS);
        let from = open.fold(self.from, i64::min);
        Report { adopted: self.adopted, samples: self.lost.0, events: self.lost.1, from, seqs }
    }
}

impl EpochRow {
    /// Of an epoch that only a label names.
    fn unread(epoch: Epoch, began_ms: i64) -> Self {
        Self {
            no: 0,
            epoch,
            sender: None,
            after: None,
            began_ms,
            last_seq: 0,
            sealed: 0,
            settled: SeqSet::new(),
            received: SeqSet::new(),
            void: SeqSet::new(),
        }
    }
}

/// Ranges that are in the first and not in the second; both are sorted and disjoint.
fn without(all: &[(u64, u64)], but: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = Vec::new();
    for (mut first, last) in all.iter().copied() {
        for (from, to) in but.iter().copied() {
            if to < first || from > last {
                continue;
            }
            if from > first {
                rest.push((first, from - 1));
            }
            first = to.saturating_add(1);
        }
        if first <= last {
            rest.push((first, last));
        }
    }
    rest
}

impl Core {
    /// Takes batches of before in, under their numbers.
    fn adopt(&mut self, found: Vec<Found>) -> Result<(), SpoolError> {
        for Found { epoch, body } in found {
            let no = self.carry_epoch(&epoch)?;
            let label = body.label;
            let seq = integer(label.batch.seq);
            let is_here = self
                .db()
                .prepare_cached("select 1 from batches where epoch_no = ?1 and seq = ?2")?
                .exists(params![no, seq])?;
            if is_here || self.settled(no)?.contains(label.batch.seq) {
                continue;
            }
            let (t_min, t_max) = label.span.unzip();
            self.make_room(body.bytes.len(), crate::time::now_ms())?;
            self.change(
                "insert into batches (epoch_no, seq, lane, state, sent, opened_ms, sealed_ms, samples, events, t_min, t_max, bytes)
                values (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    no,
                    seq,
                    lane_number(label.lane),
                    state::SEALED,
                    t_min.unwrap_or_default(),
                    integer(label.samples),
                    integer(label.events),
                    t_min,
                    t_max,
                    integer(body.bytes.len() as u64),
                ],
            )?;
            let id = self.db().last_insert_rowid();
            self.put_body(id, &body.bytes, body.header.as_deref())?;
            self.change(
                "update epochs set last_seq = max(last_seq, ?2), sealed = max(sealed, ?2) where no = ?1",
                params![no, seq],
            )?;
            self.keep_losses(id, label.lane)?;
            self.recognise_replay(id)?;
        }
        Ok(())
    }

    /// The records of losses that an adopted batch carries: should it be evicted, another one takes them over.
    fn keep_losses(&mut self, id: i64, lane: Lane) -> Result<(), SpoolError> {
        if lane != Lane::Critical {
            return Ok(());
        }
        let text = self.inflated(id)?;
        // What others have sealed need not be understood here.
        let losses = decoded(&text).map(|batch| batch.losses).unwrap_or_default();
        for loss in losses {
            let json =
                serde_json::to_string(&loss).map_err(|e| SpoolError::Damaged(format!("a loss: {e}")))?;
            self.change(
                "insert into losses (id, batch_id, recorded_ms, reason, samples, json)
                values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing",
                params![loss.id.to_string(), id, loss.to, loss.reason, integer(loss.samples), json],
            )?;
        }
        Ok(())
    }

    /// Tells what could not be read.
    fn tell_damage(&mut self, report: &Report) -> Result<(), SpoolError> {
        let now_ms = crate::time::now_ms();
        let loss = Loss {
            id: self.next_loss()?,
            lane: Lane::Critical,
            from: report.from.min(now_ms),
            to: now_ms,
            samples: report.samples,
            events: report.events,
            reason: "spool_damaged".to_owned(),
            seqs: report.seqs.clone(),
        };
        self.record_loss(loss, now_ms)?;
        let text = format!(
            "the spool was damaged: {} batches were salvaged, at least {} samples are lost",
            report.adopted, report.samples
        );
        let event = Event {
            device: AGENT_DEVICE.into(),
            t: now_ms,
            kind: "agent.spool_damaged".into(),
            text: text.into(),
        };
        self.append_events(&[event], now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn ranges_without_ranges() {
        assert_eq!(without(&[(1, 10)], &[]), [(1, 10)]);
        assert_eq!(without(&[(1, 10)], &[(1, 3), (5, 5), (9, 20)]), [(4, 4), (6, 8)]);
        assert_eq!(without(&[(1, 3), (7, 9)], &[(2, 8)]), [(1, 1), (9, 9)]);
        assert!(without(&[(4, 6)], &[(1, 10)]).is_empty());
    }
}
