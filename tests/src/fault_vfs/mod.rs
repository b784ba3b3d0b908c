//! A file system for SQLite on a disk that fails: the power goes, there is no room, a write or a sync is refused.
//!
//! # Purpose
//! The spool promises that what it has accepted survives. A SIGKILL does not put that to the test, because the kernel still has
//! every write. Here what was not synced is dropped, reordered and torn (`remains`), full disks and errors
//! strike at any chosen step (`faults`), and the code under test knows nothing of it: [`FaultDisk::attach`] makes this file
//! system SQLite's default, and it takes only the files in the attached folder; all others go to SQLite's own.
//!
//! # What it is like
//! The real files in the folder are the platter, see `disk`. It tells SQLite what SQLite's own file system for Unix
//! tells: that a write harms no byte beside it (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`, and it keeps to that), no atomic writes, no
//! ordered writes, no safe appends. The shared memory of the WAL's index is memory of this process, gone with it; after a real
//! power cut SQLite throws the `-shm` file away unread. A file serves one connection at a time, a second is told that it is
//! busy, so there are no locks. A sync does not lie: no database survives a disk whose syncs do.
//!
//! Files that a program opens by itself (`spool.lock`, a key) are not SQLite's and not concerned.

mod disk;
mod faults;
mod file;
mod remains;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use self::disk::Disk;
pub use self::faults::{Counted, Fault, Strike, Then};

/// How the last word of a process begins whose power goes; then what the disk was doing.
pub const CUT: &str = "power cut: ";

type Shared = Arc<Mutex<Disk>>;

/// A disk under a folder. Dropping it brings what is unsynced to the platter, unless the power went.
#[derive(Debug)]
pub struct FaultDisk {
    folder: PathBuf,
    disk: Shared,
}

impl FaultDisk {
    /// Puts a folder's SQLite files on a disk that will fail so, or not. `seed` decides what a power cut leaves.
    ///
    /// # Errors
    /// The folder does not exist or has a disk already, or SQLite does not take the file system.
    pub fn attach(folder: &Path, strike: Option<Strike>, seed: u64) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let disk = Arc::new(Mutex::new(Disk::new(strike, seed)));
        sqlite::attach(&folder, &disk)?;
        Ok(Self { folder, disk })
    }

    /// Whether the fault has struck.
    #[must_use]
    pub fn struck(&self) -> bool {
        lock(&self.disk).schedule.struck()
    }

    /// There is room again, or the cable is in again: nothing fails any more.
    pub fn mend(&self) {
        lock(&self.disk).schedule.mend();
    }

    /// The power goes now; the process lives on with a dead disk. Where it has gone already, nothing happens.
    pub fn cut(&self) {
        // Refused only by a disk that is dead.
        let _ = lock(&self.disk).cut();
    }
}

impl Drop for FaultDisk {
    fn drop(&mut self) {
        // Refused only by a disk that is dead.
        let _ = lock(&self.disk).flush();
        sqlite::detach(&self.folder);
    }
}

fn lock(disk: &Shared) -> std::sync::MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
