//! The files of one log: which is read, and to where each has been read.
//!
//! The file that the path leads to is the *last* one. When that becomes another file, the one before is still open and is
//! read to its end first, and for a minute longer, because its writer may not know yet. Files that were made and rotated
//! away between two polls are found by their names, and read in between. After a restart a file is found again by its inode,
//! under whatever name of the family.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::fault::{Fault, FaultKind};
use super::Start;
use super::find::{self, Found};
use super::follow::{self, CHUNKS_MAX, Follow, Out, Place};

/// How long a file is read on that the path does not lead to any more, after it last grew.
const LINGER: Duration = Duration::from_secs(60);
/// Most files that are known at once.
const FILES_MAX: usize = 16;
/// A file that was copied is known by its beginning if it has at least so many bytes.
const COPY_HEAD_BYTES_MIN: usize = 64;
/// Polls after a rotation in which files in between are looked for.
const SEARCHES: u8 = 3;

/// Kind and text.
pub(super) type Event = (&'static str, &'static str);

pub(super) const TRUNCATED: Event = (
    "log.truncated",
    "the file was cut and is read from its beginning; what was written between the last look and the cut is lost",
);
const GONE: Event =
    ("log.gone", "a file that was being read is gone; what stood behind the last look is not read");

/// All of them.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    start: Start,
    /// Oldest first; the last is the one that the path leads to.
    list: Vec<Follow>,
    /// Nothing was ever read of this path.
    pub is_new: bool,
    /// Some place is another than was kept.
    pub moved: bool,
    /// When one of them last grew.
    pub grew: Instant,
    /// What happened to them.
    pub events: Vec<Event>,
    /// In how many looks in a row the path led nowhere.
    missing: u32,
    searches: u8,
    /// When the file before was last written.
    since_ms: i64,
}

impl Files {
    /// Of a path that was never seen.
    pub(super) fn new(path: PathBuf, start: Start) -> Self {
        let (list, events) = (Vec::new(), Vec::new());
        let grew = Instant::now();
        Self {
            path,
            start,
            list,
            is_new: true,
            moved: false,
            grew,
            events,
            missing: 0,
            searches: 0,
            since_ms: 0,
        }
    }

    /// Goes on where it was.
    pub(super) fn resume(&mut self, places: Vec<Place>) {
        self.list = places.into_iter().map(|place| Follow::at(self.path.clone(), place)).collect();
        self.is_new = false;
    }

    /// Where each has been read to.
    pub(super) fn places(&self) -> Vec<Place> {
        self.list.iter().map(|file| file.place.clone()).collect()
    }

    /// Whether the last one can be read.
    pub(super) fn is_open(&self) -> bool {
        self.list.last().is_some_and(|file| file.file.is_some())
    }

    /// Reads all of them, oldest first, and says what cannot be read.
    pub(super) fn read(&mut self, out: &mut Out<'_>) -> Option<Fault> {
        let mut chunks = CHUNKS_MAX;
        let mut fault = None;
        let goes_on = self.list.last().is_some_and(|last| last.place.offset > 0);
        let last = self.list.len().saturating_sub(1);
        for (at, file) in self.list.iter_mut().enumerate() {
            let before = file.place.offset;
            let is_over = at < last && goes_on && file.file.is_some() && file.grew.elapsed() >= LINGER;
            if let Err(error) = file.read(&mut chunks, is_over, out) {
                file.file = None;
                fault.get_or_insert_with(|| trouble(&file.path, &error));
            }
            if is_over && chunks > 0 {
                (file.file, file.place.done) = (None, true);
            }
            if file.place.offset != before {
                (self.moved, self.grew) = (true, Instant::now());
            }
            if chunks == 0 {
                break;
            }
        }
        fault
    }

    /// Turns to the file that the path leads to.
    pub(super) fn find(&mut self) -> Result<(), Fault> {
        let path = self.path.clone();
        let Some((path, meta)) = find::current(&path).map_err(|error| trouble(&path, &error))? else {
            self.missing = self.missing.saturating_add(1);
            // In a folder that is there a file that is not there will be a new one.
            self.is_new &= !path.parent().is_some_and(Path::is_dir);
            // What was rotated away before a restart has lines that nobody has read; the next file may be long in coming.
            if !self.is_new && self.is_any_shut() {
                self.reopen(None).map_err(|error| trouble(&path, &error))?;
            }
            // Between two steps of a rotation there is none.
            return match self.missing {
                1 => Ok(()),
                _ => Err(Fault::new(FaultKind::MissingPort, format!("{} is not there", path.display()))),
            };
        };
        self.missing = 0;
        if !meta.is_file() {
            return Err(Fault::new(FaultKind::Unsupported, format!("{} is no file", path.display())));
        }
        let found = (path, meta);
        let told = |error| trouble(&found.0, &error);
        self.turn_to(&found).map_err(told)?;
        if self.searches > 0 {
            self.searches -= 1;
            self.search(&found).map_err(told)?;
        }
        Ok(())
    }

