//! A disk that keeps what was synced and owes nothing else.
//!
//! The real files are the platter; what has been written and not synced is in memory only, as in a machine's page
//! cache, and reading sees it. A sync brings a file's content to the platter. Names are content of the folder: a file that
//! was made or deleted is so on the platter once the folder has been synced. SQLite's own file system syncs it with the first
//! sync of a journal or WAL that it has opened, and with a deletion where it is asked to; so does this.
//!
//! A power cut lets chance decide over everything that is not synced, writes that to the platter, and ends the disk.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::faults::{Counted, Fault, Op, Schedule, Strike, Then};
use super::file::{CachedFile, Name, remove};
use super::remains::Change;

/// Why the disk does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no room.
    Full,
    /// An input/output error; also everything after a power cut.
    Io,
    /// There is no such file.
    NoSuchFile,
    /// It is open already.
    InUse,
}

/// A file that is to be opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    /// Make it if there is none.
    pub create: bool,
    /// Its first sync is one of the folder too.
    pub syncs_folder: bool,
}

#[derive(Debug)]
pub(super) struct Disk {
    files: BTreeMap<PathBuf, CachedFile>,
    pub(super) schedule: Schedule,
    rng: StdRng,
    dead: bool,
}

impl Disk {
    pub(super) fn new(strike: Option<Strike>, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { files: BTreeMap::new(), schedule: Schedule::new(strike), rng, dead: false }
    }

