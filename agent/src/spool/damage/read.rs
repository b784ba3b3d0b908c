//! Reading a damaged database, row by row: what cannot be read is skipped, what can be read is checked.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};
use storepulse_shared::batch::{Batch, Event, Frame, Loss};
use storepulse_shared::ids::Epoch;
use storepulse_shared::limits::SEQ_MAX;
use storepulse_shared::seqs::SeqSet;

use super::super::check;
use super::super::core::{state, unsigned};
use super::super::epochs::{crc_of, parse_numbers};
use super::super::label::{Label, checksum};
use super::super::seal::Ticks;

/// Ids that are tried after the last one that was found, and before it.
const BEYOND: i64 = 2_000;
const IDS_TRIED_MAX: i64 = 1_000_000;

/// The database that was set aside.
pub(super) struct Wreck {
    db: Connection,
    /// The number of the file.
    file: i64,
}

/// An epoch as the damaged database has it.
#[derive(Debug, Clone)]
pub(super) struct EpochRow {
    pub no: i64,
    pub epoch: Epoch,
    pub sender: Option<Vec<u8>>,
    /// The number of the damaged file in which it began.
    pub home: i64,
    pub after: Option<(String, i64)>,
    pub began_ms: i64,
    pub last_seq: u64,
    pub sealed: u64,
    /// Numbers that need nothing any more.
    pub settled: SeqSet,
    pub received: SeqSet,
    pub void: SeqSet,
}

/// The row of a batch; its body is another matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchRow {
    pub id: i64,
    pub epoch_no: i64,
    pub seq: u64,
    pub lane: i64,
    pub is_open: bool,
    /// Acknowledged, or in quarantine, which was told as a loss.
    pub needs_nothing: bool,
    pub opened_ms: i64,
    pub samples: u64,
    pub events: u64,
    pub span: Option<(i64, i64)>,
}

/// A body that is what was sealed.
#[derive(Debug)]
pub(super) struct Body {
    pub label: Label,
    pub header: Option<String>,
    pub bytes: Vec<u8>,
}

