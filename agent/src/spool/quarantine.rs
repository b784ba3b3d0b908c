//! What the cloud refused, as people deal with it: looked at, read, sent once more, discarded.
//!
//! An item of the quarantine is a batch in the state of that name, and is called by its number, which is never given
//! twice. When it came there its content was told as a loss, once. A replay moves the content into a new batch whose body
//! names the number that was told, and marks the item, in one change: there is never more than one copy that could be
//! delivered. What is refused again is a new item that still names the first number. The mark is forgotten after a
//! while, and is the first to go when there is no room.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use storepulse_shared::batch::decode::decode;
use storepulse_shared::gzip;
use storepulse_shared::ids::BatchId;
use storepulse_shared::limits::INFLATED_BYTES_MAX;

use super::core::{Core, integer, lane_of, state, unsigned};
use super::sealed::{SealedBody, SealedRow};
use super::{FILE, SpoolError, open};

/// Marks that are forgotten at once, so that no commit takes long.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// A batch that the cloud refused.
#[derive(Debug, Clone, Serialize)]
pub struct QuarantineItem {
    /// A short number to call it by, while it is there.
    pub id: i64,
    /// `<epoch>/<number>`.
    pub batch: BatchId,
    /// Its lane.
    pub lane: &'static str,
    /// When it was refused, Unix milliseconds UTC.
    pub refused_ms: Option<i64>,
    /// Its samples.
    pub samples: u64,
    /// Its events.
    pub events: u64,
    /// Time of its first sample, by the clock that dated it. Unix milliseconds UTC.
    pub from_ms: Option<i64>,
    /// Time of its last sample, by the same clock.
    pub to_ms: Option<i64>,
    /// Bytes of its body; 0 once its content has gone on.
    pub bytes: u64,
    /// Why it was refused.
    pub refusal: String,
    /// Somebody pushed it to us.
    pub forwarded: bool,
    /// The number that was told as a loss, where this is the content of a replay that was refused again.
    pub recovers: Option<String>,
    /// What became of its content, if it was replayed.
    pub replayed: Option<Replayed>,
}

/// A content that has gone on.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// The number of the batch that it became.
    pub batch: String,
    /// When, Unix milliseconds UTC.
    pub at_ms: i64,
    /// `waiting`, `refused` (again, at least a part), `delivered`, or `gone` when there is no trace of it any more.
    pub state: &'static str,
}

/// Why a batch cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreplayable {
    /// There is none of this number.
    #[error("{0} is not in quarantine; `quarantine ls` shows what is")]
    Unknown(BatchId),
    /// Its content has gone on.
    #[error(
        "{item} was replayed as {batch}; if that was refused too, `quarantine ls` shows it as an item of its own"
    )]
    Before {
        /// Which.
        item: BatchId,
        /// What it became.
        batch: String,
    },
    /// It is whole, and not of a form that this agent understands.
    #[error("{item} cannot be read: {why}; `quarantine export` writes it out as it is")]
    Unreadable {
        /// Which.
        item: BatchId,
        /// Where and why.
        why: String,
    },
}

impl Core {
    /// Moves the content of an item into a new batch that names what it recovers.
    pub(super) fn replay(
        &mut self,
        item: BatchId,
        now_ms: i64,
    ) -> Result<Result<BatchId, Unreplayable>, SpoolError> {
        let Some((id, recovers, replayed)) = self.find_item(item)? else {
            return Ok(Err(Unreplayable::Unknown(item)));
        };
        if let Some(batch) = replayed {
            return Ok(Err(Unreplayable::Before { item, batch }));
        }
        let text = inflated(self.db(), id)?;
        let mut batch = match decode(&text) {
            Ok(batch) => batch,
            Err(error) => return Ok(Err(Unreplayable::Unreadable { item, why: error.to_string() })),
        };
        batch.recovers = Some(match recovers {
            Some(told) => told.parse().map_err(|e| SpoolError::Damaged(format!("{e}")))?,
            None => item,
        });
        let lane = self.sealed_row(id)?.lane;
        let new = self.add_sealed(lane, &batch, now_ms)?;
        self.date_like(&[new], id)?;
        self.change("update losses set batch_id = ?2 where batch_id = ?1", params![id, new])?;
        let number = self.sealed_row(new)?.batch;
        self.change("delete from bodies where batch_id = ?1", [id])?;
        self.change(
            "update batches set bytes = 0, replayed_as = ?2, replayed_ms = ?3 where id = ?1",
            params![id, number.to_string(), now_ms],
        )?;
        tracing::info!(%item, batch = %number, samples = batch.samples(), "a batch from quarantine goes on");
        Ok(Ok(number))
    }

    /// Discards an item for good; says whether there was one.
    pub(super) fn discard_quarantined(&mut self, item: BatchId, now_ms: i64) -> Result<bool, SpoolError> {
        let Some((id, ..)) = self.find_item(item)? else { return Ok(false) };
        self.discard_told(id, now_ms)?;
        tracing::warn!(%item, "a batch in quarantine was discarded on request");
        Ok(true)
    }

