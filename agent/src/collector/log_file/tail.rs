//! What a log has said, kept over restarts; [`super::files`] knows what it is read from.
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
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::book::{Book, Kept};
use super::super::fault::{Fault, FaultKind};
use super::super::kept;
use super::files::{Files, TRUNCATED};
use super::follow::{Out, Place};
use super::format::Format;
use super::rule::Heard;
use super::{RECORDS, Settings, TRUNCATIONS};
use crate::board::DeviceState;

/// The file in the folder of the device.
pub(super) const STATE: &str = "log.json";
/// How often counters are told that have not changed, and places are kept of lines that said nothing.
const AGAIN: Duration = Duration::from_secs(60);
/// Its event, and what it says.
const STATE_LOST: (&str, &str) = (
    "log.state_lost",
    "what was kept of this log is no state and was set aside; the log is taken for a new one",
);

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
    files: Files,
    /// The last tick.
    pending: Option<Pending>,
    /// It has been handed out.
    is_accepted: bool,
    /// What was to be kept has been.
    is_written: bool,
    kept_at: Option<Instant>,
    told_at: Option<Instant>,
}

impl Tail {
    /// With what was kept, and the tick that may not have been accepted.
    pub(super) fn load(settings: &Settings, folder: PathBuf) -> io::Result<(Self, Option<Pending>)> {
        let format = settings.format();
        let mut heard =
            Heard { book: settings.book().unwrap_or_else(|_| Book::new(0)), events: BTreeMap::new() };
        let state: Option<State> =
            match kept::read(&folder, STATE)?.map(|bytes| serde_json::from_slice(&bytes)) {
                Some(Ok(state)) => Some(state),
                Some(Err(_)) => {
                    std::fs::rename(folder.join(STATE), folder.join(format!("{STATE}.bad")))?;
                    heard.events.insert((STATE_LOST.0.to_owned(), STATE_LOST.1.to_owned()), 1);
                    None
                }
                None => None,
            };
        let (mut files, mut pending) = (Files::new(settings.path.clone(), settings.start), None);
        if let Some(state) = state {
            heard.book.resume(&state.kept);
            pending = state.pending;
            if state.path == settings.path {
                files.resume(state.files);
            }
        }
        let tail = Self {
            settings: settings.clone(),
            format,
            folder,
            heard,
            files,
            pending: None,
            is_accepted: true,
            is_written: true,
            kept_at: None,
            told_at: None,
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
        let was_new = self.files.is_new;
        look.trouble = self.files.find().err();
        for event in std::mem::take(&mut self.files.events) {
            self.event(event, 1);
            if event == TRUNCATED {
                look.refused.extend(self.heard.book.count(TRUNCATIONS, &[], 1.0).err());
            }
        }
        let is_open = self.files.is_open();
        if is_open && self.told_at.is_none() {
            // Before the first line: counters begin at 0, and where a new log begins is never read again.
            self.keep_tick(now_ms, &mut look);
            return look;
        }
        if was_new != self.files.is_new {
            self.keep(&mut look);
        }
        self.read(&mut look);
        let is_stale = self.files.grew.elapsed() >= self.settings.stale_after;
        let state = if is_stale { DeviceState::Stale } else { DeviceState::Ok };
        // Between two steps of a rotation there is no file, which says nothing.
        let state = Some(state).filter(|_| is_open);
        look.state = look.trouble.as_ref().map_or(state, |fault| Some(fault.kind.state()));
        let is_due = self.kept_at.is_none_or(|at| at.elapsed() >= self.settings.every);
        if self.has_changed() && is_due {
            self.keep_tick(now_ms, &mut look);
        } else if self.files.moved && self.kept_at.is_none_or(|at| at.elapsed() >= AGAIN) {
            self.keep(&mut look);
        } else if look.state == Some(DeviceState::Ok)
            && !self.has_changed()
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
        if !self.is_written || (!self.has_changed() && !self.files.moved) {
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
            files: self.files.places(),
            kept: self.heard.book.kept(),
            pending: self.pending.clone(),
        };
        let written = serde_json::to_vec(&state)
            .map_err(io::Error::other)
            .and_then(|bytes| kept::write(&self.folder, STATE, &bytes));
        match written {
            Ok(()) => {
                (self.is_written, self.files.moved) = (true, false);
                self.kept_at = Some(Instant::now());
                if !self.is_accepted {
                    look.pending.clone_from(&self.pending);
                    self.is_accepted = true;
                }
            }
            Err(error) => {
                let text = format!(
                    "{}: cannot be written: {error}; nothing is read until it can",
                    self.folder.display()
                );
                look.trouble = Some(Fault::new(FaultKind::Denied, text));
                look.state = Some(DeviceState::Fault);
            }
        }
    }

    fn event(&mut self, (kind, text): (&str, &str), times: u64) {
        *self.heard.events.entry((kind.to_owned(), text.to_owned())).or_default() += times;
    }

    /// Reads all files, and counts what came of it.
    fn read(&mut self, look: &mut Look) {
        let Self { files, format, heard, .. } = self;
        let mut out = Out { format, heard, records: 0, truncations: 0, faults: Vec::new() };
        if let Some(fault) = files.read(&mut out) {
            look.trouble.get_or_insert(fault);
        }
        let Out { records, truncations, faults, .. } = out;
        look.refused.extend(faults);
        if truncations > 0 {
            self.event(TRUNCATED, truncations);
        }
        for (name, times) in [(RECORDS, records), (TRUNCATIONS, truncations)] {
            if times > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a poll reads a mebibyte")]
                let counted = self.heard.book.count(name, &[], times as f64);
                look.refused.extend(counted.err());
            }
        }
    }
}
