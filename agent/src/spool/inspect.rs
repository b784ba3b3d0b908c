//! A spool batch by batch, for people: what is in it, and whether all of it is whole. Reads only, beside a running agent
//! or without one.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::gzip;
use storepulse_shared::limits::INFLATED_BYTES_MAX;
use storepulse_shared::request::decode_batch;

use super::core::{lane_of, state, unsigned};
use super::sealed::{SealedBody, SealedRow, UNDATED};
use super::{SpoolError, open};

/// Findings of SQLite's own check that are told.
const FILE_FINDINGS_MAX: i64 = 20;

/// A batch as it stands in the spool.
#[derive(Debug, Clone, Serialize)]
pub struct BatchEntry {
    /// `<epoch>/<number>`.
    pub batch: String,
    /// Its lane.
    pub lane: &'static str,
    /// `open`, `sealed`, `acked` or `quarantined`.
    pub state: &'static str,
    /// It was sent at least once.
    pub sent: bool,
    /// Somebody pushed it to us.
    pub forwarded: bool,
    /// Its samples; of an open one, its values, with those that are none.
    pub samples: u64,
    /// Its events.
    pub events: u64,
    /// Bytes of its body; 0 while it is open.
    pub bytes: u64,
    /// Time of its first sample, Unix milliseconds UTC.
    pub from_ms: Option<i64>,
    /// Time of its last sample, Unix milliseconds UTC.
    pub to_ms: Option<i64>,
    /// When it was begun, Unix milliseconds UTC.
    pub opened_ms: i64,
    /// When it was sealed, Unix milliseconds UTC.
    pub sealed_ms: Option<i64>,
    /// When the cloud took or refused it, Unix milliseconds UTC.
    pub answered_ms: Option<i64>,
}

/// Something that is not whole.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// `<epoch>/<number>`, or the file.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Bodies that were looked at.
    pub batches: u64,
    /// What is wrong; nothing, if all is well.
    pub findings: Vec<Finding>,
}

/// Every batch, oldest first.
///
/// # Errors
/// There is no spool, or it cannot be read.
pub fn list(dir: &Path) -> Result<Vec<BatchEntry>, SpoolError> {
    let db = open::for_reading(dir)?;
    let mut statement = db.prepare(
        "select e.epoch || '/' || b.seq, b.lane, b.state, b.sent, e.sender is not null,
            case b.state when 0 then coalesce((select sum(length(vals)) / 8 from open_ticks where batch_id = b.id), 0)
                else b.samples end,
            case b.state when 0 then (select count(*) from open_events where batch_id = b.id) else b.events end,
            b.bytes, b.t_min, b.t_max, b.opened_ms, b.sealed_ms, b.answered_ms
        from batches b join epochs e on e.no = b.epoch_no order by b.id",
    )?;
    let mut rows = statement.query([])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(BatchEntry {
            batch: row.get(0)?,
            lane: lane_of(row.get(1)?)?.as_str(),
            state: state_name(row.get(2)?)?,
            sent: row.get(3)?,
            forwarded: row.get(4)?,
            samples: unsigned(row.get(5)?),
            events: unsigned(row.get(6)?),
            bytes: unsigned(row.get(7)?),
            from_ms: row.get(8)?,
            to_ms: row.get(9)?,
            opened_ms: row.get(10)?,
            sealed_ms: row.get(11)?,
            answered_ms: row.get(12)?,
        });
    }
    Ok(entries)
}

/// Checks the file, and that every body is the one that was sealed and decodes to what its row says. Tells before each how many
/// are done, and of how many.
///
/// # Errors
/// There is no spool, or it is so damaged that it cannot be read at all.
pub fn verify(dir: &Path, tell: &mut dyn FnMut(usize, usize)) -> Result<Verified, SpoolError> {
    let db = open::for_reading(dir)?;
    let mut verified = Verified { batches: 0, findings: Vec::new() };
    db.pragma(None, "quick_check", FILE_FINDINGS_MAX, |row| {
        let why: String = row.get(0)?;
        if why != "ok" {
            verified.findings.push(Finding { what: super::FILE.to_owned(), why });
        }
        Ok(())
    })?;
    let mut statement = db.prepare("select id from batches where state <> ?1 and bytes > 0 order by id")?;
    let ids = statement.query_map([state::OPEN], |row| row.get::<_, i64>(0))?;
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    for (done, &id) in ids.iter().enumerate() {
        tell(done, ids.len());
        let row = SealedRow::read(&db, id)?;
        verified.batches += 1;
        if let Err(why) = check_body(&db, id, &row) {
            verified.findings.push(Finding { what: row.batch.to_string(), why });
        }
    }
    Ok(verified)
}

fn check_body(db: &Connection, id: i64, row: &SealedRow) -> Result<(), String> {
    let SealedBody { digest, body, header } = SealedBody::read(db, id).map_err(|e| e.to_string())?;
    let header = header.unwrap_or_else(|| row.header_text(digest, UNDATED, false));
    let header: BatchHeader = header.parse().map_err(|e| format!("{e}"))?;
    let found = BodyDigest::of(&body);
    if found.0 != digest || found != header.digest {
        return Err(format!("its SHA-256 begins with {found}, it was sealed with {}", header.digest));
    }
    let text = gzip::inflate(&body, INFLATED_BYTES_MAX).map_err(|e| e.to_string())?;
    decode_batch(&header, &text).map(|_| ()).map_err(|e| e.to_string())
}

fn state_name(number: i64) -> Result<&'static str, SpoolError> {
    match number {
        state::OPEN => Ok("open"),
        state::SEALED => Ok("sealed"),
        state::ACKED => Ok("acked"),
        state::QUARANTINED => Ok("quarantined"),
        other => Err(SpoolError::Damaged(format!("state {other} is unknown"))),
    }
}
