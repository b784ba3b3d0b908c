//! Opening the database: lock, version, pragmas.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use storepulse_shared::ids::Epoch;

use super::core::{BYTES_MIN, integer};
use super::{FILE, SpoolError, damage};

/// "SPsp": tells our database from any other.
const APPLICATION_ID: i64 = 0x5350_7370;
/// The version of `schema.sql`.
const VERSION: i64 = 1;
/// SQLite's memory for pages, in KiB. The writer appends and reads back little.
const CACHE_KIB: i64 = 1024;

/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;
/// Bytes of shared memory that go with the WAL, at most.
const SHM_BYTES: u64 = 64 << 10;
/// What one transaction can add to the WAL at most: the writer ends a group beyond [`TRANSACTION_BYTES_MAX`], and a
/// single call can bring a body of one MiB or the ticks of 20,000 samples.
const WAL_OF_TRANSACTION_BYTES: u64 = 2 << 20;
/// From this cap on the WAL may be as long as SQLite likes it.
const LARGE_CAP_BYTES: u64 = 64 << 20;

/// Bytes that calls of one group may write together before the group is committed.
pub(super) const TRANSACTION_BYTES_MAX: usize = 512 << 10;

/// How the cap on disk is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    cap: u64,
    /// Pages of the WAL at which it is folded into the database.
    wal_pages: u64,
}

impl Budget {
    pub(super) const fn of(cap: u64) -> Self {
        let cap = if cap < BYTES_MIN { BYTES_MIN } else { cap };
        Self { cap, wal_pages: if cap < LARGE_CAP_BYTES { 256 } else { 1_000 } }
    }

    /// What is left for the database beside its WAL.
    pub(super) const fn database_bytes(self) -> u64 {
        self.cap - SHM_BYTES - WAL_OF_TRANSACTION_BYTES - self.wal_pages * PAGE_BYTES
    }
}

/// The database with the lock that keeps other agents out.
#[derive(Debug)]
pub(super) struct Opened {
    pub db: Connection,
    pub dir: PathBuf,
    pub budget: Budget,
    lock: Option<File>,
}

impl Opened {
    /// Opens the database in a folder that is locked already.
    pub(super) fn new(dir: &Path, lock: File, budget: Budget) -> Result<Self, SpoolError> {
        let path = dir.join(FILE);
        let mut db = Connection::open(&path)?;
        prepare(&mut db, &path, budget)?;
        Ok(Self { db, dir: dir.to_owned(), budget, lock: Some(lock) })
    }

    /// From now on a WAL that is missing is damage.
    pub(super) fn mark_open(&self, epochs: &[Epoch]) {
        damage::mark_open(&self.dir, epochs);
    }

    /// Lets go of a damaged database as it is; returns the lock.
    pub(super) fn give_up(&mut self) -> Result<File, SpoolError> {
        // Without a checkpoint, which would write into what is to be salvaged.
        self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        self.db = Connection::open_in_memory()?;
        self.lock.take().map_or_else(|| take_lock(&self.dir), Ok)
    }

    /// Closes the database, which folds the WAL into it.
    pub(super) fn close(self) {
        damage::mark_closed(&self.dir);
        if let Err((_, error)) = self.db.close() {
            tracing::warn!(%error, "the spool could not be closed in order; the next opening repairs that");
        }
    }
}

