//! A till's SQLite file, opened for reading and for nothing else.
//!
//! Opened with `SQLITE_OPEN_READ_ONLY`, `query_only` and `readonly_shm=1`, for each reading anew: nothing is written, no file
//! is made beside it, and the till can replace or close its file whenever it likes. A file in WAL mode that nobody has open
//! cannot be read without making `-shm` and `-wal`, so it is not read then, and that is said: bytes 18 and 19 of its header
//! are 2 (sqlite.org/fileformat2.html), and there is no `-shm`. It is never opened as `immutable`, which would read half of
//! what a till is writing.
//!
//! SQLite works in a thread for blocking work; a query that takes too long is interrupted there by SQLite itself. Should the
//! file system hang, the thread waits with it, and no second one is started.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::task::JoinHandle;

use super::super::fault::{Fault, FaultKind};
use super::answer::{Answer, Cell, Class, Clock, check_columns};
use super::query::{Query, ROWS_MAX};

/// Operations of SQLite's machine between two looks at the clock, about a millisecond.
const OPERATIONS: i32 = 10_000;
/// Longest wait for a till that is writing; a longer one would be its whole interval.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long after its own limit a query may still return.
const GRACE: Duration = Duration::from_secs(1);

/// A till's file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    statement_timeout: Duration,
    /// Seconds east of Greenwich of times without a zone.
    east: Option<f64>,
    header: Arc<Mutex<Header>>,
    /// A thread that has not returned yet.
    reads: Option<JoinHandle<Answers>>,
}

/// The file, opened for its header. It is closed only when another file stands in its place: to close a file gives up every
/// lock that this process has on it, also those of another device that is just reading it.
#[derive(Debug, Default)]
struct Header {
    file: Option<std::fs::File>,
}

/// One for each query; an error of the file itself is that of the first.
type Answers = Vec<Result<Answer, Fault>>;

impl File {
    pub(super) fn new(path: PathBuf, statement_timeout: Duration, east: Option<f64>) -> Self {
        Self { path, statement_timeout, east, header: Arc::default(), reads: None }
    }

    /// Asks all queries.
    pub(super) async fn ask(&mut self, queries: &[(String, Query)]) -> Result<Answers, Fault> {
        if self.reads.as_ref().is_some_and(|reads| !reads.is_finished()) {
            return Err(Fault::new(
                FaultKind::Timeout,
                "the file system has not answered since the last time",
            ));
        }
        let (path, limit, east) = (self.path.clone(), self.statement_timeout, self.east);
        let (queries, header) = (queries.to_vec(), Arc::clone(&self.header));
        let limit_all = limit.saturating_mul(u32::try_from(queries.len()).unwrap_or(u32::MAX)) + GRACE;
        // It stays ours: who is told to stop in the middle finds it again.
        let reads = self
            .reads
            .insert(tokio::task::spawn_blocking(move || read(&path, &header, &queries, limit, east)));
        match tokio::time::timeout(limit_all, reads).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) => Err(Fault::new(FaultKind::Internal, format!("the reading ended: {error}"))),
            Err(_) => Err(Fault::new(FaultKind::Timeout, "the file system does not answer")),
        }
    }
}

fn read(
    path: &Path,
    header: &Mutex<Header>,
    queries: &[(String, Query)],
    limit: Duration,
    east: Option<f64>,
) -> Answers {
    let looked = header.lock().unwrap_or_else(PoisonError::into_inner).look(path);
    let db = match looked.and_then(|()| open(path, limit)) {
        Ok(db) => db,
        Err(fault) => return vec![Err(fault)],
    };
    queries.iter().map(|(sql, query)| ask(&db, sql, query, limit, east)).collect()
}

