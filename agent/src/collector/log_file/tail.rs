//! All files of one log together, and what they have said, kept over restarts.
//!
//! # Rotation
//! The file that the path leads to is the *last* one. When that becomes another file, the one before is still open and is
//! read to its end first, and for a minute longer, because its writer may not know yet. Files that were made and rotated
//! away between two polls are found by their names, and read in between. After a restart a file is found again by its inode,
//! under whatever name of the family.
//!
//! # Exactly once
//! Two things must agree: what has been read (places, counters) and what the spool has accepted. So the state is written
//! *before* a tick is accepted, and holds the tick. A crash before that forgets both: the lines are read again. A crash after
//! it forgets none: the tick in the state is accepted once more, with its own time, and the same series and millisecond twice
//! is one sample. Counters are cumulative, so what a tick says is right whatever became of the one before. Events of such a
//! tick may be told twice.
//!
//! The state is written at most once every `every:`, with the tick, for the sake of flash; lines that said nothing are
//! noted once a minute.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::book::{Book, Kept};
use super::super::fault::{Fault, FaultKind};
use super::super::kept;
use super::find::{self, Found};
use super::follow::{self, CHUNKS_MAX, Follow, Out, Place};
use super::rule::Heard;
use super::{RECORDS, Settings, TRUNCATIONS, format::Format};
use crate::board::DeviceState;

/// The file in the folder of the device.
pub(super) const STATE: &str = "log.json";
/// How long a file is read on that the path does not lead to any more, after it last grew.
const LINGER: Duration = Duration::from_secs(60);
/// How often counters are told that have not changed, and places are kept of lines that said nothing.
const AGAIN: Duration = Duration::from_secs(60);
/// Most files that are known at once.
const FILES_MAX: usize = 16;
/// A file that was copied is known by its beginning if it has at least so many bytes.
const COPY_HEAD_BYTES_MIN: usize = 64;
/// Polls after a rotation in which files in between are looked for.
const SEARCHES: u8 = 3;

/// Events, and what they say.
const TRUNCATED: (&str, &str) = (
    "log.truncated",
    "the file was cut and is read from its beginning; what was written between the last look and the cut is lost",
);
const GONE: (&str, &str) =
    ("log.gone", "a file that was being read is gone; what stood behind the last look is not read");
const STATE_LOST: (&str, &str) =
    ("log.state_lost", "what was kept of this log is no state and was set aside; the log is taken for a new one");

/// A tick that the state holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub time_ms: i64,
    pub values: Vec<(String, f64)>,
    pub events: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    path: PathBuf,
    files: Vec<Place>,
    kept: Kept,
    pending: Option<Pending>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The file cannot be read.
    pub trouble: Option<Fault>,
    /// Lines that were not taken.
    pub refused: Vec<FaultKind>,
    /// To be accepted before the next look.
    pub pending: Option<Pending>,
    /// What has not changed, now.
    pub again: Vec<(String, f64)>,
    pub state: Option<DeviceState>,
}

/// The log.
#[derive(Debug)]
pub(super) struct Tail {
    settings: Settings,
    format: Format,
    folder: PathBuf,
    heard: Heard,
    /// Oldest first; the last is the one that the path leads to.
    files: Vec<Follow>,
    /// Nothing was ever read of this path.
    is_new: bool,
    /// The last tick.
    pending: Option<Pending>,
    /// It has been handed out.
    is_accepted: bool,
    /// What was to be kept has been.
    is_written: bool,
    missing: u32,
    searches: u8,
    /// When the file before was last written.
    since_ms: i64,
    moved: bool,
    kept_at: Option<Instant>,
    told_at: Option<Instant>,
    heard_at: Instant,
}

impl Tail {
    /// With what was kept, and the tick that may not have been accepted.
    pub(super) fn load(settings: &Settings, folder: PathBuf) -> io::Result<(Self, Option<Pending>)> {
        let format = settings.format();
        let mut heard = Heard { book: settings.book().unwrap_or_else(|_| Book::new(0)), events: BTreeMap::new() };
        let state: Option<State> = match kept::read(&folder, STATE)?.map(|bytes| serde_json::from_slice(&bytes)) {
            Some(Ok(state)) => Some(state),
            Some(Err(_)) => {
                std::fs::rename(folder.join(STATE), folder.join(format!("{STATE}.bad")))?;
                heard.events.insert((STATE_LOST.0.to_owned(), STATE_LOST.1.to_owned()), 1);
                None
            }
            None => None,
        };
        let (mut files, mut pending, mut is_new) = (Vec::new(), None, true);
        if let Some(state) = state {
            heard.book.resume(&state.kept);
            pending = state.pending;
            if state.path == settings.path {
                files = state.files.into_iter().map(|place| Follow::at(settings.path.clone(), place)).collect();
                is_new = false;
            }
        }
        let tail = Self {
            settings: settings.clone(),
            format,
            folder,
            heard,
            files,
            is_new,
            pending: None,
            is_accepted: true,
            is_written: true,
            missing: 0,
            searches: 0,
            since_ms: 0,
            moved: false,
            kept_at: None,
            told_at: None,
            heard_at: Instant::now(),
        };
        Ok((tail, pending))
    }

