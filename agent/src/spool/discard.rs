//! The one place where anything leaves the spool without having been delivered.
//!
//! The database may hold as much as the cap leaves beside the WAL. Policy when it would outgrow that: acked batches
//! first (and never more than half of the cap), then batches in quarantine beyond an eighth; then bulk batches that were
//! never sent are thinned, to a sample a minute, then to one in ten minutes; then bulk batches are evicted, then normal
//! ones, oldest first. The critical lane goes last, and has at most half of the cap. What was not delivered is recorded as a
//! loss (see `losses`).

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::header::BodyDigest;
use storepulse_shared::batch::{Batch, Lane, Loss, encode::encode};
use storepulse_shared::gzip;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, lane_number, unsigned};
use super::epochs::{numbers_text, parse_numbers};
use super::settle::decoded;
use super::thin::thin;

/// How many bytes may be written before the size is looked at again.
const MEASURE_EVERY_BYTES: usize = 64 << 10;
/// What is kept free for what is written between two looks, and for the records of what is discarded.
const RESERVE_BYTES: u64 = 256 << 10;
/// Acked batches are kept this long, for a cloud that is restored from a backup.
const ACKED_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// Old acked batches that one change removes at most, so that no commit takes long.
const ACKED_REMOVED_AT_ONCE: i64 = 64;
/// Of this many bytes of the cap, one row of an acked batch whose body is gone may be kept.
const BYTES_PER_ACKED_ROW: u64 = 2_048;
/// What bulk batches are thinned to, step by step: one tick in so many milliseconds.
const THINNED_TO_MS: [i64; 2] = [60_000, 600_000];

impl Core {
    /// Keeps the database within its limit, with room for so many bytes more.
    pub(super) fn make_room(&mut self, more_bytes: usize, now_ms: i64) -> Result<(), SpoolError> {
        self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(more_bytes);
        if self.unmeasured_bytes < MEASURE_EVERY_BYTES {
            return Ok(());
        }
        self.unmeasured_bytes = 0;
        self.forget_acked(now_ms)?;
        let cap = self.limits.bytes_max;
        while self.acked_bytes > cap / 2 && self.evict_acked()? {}
        while self.bytes_in("state = 3")? > cap / 8 && self.evict_quarantined(now_ms)? {}
        let critical = (cap / 2).saturating_sub(RESERVE_BYTES);
        while self.bytes_in("state = 1 and lane = 0")? > critical && self.evict(Lane::Critical, now_ms)? {}
        let budget = self.budget.database_bytes().saturating_sub(RESERVE_BYTES + more_bytes as u64);
        while self.used_bytes()? > budget {
            let found = self.evict_acked()?
                || self.thin_bulk(now_ms)?
                || self.evict(Lane::Bulk, now_ms)?
                || self.evict(Lane::Normal, now_ms)?
                || self.evict_quarantined(now_ms)?
                || self.evict(Lane::Critical, now_ms)?;
            if !found {
                tracing::error!("the spool is full of what must not be discarded");
                break;
            }
        }
        self.shrink()
    }

