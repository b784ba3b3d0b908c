//! The one place where anything leaves the spool without having been delivered.
//!
//! Policy when the database outgrows its limit: acked batches first, then sealed batches of the bulk lane, then of the
//! normal lane, oldest first; the critical lane last. What was not delivered is recorded as a loss with its reason,
//! time range and count, and with the batch's number, so that the cloud does not wait for it. The loss itself travels in
//! the critical lane.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, lane_of, state, unsigned};
use super::epochs::parse_epoch;

/// How many bytes may be written before the size is looked at again.
const MEASURE_EVERY_BYTES: usize = 64 << 10;
/// Acked batches are kept this long, for a cloud that is restored from a backup.
const ACKED_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// Old acked batches that one change removes at most, so that no commit takes long.
const ACKED_REMOVED_AT_ONCE: i64 = 64;

/// Why something was discarded.
pub(super) const SPOOL_FULL: &str = "spool_full";

impl Core {
    /// Keeps the database within its limit.
    pub(super) fn make_room(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        if self.unmeasured_bytes < MEASURE_EVERY_BYTES {
            return Ok(());
        }
        self.unmeasured_bytes = 0;
        self.change(
            "delete from bodies where batch_id in (
                select id from batches where state = 2 and answered_ms < ?1 order by id limit ?2
            )",
            params![now_ms - ACKED_KEPT_MS, ACKED_REMOVED_AT_ONCE],
        )?;
        self.change(
            "delete from batches where id in (
                select id from batches where state = 2 and answered_ms < ?1 order by id limit ?2
            )",
            params![now_ms - ACKED_KEPT_MS, ACKED_REMOVED_AT_ONCE],
        )?;
        while self.used_bytes()? > self.limits.bytes_max {
            if !self.evict_acked()? && !self.evict_undelivered(now_ms)? {
                tracing::error!("the spool is full of what must not be discarded");
                break;
            }
        }
        Ok(())
    }

    /// Bytes in use, without what SQLite holds free.
    pub(super) fn used_bytes(&self) -> Result<u64, SpoolError> {
        let pages: i64 = self.db().pragma_query_value(None, "page_count", |row| row.get(0))?;
        let free: i64 = self.db().pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let size: i64 = self.db().pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(unsigned((pages - free) * size))
    }

    fn evict_acked(&self) -> Result<bool, SpoolError> {
        let oldest: Option<i64> = self
            .db()
            .prepare_cached("select id from batches where state = ?1 order by id limit 1")?
            .query_row([state::ACKED], |row| row.get(0))
            .optional()?;
        match oldest {
            Some(id) => self.remove(id).map(|()| true),
            None => Ok(false),
        }
    }

    /// Evicts the oldest sealed batch of the least urgent lane, and records that.
    fn evict_undelivered(&mut self, now_ms: i64) -> Result<bool, SpoolError> {
        let row = self
            .db()
            .prepare_cached(
                "select b.id, b.lane, b.seq, b.samples, b.events, b.t_min, b.t_max, b.sealed_ms, e.epoch
                from batches b join epochs e on e.no = b.epoch_no
                where b.state = ?1 and not exists (select 1 from losses l where l.batch_id = b.id)
                order by b.lane desc, b.id limit 1",
            )?
            .query_row([state::SEALED], |row| {
                Ok(Evicted {
                    id: row.get(0)?,
                    lane: row.get(1)?,
                    seq: row.get(2)?,
                    samples: row.get(3)?,
                    events: row.get(4)?,
                    t_min: row.get(5)?,
                    t_max: row.get(6)?,
                    sealed_ms: row.get(7)?,
                    epoch: row.get(8)?,
                })
            })
            .optional()?;
        let Some(evicted) = row else { return Ok(false) };
        let mut seqs = SeqSet::new();
        seqs.insert(unsigned(evicted.seq));
        let sealed = evicted.sealed_ms.unwrap_or(now_ms);
        let loss = Loss {
            id: self.next_loss()?,
            lane: lane_of(evicted.lane)?,
            from: self.in_present_clock(evicted.id, evicted.t_min.unwrap_or(sealed), now_ms)?,
            to: self.in_present_clock(evicted.id, evicted.t_max.unwrap_or(sealed), now_ms)?,
            samples: unsigned(evicted.samples),
            events: unsigned(evicted.events),
            reason: SPOOL_FULL.to_owned(),
            seqs: [(parse_epoch(&evicted.epoch)?, seqs)].into(),
        };
        tracing::warn!(
            samples = loss.samples,
            lane = loss.lane.as_str(),
            "the spool is full: a batch was discarded"
        );
        self.remove(evicted.id)?;
        self.record_loss(&loss, now_ms)?;
        Ok(true)
    }

    /// Puts a loss into the open batch of the critical lane.
    pub(super) fn record_loss(&mut self, loss: &Loss, now_ms: i64) -> Result<(), SpoolError> {
        let json = serde_json::to_string(loss).map_err(|e| SpoolError::Damaged(format!("a loss: {e}")))?;
        let mut open = self.open_batch(Lane::Critical, now_ms)?;
        self.change(
            "insert into losses (id, batch_id, recorded_ms, reason, samples, json) values (?1, ?2, ?3, ?4, ?5, ?6)",
            params![loss.id.to_string(), open.id, now_ms, loss.reason, integer(loss.samples), json],
        )?;
        open.json_bytes += json.len();
        self.keep_open(Lane::Critical, open);
        Ok(())
    }

    fn remove(&self, id: i64) -> Result<(), SpoolError> {
        self.change("delete from bodies where batch_id = ?1", [id])?;
        self.change("delete from batches where id = ?1", [id])?;
        Ok(())
    }
}

struct Evicted {
    id: i64,
    lane: i64,
    seq: i64,
    samples: i64,
    events: i64,
    t_min: Option<i64>,
    t_max: Option<i64>,
    sealed_ms: Option<i64>,
    epoch: String,
}
