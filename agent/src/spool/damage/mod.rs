//! A damaged spool never stops collection.
//!
//! The damaged files are renamed aside and a new spool takes their place at once, in an epoch of its own. What decides
//! whether something pushed is new (`Idempotency-Key`s, receipts of senders) is carried over first, as far as it can be
//! read; then [`salvage`] reads the rest in the background and delivers it under the numbers it had. What could not be
//! read is told as a loss, with a range that holds all of it. Nothing is deleted: the files stay for people.
//!
//! Each file answers for the numbers of the epochs that began in it, until the cloud has all of them. A spool that is
//! damaged in its turn before that is done takes nothing with it: the first file is read again.

mod adopt;
mod carry;
mod read;
pub(super) mod salvage;
mod wal;

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use storepulse_shared::ids::Epoch;

use self::wal::Wal;
use super::{FILE, SpoolError};

/// There from the first commit of an opening until the database is closed in order: with it, a WAL must be there too. It
/// names the epochs of which numbers may be on their way, a line each: their rows may be what is damaged.
const OPEN_MARK: &str = "spool.open";
/// How the names of files set aside begin. `spool-damaged-<n>.db` waits for its salvage, `spool-salvaged-<n>.db` has it behind.
const WAITING: &str = "spool-damaged-";
const DONE: &str = "spool-salvaged-";
/// Files of one database.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", EPOCHS];
/// Beside a database that was set aside: the epochs that its mark named.
const EPOCHS: &str = "-epochs";

/// Whether an error says that the file does not hold what was written into it.
pub(super) fn is_damage(error: &SpoolError) -> bool {
    match error {
        SpoolError::Damaged(_) => true,
        SpoolError::Sqlite(rusqlite::Error::SqliteFailure(failure, text)) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // A table or column that has vanished from the schema.
            ErrorCode::Unknown => text.as_ref().is_some_and(|text| text.starts_with("no such")),
            _ => false,
        },
        SpoolError::Sqlite(error) => matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::QueryReturnedNoRows
        ),
        _ => false,
    }
}

/// Whether commits have vanished from the files of a database that nobody has open.
pub(super) fn has_lost_commits(dir: &Path) -> std::io::Result<bool> {
    let path = dir.join(FILE);
    // Without the mark nothing has been accepted that is only there.
    if !path.exists() || !dir.join(OPEN_MARK).exists() {
        return Ok(false);
    }
    Ok(match wal::look(&with_suffix(&path, "-wal"), &with_suffix(&path, "-shm"))? {
        Wal::Absent | Wal::Damaged => true,
        Wal::Sound(_) => false,
    })
}

/// Says that there is a WAL from now on. If that cannot be written, a missing WAL goes unnoticed: no reason not to collect.
pub(super) fn mark_open(dir: &Path, epochs: &[Epoch]) {
    let written = std::fs::write(dir.join(OPEN_MARK), lines(epochs)).and_then(|()| sync(dir));
    if let Err(error) = written {
        tracing::warn!(%error, "a write-ahead log that vanishes would go unnoticed");
    }
}

/// The epochs of a database that was not closed in order.
pub(super) fn marked(dir: &Path) -> Vec<Epoch> {
    epochs_in(&dir.join(OPEN_MARK))
}

fn marked_beside(aside: &Path) -> Vec<Epoch> {
    epochs_in(&with_suffix(aside, EPOCHS))
}

/// What cannot be read is not there.
fn epochs_in(path: &Path) -> Vec<Epoch> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn lines(epochs: &[Epoch]) -> String {
    epochs.iter().map(|epoch| format!("{epoch}\n")).collect()
}

/// Says, before the database is closed in order, that there need be none.
pub(super) fn mark_closed(dir: &Path) {
    let removed = std::fs::remove_file(dir.join(OPEN_MARK)).and_then(|()| sync(dir));
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the next start will look for damage that is not there");
    }
}

fn sync(dir: &Path) -> std::io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

/// Renames the files of the database aside, and writes down which epochs its mark named. Returns the new name.
pub(super) fn set_aside(dir: &Path, epochs: &[Epoch]) -> std::io::Result<PathBuf> {
    let taken = |n: u32| {
        [WAITING, DONE]
            .iter()
            .any(|prefix| SUFFIXES.iter().any(|suffix| dir.join(format!("{prefix}{n}.db{suffix}")).exists()))
    };
    let n = (1..).find(|n| !taken(*n)).unwrap_or(u32::MAX);
    let aside = dir.join(format!("{WAITING}{n}.db"));
    std::fs::write(with_suffix(&aside, EPOCHS), lines(epochs))?;
    rename_all(&dir.join(FILE), &aside)?;
    mark_closed(dir);
    Ok(aside)
}

/// Databases that wait for their salvage, oldest first.
fn waiting(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if file_name(&path).starts_with(WAITING) {
            found.extend(number_of(&path).map(|number| (number, path)));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The number of a file that was set aside.
fn number_of(aside: &Path) -> Option<i64> {
    let name = file_name(aside);
    let number = name.strip_prefix(WAITING).or_else(|| name.strip_prefix(DONE))?;
    number.strip_suffix(".db")?.parse().ok()
}

/// Whether a file that was set aside is still here, whatever became of it.
fn is_kept(dir: &Path, number: i64) -> bool {
    [WAITING, DONE].iter().any(|prefix| dir.join(format!("{prefix}{number}.db")).exists())
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Renames the files of a database that has been salvaged.
fn done(aside: &Path) -> std::io::Result<()> {
    let name = file_name(aside).replacen(WAITING, DONE, 1);
    rename_all(aside, &aside.with_file_name(name))
}

fn rename_all(from: &Path, to: &Path) -> std::io::Result<()> {
    // The database last: while it has its old name, the whole is done again.
    for suffix in SUFFIXES.into_iter().rev() {
        match std::fs::rename(with_suffix(from, suffix), with_suffix(to, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if let Some(dir) = to.parent() {
        sync(dir)?;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
