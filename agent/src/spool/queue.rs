//! What is sent next.
//!
//! Critical batches first, from old to new. Then what is fresh, newest first, so that a dashboard is current as soon as
//! the link is back. Then the backlog, from old to new. Handing a batch out marks it as sent, durably, before its first
//! byte leaves: from then on it is never altered under its number.

use std::time::Duration;

use rusqlite::params;
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Clock, Lane};
use storepulse_shared::ids::BatchId;

use super::SpoolError;
use super::core::{Core, integer, lane_number, slot, state};
use super::sealed::{SealedBody, SealedRow};

/// A batch sealed less than this ago is fresh.
const FRESH_MS: u64 = 60_000;
/// A batch that always fails while others pass has its number closed after this time.
const FAILING_MS_MAX: i64 = 24 * 3600 * 1000;

/// Batches whose hand-out is remembered; an answer to one that was forgotten counts for nothing, and it is sent again.
const HANDED_OUT_MAX: usize = 4_096;

/// What may be sent, and when open batches are sealed.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Age at which an open batch is due, by lane: critical, normal, bulk.
    pub age: [Duration; 3],
    /// What is said of batches that no clock of ours dated.
    pub clock: Clock,
    /// Batches that are on their way already, by their id.
    pub in_flight: Vec<i64>,
    /// How far down the order; nothing is sent without it.
    pub reach: Option<Reach>,
}

/// How far down the order a sender may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Critical batches only.
    Critical,
    /// Those, and what is fresh.
    Fresh,
    /// All.
    Backlog,
}

/// What there is to do.
#[derive(Debug)]
pub enum Next {
    /// Send this.
    Send(Box<Outgoing>),
    /// Nothing of what may be sent is ready; the oldest open batch will be due in this time, if there is one.
    Idle(Option<Duration>),
}

/// A batch to send, marked as sent.
#[derive(Debug)]
pub struct Outgoing {
    /// For [`super::Spool::settle`].
    pub id: i64,
    /// Which batch it is.
    pub batch: BatchId,
    /// Its lane.
    pub lane: Lane,
    /// Where it stood in the order: what the cloud's pace is for.
    pub reach: Reach,
    /// Whether to close its number rather than to send it: it has failed for too long while others passed.
    pub close: bool,
    /// How many acks had been recorded when it was handed out.
    pub acks_before: i64,
    /// The header `StorePulse-Batch`.
    pub header: String,
    /// The compressed body.
    pub body: Vec<u8>,
}

impl Core {
    /// Seals what is due and hands out the most urgent batch that may be sent.
    pub(super) fn next_to_send(&mut self, wish: &Wish, now_ms: i64) -> Result<Next, SpoolError> {
        let mut due = None;
        for lane in Lane::ALL {
            let Some(open) = self.open[slot(lane)] else { continue };
            // A clock that was set back makes a batch older, not younger.
            let age = Duration::from_millis(now_ms.abs_diff(open.opened_ms));
            match wish.age[slot(lane)].checked_sub(age) {
                None | Some(Duration::ZERO) => self.seal(lane, now_ms)?,
                Some(rest) => due = Some(due.map_or(rest, |due: Duration| due.min(rest))),
            }
        }
        match self.choose(wish, now_ms)? {
            Some((id, reach)) => Ok(Next::Send(Box::new(self.hand_out(id, reach, wish.clock, now_ms)?))),
            None => Ok(Next::Idle(due)),
        }
    }

    fn choose(&self, wish: &Wish, now_ms: i64) -> Result<Option<(i64, Reach)>, SpoolError> {
        let Some(reach) = wish.reach else { return Ok(None) };
        if let Some(id) = self.oldest(Lane::Critical, wish, now_ms)? {
            return Ok(Some((id, Reach::Critical)));
        }
        if reach >= Reach::Fresh {
            for lane in [Lane::Normal, Lane::Bulk] {
                if let Some(id) = self.freshest(lane, wish, now_ms)? {
                    return Ok(Some((id, Reach::Fresh)));
                }
            }
        }
        if reach >= Reach::Backlog {
            for lane in [Lane::Normal, Lane::Bulk] {
                if let Some(id) = self.oldest(lane, wish, now_ms)? {
                    return Ok(Some((id, Reach::Backlog)));
                }
            }
        }
        Ok(None)
    }

    fn oldest(&self, lane: Lane, wish: &Wish, now_ms: i64) -> Result<Option<i64>, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select id from batches
            where state = 1 and lane = ?1 and (deferred_until is null or deferred_until <= ?2)
            order by id limit ?3",
        )?;
        let limit = integer(wish.in_flight.len() as u64 + 1);
        let mut ids = statement.query_map(params![lane_number(lane), now_ms, limit], |row| row.get(0))?;
        ids.find(|id| !matches!(id, Ok(id) if wish.in_flight.contains(id))).transpose().map_err(Into::into)
    }

    /// The newest batch of the lane, if it is fresh.
    fn freshest(&self, lane: Lane, wish: &Wish, now_ms: i64) -> Result<Option<i64>, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select id, coalesce(sealed_ms, 0) from batches
            where state = 1 and lane = ?1 and deferred_until is null
            order by id desc limit ?2",
        )?;
        let limit = integer(wish.in_flight.len() as u64 + 1);
        let mut rows = statement.query(params![lane_number(lane), limit])?;
        while let Some(row) = rows.next()? {
            let (id, sealed_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
            if now_ms.abs_diff(sealed_ms) > FRESH_MS {
                return Ok(None);
            }
            if !wish.in_flight.contains(&id) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn hand_out(&mut self, id: i64, reach: Reach, clock: Clock, now_ms: i64) -> Result<Outgoing, SpoolError> {
        let row = self.sealed_row(id)?;
        let SealedBody { digest, body, header } = SealedBody::read(self.db(), id)?;
        let header = match header {
            Some(verbatim) => verbatim,
            None => {
                let resumed = row.is_thinned || !self.begun.contains(&row.epoch_no);
                row.header_text(digest, self.date(id, clock)?, resumed)
            }
        };
        self.change("update batches set sent = 1 where id = ?1 and sent = 0", [id])?;
        let close = row.failing_since.is_some_and(|since| now_ms.saturating_sub(since) >= FAILING_MS_MAX);
        let acks_before = self.acks;
        if self.handed_out.len() >= HANDED_OUT_MAX {
            self.handed_out.clear();
        }
        self.handed_out.insert(id, row.batch);
        Ok(Outgoing { id, batch: row.batch, lane: row.lane, reach, close, acks_before, header, body })
    }

    pub(super) fn sealed_row(&self, id: i64) -> Result<SealedRow, SpoolError> {
        SealedRow::read(self.db(), id)
    }

    /// Stores a batch that somebody pushed, as it is.
    pub(super) fn add_forwarded(
        &mut self,
        epoch_no: i64,
        header: &BatchHeader,
        header_text: &str,
        body: &[u8],
        span: Option<(i64, i64)>,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let (t_min, t_max) = span.unzip();
        self.change(
            "insert into batches (epoch_no, seq, lane, state, opened_ms, sealed_ms, samples, t_min, t_max, bytes,
                offset_ms, clock)
            values (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                epoch_no,
                integer(header.batch.seq),
                lane_number(header.lane),
                state::SEALED,
                now_ms,
                header.samples,
                t_min,
                t_max,
                integer(body.len() as u64),
                header.offset_ms,
                header.clock.as_str(),
            ],
        )?;
        let id = self.db().last_insert_rowid();
        self.put_body(id, body, Some(header_text))
    }
}