impl Header {
    /// Whether the file can be read without making another.
    fn look(&mut self, path: &Path) -> Result<(), Fault> {
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => FaultKind::Denied,
                _ => FaultKind::Refused,
            };
            Fault::new(kind, format!("{}: {error}", path.display()))
        };
        let there = std::fs::metadata(path).map_err(failed)?;
        if !there.is_file() {
            return Err(Fault::new(FaultKind::Unsupported, format!("{} is not a file", path.display())));
        }
        let file = match self.file.take() {
            Some(file) if is_same(&file, &there) => file,
            _ => std::fs::File::open(path).map_err(failed)?,
        };
        let mut versions = [0; 2];
        let is_read = file.read_exact_at(&mut versions, 18).is_ok();
        self.file = Some(file);
        let mut shared = OsString::from(path);
        shared.push("-shm");
        if is_read && versions.contains(&2) && !Path::new(&shared).exists() {
            let text = "the till does not have it open; in WAL mode it can be read only while it has";
            return Err(Fault::new(FaultKind::Refused, text));
        }
        Ok(())
    }
}

fn is_same(file: &std::fs::File, there: &std::fs::Metadata) -> bool {
    file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

fn open(path: &Path, limit: Duration) -> Result<Connection, Fault> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let db = Connection::open_with_flags(uri(path), flags)?;
        db.busy_timeout(limit.min(BUSY_WAIT_MAX))?;
        db.pragma_update(None, "query_only", true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        Ok(db)
    };
    open().map_err(|error: rusqlite::Error| fault(&error))
}

/// With `readonly_shm`, SQLite does not make the file of shared memory that belongs to WAL mode.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri + "?mode=ro&readonly_shm=1"
}

fn ask(
    db: &Connection,
    sql: &str,
    query: &Query,
    limit: Duration,
    east: Option<f64>,
) -> Result<Answer, Fault> {
    let deadline = Instant::now() + limit;
    let failed = |error: rusqlite::Error| {
        let mut fault = fault(&error);
        if fault.kind == FaultKind::Timeout {
            fault.text = format!("interrupted after {}", humantime::format_duration(limit));
        }
        fault
    };
    db.progress_handler(OPERATIONS, Some(move || Instant::now() >= deadline)).map_err(failed)?;
    let mut statement = db.prepare(sql).map_err(failed)?;
    if !statement.readonly() {
        return Err(Fault::new(FaultKind::Exception, "refused: it would write"));
    }
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let classes: Vec<(&str, Class)> = columns.iter().map(|name| (name.as_str(), Class::Any)).collect();
    check_columns(query, &classes)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut rows = Vec::new();
    while rows.len() <= ROWS_MAX {
        let Some(row) = found.next().map_err(failed)? else { break };
        let cells = (0..columns.len()).map(|at| row.get_ref(at).map_or(Cell::Unfit, cell));
        rows.push(cells.collect());
    }
    let utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Ok(Answer { columns, rows, clock: Clock { utc, local: east.map(|east| utc + east) } })
}

#[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(n) => Cell::Number(n as f64),
        ValueRef::Real(n) => Cell::Number(n),
        ValueRef::Text(text) => Cell::text(text),
        ValueRef::Blob(_) => Cell::Unfit,
    }
}

/// SQLite's own message can quote what stands in the file; its code does not.
fn fault(error: &rusqlite::Error) -> Fault {
    let Some(code) = error.sqlite_error_code() else {
        let text = "the query is not one statement, or wants parameters";
        return Fault::new(FaultKind::Exception, text);
    };
    let (kind, text) = match code {
        ErrorCode::OperationInterrupted => (FaultKind::Timeout, "interrupted"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (FaultKind::BusyPort, "the till is writing"),
        ErrorCode::CannotOpen => (
            FaultKind::Refused,
            "it cannot be opened; in WAL mode it can be read only while the till has it open",
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (FaultKind::Denied, "not permitted")
        }
        ErrorCode::NotADatabase => (FaultKind::Parse, "not an SQLite database"),
        ErrorCode::DatabaseCorrupt => (FaultKind::Parse, "the file is damaged"),
        ErrorCode::ReadOnly => {
            (FaultKind::Exception, "refused: it would write, or must be recovered by the till first")
        }
        ErrorCode::TooBig | ErrorCode::OutOfMemory => (FaultKind::TooLarge, "more than SQLite takes"),
        ErrorCode::SystemIoFailure => (FaultKind::Refused, "the file cannot be read"),
        _ => (FaultKind::Exception, "SQLite refuses the query; are its tables and columns there?"),
    };
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    Fault::new(kind, format!("{text} (SQLite {extended})"))
}
