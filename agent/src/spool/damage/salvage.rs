//! Salvage: what can be read of a spool that was set aside is delivered, in the background, under the numbers it had.
//!
//! A number that was delivered before is a duplicate at the cloud and stored once. What is neither delivered nor readable
//! is told as a loss; its range begins no later than the first sample that may be missing. An interrupted salvage begins
//! again: what it had adopted is recognised. A file is done with once the cloud has all of it: what the running spool
//! took over can be damaged in its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use std::time::Duration;

use rusqlite::OpenFlags;
use storepulse_shared::batch::Lane;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch};
use storepulse_shared::limits::SEQ_MAX;
use storepulse_shared::seqs::SeqSet;
use tokio_util::sync::CancellationToken;

use super::super::core::lane_of;
use super::super::forward::UNKNOWN_SENDER;
use super::super::label::Label;
use super::super::{FILE, Spool, SpoolError};
use super::adopt::{Found, Numbers, Report, Salvage, without};
use super::read::{BatchRow, Body, EpochRow, Wreck};

/// Bodies that are adopted in one change.
const AT_ONCE: usize = 32;
/// How much older than the newest trace the first lost sample may be.
const MARGIN_MS: i64 = 60_000;
/// Numbers after the last known one that may have been given, of an epoch that will give no more.
const TAIL: u64 = 1_000_000;
/// How often it is looked whether the cloud has all of a file.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How far back a loss reaches of which nothing at all can be read.
const UNKNOWN_MS: i64 = 30 * 24 * 3_600_000;

/// Salvages what waits, now and whenever the spool is replaced, until `stop`.
pub async fn run(spool: Spool, dir: PathBuf, stop: CancellationToken) {
    if let Err(error) = look_through(&spool, &dir).await {
        tracing::warn!(%error, "the spool could not be looked through");
    }
    loop {
        let waiting = super::waiting(&dir).unwrap_or_default();
        for aside in &waiting {
            let advanced = tokio::select! {
                () = stop.cancelled() => return,
                advanced = advance(&spool, aside) => advanced,
            };
            if let Err(error) = advanced {
                tracing::error!(%error, file = %aside.display(), "the salvage ended early; it is tried again");
                break;
            }
        }
        let look_again = async {
            match waiting.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(LOOK_AGAIN).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = spool.replaced() => {}
            () = look_again => {}
        }
    }
}

/// Takes a file that was set aside a step further.
async fn advance(spool: &Spool, aside: &Path) -> Result<(), SpoolError> {
    let Some(file) = super::number_of(aside) else { return Ok(()) };
    let state = spool.write(move |core| core.salvage_state(file)).await?;
    if state == Salvage::Waiting {
        salvage(spool, aside).await?;
    }
    if spool.write(move |core| core.salvage_state(file)).await? == Salvage::Done {
        super::done(aside).map_err(|e| SpoolError::open(aside, e))?;
        tracing::warn!(file = %aside.display(), "the cloud has what could be read of a damaged spool, and knows of the rest");
    }
    Ok(())
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
    spool.write(move |core| core.tell_damage(report)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SpoolError::Damaged(error.to_string()))
}

/// A salvage at work.
struct Work {
    file: i64,
    wreck: Option<Wreck>,
    /// Of which this file answers for the numbers.
    epochs: BTreeMap<Epoch, EpochRow>,
    /// Taken over from another file, which is still here.
    elsewhere: BTreeSet<Epoch>,
    rows: BTreeMap<i64, BatchRow>,
    ids: std::ops::Range<i64>,
    /// Numbers that were settled before.
    settled: BTreeMap<Epoch, SeqSet>,
    /// Of these, the ones of which the cloud may not know yet that they are closed.
    untold: BTreeMap<Epoch, SeqSet>,
    found: BTreeMap<Epoch, SeqSet>,
    adopted: u64,
    /// First time of what may be lost.
    from: i64,
    lost: (u64, u64),
}