    /// Reads what there is, and keeps it if it is time.
    pub(super) fn look(&mut self, now_ms: i64) -> Look {
        let mut look = Look::default();
        if !self.is_written {
            // What cannot be kept must not be read on.
            self.keep(&mut look);
            return look;
        }
        let was_new = self.is_new;
        look.trouble = self.find().err();
        let is_open = self.files.last().is_some_and(|file| file.file.is_some());
        if is_open && self.told_at.is_none() {
            // Before the first line: counters begin at 0, and where a new log begins is never read again.
            self.keep_tick(now_ms, &mut look);
            return look;
        }
        if was_new != self.is_new {
            self.keep(&mut look);
        }
        self.read(&mut look);
        let is_stale = self.heard_at.elapsed() >= self.settings.stale_after;
        let state = if is_stale { DeviceState::Stale } else { DeviceState::Ok };
        look.state = Some(look.trouble.as_ref().map_or(state, |fault| fault.kind.state()));
        let is_due = self.kept_at.is_none_or(|at| at.elapsed() >= self.settings.every);
        if self.has_changed() && is_due {
            self.keep_tick(now_ms, &mut look);
        } else if self.moved && self.kept_at.is_none_or(|at| at.elapsed() >= AGAIN) {
            self.keep(&mut look);
        } else if look.state == Some(DeviceState::Ok)
            && !self.has_changed()
            && is_open
            && self.told_at.is_none_or(|at| at.elapsed() >= AGAIN)
        {
            look.again = self.heard.book.take(true);
            self.told_at = Some(Instant::now());
        }
        look
    }

    /// Keeps what has been read and not told; for the end.
    pub(super) fn finish(&mut self, now_ms: i64) -> Look {
        let mut look = Look::default();
        if !self.is_written || (!self.has_changed() && !self.moved) {
            return look;
        }
        self.keep_tick(now_ms, &mut look);
        look
    }

    /// The tick has been accepted: nothing needs to be accepted again after a start. For the end, since after a crash it
    /// does no harm.
    pub(super) fn close(&mut self) -> Look {
        let mut look = Look::default();
        if self.is_written && self.pending.take().is_some() {
            self.keep(&mut look);
        }
        look
    }

    fn has_changed(&self) -> bool {
        self.heard.book.has_changed() || !self.heard.events.is_empty()
    }

    fn keep_tick(&mut self, now_ms: i64, look: &mut Look) {
        let all = self.told_at.is_none_or(|at| at.elapsed() >= AGAIN);
        let values = self.heard.book.take(all);
        if all {
            self.told_at = Some(Instant::now());
        }
        let events = std::mem::take(&mut self.heard.events).into_iter();
        let told = |((kind, text), times)| match times {
            1 => (kind, text),
            times => (kind, format!("{text} ({times} times)")),
        };
        // Two ticks of one time would be one.
        let last_ms = self.pending.as_ref().map_or(i64::MIN, |last| last.time_ms);
        let time_ms = if (now_ms..now_ms + 1_000).contains(&last_ms) { last_ms + 1 } else { now_ms };
        self.pending = Some(Pending { time_ms, values, events: events.map(told).collect() });
        self.is_accepted = false;
        self.keep(look);
    }

    /// Writes the state; what it holds is to be accepted only then.
    fn keep(&mut self, look: &mut Look) {
        self.is_written = false;
        let state = State {
            path: self.settings.path.clone(),
            files: self.files.iter().map(|file| file.place.clone()).collect(),
            kept: self.heard.book.kept(),
            pending: self.pending.clone(),
        };
        let written = serde_json::to_vec(&state)
            .map_err(io::Error::other)
            .and_then(|bytes| kept::write(&self.folder, STATE, &bytes));
        match written {
            Ok(()) => {
                (self.is_written, self.moved) = (true, false);
                self.kept_at = Some(Instant::now());
                if !self.is_accepted {
                    look.pending.clone_from(&self.pending);
                    self.is_accepted = true;
                }
            }
            Err(error) => {
                let text = format!("{}: cannot be written: {error}; nothing is read until it can", self.folder.display());
                look.trouble = Some(Fault::new(FaultKind::Denied, text));
                look.state = Some(DeviceState::Fault);
            }
        }
    }

    fn event(&mut self, (kind, text): (&str, &str), times: u64) {
        *self.heard.events.entry((kind.to_owned(), text.to_owned())).or_default() += times;
    }