    fn turn_to(&mut self, found: &Found) -> io::Result<()> {
        if self.is_new {
            return self.begin(found);
        }
        if self.is_any_shut() {
            self.reopen(Some(found))?;
        }
        let is_last = |id| self.list.last().is_some_and(|last| last.file.is_some() && last.place.id() == id);
        if is_last((found.1.dev(), found.1.ino())) {
            return Ok(());
        }
        // It may be another one again by now: what counts is what was opened.
        let Some(file) = follow::open(&found.0)? else { return Ok(()) };
        let meta = file.metadata()?;
        let id = (meta.dev(), meta.ino());
        if is_last(id) {
            return Ok(());
        }
        if let Some(last) = self.list.last() {
            (self.since_ms, self.searches) = (last.place.modified_ms, SEARCHES);
        }
        let known = self.list.iter().position(|file| file.place.id() == id);
        let known = known.map(|at| self.list.remove(at));
        let next = match known {
            Some(mut known) if known.place.fits(&file)? => {
                known.reopen(found.0.clone(), file)?;
                known
            }
            // A new file in the place of one that is gone.
            _ => Follow::begin(found.0.clone(), file)?,
        };
        self.list.push(next);
        self.moved = true;
        self.forget();
        Ok(())
    }

    /// The first look: what the path was called before is not read, nor what stands in the file if `start: end`.
    fn begin(&mut self, found: &Found) -> io::Result<()> {
        self.list.clear();
        let family = find::family(&self.path)?;
        for (path, _) in family.into_iter().rev().filter(|(path, _)| *path != found.0).take(FILES_MAX - 1) {
            // One that cannot be read is not read later either.
            if let Ok(Some(file)) = follow::open(&path) {
                let mut follow = Follow::at_end(path, file)?;
                (follow.file, follow.place.done) = (None, true);
                self.list.insert(0, follow);
            }
        }
        let Some(file) = follow::open(&found.0)? else { return Ok(()) };
        let begin = if self.start == Start::Beginning { Follow::begin } else { Follow::at_end };
        self.list.push(begin(found.0.clone(), file)?);
        self.is_new = false;
        Ok(())
    }

    fn is_any_shut(&self) -> bool {
        self.list.iter().any(|file| file.file.is_none() && !file.place.done)
    }

    /// Finds files again after a restart, or after they could not be read. While the path leads nowhere it says of none that
    /// it is gone: the path may have led to it.
    fn reopen(&mut self, found: Option<&Found>) -> io::Result<()> {
        let mut family = find::family(&self.path)?;
        family.extend(found.cloned());
        let last = self.list.len().saturating_sub(1);
        for (at, follow) in self.list.iter_mut().enumerate() {
            if follow.file.is_some() || follow.place.done {
                continue;
            }
            let place = &follow.place;
            let same_inode = |found: &&Found| found.1.ino() == place.ino;
            let mut again = None;
            for (path, _) in family.iter().filter(same_inode) {
                let Some(file) = follow::open(path)? else { continue };
                if place.fits(&file)? {
                    again = Some((path.clone(), file));
                    break;
                }
            }
            if again.is_none()
                && at == last
                && let Some(found) = found
                && let Some(file) = follow::open(&found.0)?
            {
                if same_inode(&found) {
                    follow.restart();
                    self.events.push(TRUNCATED);
                    again = Some((found.0.clone(), file));
                } else if place.head_bytes >= COPY_HEAD_BYTES_MIN && place.fits(&file)? {
                    again = Some((found.0.clone(), file));
                }
            }
            match again {
                Some((path, file)) => follow.reopen(path, file)?,
                None if found.is_none() => {}
                None => {
                    follow.place.done = true;
                    self.events.push(GONE);
                }
            }
        }
        Ok(())
    }

    /// Looks for files that were made and rotated away since the last look.
    fn search(&mut self, found: &Found) -> io::Result<()> {
        for (path, meta) in find::family(&self.path)? {
            let id = (meta.dev(), meta.ino());
            let is_known = self.list.iter().any(|file| file.place.id() == id);
            if is_known || path == found.0 || follow::modified_ms(&meta) < self.since_ms {
                continue;
            }
            // It may have another name by now.
            let Ok(Some(file)) = follow::open(&path) else { continue };
            let follow = Follow::begin(path, file)?;
            if follow.place.id() != id {
                continue;
            }
            let before_last = self.list.len().saturating_sub(1);
            self.list.insert(before_last, follow);
            self.moved = true;
        }
        self.forget();
        Ok(())
    }

    /// Of too many files the oldest are forgotten, those first of which nothing more is expected.
    fn forget(&mut self) {
        while self.list.len() > FILES_MAX {
            let at = self.list.iter().position(|file| file.place.done).unwrap_or(0);
            self.list.remove(at);
        }
    }
}

fn trouble(path: &Path, error: &io::Error) -> Fault {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => FaultKind::Denied,
        io::ErrorKind::NotFound => FaultKind::MissingPort,
        _ => FaultKind::Refused,
    };
    Fault::new(kind, format!("{}: {error}", path.display()))
}
