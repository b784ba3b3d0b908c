//! What is in a spool, for people and monitoring. Reads only.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use storepulse_shared::batch::Loss;

use super::core::{lane_of, state, unsigned};
use super::wear::WritesStatus;
use super::{SpoolError, wear};
use crate::time::now_ms;

/// Epochs that a status tells of.
const EPOCHS_SHOWN: i64 = 20;
/// Losses that a status tells of one by one.
const LOSSES_SHOWN: i64 = 20;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A look into the spool.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SpoolStatus {
    /// The epoch that the last opening began.
    pub epoch: Option<String>,
    /// By lane.
    pub lanes: Vec<LaneStatus>,
    /// The latest epochs, newest first: what was sealed, what the cloud has of it, what waits.
    pub epochs: Vec<EpochStatus>,
    /// Batches that the cloud has, still kept here.
    pub acked_batches: u64,
    /// What the cloud refused, kept for people; the first fifty.
    pub quarantine: Vec<Quarantined>,
    /// Records of what was discarded.
    pub losses: u64,
    /// Samples that these speak of.
    pub lost_samples: u64,
    /// Of these, what was discarded in the last 24 hours; what the cloud refused is kept, and not counted.
    pub lost_samples_day: u64,
    /// The latest of these records one by one, newest first.
    pub latest_losses: Vec<Loss>,
    /// Bytes of the database in use.
    pub bytes: u64,
    /// What the disk had to write for it.
    pub writes: WritesStatus,
}

/// What waits in one lane.
#[derive(Debug, Clone, Serialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: &'static str,
    /// Ticks and events in the open batch.
    pub open_rows: u64,
    /// Sealed batches that the cloud does not have yet.
    pub waiting_batches: u64,
    /// Their samples.
    pub waiting_samples: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When the oldest of them, or the open one, was begun. Unix milliseconds UTC.
    pub oldest_ms: Option<i64>,
}

/// An epoch from this side; the cloud's account of the same is `/v1/stores/{store_id}/delivery`.
#[derive(Debug, Clone, Serialize)]
pub struct EpochStatus {
    /// Which.
    pub epoch: String,
    /// Somebody else's, who pushes to us.
    pub forwarded: bool,
    /// Highest batch number sealed.
    pub sealed: u64,
    /// The end of the contiguous range that the cloud has or will never get, as it last told.
    pub through: u64,
    /// Sealed batches that the cloud has not acknowledged.
    pub waiting_batches: u64,
    /// Their samples.
    pub waiting_samples: u64,
    /// What was discarded and recorded in it, by reason.
    pub losses: Vec<LossesOfReason>,
}

/// Discarded for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct LossesOfReason {
    /// Why, as a word.
    pub reason: String,
    /// Records of it.
    pub losses: u64,
    /// Samples that these speak of.
    pub samples: u64,
}

/// A batch that the cloud refused.
#[derive(Debug, Clone, Serialize)]
pub struct Quarantined {
    /// Which.
    pub batch: String,
    /// Its samples.
    pub samples: u64,
    /// Why.
    pub refusal: String,
}

