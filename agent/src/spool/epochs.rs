//! Epochs: their beginning, their chain, and the numbers of batches and losses within them.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::ids::{BatchId, Epoch, LossId};

use super::SpoolError;
use super::core::{Core, OwnEpoch, integer, unsigned};

impl Core {
    /// Begins an epoch that names the last one of ours that sealed a batch.
    pub(super) fn begin_epoch(&mut self) -> Result<(), SpoolError> {
        let epoch = Epoch::random();
        let before = self.last_sealed()?;
        self.change(
            "insert into epochs (epoch, after_epoch, after_seq) values (?1, ?2, ?3)",
            params![epoch.to_string(), before.map(|b| b.epoch.to_string()), before.map(|b| integer(b.seq)),],
        )?;
        self.epoch = OwnEpoch { no: self.db().last_insert_rowid(), epoch };
        self.begun.push(self.epoch.no);
        Ok(())
    }

    /// Epochs in which nothing ever happened leave no trace.
    pub(super) fn forget_empty_epochs(&self) -> Result<(), SpoolError> {
        self.change("delete from epochs where sender is null and last_seq = 0 and losses = 0", [])?;
        Ok(())
    }

    fn last_sealed(&self) -> Result<Option<BatchId>, SpoolError> {
        let row = self
            .db()
            .prepare_cached(
                "select epoch, sealed from epochs where sender is null and sealed > 0 order by no desc limit 1",
            )?
            .query_row([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        row.map(|(epoch, sealed)| Ok(BatchId { epoch: parse_epoch(&epoch)?, seq: unsigned(sealed) }))
            .transpose()
    }

    /// The next number of the running epoch.
    pub(super) fn next_seq(&self) -> Result<u64, SpoolError> {
        let seq: i64 = self
            .db()
            .prepare_cached("update epochs set last_seq = last_seq + 1 where no = ?1 returning last_seq")?
            .query_row([self.epoch.no], |row| row.get(0))?;
        Ok(unsigned(seq))
    }

    /// The next id of a loss of the running epoch.
    pub(super) fn next_loss(&self) -> Result<LossId, SpoolError> {
        let no: i64 = self
            .db()
            .prepare_cached("update epochs set losses = losses + 1 where no = ?1 returning losses")?
            .query_row([self.epoch.no], |row| row.get(0))?;
        Ok(LossId { epoch: self.epoch.epoch, no: unsigned(no) })
    }

    /// After an undone change the running epoch may be gone again.
    pub(super) fn reload_epoch(&mut self) -> Result<(), SpoolError> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let row = self
            .db()
            .prepare_cached("select no, epoch from epochs where sender is null order by no desc limit 1")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        self.epoch = OwnEpoch { no: row.0, epoch: parse_epoch(&row.1)? };
        self.begun.retain(|no| *no <= row.0);
        Ok(())
    }
}

pub(super) fn parse_epoch(text: &str) -> Result<Epoch, SpoolError> {
    text.parse().map_err(|e| SpoolError::Damaged(format!("{e}")))
}