impl Wreck {
    /// Opens it for reading only; what cannot be opened at all reads as empty.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.pragma_update(None, "query_only", true)?;
        // What is wrong about one table or index does not hide the others.
        db.pragma_update(None, "writable_schema", true)?;
        // Indexes may lie where tables do not.
        db.pragma_update(None, "automatic_index", false)?;
        Ok(Self { db, file: super::number_of(path).unwrap_or_default() })
    }

    /// Whether an epoch began in it.
    pub(super) fn is_home_of(&self, epoch: &EpochRow) -> bool {
        epoch.home == self.file
    }

    pub(super) fn epochs(&self) -> Vec<EpochRow> {
        let last = self.number("select max(no) from epochs").unwrap_or_default();
        self.by_id(
            last,
            "select epoch, sender, home, settled, received, void, crc, after_epoch, after_seq, began_ms, last_seq, sealed
            from epochs where no = ?1",
            |no, row| {
                let epoch: String = row.get(0)?;
                if row.get::<_, i64>(6)? != crc_of(row)? {
                    return Ok(None);
                }
                let set = |at| -> rusqlite::Result<SeqSet> {
                    Ok(parse_numbers(&row.get::<_, String>(at)?).unwrap_or_default())
                };
                let home = row.get(2)?;
                Ok(epoch.parse().ok().map(|epoch| EpochRow {
                    no,
                    epoch,
                    sender: row.get(1).ok().flatten(),
                    home: if home == 0 { self.file } else { home },
                    after: row.get(7).ok().flatten().zip(row.get(8).ok().flatten()),
                    began_ms: row.get(9).unwrap_or_default(),
                    last_seq: row.get(10).map(unsigned).unwrap_or_default().min(SEQ_MAX),
                    sealed: row.get(11).map(unsigned).unwrap_or_default().min(SEQ_MAX),
                    settled: set(3).unwrap_or_default(),
                    received: set(4).unwrap_or_default(),
                    void: set(5).unwrap_or_default(),
                }))
            },
        )
    }

    pub(super) fn batches(&self) -> Vec<BatchRow> {
        self.by_id(
            self.last_id(),
            "select epoch_no, seq, lane, state, opened_ms, samples, events, t_min, t_max,
                answered_ms is not null, acked_no is not null, refusal is not null
            from batches where id = ?1",
            |id, row| {
                let (t_min, t_max): (Option<i64>, Option<i64>) = (row.get(7)?, row.get(8)?);
                let state = row.get(3)?;
                // A state alone may be a bit that flipped.
                let proof = match state {
                    state::ACKED => row.get(10)?,
                    state::QUARANTINED => row.get(11)?,
                    _ => false,
                };
                Ok(Some(BatchRow {
                    id,
                    epoch_no: row.get(0)?,
                    seq: unsigned(row.get(1)?),
                    lane: row.get(2)?,
                    is_open: state == state::OPEN,
                    needs_nothing: proof && row.get(9)?,
                    opened_ms: row.get(4)?,
                    samples: unsigned(row.get(5)?),
                    events: unsigned(row.get(6)?),
                    span: t_min.zip(t_max),
                }))
            },
        )
    }

    /// Ids of bodies, whether they can be read or not.
    pub(super) fn body_ids(&self) -> std::ops::Range<i64> {
        match self.db.prepare("select batch_id from bodies") {
            Ok(_) => ids(self.last_id()),
            Err(_) => 0..0,
        }
    }

    /// About the last id that was given. A damaged row can say anything, so the smaller of two answers counts.
    fn last_id(&self) -> i64 {
        let last = ["select max(id) from batches", "select max(batch_id) from bodies"];
        last.iter()
            .filter_map(|select| self.number(select))
            .filter(|last| *last > 0)
            .min()
            .unwrap_or_default()
    }

    pub(super) fn body(&self, id: i64) -> Option<Body> {
        let mut statement =
            self.db.prepare_cached("select label, header, body, crc from bodies where batch_id = ?1").ok()?;
        let row = statement.query_row([id], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, Option<String>>(1)?,
                row.get::<_, Vec<u8>>(2)?,
                row.get::<_, i64>(3)?,
            ))
        });
        let (label, header, bytes, crc) = row.ok()?;
        let is_whole = checksum(&label, header.as_deref(), &bytes) == crc;
        let label = Label::from_bytes(&label).ok()?;
        is_whole.then_some(Body { label, header, bytes })
    }

    /// What an open batch held, as far as it can be read.
    pub(super) fn content(&self, id: i64) -> Batch<'static> {
        Batch { frames: self.frames(id), events: self.events(id), losses: self.losses(id), recovers: None }
    }

    fn frames(&self, id: i64) -> Vec<Frame<'static>> {
        let mut ticks = Ticks::default();
        let select = "select shape_id, t, vals, crc from open_ticks where batch_id = ?1 and n = ?2";
        for n in 1..=self.last_of("select max(n) from open_ticks where batch_id = ?1", id) {
            let row = self.db.prepare_cached(select).and_then(|mut statement| {
                statement.query_row(params![id, n], |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, Vec<u8>>(2)?,
                        row.get::<_, i64>(3)?,
                    ))
                })
            });
            let Ok((shape, time, vals, crc)) = row else { continue };
            if check::tick(id, n, shape, time, &vals) == crc {
                // A shape or a tick that does not fit is skipped like one that cannot be read.
                let _ = ticks.add(shape, time, &vals, || check::shape(&self.db, shape));
            }
        }
        ticks.frames
    }

    fn events(&self, id: i64) -> Vec<Event<'static>> {
        let select = "select device, t, kind, text, crc from open_events where batch_id = ?1 and n = ?2";
        let last = self.last_of("select max(n) from open_events where batch_id = ?1", id);
        let rows = (1..=last).filter_map(|n| {
            let mut statement = self.db.prepare_cached(select).ok()?;
            let (event, crc) = statement
                .query_row(params![id, n], |row| {
                    let event = Event {
                        device: row.get::<_, String>(0)?.into(),
                        t: row.get(1)?,
                        kind: row.get::<_, String>(2)?.into(),
                        text: row.get::<_, String>(3)?.into(),
                    };
                    Ok((event, row.get::<_, i64>(4)?))
                })
                .ok()?;
            (check::event(&event) == crc).then_some(event)
        });
        rows.collect()
    }

    fn losses(&self, batch_id: i64) -> Vec<Loss> {
        let Ok(mut statement) = self.db.prepare("select json from losses where batch_id = ?1") else {
            return Vec::new();
        };
        let Ok(mut rows) = statement.query([batch_id]) else { return Vec::new() };
        let mut losses = Vec::new();
        while let Ok(Some(row)) = rows.next() {
            let loss = row.get::<_, String>(0).ok().and_then(|json| serde_json::from_str(&json).ok());
            losses.extend(loss);
        }
        losses
    }

    /// Numbers without a batch of which the cloud has not been heard to know: epoch row, first, last. `None` if that cannot
    /// be read.
    pub(super) fn untold(&self) -> Option<Vec<(i64, u64, u64)>> {
        let select = "select epoch_no, first, last from closed_numbers not indexed where acked_no is null";
        let mut statement = self.db.prepare(select).ok()?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?), unsigned(row.get(2)?))))
            .ok()?;
        rows.collect::<Result<_, _>>().ok()
    }

    /// Rows of a table up to the first that cannot be read.
    pub(super) fn rows<T>(
        &self,
        select: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let Ok(mut statement) = self.db.prepare(select) else { return Vec::new() };
        let Ok(rows) = statement.query_map([], read) else { return Vec::new() };
        rows.map_while(Result::ok).collect()
    }

    /// The newest time that anything in it speaks of, Unix milliseconds.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        let times = [
            "select max(opened_ms) from batches",
            "select max(sealed_ms) from batches",
            "select max(answered_ms) from batches",
            "select max(began_ms) from epochs",
        ];
        times.iter().filter_map(|select| self.number(select)).max()
    }

    /// Rows one by one, so that one that cannot be read costs no other. The table may be unknown where the schema is damaged.
    fn by_id<T>(
        &self,
        last: i64,
        select: &str,
        mut read: impl FnMut(i64, &rusqlite::Row<'_>) -> rusqlite::Result<Option<T>>,
    ) -> Vec<T> {
        let Ok(mut statement) = self.db.prepare(select) else { return Vec::new() };
        ids(last).filter_map(|id| statement.query_row([id], |row| read(id, row)).ok().flatten()).collect()
    }

    fn number(&self, select: &str) -> Option<i64> {
        self.db.query_row(select, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten()
    }

    fn last_of(&self, select: &str, id: i64) -> i64 {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
        self.db.query_row(select, [id], read).ok().flatten().unwrap_or(0).clamp(0, ROWS_MAX) + ROWS_BEYOND
    }
}

/// The ids that are tried, one by one.
fn ids(last: i64) -> std::ops::Range<i64> {
    last.saturating_sub(IDS_TRIED_MAX).max(0) + 1..last.saturating_add(BEYOND + 1)
}

/// Rows of an open batch, see `append`.
const ROWS_MAX: i64 = 20_000;
const ROWS_BEYOND: i64 = 64;