    /// Reads all files, oldest first.
    fn read(&mut self, look: &mut Look) {
        let mut chunks = CHUNKS_MAX;
        let Self { files, format, heard, .. } = self;
        let mut out = Out { format, heard, records: 0, truncations: 0, faults: Vec::new() };
        let goes_on = files.last().is_some_and(|last| last.place.offset > 0);
        let last = files.len().saturating_sub(1);
        for (at, file) in files.iter_mut().enumerate() {
            let before = file.place.offset;
            let is_over = at < last && goes_on && file.file.is_some() && file.grew.elapsed() >= LINGER;
            if let Err(error) = file.read(&mut chunks, is_over, &mut out) {
                file.file = None;
                look.trouble.get_or_insert_with(|| trouble(&file.path, &error));
            }
            if is_over && chunks > 0 {
                (file.file, file.place.done) = (None, true);
            }
            if file.place.offset != before {
                (self.moved, self.heard_at) = (true, Instant::now());
            }
            if chunks == 0 {
                break;
            }
        }
        let Out { records, truncations, faults, .. } = out;
        look.refused = faults;
        for (name, times) in [(RECORDS, records), (TRUNCATIONS, truncations)] {
            if times > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a poll reads a mebibyte")]
                let counted = self.heard.book.count(name, &[], times as f64);
                look.refused.extend(counted.err());
            }
        }
        if truncations > 0 {
            self.event(TRUNCATED, truncations);
        }
    }

    /// Turns to the file that the path leads to.
    fn find(&mut self) -> Result<(), Fault> {
        let path = self.settings.path.clone();
        let Some((path, meta)) = find::current(&path).map_err(|error| trouble(&path, &error))? else {
            self.missing = self.missing.saturating_add(1);
            // In a folder that is there a file that is not there will be a new one.
            self.is_new &= !path.parent().is_some_and(Path::is_dir);
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
        if self.files.iter().any(|file| file.file.is_none() && !file.place.done) {
            self.reopen(found)?;
        }
        let is_last = |id| self.files.last().is_some_and(|last| last.file.is_some() && last.place.id() == id);
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
        if let Some(last) = self.files.last() {
            (self.since_ms, self.searches) = (last.place.modified_ms, SEARCHES);
        }
        let known = self.files.iter().position(|file| file.place.id() == id);
        let known = known.map(|at| self.files.remove(at));
        let next = match known {
            Some(mut known) if known.place.fits(&file)? => {
                known.reopen(found.0.clone(), file)?;
                known
            }
            // A new file in the place of one that is gone.
            _ => Follow::begin(found.0.clone(), file)?,
        };
        self.files.push(next);
        self.moved = true;
        self.forget();
        Ok(())
    }

    /// The first look: what the path was called before is not read, nor what stands in the file if `start: end`.
    fn begin(&mut self, found: &Found) -> io::Result<()> {
        self.files.clear();
        let family = find::family(&self.settings.path)?;
        for (path, _) in family.into_iter().rev().filter(|(path, _)| *path != found.0).take(FILES_MAX - 1) {
            // One that cannot be read is not read later either.
            if let Ok(Some(file)) = follow::open(&path) {
                let mut follow = Follow::at_end(path, file)?;
                (follow.file, follow.place.done) = (None, true);
                self.files.insert(0, follow);
            }
        }
        let Some(file) = follow::open(&found.0)? else { return Ok(()) };
        let begin = if self.settings.is_from_beginning() { Follow::begin } else { Follow::at_end };
        self.files.push(begin(found.0.clone(), file)?);
        self.is_new = false;
        Ok(())
    }

    /// Finds files again after a restart, or after they could not be read.
    fn reopen(&mut self, found: &Found) -> io::Result<()> {
        let mut family = find::family(&self.settings.path)?;
        family.push(found.clone());
        let last = self.files.len().saturating_sub(1);
        let mut events = Vec::new();
        for (at, follow) in self.files.iter_mut().enumerate() {
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
            if again.is_none() && at == last
                && let Some(file) = follow::open(&found.0)?
            {
                if same_inode(&found) {
                    follow.restart();
                    events.push(TRUNCATED);
                    again = Some((found.0.clone(), file));
                } else if place.head_bytes >= COPY_HEAD_BYTES_MIN && place.fits(&file)? {
                    again = Some((found.0.clone(), file));
                }
            }
            match again {
                Some((path, file)) => follow.reopen(path, file)?,
                None => {
                    follow.place.done = true;
                    events.push(GONE);
                }
            }
        }
        for event in events {
            self.event(event, 1);
            if event == TRUNCATED {
                let _ = self.heard.book.count(TRUNCATIONS, &[], 1.0);
            }
        }
        Ok(())
    }

    /// Looks for files that were made and rotated away since the last look.
    fn search(&mut self, found: &Found) -> io::Result<()> {
        for (path, meta) in find::family(&self.settings.path)? {
            let id = (meta.dev(), meta.ino());
            let is_known = self.files.iter().any(|file| file.place.id() == id);
            if is_known || path == found.0 || follow::modified_ms(&meta) < self.since_ms {
                continue;
            }
            // It may have another name by now.
            let Ok(Some(file)) = follow::open(&path) else { continue };
            let follow = Follow::begin(path, file)?;
            if follow.place.id() != id {
                continue;
            }
            let before_last = self.files.len().saturating_sub(1);
            self.files.insert(before_last, follow);
            self.moved = true;
        }
        self.forget();
        Ok(())
    }

    /// Of too many files the oldest are forgotten, those first of which nothing more is expected.
    fn forget(&mut self) {
        while self.files.len() > FILES_MAX {
            let at = self.files.iter().position(|file| file.place.done).unwrap_or(0);
            self.files.remove(at);
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