/// Opens the database of a folder and loads it with `load`; one that is damaged is set aside first, and `load` is told
/// where it is.
pub(super) fn for_writing<T>(
    dir: &Path,
    budget: Budget,
    load: impl Fn(Opened, Option<&Path>) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    make_folder(dir).map_err(|e| SpoolError::open(dir, format!("the folder cannot be made: {e}")))?;
    let lock = take_lock(dir)?;
    let again = lock.try_clone().map_err(|e| SpoolError::open(dir, e))?;
    let lost = damage::has_lost_commits(dir).map_err(|e| SpoolError::open(dir, e))?;
    let epochs = damage::marked(dir);
    // Opening empties the WAL; until the first commit there need be none.
    damage::mark_closed(dir);
    let why = match lost {
        true => SpoolError::Damaged("commits have vanished from its write-ahead log".to_owned()),
        false => match Opened::new(dir, lock, budget).and_then(|opened| load(opened, None)) {
            Err(error) if damage::is_damage(&error) => error,
            result => return result,
        },
    };
    let aside = damage::set_aside(dir, &epochs).map_err(|e| SpoolError::open(dir, e))?;
    tracing::error!(%why, aside = %aside.display(), "the spool is damaged; it was set aside, and collection goes on");
    Opened::new(dir, again, budget).and_then(|opened| load(opened, Some(&aside)))
}

/// A spool that is nowhere on disk.
#[cfg(test)]
pub(super) fn in_memory() -> Opened {
    let db = Connection::open_in_memory().expect("a database in memory");
    db.execute_batch(include_str!("schema.sql")).expect("the schema");
    Opened { db, dir: "/nonexistent".into(), budget: Budget::of(BYTES_MIN), lock: None }
}

pub(super) fn for_reading(dir: &Path) -> Result<Connection, SpoolError> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Err(SpoolError::open(&path, "there is no spool yet; has the agent run here?"));
    }
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let db = db.map_err(|e| SpoolError::from(e).at(&path))?;
    check_version(&db, &path)?;
    Ok(db)
}

/// Makes the folder, and sees to it that a power cut does not take it away again with everything in it.
fn make_folder(dir: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // A folder that may be written and not read cannot be synced, nor can some file systems do it.
        let _ = File::open(parent).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn take_lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join("spool.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|e| {
        SpoolError::open(&path, format!("{e}; the agent's user must be able to write into this folder"))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let why = "another agent has this spool open; stop it, or give this one a state_dir of its own";
            Err(SpoolError::open(&path, why))
        }
        Err(std::fs::TryLockError::Error(e)) => {
            Err(SpoolError::open(&path, format!("cannot be locked: {e}")))
        }
    }
}

fn prepare(db: &mut Connection, path: &Path, budget: Budget) -> Result<(), SpoolError> {
    // Only a new file takes these two: the size of a page, and that it can shrink again.
    db.pragma_update(None, "page_size", integer(PAGE_BYTES))?;
    db.pragma_update(None, "auto_vacuum", "incremental")?;
    db.pragma_update(None, "journal_mode", "wal")?;
    // Every commit reaches the disk before it returns. Group commit makes that as cheap as NORMAL.
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", integer(budget.wal_pages))?;
    // The WAL keeps its blocks, so that there is something to write into when the disk itself is full.
    db.pragma_update(None, "journal_size_limit", integer(budget.wal_pages * PAGE_BYTES))?;
    // The last bar, should the policy of `discard` have a hole; a larger database of before stays as it is.
    db.pragma_update(None, "max_page_count", integer(budget.database_bytes() / PAGE_BYTES))?;
    db.set_prepared_statement_cache_capacity(64);
    // What was recovered from the WAL may stand in the system's memory only, after a sync that failed: now it is on disk.
    db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
    let tables: i64 = db.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return check_version(db, path);
    }
    let tx = db.transaction()?;
    tx.execute_batch(include_str!("schema.sql"))?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}

/// The version stands in the header of the file and in a table: a flipped bit makes it damage, not a newer version.
fn check_version(db: &Connection, path: &Path) -> Result<(), SpoolError> {
    let read = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (read("application_id")?, read("user_version")?);
    let stated: i64 = db.query_row("select version from spool", [], |row| row.get(0))?;
    if application != APPLICATION_ID || version != stated {
        return Err(SpoolError::Damaged(format!("{} does not begin as a spool does", path.display())));
    }
    if version > VERSION {
        let why = format!(
            "it is of version {version}, this agent knows {VERSION}: install the newer agent again; nothing was changed"
        );
        return Err(SpoolError::open(path, why));
    }
    Ok(())
}
