//! Opening the database: lock, version, pragmas.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{FILE, SpoolError};

/// "SPsp": tells our database from any other.
const APPLICATION_ID: i64 = 0x5350_7370;
/// The version of `schema.sql`.
const VERSION: i64 = 1;
/// SQLite's memory for pages, in KiB. The writer appends and reads back little.
const CACHE_KIB: i64 = 1024;

/// The database with the lock that keeps other agents out.
#[derive(Debug)]
pub(super) struct Opened {
    pub db: Connection,
    _lock: File,
}

pub(super) fn for_writing(dir: &Path) -> Result<Opened, SpoolError> {
    make_folder(dir).map_err(|e| SpoolError::open(dir, format!("the folder cannot be made: {e}")))?;
    let lock = take_lock(dir)?;
    let path = dir.join(FILE);
    let mut db = Connection::open(&path).map_err(|e| SpoolError::from(e).at(&path))?;
    prepare(&mut db, &path).map_err(|e| e.at(&path))?;
    Ok(Opened { db, _lock: lock })
}

/// A spool that is nowhere on disk.
#[cfg(test)]
pub(super) fn in_memory() -> Opened {
    let db = Connection::open_in_memory().expect("a database in memory");
    db.execute_batch(include_str!("schema.sql")).expect("the schema");
    Opened { db, _lock: File::open("/dev/null").expect("a file") }
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

fn prepare(db: &mut Connection, path: &Path) -> Result<(), SpoolError> {
    db.pragma_update(None, "journal_mode", "wal")?;
    // Every commit reaches the disk before it returns. Group commit makes that as cheap as NORMAL.
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "journal_size_limit", 4 << 20)?;
    db.set_prepared_statement_cache_capacity(64);
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

fn check_version(db: &Connection, path: &Path) -> Result<(), SpoolError> {
    let read = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = read("application_id").map_err(|e| SpoolError::from(e).at(path))?;
    if application != APPLICATION_ID {
        return Err(SpoolError::open(
            path,
            "this is not a spool; move the file away, or choose another state_dir",
        ));
    }
    let version = read("user_version").map_err(|e| SpoolError::from(e).at(path))?;
    if version > VERSION {
        let why = format!(
            "it is of version {version}, this agent knows {VERSION}: install the newer agent again; nothing was changed"
        );
        return Err(SpoolError::open(path, why));
    }
    Ok(())
}