impl Work {
    fn begin(aside: &Path) -> Self {
        let file = super::number_of(aside).unwrap_or_default();
        let wreck = Wreck::open(aside).ok();
        let all: Vec<EpochRow> = wreck.as_ref().map(Wreck::epochs).unwrap_or_default();
        let is_elsewhere = |home| home != file && aside.parent().is_some_and(|dir| super::is_kept(dir, home));
        let (elsewhere, mut epochs): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|row| is_elsewhere(row.home));
        let elsewhere: BTreeSet<Epoch> = elsewhere.into_iter().map(|row| row.epoch).collect();
        // Where even its row is gone, all that can be said of an epoch is that nothing more comes of it.
        let named = epochs.iter().filter_map(|row| row.after.as_ref()?.0.parse().ok());
        for epoch in named.chain(super::named_beside(aside)).collect::<Vec<Epoch>>() {
            if epochs.iter().all(|row| row.epoch != epoch) && !elsewhere.contains(&epoch) {
                epochs.push(EpochRow::unread(epoch, file, 0));
            }
        }
        let rows = wreck.as_ref().map(Wreck::batches).unwrap_or_default();
        let ids = wreck.as_ref().map_or(0..0, Wreck::body_ids);
        let newest = wreck.as_ref().and_then(Wreck::newest_ms);
        let mut work = Self {
            file,
            settled: epochs.iter().map(|epoch| (epoch.epoch, epoch.settled.clone())).collect(),
            untold: BTreeMap::new(),
            found: BTreeMap::new(),
            epochs: epochs.into_iter().map(|epoch| (epoch.epoch, epoch)).collect(),
            elsewhere,
            rows: rows.into_iter().map(|row| (row.id, row)).collect(),
            ids,
            wreck,
            adopted: 0,
            from: newest.map_or_else(|| crate::time::now_ms() - UNKNOWN_MS, |newest| newest - MARGIN_MS),
            lost: (0, 0),
        };
        work.settle_what_needs_nothing();
        work.find_untold();
        work
    }

    fn is_done(&self) -> bool {
        self.ids.is_empty()
    }

    fn settle_what_needs_nothing(&mut self) {
        let of: BTreeMap<i64, Epoch> = self.epochs.values().map(|epoch| (epoch.no, epoch.epoch)).collect();
        for row in self.rows.values() {
            if row.needs_nothing
                && (1..=SEQ_MAX).contains(&row.seq)
                && let Some(epoch) = of.get(&row.epoch_no)
            {
                self.settled.entry(*epoch).or_default().insert(row.seq);
            }
        }
    }

    /// What was settled because a loss closes it, while that loss is on its way, perhaps in what cannot be read.
    fn find_untold(&mut self) {
        let untold = self.wreck.as_ref().and_then(Wreck::untold);
        for epoch in self.epochs.values() {
            let numbers = match &untold {
                Some(untold) => {
                    let of = untold.iter().filter(|(no, ..)| *no == epoch.no);
                    let ranges: Vec<_> = of.map(|(_, first, last)| (*first, *last)).collect();
                    SeqSet::from_many_ranges(&ranges).unwrap_or_else(|_| epoch.settled.clone())
                }
                None => epoch.settled.clone(),
            };
            self.untold.insert(epoch.epoch, numbers);
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
                (None, Some(row)) if row.is_open => self.open_body(wreck, row),
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
        let BatchId { epoch, seq } = label.batch;
        !self.elsewhere.contains(&epoch) && !self.is_accounted_for(epoch, seq)
    }

    fn is_accounted_for(&self, epoch: Epoch, seq: u64) -> bool {
        [&self.settled, &self.found].iter().any(|all| all.get(&epoch).is_some_and(|of| of.contains(seq)))
    }

    fn take(&mut self, body: Body) -> Found {
        let BatchId { epoch, seq } = body.label.batch;
        self.adopted += 1;
        self.found.entry(epoch).or_default().insert(seq);
        let began_ms = body.label.span.map_or(0, |(first, _)| first);
        let row = self.epochs.entry(epoch).or_insert_with(|| EpochRow::unread(epoch, self.file, began_ms));
        if row.no == 0 && body.header.is_some() {
            row.sender = Some(UNKNOWN_SENDER.to_vec());
        }
        row.last_seq = row.last_seq.max(seq);
        row.sealed = row.sealed.max(seq);
        Found { epoch: row.clone(), body }
    }

    /// What is known of a batch that cannot be read.
    fn give_up(&mut self, row: Option<BatchRow>) {
        let Some(row) = row else { return };
        let is_of =
            |epoch: &EpochRow| epoch.no == row.epoch_no && !self.is_accounted_for(epoch.epoch, row.seq);
        if self.epochs.values().any(is_of) {
            self.lost = (self.lost.0 + row.samples, self.lost.1 + row.events);
        }
        self.from = self.from.min(row.span.map_or(row.opened_ms - MARGIN_MS, |(first, _)| first));
    }

    fn report(mut self) -> Report {
        let mut epochs = Vec::new();
        for (name, epoch) in std::mem::take(&mut self.epochs) {
            let settled = self.settled.remove(&name).unwrap_or_default();
            let untold = self.untold.remove(&name).unwrap_or_default();
            let found = self.found.remove(&name).unwrap_or_default();
            let known = without(settled.ranges(), untold.ranges());
            let needed: Vec<(u64, u64)> = match &epoch.sender {
                None => vec![(1, epoch.last_seq.saturating_add(TAIL).min(SEQ_MAX))],
                Some(_) => epoch.received.ranges().to_vec(),
            };
            let lost = without(&without(&needed, &known), found.ranges());
            let is_old = |(first, last): &(u64, u64)| *first <= epoch.last_seq && !settled.contains(*last);
            if lost.iter().any(is_old) {
                self.from = self.from.min(epoch.began_ms - MARGIN_MS);
            }
            // These are ranges of sets, or parts of them.
            let set = |ranges: &[_]| SeqSet::from_many_ranges(ranges).unwrap_or_default();
            epochs.push(Numbers { epoch, known: set(&known), lost: set(&lost) });
        }
        // An open batch may have lost ticks without a trace.
        let open = self.rows.values().filter(|row| row.is_open).map(|row| row.opened_ms - MARGIN_MS);
        let from = open.fold(self.from, i64::min);
        let (samples, events) = self.lost;
        Report { file: self.file, adopted: self.adopted, samples, events, from, epochs }
    }
}

impl EpochRow {
    /// Of an epoch that only something else names.
    const fn unread(epoch: Epoch, home: i64, began_ms: i64) -> Self {
        Self {
            no: 0,
            epoch,
            sender: None,
            home,
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
