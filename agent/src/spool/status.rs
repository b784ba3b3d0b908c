//! What is in a spool, for people and monitoring. Reads only.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;

use super::SpoolError;
use super::core::{lane_of, state, unsigned};

/// A look into the spool.
#[derive(Debug, Clone, Serialize)]
pub struct SpoolStatus {
    /// The epoch that the last opening began.
    pub epoch: Option<String>,
    /// By lane.
    pub lanes: Vec<LaneStatus>,
    /// Batches that the cloud has, still kept here.
    pub acked_batches: u64,
    /// What the cloud refused, kept for people; the first fifty.
    pub quarantine: Vec<Quarantined>,
    /// Records of what was discarded.
    pub losses: u64,
    /// Samples that these speak of.
    pub lost_samples: u64,
    /// Bytes of the database in use.
    pub bytes: u64,
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
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(SpoolStatus {
        epoch,
        lanes,
        acked_batches: unsigned(acked),
        quarantine: read_quarantine(db)?,
        losses: unsigned(losses),
        lost_samples: unsigned(lost),
        bytes: unsigned(pages * pragma("page_size")?),
    })
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

fn read_quarantine(db: &Connection) -> Result<Vec<Quarantined>, SpoolError> {
    let mut statement = db.prepare_cached(
        "select e.epoch || '/' || b.seq, b.samples, coalesce(b.refusal, '')
        from batches b join epochs e on e.no = b.epoch_no where b.state = ?1 order by b.id limit 50",
    )?;
    let rows = statement.query_map([state::QUARANTINED], |row| {
        Ok(Quarantined { batch: row.get(0)?, samples: unsigned(row.get(1)?), refusal: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