    /// A database from before the cap was lowered gives its free pages back, bit by bit.
    fn shrink(&self) -> Result<(), SpoolError> {
        let pages: i64 = self.db().pragma_query_value(None, "page_count", |row| row.get(0))?;
        let size: i64 = self.db().pragma_query_value(None, "page_size", |row| row.get(0))?;
        if unsigned(pages * size) > self.budget.database_bytes() {
            let mut vacuum = self.db().prepare_cached("pragma incremental_vacuum(256)")?;
            let mut freed = vacuum.query([])?;
            while freed.next()?.is_some() {}
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

    /// Bodies of acked batches.
    pub(super) fn count_acked_bytes(&self) -> Result<u64, SpoolError> {
        self.bytes_in("state = 2")
    }

    /// Bodies of the batches of which this holds.
    fn bytes_in(&self, condition: &'static str) -> Result<u64, SpoolError> {
        let sum = format!("select coalesce(sum(bytes), 0) from batches where {condition}");
        let bytes: i64 = self.db().prepare_cached(&sum)?.query_row([], |row| row.get(0))?;
        Ok(unsigned(bytes))
    }

    /// Acked batches are forgotten when they are old, and their rows when there are too many.
    fn forget_acked(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        self.forget_closed(now_ms - ACKED_KEPT_MS)?;
        self.forget_replayed(now_ms - ACKED_KEPT_MS)?;
        let rows_max = integer(self.limits.bytes_max / BYTES_PER_ACKED_ROW);
        let mut statement = self.db().prepare_cached(
            "select id from batches where state = 2 and (answered_ms < ?1
                or id <= (select id from batches where state = 2 order by id desc limit 1 offset ?2))
            order by id limit ?3",
        )?;
        let old: Vec<i64> = statement
            .query_map(params![now_ms - ACKED_KEPT_MS, rows_max, ACKED_REMOVED_AT_ONCE], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        drop(statement);
        for id in &old {
            self.change("delete from losses where batch_id = ?1", [id])?;
            self.remove(*id)?;
        }
        if !old.is_empty() {
            self.acked_bytes = self.count_acked_bytes()?;
        }
        Ok(())
    }

    /// Takes the body of the oldest acked batch away; that it was there stays known for a while.
    fn evict_acked(&mut self) -> Result<bool, SpoolError> {
        let oldest: Option<(i64, i64)> = self
            .db()
            .prepare_cached(
                "select id, bytes from batches where state = 2 and bytes > 0 order by id limit 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, bytes)) = oldest else { return Ok(false) };
        self.change("delete from bodies where batch_id = ?1", [id])?;
        self.change("update batches set bytes = 0 where id = ?1", [id])?;
        self.acked_bytes = self.acked_bytes.saturating_sub(unsigned(bytes));
        Ok(true)
    }

    /// What is quarantined was told as a loss when it was.
    fn evict_quarantined(&mut self, now_ms: i64) -> Result<bool, SpoolError> {
        let oldest: Option<i64> = self
            .db()
            .prepare_cached("select id from batches where state = 3 order by id limit 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let Some(id) = oldest else { return Ok(false) };
        tracing::warn!("the spool is full: the oldest batch in quarantine was discarded");
        self.discard_told(id, now_ms).map(|()| true)
    }

    /// Discards a batch in quarantine: what it held was told as a loss when it came there. Losses that it carries go on.
    pub(super) fn discard_told(&mut self, id: i64, now_ms: i64) -> Result<(), SpoolError> {
        let carried = self.remove_carrier(id)?;
        carried.into_iter().try_for_each(|loss| self.record_loss(loss, now_ms))
    }

    /// Thins the oldest bulk batch that is thick and was never sent.
    fn thin_bulk(&mut self, now_ms: i64) -> Result<bool, SpoolError> {
        let thickest: Option<(i64, i64)> = self
            .db()
            .prepare_cached(
                "select id, thinned from batches b
                where state = 1 and lane = 2 and sent = 0 and thinned < ?1
                    and not exists (select 1 from losses l where l.batch_id = b.id)
                    and exists (select 1 from bodies d where d.batch_id = b.id and d.header is null)
                order by thinned, id limit 1",
            )?
            .query_row([integer(THINNED_TO_MS.len() as u64)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, level)) = thickest else { return Ok(false) };
        self.change("update batches set thinned = thinned + 1 where id = ?1", [id])?;
        let step_ms = usize::try_from(level).ok().and_then(|level| THINNED_TO_MS.get(level));
        let text = self.inflated(id)?;
        let before = decoded(&text)?;
        let (samples, is_told) = (before.samples(), before.recovers.is_some());
        let after = thin(before, step_ms.copied().unwrap_or(i64::MAX));
        let removed = samples.saturating_sub(after.samples());
        if removed > 0 {
            self.replace_body(id, &after)?;
        }
        if removed > 0 && !is_told {
            let mut loss = self.loss_of(id, "thinned", now_ms)?;
            (loss.samples, loss.events) = (removed as u64, 0);
            loss.seqs.clear();
            self.record_loss(loss, now_ms)?;
        }
        Ok(true)
    }

    /// Gives a batch that was never sent another content under its number.
    fn replace_body(&self, id: i64, batch: &Batch<'_>) -> Result<(), SpoolError> {
        let body = gzip::compress(&encode(batch));
        let (t_min, t_max) = batch.span().unzip();
        self.change(
            "update bodies set digest = ?2, body = ?3 where batch_id = ?1",
            params![id, BodyDigest::of(&body).0.as_slice(), body],
        )?;
        self.change(
            "update batches set samples = ?2, events = ?3, t_min = ?4, t_max = ?5, bytes = ?6 where id = ?1",
            params![
                id,
                integer(batch.samples() as u64),
                integer(batch.events.len() as u64),
                t_min,
                t_max,
                integer(body.len() as u64)
            ],
        )?;
        self.relabel(id)
    }

    /// Evicts the oldest sealed batch of a lane, and records that. Of an epoch that has not yet said what came before it, one
    /// batch stays for that: emptied, if nobody can have seen what was in it, or else as long as there is another to evict.
    fn evict(&mut self, lane: Lane, now_ms: i64) -> Result<bool, SpoolError> {
        let Some((id, empty)) = self.to_evict(lane)? else { return Ok(false) };
        let loss = self.loss_of(id, "spool_full", now_ms)?;
        tracing::warn!(
            samples = loss.samples,
            lane = lane.as_str(),
            "the spool is full: a batch was discarded"
        );
        if empty {
            self.empty(id, loss, now_ms)?;
            return Ok(true);
        }
        let carried = self.remove_carrier(id)?;
        carried.into_iter().chain([loss]).try_for_each(|loss| self.record_loss(loss, now_ms))?;
        Ok(true)
    }

    /// Leaves of a batch that was never sent its number, which then needs no closing, and the losses that it tells: with
    /// those that it had carried, its own.
    fn empty(&mut self, id: i64, mut loss: Loss, now_ms: i64) -> Result<(), SpoolError> {
        loss.seqs.clear();
        self.carry_loss(id, &loss, now_ms)?;
        self.change("update batches set thinned = thinned + 1, recovers = null where id = ?1", [id])?;
        let losses = self.carried_losses(id)?;
        self.replace_body(id, &Batch { losses, ..Batch::default() })
    }

    /// The sealed batch of a lane that is to be evicted next, and whether it is to be emptied only.
    fn to_evict(&self, lane: Lane) -> Result<Option<(i64, bool)>, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select b.id, b.sent = 0, e.after_told = 0 and e.after_epoch is not null and e.sender is null
                and not exists (select 1 from batches o where o.epoch_no = b.epoch_no and o.state in (0, 1) and o.id <> b.id)
            from batches b join epochs e on e.no = b.epoch_no
            where b.state = 1 and b.lane = ?1 and b.samples + b.events > 0 order by b.id",
        )?;
        let mut rows = statement.query([lane_number(lane)])?;
        let mut last_resort = None;
        while let Some(row) = rows.next()? {
            let (id, never_sent, tells): (i64, bool, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if never_sent || !tells {
                return Ok(Some((id, tells)));
            }
            last_resort.get_or_insert((id, false));
        }
        Ok(last_resort)
    }

    /// Takes a batch that needs nothing any more out of the books; its number stays known.
    pub(super) fn remove(&self, id: i64) -> Result<(), SpoolError> {
        let (epoch_no, seq): (i64, i64) = self
            .db()
            .prepare_cached("select epoch_no, seq from batches where id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.settle_number(epoch_no, unsigned(seq))?;
        self.change("delete from bodies where batch_id = ?1", [id])?;
        self.change("delete from batches where id = ?1", [id])?;
        Ok(())
    }

    /// Notes that a number needs nothing any more.
    pub(super) fn settle_number(&self, epoch_no: i64, seq: u64) -> Result<(), SpoolError> {
        let mut settled = self.settled(epoch_no)?;
        settled.insert(seq);
        self.change(
            "update epochs set settled = ?2 where no = ?1",
            params![epoch_no, numbers_text(&settled)?],
        )?;
        self.stamp_epoch(epoch_no)
    }

    /// Numbers of an epoch whose batches are no longer here and need nothing.
    pub(super) fn settled(&self, epoch_no: i64) -> Result<SeqSet, SpoolError> {
        let text: String = self
            .db()
            .prepare_cached("select settled from epochs where no = ?1")?
            .query_row([epoch_no], |row| row.get(0))?;
        parse_numbers(&text)
    }
}
