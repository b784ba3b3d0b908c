//! Numbers without a batch, and whether the cloud knows that they are closed.
//!
//! A refusal closes a number at once; a loss closes its numbers when the batch that carries it is acknowledged. Should the
//! cloud forget either, because its database was restored from a backup, it is told again.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::Loss;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, unsigned};

impl Core {
    /// The cloud has closed the number of a batch.
    pub(super) fn note_closed(&mut self, batch_id: i64, now_ms: i64) -> Result<(), SpoolError> {
        self.acks += 1;
        let row = self.sealed_row(batch_id)?;
        let seq = integer(row.batch.seq);
        self.change(
            "insert into closed_numbers (epoch_no, first, last, acked_no, at_ms) values (?1, ?2, ?2, ?3, ?4)
            on conflict do update set acked_no = excluded.acked_no, loss_id = null",
            params![row.epoch_no, seq, self.acks, now_ms],
        )?;
        Ok(())
    }

    /// A loss that is on its way closes these numbers.
    pub(super) fn note_told(&self, loss: &Loss, now_ms: i64) -> Result<(), SpoolError> {
        for (epoch, seqs) in &loss.seqs {
            let no: Option<i64> = self
                .db()
                .prepare_cached("select no from epochs where epoch = ?1")?
                .query_row([epoch.to_string()], |row| row.get(0))
                .optional()?;
            let Some(no) = no else { continue };
            for (first, last) in seqs.ranges() {
                self.change(
                    "delete from closed_numbers where epoch_no = ?1 and first between ?2 and ?3 and last <= ?3",
                    params![no, integer(*first), integer(*last)],
                )?;
                self.change(
                    "insert into closed_numbers (epoch_no, first, last, loss_id, at_ms) values (?1, ?2, ?3, ?4, ?5)
                    on conflict do update set last = max(last, excluded.last), loss_id = excluded.loss_id, acked_no = null",
                    params![no, integer(*first), integer(*last), loss.id.to_string(), now_ms],
                )?;
            }
        }
        Ok(())
    }

    /// The cloud has these numbers or has closed them, and their batches are not here.
    pub(super) fn note_known(&self, epoch_no: i64, numbers: &SeqSet, now_ms: i64) -> Result<(), SpoolError> {
        for (first, last) in numbers.ranges() {
            self.change(
                "insert into closed_numbers (epoch_no, first, last, acked_no, at_ms) values (?1, ?2, ?3, ?4, ?5)
                on conflict do nothing",
                params![epoch_no, integer(*first), integer(*last), self.acks, now_ms],
            )?;
        }
        Ok(())
    }

    /// A batch was acknowledged: what its losses close is known to the cloud.
    pub(super) fn note_losses_acked(&self, batch_id: i64) -> Result<(), SpoolError> {
        self.change(
            "update closed_numbers set acked_no = ?2
            where acked_no is null and loss_id in (select id from losses where batch_id = ?1)",
            params![batch_id, self.acks],
        )?;
        Ok(())
    }

    /// Whether the cloud knew, by this answer, that a number is closed.
    pub(super) fn was_closed(&self, epoch_no: i64, seq: u64, acks_before: i64) -> Result<bool, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select 1 from closed_numbers where epoch_no = ?1 and first <= ?2 and last >= ?2 and acked_no <= ?3",
        )?;
        Ok(statement.exists(params![epoch_no, integer(seq), acks_before])?)
    }

    /// Numbers above this one that the cloud knew to be closed.
    pub(super) fn closed_above(&self, epoch_no: i64, through: u64) -> Result<SeqSet, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select max(first, ?2 + 1), last from closed_numbers
            where epoch_no = ?1 and last > ?2 and acked_no is not null",
        )?;
        let rows = statement.query_map(params![epoch_no, integer(through)], |row| {
            Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)))
        })?;
        let ranges: Vec<(u64, u64)> = rows.collect::<Result<_, _>>()?;
        SeqSet::from_many_ranges(&ranges).map_err(|e| SpoolError::Damaged(format!("numbers: {e}")))
    }

    /// What the cloud has known for long is forgotten.
    pub(super) fn forget_closed(&self, before_ms: i64) -> Result<(), SpoolError> {
        self.change("delete from closed_numbers where acked_no is not null and at_ms < ?1", [before_ms])?;
        Ok(())
    }
}