pub(super) fn read(db: &Connection) -> Result<SpoolStatus, SpoolError> {
    let epoch = db
        .prepare_cached("select epoch from epochs where sender is null order by no desc limit 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let lanes = (0..3).map(|lane| read_lane(db, lane)).collect::<Result<_, _>>()?;
    let acked: i64 = db
        .prepare_cached("select count(*) from batches where state = ?1")?
        .query_row([state::ACKED], |row| row.get(0))?;
    let (losses, lost): (i64, i64) = db
        .prepare_cached("select count(*), coalesce(sum(samples), 0) from losses")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lost_day: i64 = db
        .prepare_cached(
            "select coalesce(sum(samples), 0) from losses where recorded_ms >= ?1 and reason <> 'quarantined'",
        )?
        .query_row([now_ms() - DAY_MS], |row| row.get(0))?;
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(SpoolStatus {
        epoch,
        lanes,
        epochs: read_epochs(db)?,
        acked_batches: unsigned(acked),
        quarantine: read_quarantine(db)?,
        losses: unsigned(losses),
        lost_samples: unsigned(lost),
        lost_samples_day: unsigned(lost_day),
        latest_losses: read_latest_losses(db)?,
        bytes: unsigned(pages * pragma("page_size")?),
        writes: read_writes(db)?,
    })
}

/// What was written down of it; who writes knows more.
fn read_writes(db: &Connection) -> Result<WritesStatus, SpoolError> {
    let (day, bytes) = wear::read(db)?;
    Ok(WritesStatus { day, bytes, bytes_max: None, commits: 0, window_ms: 0 })
}

fn read_lane(db: &Connection, lane: i64) -> Result<LaneStatus, SpoolError> {
    let open_rows: i64 = db
        .prepare_cached(
            "select (select count(*) from open_ticks t where t.batch_id in (select id from batches where state = 0 and lane = ?1))
                + (select count(*) from open_events e where e.batch_id in (select id from batches where state = 0 and lane = ?1))",
        )?
        .query_row([lane], |row| row.get(0))?;
    let row = db
        .prepare_cached(
            "select count(*) filter (where state = 1), coalesce(sum(samples) filter (where state = 1), 0),
                coalesce(sum(bytes) filter (where state = 1), 0), min(opened_ms)
            from batches where state in (0, 1) and lane = ?1",
        )?
        .query_row([lane], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, Option<i64>>(3)?,
            ))
        })?;
    Ok(LaneStatus {
        lane: lane_of(lane)?.as_str(),
        open_rows: unsigned(open_rows),
        waiting_batches: unsigned(row.0),
        waiting_samples: unsigned(row.1),
        waiting_bytes: unsigned(row.2),
        oldest_ms: row.3,
    })
}

fn read_epochs(db: &Connection) -> Result<Vec<EpochStatus>, SpoolError> {
    let mut statement = db.prepare_cached(
        "select e.epoch, e.sender is not null, e.sealed, e.through, count(b.id), coalesce(sum(b.samples), 0)
        from (select * from epochs order by no desc limit ?1) e
        left join batches b on b.epoch_no = e.no and b.state = ?2
        group by e.no order by e.no desc",
    )?;
    let rows = statement.query_map([EPOCHS_SHOWN, state::SEALED], |row| {
        Ok(EpochStatus {
            epoch: row.get(0)?,
            forwarded: row.get(1)?,
            sealed: unsigned(row.get(2)?),
            through: unsigned(row.get(3)?),
            waiting_batches: unsigned(row.get(4)?),
            waiting_samples: unsigned(row.get(5)?),
            losses: Vec::new(),
        })
    })?;
    let mut epochs: Vec<EpochStatus> = rows.collect::<Result<_, _>>()?;
    for epoch in &mut epochs {
        epoch.losses = read_losses_of(db, &epoch.epoch)?;
    }
    Ok(epochs)
}

/// A loss is named `<epoch>/<no>`, so those of one epoch are neighbours in the primary key; '0' follows '/'.
fn read_losses_of(db: &Connection, epoch: &str) -> Result<Vec<LossesOfReason>, SpoolError> {
    let mut statement = db.prepare_cached(
        "select reason, count(*), sum(samples) from losses where id > ?1 || '/' and id < ?1 || '0'
        group by reason order by reason",
    )?;
    let rows = statement.query_map([epoch], |row| {
        Ok(LossesOfReason {
            reason: row.get(0)?,
            losses: unsigned(row.get(1)?),
            samples: unsigned(row.get(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read_latest_losses(db: &Connection) -> Result<Vec<Loss>, SpoolError> {
    let mut statement =
        db.prepare_cached("select json from losses order by recorded_ms desc, id desc limit ?1")?;
    let texts = statement.query_map([LOSSES_SHOWN], |row| row.get::<_, String>(0))?;
    texts
        .map(|text| serde_json::from_str(&text?).map_err(|e| SpoolError::Damaged(format!("a loss: {e}"))))
        .collect()
}

fn read_quarantine(db: &Connection) -> Result<Vec<Quarantined>, SpoolError> {
    let mut statement = db.prepare_cached(
        "select e.epoch || '/' || b.seq, b.samples, coalesce(b.refusal, '')
        from batches b join epochs e on e.no = b.epoch_no where b.state = ?1 and b.replayed_ms is null
        order by b.id limit 50",
    )?;
    let rows = statement.query_map([state::QUARANTINED], |row| {
        Ok(Quarantined { batch: row.get(0)?, samples: unsigned(row.get(1)?), refusal: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
