//! Epochs: their beginning, their chain, and the numbers of batches and losses within them.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::core::{Core, OwnEpoch, integer, unsigned};
use super::{SpoolError, check};

impl Core {
    /// Begins an epoch that names the last one of ours that sealed a batch.
    pub(super) fn begin_epoch(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        let epoch = Epoch::random();
        let before = self.last_sealed()?;
        self.change(
            "insert into epochs (epoch, after_epoch, after_seq, began_ms, crc) values (?1, ?2, ?3, ?4, ?5)",
            params![
                epoch.to_string(),
                before.map(|b| b.epoch.to_string()),
                before.map(|b| integer(b.seq)),
                now_ms,
                check::epoch(&epoch.to_string(), None),
            ],
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

    /// Every number of our epochs has its batch, or needs none: otherwise rows have vanished.
    pub(super) fn check_numbers(&self) -> Result<(), SpoolError> {
        let mut statement = self.db().prepare(
            "select e.epoch, e.last_seq, e.settled, e.crc, (select count(*) from batches b where b.epoch_no = e.no)
            from epochs e where e.sender is null and e.carried = 0",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (epoch, settled): (String, String) = (row.get(0)?, row.get(2)?);
            let settled = parse_numbers(&settled)?;
            let there: u64 = settled.ranges().iter().map(|(first, last)| last - first + 1).sum();
            let is_whole = row.get::<_, i64>(3)? == check::epoch(&epoch, None)
                && unsigned(row.get(1)?) == there + unsigned(row.get(4)?);
            if !is_whole {
                return Err(SpoolError::Damaged(format!("batches of epoch {epoch} have vanished")));
            }
        }
        Ok(())
    }
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