    /// Row, told number and mark of an item.
    fn find_item(&self, item: BatchId) -> Result<Option<ItemRow>, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select b.id, b.recovers, b.replayed_as from batches b join epochs e on e.no = b.epoch_no
            where e.epoch = ?1 and b.seq = ?2 and b.state = ?3",
        )?;
        let row = statement
            .query_row(params![item.epoch.to_string(), integer(item.seq), state::QUARANTINED], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
        Ok(row.optional()?)
    }

    /// Whether the content of a batch was told as a loss before.
    pub(super) fn is_replay(&self, id: i64) -> Result<bool, SpoolError> {
        let mut statement =
            self.db().prepare_cached("select 1 from batches where id = ?1 and recovers is not null")?;
        Ok(statement.exists([id])?)
    }

    /// Notes of a batch of this number that it is a replay.
    pub(super) fn note_replay(&self, batch: BatchId, recovers: BatchId) -> Result<(), SpoolError> {
        self.change(
            "update batches set recovers = ?3
            where seq = ?2 and epoch_no = (select no from epochs where epoch = ?1)",
            params![batch.epoch.to_string(), integer(batch.seq), recovers.to_string()],
        )?;
        Ok(())
    }

    /// Looks into the body of a batch whose row was lost, whether it is a replay.
    pub(super) fn recognise_replay(&self, id: i64) -> Result<(), SpoolError> {
        const NAMED: &[u8] = b"\"recovers\":";
        let text = self.inflated(id)?;
        // Hardly any is, and decoding costs more than looking.
        if text.windows(NAMED.len()).any(|bytes| bytes == NAMED)
            && let Some(recovers) = decode(&text).ok().and_then(|batch| batch.recovers)
        {
            self.change("update batches set recovers = ?2 where id = ?1", params![id, recovers.to_string()])?;
        }
        Ok(())
    }

    /// Forgets what was replayed before this time.
    pub(super) fn forget_replayed(&self, before_ms: i64) -> Result<(), SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select id from batches where state = 3 and replayed_ms < ?1 order by id limit ?2",
        )?;
        let old = statement.query_map([before_ms, FORGOTTEN_AT_ONCE], |row| row.get(0))?;
        for id in old.collect::<Result<Vec<i64>, _>>()? {
            self.remove(id)?;
        }
        Ok(())
    }
}

type ItemRow = (i64, Option<String>, Option<String>);

/// What is in quarantine, oldest first. Reads only, beside a running agent or without one.
///
/// # Errors
/// There is no spool, or it cannot be read.
pub fn list(dir: &Path) -> Result<Vec<QuarantineItem>, SpoolError> {
    let db = open::for_reading(dir)?;
    read(&db).map_err(|e| e.at(&dir.join(FILE)))
}

fn read(db: &Connection) -> Result<Vec<QuarantineItem>, SpoolError> {
    // By their numbers the states of what became of a replay: 1 waits, 2 is delivered, 3 was refused again.
    let mut statement = db.prepare(
        "select b.id, e.epoch || '/' || b.seq, b.lane, b.answered_ms, b.samples, b.events, b.t_min, b.t_max, b.bytes,
            coalesce(b.refusal, ''), e.sender is not null, b.recovers, b.replayed_as, b.replayed_ms,
            (select group_concat(r.state) from batches r
            where r.recovers = coalesce(b.recovers, e.epoch || '/' || b.seq) and r.replayed_ms is null)
        from batches b join epochs e on e.no = b.epoch_no where b.state = ?1 order by b.id",
    )?;
    let mut rows = statement.query([state::QUARANTINED])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let batch: String = row.get(1)?;
        let states: Option<String> = row.get(14)?;
        let replayed = row.get::<_, Option<String>>(12)?.zip(row.get(13)?);
        items.push(QuarantineItem {
            id: row.get(0)?,
            batch: batch.parse().map_err(|e| SpoolError::Damaged(format!("{e}")))?,
            lane: lane_of(row.get(2)?)?.as_str(),
            refused_ms: row.get(3)?,
            samples: unsigned(row.get(4)?),
            events: unsigned(row.get(5)?),
            from_ms: row.get(6)?,
            to_ms: row.get(7)?,
            bytes: unsigned(row.get(8)?),
            refusal: row.get(9)?,
            forwarded: row.get(10)?,
            recovers: row.get(11)?,
            replayed: replayed.map(|(batch, at_ms)| Replayed {
                batch,
                at_ms,
                state: fate(states.as_deref().unwrap_or_default()),
            }),
        });
    }
    Ok(items)
}

fn fate(states: &str) -> &'static str {
    match states {
        states if states.contains('1') => "waiting",
        states if states.contains('3') => "refused",
        states if states.contains('2') => "delivered",
        _ => "gone",
    }
}

/// The body of an item as the JSON text that was sent. Reads only.
///
/// # Errors
/// It is not there, or not what was sealed.
pub fn body(dir: &Path, id: i64) -> Result<Vec<u8>, SpoolError> {
    let db = open::for_reading(dir)?;
    // One transaction, so that the row and its body are of one moment while an agent goes on writing.
    db.execute_batch("begin")?;
    inflated(&db, id).map_err(|e| e.at(&dir.join(FILE)))
}

fn inflated(db: &Connection, id: i64) -> Result<Vec<u8>, SpoolError> {
    let row = SealedRow::read(db, id)?;
    let SealedBody { body, .. } = SealedBody::read(db, id)?;
    gzip::inflate(&body, INFLATED_BYTES_MAX)
        .map_err(|e| SpoolError::Damaged(format!("the body of {}: {e}", row.batch)))
}

#[cfg(test)]
mod tests {
    use super::fate;

    #[test]
    fn as_long_as_a_part_of_a_replay_waits_it_waits() {
        for (states, said) in
            [("", "gone"), ("2", "delivered"), ("2,2", "delivered"), ("3,2", "refused"), ("2,3,1", "waiting")]
        {
            assert_eq!(fate(states), said, "{states}");
        }
    }
}
