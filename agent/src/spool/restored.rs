//! A cloud that has lost something it had taken, because its database was restored from a backup.
//!
//! It shows in the contiguous ends that answers tell. What is still here goes out again, what is not is told as a loss, and
//! every epoch before says once more what came before it: the cloud cannot ask for what nobody names.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::ids::Epoch;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, unsigned};
use super::epochs::parse_epoch;

/// Epochs of a chain that are looked at.
const EPOCHS_TOLD_MAX: usize = 1_000;

impl Core {
    /// If the number after the contiguous end was acknowledged before the request was made, or closed, the cloud has lost
    /// that: somebody has restored its database from a backup.
    pub(super) fn note_through(
        &mut self,
        epoch: Epoch,
        through: u64,
        acks_before: i64,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let no: Option<i64> = self
            .db()
            .prepare_cached("update epochs set through = ?2 where epoch = ?1 returning no")?
            .query_row(params![epoch.to_string(), integer(through)], |row| row.get(0))
            .optional()?;
        let Some(no) = no else { return Ok(()) };
        let next = through.saturating_add(1);
        let was_acked = self
            .db()
            .prepare_cached(
                "select 1 from batches where epoch_no = ?1 and seq = ?2 and state = 2 and acked_no <= ?3",
            )?
            .exists(params![no, integer(next), acks_before])?;
        if was_acked || self.was_closed(no, next, acks_before)? {
            self.send_again(no, epoch, through, now_ms)
        } else {
            Ok(())
        }
    }

    /// Everything acknowledged above a number goes out again, and every epoch before tells again what came before it: the
    /// cloud may have lost that too, and cannot ask for what nobody names. What is no longer here is told as a loss.
    fn send_again(&mut self, no: i64, epoch: Epoch, through: u64, now_ms: i64) -> Result<(), SpoolError> {
        let mut again = self.unsend(no, epoch, through, now_ms)?;
        self.tell_again(no)?;
        let mut last = no;
        for _ in 0..EPOCHS_TOLD_MAX {
            let Some((before_no, before)) = self.epoch_before(last)? else { break };
            if !self.will_tell(last)? {
                again += self.unsend(before_no, before, 0, now_ms)?;
            }
            self.tell_again(before_no)?;
            last = before_no;
        }
        self.acked_bytes = self.count_acked_bytes()?;
        self.news = true;
        tracing::warn!(%epoch, through, again, "the cloud was restored from a backup; batches are sent again");
        let text = format!("the cloud has lost batches of {epoch} above {through}: {again} are sent again");
        self.append_own_event("agent.cloud_restored", text, now_ms)
    }

    /// Marks what was acknowledged of one epoch as not sent. Returns how many batches.
    fn unsend(&mut self, no: i64, epoch: Epoch, through: u64, now_ms: i64) -> Result<usize, SpoolError> {
        let again = self.change(
            "update batches set state = 1, answered_ms = null, acked_no = null
            where epoch_no = ?1 and seq > ?2 and state = 2 and bytes > 0",
            params![no, integer(through)],
        )?;
        for loss in self.gone(no, epoch, through, now_ms)? {
            self.record_loss(loss, now_ms)?;
        }
        Ok(again)
    }

    fn epoch_before(&self, no: i64) -> Result<Option<(i64, Epoch)>, SpoolError> {
        let before: Option<(i64, String)> = self
            .db()
            .prepare_cached(
                "select b.no, b.epoch from epochs e join epochs b on b.epoch = e.after_epoch where e.no = ?1",
            )?
            .query_row([no], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        before.map(|(no, epoch)| Ok((no, parse_epoch(&epoch)?))).transpose()
    }

    /// The next batch of this epoch names what came before it.
    fn tell_again(&self, no: i64) -> Result<(), SpoolError> {
        self.change(
            "update epochs set after_told = 0, after_reset_no = ?2 where no = ?1",
            params![no, self.acks],
        )?;
        Ok(())
    }

    /// Sees to it that a batch of this epoch goes out, if one of them still has its body; false if the cloud's answers would
    /// never show that it has lost the epoch, since none of its batches is known here any more.
    fn will_tell(&self, no: i64) -> Result<bool, SpoolError> {
        self.change(
            "update batches set state = 1, answered_ms = null, acked_no = null
            where id = (select max(id) from batches where epoch_no = ?1 and state = 2 and bytes > 0)
                and not exists (select 1 from batches where epoch_no = ?1 and state in (0, 1))",
            [no],
        )?;
        let known = "select 1 from batches where epoch_no = ?1 and state in (0, 1, 2)";
        Ok(self.db().prepare_cached(known)?.exists([no])?)
    }

    /// Takes the acknowledged batches above a number whose bodies are gone out of the books, as one loss, which also closes
    /// again what had been closed there; and the losses that they had carried, which have to be told again.
    fn gone(&mut self, no: i64, epoch: Epoch, through: u64, now_ms: i64) -> Result<Vec<Loss>, SpoolError> {
        let mut loss = Loss {
            id: self.next_loss()?,
            lane: Lane::Critical,
            from: now_ms,
            to: now_ms,
            samples: 0,
            events: 0,
            reason: "cloud_restored".to_owned(),
            seqs: [(epoch, SeqSet::new())].into(),
        };
        let mut statement = self.db().prepare_cached(
            "select seq, iif(recovers is null, samples, 0), iif(recovers is null, events, 0), t_min, t_max
            from batches where epoch_no = ?1 and seq > ?2 and state = 2",
        )?;
        let mut rows = statement.query(params![no, integer(through)])?;
        while let Some(row) = rows.next()? {
            loss.seqs.entry(epoch).or_default().insert(unsigned(row.get(0)?));
            loss.samples += unsigned(row.get(1)?);
            loss.events += unsigned(row.get(2)?);
            loss.from = loss.from.min(row.get::<_, Option<i64>>(3)?.unwrap_or(now_ms));
            loss.to = loss.to.max(row.get::<_, Option<i64>>(4)?.unwrap_or(now_ms));
        }
        let forgotten = self.closed_above(no, through)?;
        let all = loss.seqs.entry(epoch).or_default();
        *all = SeqSet::from_many_ranges(&[all.ranges(), forgotten.ranges()].concat())
            .map_err(|e| SpoolError::Damaged(format!("numbers: {e}")))?;
        let ids: Vec<i64> = self
            .db()
            .prepare_cached("select id from batches where epoch_no = ?1 and seq > ?2 and state = 2")?
            .query_map(params![no, integer(through)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut losses = Vec::new();
        for id in &ids {
            losses.extend(self.remove_carrier(*id)?);
        }
        if !ids.is_empty() || !forgotten.is_empty() {
            losses.push(loss);
        }
        Ok(losses)
    }
}
