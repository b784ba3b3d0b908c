//! The other road: everything that waits, as a file that a person can carry.
//!
//! Reads only, in one transaction, beside a running agent or without one. Nothing is removed or marked, because nobody
//! knows whether the file will arrive: the link goes on delivering the same batches under the same numbers, and whichever
//! road is second finds duplicates. What is still being filled has no body yet and stays.

use std::io::{self, Write};
use std::path::Path;

use rusqlite::Connection;
use storepulse_shared::export::ExportWriter;
use storepulse_shared::key::StoreKey;

use super::core::{state, unsigned};
use super::sealed::{SealedBody, SealedRow, UNDATED};
use super::{SpoolError, open};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The file.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl From<rusqlite::Error> for ExportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Spool(error.into())
    }
}

/// What a file holds, and what it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Batches in it.
    pub batches: u64,
    /// Their samples.
    pub samples: u64,
    /// Ticks and events in open batches, which are not in it.
    pub open_rows: u64,
}

/// Writes every sealed batch that the cloud has not acknowledged, sealed with the store's key. Tells before each how many are
/// done, and of how many.
///
/// # Errors
/// The spool cannot be read, or the file not be written.
pub fn export(
    dir: &Path,
    key: &StoreKey,
    out: impl Write,
    now_ms: i64,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Exported, ExportError> {
    let db = open::for_reading(dir)?;
    // One transaction, so that everything is of one moment while an agent goes on writing.
    db.execute_batch("begin")?;
    let running = db.query_row("select max(no) from epochs where sender is null", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    let mut writer = ExportWriter::begin(out, key, now_ms)?;
    let mut exported = Exported { batches: 0, samples: 0, open_rows: open_rows(&db)? };
    let ids = waiting(&db)?;
    for (done, &id) in ids.iter().enumerate() {
        tell(done, ids.len());
        let row = SealedRow::read(&db, id)?;
        let SealedBody { digest, body, header } = SealedBody::read(&db, id)?;
        // Nobody has compared the clocks: that is the uplink's to know.
        let resumed = row.is_thinned || Some(row.epoch_no) != running;
        let header = header.unwrap_or_else(|| row.header_text(digest, UNDATED, resumed));
        writer.add(&header, &body)?;
        exported.batches += 1;
        exported.samples += u64::from(row.samples);
    }
    writer.finish()?;
    Ok(exported)
}

/// In the order in which they were begun.
fn waiting(db: &Connection) -> Result<Vec<i64>, rusqlite::Error> {
    let mut statement = db.prepare_cached("select id from batches where state = ?1 order by id")?;
    let ids = statement.query_map([state::SEALED], |row| row.get(0))?;
    ids.collect()
}

fn open_rows(db: &Connection) -> Result<u64, rusqlite::Error> {
    let rows = "select (select count(*) from open_ticks) + (select count(*) from open_events)";
    Ok(unsigned(db.query_row(rows, [], |row| row.get(0))?))
}
