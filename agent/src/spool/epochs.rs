//! Epochs: their beginning, their chain, and the numbers of batches and losses within them.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::core::{Core, OwnEpoch, integer, unsigned};
use super::{SpoolError, check};

/// Epochs that are named beside the database at most.
const EPOCHS_NAMED_MAX: i64 = 1_000;

impl Core {
    /// Begins an epoch that names the last one of ours that sealed a batch.
    pub(super) fn begin_epoch(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        let epoch = Epoch::random();
        let before = self.last_sealed()?;
        self.change(
            "insert into epochs (epoch, after_epoch, after_seq, began_ms) values (?1, ?2, ?3, ?4)",
            params![
                epoch.to_string(),
                before.map(|b| b.epoch.to_string()),
                before.map(|b| integer(b.seq)),
                now_ms,
            ],
        )?;
        self.epoch = OwnEpoch { no: self.db().last_insert_rowid(), epoch };
        self.stamp_epoch(self.epoch.no)?;
        self.begun.push(self.epoch.no);
        Ok(())
    }

    /// Epochs in which nothing ever happened leave no trace.
    pub(super) fn forget_empty_epochs(&self) -> Result<(), SpoolError> {
        self.change(
            "delete from epochs where sender is null and home = 0 and last_seq = 0 and losses = 0",
            [],
        )?;
        Ok(())
    }

    /// Gives the row of an epoch the checksum of what stands in it now.
    pub(super) fn stamp_epoch(&self, no: i64) -> Result<(), SpoolError> {
        let crc = self
            .db()
            .prepare_cached("select epoch, sender, home, settled, received, void from epochs where no = ?1")?
            .query_row([no], crc_of)?;
        self.change("update epochs set crc = ?2 where no = ?1", params![no, crc])?;
        Ok(())
    }

    /// Epochs that this spool began and of which numbers may be on their way.
    pub(super) fn unsettled_epochs(&self) -> Result<Vec<Epoch>, SpoolError> {
        let mut statement = self.db().prepare(
            "select epoch from epochs e where sender is null and home = 0
                and (last_seq = 0 or exists (select 1 from batches b where b.epoch_no = e.no)
                    or exists (select 1 from closed_numbers c where c.epoch_no = e.no and c.acked_no is null))
            order by no desc limit ?1",
        )?;
        let rows = statement.query_map([EPOCHS_NAMED_MAX], |row| row.get::<_, String>(0))?;
        rows.map(|epoch| parse_epoch(&epoch?)).collect()
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

    /// After an undone change the running epoch may be gone again: the one before it runs on. Epochs that were carried
    /// over from a damaged spool are none of ours to go on with.
    pub(super) fn reload_epoch(&mut self) -> Result<(), SpoolError> {
        while let Some(no) = self.begun.last().copied() {
            let epoch: Option<String> = self
                .db()
                .prepare_cached("select epoch from epochs where no = ?1")?
                .query_row([no], |row| row.get(0))
                .optional()?;
            if let Some(epoch) = epoch {
                self.epoch = OwnEpoch { no, epoch: parse_epoch(&epoch)? };
                break;
            }
            self.begun.pop();
        }
        Ok(())
    }

    /// The rows of epochs are what was written, and every number of ours has its batch, or needs none: otherwise rows
    /// have vanished.
    pub(super) fn check_numbers(&self) -> Result<(), SpoolError> {
        let mut statement = self.db().prepare(
            "select epoch, sender, home, settled, received, void, crc, last_seq,
                (select count(*) from batches b where b.epoch_no = e.no)
            from epochs e",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let epoch: String = row.get(0)?;
            if row.get::<_, i64>(6)? != crc_of(row)? {
                return Err(SpoolError::Damaged(format!("the row of epoch {epoch} is not what was written")));
            }
            let is_ours = row.get::<_, Option<Vec<u8>>>(1)?.is_none() && row.get::<_, i64>(2)? == 0;
            let settled = parse_numbers(&row.get::<_, String>(3)?)?;
            let there: u64 = settled.ranges().iter().map(|(first, last)| last - first + 1).sum();
            if is_ours && unsigned(row.get(7)?) != there + unsigned(row.get(8)?) {
                return Err(SpoolError::Damaged(format!("batches of epoch {epoch} have vanished")));
            }
        }
        Ok(())
    }
}

/// The checksum of a row that begins with epoch, sender, home, settled, received, void.
pub(super) fn crc_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<i64> {
    let text = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str()?);
    let whole = check::EpochRow {
        epoch: text(0)?,
        sender: row.get_ref(1)?.as_blob_or_null()?,
        home: row.get(2)?,
        settled: text(3)?,
        received: text(4)?,
        void: text(5)?,
    };
    Ok(whole.crc())
}

pub(super) fn parse_epoch(text: &str) -> Result<Epoch, SpoolError> {
    text.parse().map_err(|e| SpoolError::Damaged(format!("{e}")))
}

/// Numbers as they stand in the database, `[[first,last],…]`.
pub(super) fn parse_numbers(text: &str) -> Result<SeqSet, SpoolError> {
    let damaged = |why: String| SpoolError::Damaged(format!("numbers: {why}"));
    let ranges: Vec<(u64, u64)> = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
    SeqSet::from_many_ranges(&ranges).map_err(|e| damaged(e.to_string()))
}

pub(super) fn numbers_text(numbers: &SeqSet) -> Result<String, SpoolError> {
    serde_json::to_string(numbers).map_err(|e| SpoolError::Damaged(format!("numbers: {e}")))
}
