//! One file: what reading sees, and what its platter does not have yet.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rand::rngs::StdRng;

use super::disk::Refusal;
use super::remains::{Change, remains};

/// What became of a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// As on the platter.
    Synced,
    /// Made; the platter may not know it.
    Created,
    /// Deleted; the platter may still know it.
    Deleted,
}

#[derive(Debug)]
pub(super) struct CachedFile {
    /// What reading sees.
    pub content: Vec<u8>,
    unsynced: Vec<Change>,
    pub name: Name,
    pub open: bool,
    /// The next sync syncs the folder too.
    pub syncs_folder: bool,
}

impl CachedFile {
    /// A file that has just been made.
    pub(super) fn empty() -> Self {
        Self::of(Vec::new(), Name::Created)
    }

    /// A file that stands on the platter.
    pub(super) fn read(path: &Path) -> Result<Self, Refusal> {
        let content = std::fs::read(path).map_err(|_| Refusal::Io)?;
        Ok(Self::of(content, Name::Synced))
    }

    fn of(content: Vec<u8>, name: Name) -> Self {
        Self { content, unsynced: Vec::new(), name, open: false, syncs_folder: false }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.content);
        self.unsynced.push(change);
    }

    /// Brings what was written to the platter.
    pub(super) fn settle(&mut self, path: &Path) -> Result<(), Refusal> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        write_changes(path, &self.unsynced).map_err(|_| Refusal::Io)?;
        self.unsynced.clear();
        Ok(())
    }

    /// Some of what the last sync does not cover reaches the platter; the rest never will.
    pub(super) fn leave_to_chance(&mut self, path: &Path, rng: &mut StdRng) -> Result<(), Refusal> {
        let unsynced = std::mem::take(&mut self.unsynced);
        if unsynced.is_empty() {
            return Ok(());
        }
        let platter = std::fs::read(path).map_err(|_| Refusal::Io)?;
        std::fs::write(path, remains(platter, &unsynced, rng)).map_err(|_| Refusal::Io)
    }
}

fn write_changes(path: &Path, changes: &[Change]) -> io::Result<()> {
    let platter = std::fs::File::options().write(true).open(path)?;
    for change in changes {
        match change {
            Change::Write { at, bytes } => platter.write_all_at(bytes, *at as u64)?,
            Change::Truncate { len } => platter.set_len(*len as u64)?,
        }
    }
    Ok(())
}

/// Takes a file off the platter, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Refusal> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Refusal::Io),
        _ => Ok(()),
    }
}