    pub(super) fn open(&mut self, path: &Path, opening: Opening) -> Result<(), Refusal> {
        self.alive()?;
        if !self.exists(path) {
            if !opening.create {
                return Err(Refusal::NoSuchFile);
            }
            self.create(path)?;
        }
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), CachedFile::read(path)?);
        }
        let file = self.file(path)?;
        if file.open {
            return Err(Refusal::InUse);
        }
        file.open = true;
        file.syncs_folder = opening.syncs_folder;
        Ok(())
    }

    pub(super) fn close(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path) {
            file.open = false;
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.files.get(path).map_or_else(|| path.exists(), |file| file.name != Name::Deleted)
    }

    /// The length of a file that is there.
    pub(super) fn len(&self, path: &Path) -> Result<usize, Refusal> {
        self.alive()?;
        match self.files.get(path) {
            Some(file) => Ok(file.content.len()),
            None => {
                let metadata = std::fs::metadata(path).map_err(|_| Refusal::NoSuchFile)?;
                usize::try_from(metadata.len()).map_err(|_| Refusal::Io)
            }
        }
    }

    /// Fills the buffer from an offset; returns how many bytes there were.
    pub(super) fn read(&mut self, path: &Path, at: usize, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let fault = self.meet(Op::Read, path)?;
        self.suffer(fault, Op::Read, path)?;
        let content = &self.file(path)?.content;
        let there = content.get(at..).unwrap_or_default();
        let n = there.len().min(buffer.len());
        buffer[..n].copy_from_slice(&there[..n]);
        Ok(n)
    }

    pub(super) fn write(&mut self, path: &Path, at: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let fault = self.meet(Op::Write, path)?;
        let taken = match fault {
            None | Some(Fault::PowerCut(_)) => bytes.len(),
            // A write that fails may have written its beginning.
            Some(_) => self.rng.random_range(0..=bytes.len()),
        };
        self.file(path)?.change(Change::Write { at, bytes: bytes[..taken].to_vec() });
        self.suffer(fault, Op::Write, path)
    }

    pub(super) fn truncate(&mut self, path: &Path, len: usize) -> Result<(), Refusal> {
        let fault = self.meet(Op::Truncate, path)?;
        if matches!(fault, None | Some(Fault::PowerCut(_))) {
            self.file(path)?.change(Change::Truncate { len });
        }
        self.suffer(fault, Op::Truncate, path)
    }

    pub(super) fn sync(&mut self, path: &Path) -> Result<(), Refusal> {
        match self.meet(Op::Sync, path)? {
            None => {
                let file = self.file(path)?;
                file.settle(path)?;
                if std::mem::take(&mut file.syncs_folder) {
                    self.sync_folder(path.parent())?;
                }
                Ok(())
            }
            Some(fault) => {
                if !matches!(fault, Fault::PowerCut(_))
                    && let Some(file) = self.files.get_mut(path)
                {
                    file.leave_to_chance(path, &mut self.rng)?;
                }
                self.suffer(Some(fault), Op::Sync, path)
            }
        }
    }

    pub(super) fn delete(&mut self, path: &Path, sync_folder: bool) -> Result<(), Refusal> {
        self.alive()?;
        if !self.exists(path) {
            return Err(Refusal::NoSuchFile);
        }
        let fault = self.meet(Op::Delete, path)?;
        if matches!(fault, None | Some(Fault::PowerCut(_))) {
            if !self.files.contains_key(path) {
                self.files.insert(path.to_owned(), CachedFile::read(path)?);
            }
            self.file(path)?.name = Name::Deleted;
        }
        self.suffer(fault, Op::Delete, path)?;
        if sync_folder { self.sync_folder(path.parent()) } else { Ok(()) }
    }

    /// The power goes: chance decides over everything that is not synced.
    pub(super) fn cut(&mut self) -> Result<(), Refusal> {
        self.alive()?;
        self.dead = true;
        for (path, file) in &mut self.files {
            file.leave_to_chance(path, &mut self.rng)?;
            if file.name != Name::Synced && self.rng.random() {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// Everything reaches the platter, as it does in time on a machine that goes on.
    pub(super) fn flush(&mut self) -> Result<(), Refusal> {
        self.alive()?;
        for (path, file) in &mut self.files {
            if file.name == Name::Deleted {
                remove(path)?;
            } else {
                file.settle(path)?;
            }
        }
        Ok(())
    }

    fn alive(&self) -> Result<(), Refusal> {
        if self.dead { Err(Refusal::Io) } else { Ok(()) }
    }

    fn meet(&mut self, op: Op, path: &Path) -> Result<Option<Fault>, Refusal> {
        self.alive()?;
        // SQLite names a journal or WAL after its database, with a hyphen: `spool.db-wal`.
        let is_database = path.extension().is_some_and(|kind| !kind.as_bytes().contains(&b'-'));
        Ok(self.schedule.meet(op, if is_database { Counted::DatabaseFile } else { Counted::All }))
    }

    fn suffer(&mut self, fault: Option<Fault>, op: Op, path: &Path) -> Result<(), Refusal> {
        match fault {
            None => Ok(()),
            Some(Fault::Full) => Err(Refusal::Full),
            Some(Fault::IoError | Fault::IoErrors) => Err(Refusal::Io),
            Some(Fault::PowerCut(then)) => {
                self.cut()?;
                if then == Then::Die {
                    die(self.schedule.steps, op, path);
                }
                Err(Refusal::Io)
            }
        }
    }

    fn file(&mut self, path: &Path) -> Result<&mut CachedFile, Refusal> {
        self.files.get_mut(path).filter(|file| file.name != Name::Deleted).ok_or(Refusal::Io)
    }

    fn create(&mut self, path: &Path) -> Result<(), Refusal> {
        let fault = self.meet(Op::Create, path)?;
        if matches!(fault, None | Some(Fault::PowerCut(_))) {
            // A file of this name that was deleted before is truncated here, so its name has reached the platter: no cut can
            // leave more than one that had come just before.
            std::fs::write(path, []).map_err(|_| Refusal::Io)?;
            self.files.insert(path.to_owned(), CachedFile::empty());
        }
        self.suffer(fault, Op::Create, path)
    }

    fn sync_folder(&mut self, folder: Option<&Path>) -> Result<(), Refusal> {
        for (path, file) in self.files.iter_mut().filter(|(path, _)| path.parent() == folder) {
            if file.name == Name::Deleted {
                remove(path)?;
            }
        }
        self.files.retain(|path, file| file.name != Name::Deleted || path.parent() != folder);
        for (_, file) in self.files.iter_mut().filter(|(path, _)| path.parent() == folder) {
            file.name = Name::Synced;
        }
        Ok(())
    }
}

/// Ends the process as a power cut does, with a last word on what it was doing.
fn die(steps: u64, op: Op, path: &Path) -> ! {
    let name = path.file_name().unwrap_or_default().display();
    let _ = writeln!(io::stderr(), "{}{op} {name} at step {steps}", super::CUT);
    let _ = kill(Pid::this(), Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}
