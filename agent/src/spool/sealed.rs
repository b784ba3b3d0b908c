//! A sealed batch as it leaves the box: its row and its header, for the uplink and for an export alike.

use rusqlite::Connection;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Clock, Lane};
use storepulse_shared::ids::BatchId;

use super::SpoolError;
use super::core::{lane_of, unsigned};
use super::epochs::parse_epoch;
use super::label::{Label, checksum};
use crate::time::Dating;

/// Nobody has compared the clocks.
pub(super) const UNDATED: Dating = Dating { offset_ms: 0, clock: Clock::Unsure };

/// What is known of a sealed batch beside its body.
pub(super) struct SealedRow {
    pub epoch_no: i64,
    pub batch: BatchId,
    /// Highest number that its epoch has sealed.
    pub sealed: u64,
    /// What its epoch still has to tell of its predecessor.
    pub after: Option<BatchId>,
    /// Somebody pushed it to us.
    pub forwarded: bool,
    pub lane: Lane,
    pub samples: u32,
    /// Since when it has failed while others passed.
    pub failing_since: Option<i64>,
    /// Part of its samples are gone.
    pub is_thinned: bool,
}

/// A body that is what was sealed.
pub(super) struct SealedBody {
    pub digest: [u8; 8],
    pub body: Vec<u8>,
    /// Of a forwarded batch: its sender's header, verbatim.
    pub header: Option<String>,
}

impl SealedRow {
    pub(super) fn read(db: &Connection, id: i64) -> Result<Self, SpoolError> {
        let mut statement = db.prepare_cached(
            "select e.no, e.epoch, e.sealed, e.after_epoch, e.after_seq, e.after_told, e.sender is not null,
                b.seq, b.lane, b.samples, b.failing_since, b.thinned > 0
            from batches b join epochs e on e.no = b.epoch_no where b.id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("batch row {id} is gone")))?;
        let after: Option<String> = row.get(3)?;
        let told: bool = row.get(5)?;
        let after = match after {
            Some(epoch) if !told => Some(BatchId { epoch: parse_epoch(&epoch)?, seq: unsigned(row.get(4)?) }),
            _ => None,
        };
        Ok(Self {
            epoch_no: row.get(0)?,
            batch: BatchId { epoch: parse_epoch(&row.get::<_, String>(1)?)?, seq: unsigned(row.get(7)?) },
            sealed: unsigned(row.get(2)?),
            after,
            forwarded: row.get(6)?,
            lane: lane_of(row.get(8)?)?,
            samples: u32::try_from(row.get::<_, i64>(9)?).unwrap_or(u32::MAX),
            failing_since: row.get(10)?,
            is_thinned: row.get(11)?,
        })
    }

    /// The header `StorePulse-Batch` of a batch of our own. `resumed` says that an earlier opening sealed it, or that a
    /// fuller body may have been carried to the cloud on another road: what has arrived counts, whatever its body.
    pub(super) fn header_text(&self, digest: [u8; 8], dating: Dating, resumed: bool) -> String {
        let header = BatchHeader {
            batch: self.batch,
            lane: self.lane,
            samples: self.samples,
            sealed: self.sealed,
            digest: BodyDigest(digest),
            offset_ms: dating.offset_ms,
            clock: dating.clock,
            resumed,
            after: self.after,
        };
        header.to_string()
    }
}

impl SealedBody {
    /// Reads a body and looks at the checksum over all of it, and whether its row is still the one it was sealed for.
    pub(super) fn read(db: &Connection, id: i64) -> Result<Self, SpoolError> {
        let mut statement =
            db.prepare_cached("select digest, body, header, label, crc from bodies where batch_id = ?1")?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("the body of row {id} is gone")))?;
        let (body, header): (Vec<u8>, Option<String>) = (row.get(1)?, row.get(2)?);
        let (label, crc): (Vec<u8>, i64) = (row.get(3)?, row.get(4)?);
        let is_whole =
            checksum(&label, header.as_deref(), &body) == crc && label == Label::of(db, id)?.to_bytes();
        if !is_whole {
            let label = Label::from_bytes(&label)
                .map_or_else(|_| format!("row {id}"), |label| label.batch.to_string());
            return Err(SpoolError::Damaged(format!("the body of batch {label} is not what was sealed")));
        }
        Ok(Self { digest: row.get(0)?, body, header })
    }
}
