//! The package on disk. Secrets are 0600 and durable before anybody counts on them; the rest is written whole or not at all,
//! and is made again where it is missing.
//!
//! One process at a time: the folder is locked, and the kernel gives the lock back however the process ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use storepulse_shared::ids::StoreId;

use super::OnboardError;
use super::package::PackageFile;

/// Files are written by so many at once: the disk then syncs for several together.
const WRITERS: usize = 8;
/// Longest file that is read, in bytes; a key has 256 at most.
const READ_MAX: u64 = 4096;

/// An open package.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    _lock: Flock<File>,
}

/// Stores whose folder the others do not touch, with what is to be written there.
pub(super) type PerStore = Vec<(StoreId, Vec<PackageFile>)>;

impl Folder {
    /// Makes it if it is missing.
    ///
    /// # Errors
    /// It cannot be made, or another process has it.
    pub(super) fn open(root: &Path) -> Result<Self, OnboardError> {
        let failed = |error| OnboardError::file(root, error);
        DirBuilder::new().recursive(true).create(root).map_err(failed)?;
        let dir = File::open(root).map_err(failed)?;
        let lock = Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => OnboardError::FolderInUse(root.to_owned()),
            errno => OnboardError::file(root, errno.into()),
        })?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    /// The folder of a store.
    pub(super) fn of(&self, store: &StoreId) -> PathBuf {
        self.root.join(store.as_str())
    }

    /// What stands in a small file of a store; `None` if it is missing or empty.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self, store: &StoreId, name: &str) -> Result<Option<String>, OnboardError> {
        let path = self.of(store).join(name);
        let read = || -> io::Result<String> {
            let mut text = String::new();
            io::Read::read_to_string(&mut io::Read::take(File::open(&path)?, READ_MAX), &mut text)?;
            Ok(text)
        };
        match read() {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Not a text, so none of ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(OnboardError::file(&path, error)),
        }
    }

    /// Writes secrets; when this returns they are durable, names and all.
    ///
    /// # Errors
    /// Names the file. Others may have been written.
    pub(super) fn keep(&self, secrets: &PerStore) -> Result<(), OnboardError> {
        each(secrets, |(store, files)| {
            let dir = self.of(store);
            for file in files {
                write(&dir, file, true)?;
            }
            sync(&dir)
        })?;
        sync(&self.root)?;
        // Absolute, so that there is a folder above it.
        let above = std::path::absolute(&self.root).map_err(|e| OnboardError::file(&self.root, e))?;
        above.parent().map_or(Ok(()), sync)
    }

    /// Writes what is not secret, and what is not worth a sync as it can be made again.
    ///
    /// # Errors
    /// Names the file. Others may have been written.
    pub(super) fn write(&self, files: &PerStore) -> Result<(), OnboardError> {
        each(files, |(store, files)| {
            let dir = self.of(store);
            files.iter().try_for_each(|file| write(&dir, file, false))
        })
    }

    /// Writes a file beside the stores' folders.
    ///
    /// # Errors
    /// Names the file.
    pub(super) fn write_beside(&self, file: &PackageFile) -> Result<(), OnboardError> {
        write(&self.root, file, false)
    }
}

/// Several at once; the first error counts.
fn each<T: Sync>(
    all: &[T],
    work: impl Fn(&T) -> Result<(), OnboardError> + Sync,
) -> Result<(), OnboardError> {
    let share = all.len().div_ceil(WRITERS).max(1);
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            all.chunks(share).map(|share| scope.spawn(|| share.iter().try_for_each(&work))).collect();
        let done = writers.into_iter().map(|writer| match writer.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.collect::<Vec<_>>().into_iter().collect()
    })
}

fn sync(dir: &Path) -> Result<(), OnboardError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| OnboardError::file(dir, error))
}

/// Writes a file whole or not at all; what a person may have changed stays.
fn write(dir: &Path, file: &PackageFile, durable: bool) -> Result<(), OnboardError> {
    let path = dir.join(file.name);
    let write = || -> io::Result<()> {
        if file.is_kept && std::fs::metadata(&path).is_ok_and(|it| it.len() > 0) {
            return Ok(());
        }
        if !dir.exists() {
            DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        }
        let fresh = dir.join(format!("{}.new", file.name));
        // What an interrupted write left behind may have another mode.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut open = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&fresh)?;
        open.write_all(file.text.as_bytes())?;
        if durable {
            open.sync_all()?;
        }
        std::fs::rename(&fresh, &path)
    };
    write().map_err(|error| OnboardError::file(&path, error))
}
