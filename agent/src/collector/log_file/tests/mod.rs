//! The kind on files that are written, rotated, cut and lost, with an agent that stops and crashes.

mod crashes;
mod cuts;
mod formats;
mod lines;
mod rotation;
mod running;
mod settings;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Settings;
use super::tail::{Look, Pending, Tail};
use crate::collector::rig::Rig;
use crate::collector::{Collector as _, FaultKind, Kind};

/// Counts numbered lines, with the sum of their numbers in a histogram.
const NUMBERED: &str = "poll: 100ms, every: 100ms, patterns: [{ match: '.*INFO sale no=(?<no>\\d+)', counters: [sales], histograms: { no: { metric: no, bounds: [10, 1000] } } }]";

fn append(path: &Path, text: impl AsRef<[u8]>) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

fn sale(no: u32) -> String {
    format!("2026-11-21 10:30:00,123 INFO sale no={no}\n")
}

fn yaml(path: &Path, more: &str) -> String {
    format!("log_file: {{ path: '{}', {more} }}", path.display())
}

fn settings(yaml: &str) -> Settings {
    let Kind::LogFile(settings) = Rig::kind(yaml) else { panic!("{yaml}") };
    settings.check().unwrap_or_else(|why| panic!("{yaml}\n{why}"));
    settings
}

/// A log without a runtime: each look is one poll, whatever the time.
struct Desk {
    dir: tempfile::TempDir,
    tail: Tail,
    settings: Settings,
    now_ms: i64,
    /// What was accepted, by series: the last value.
    values: std::collections::BTreeMap<String, f64>,
    events: Vec<String>,
    refused: Vec<FaultKind>,
}

impl Desk {
    fn new(name: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&yaml(&dir.path().join(name), more));
        let (tail, _) = Tail::load(&settings, dir.path().join("state")).unwrap();
        let (values, events, refused) = Default::default();
        Self { dir, tail, settings, now_ms: 1_000, values, events, refused }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One look; what comes of it is accepted unless `crash`.
    fn look_or(&mut self, crash: bool) -> Look {
        self.now_ms += 100;
        std::thread::sleep(Duration::from_millis(1));
        let mut look = self.tail.look(self.now_ms);
        if let Some(pending) = look.pending.take().filter(|_| !crash) {
            self.accept(pending);
        }
        self.values.extend(std::mem::take(&mut look.again));
        self.refused.append(&mut look.refused);
        look
    }

    /// Looks until nothing changes, which must be soon.
    fn look(&mut self) -> Look {
        std::thread::sleep(self.settings.every);
        self.look_or(false);
        std::thread::sleep(self.settings.every);
        self.look_or(false)
    }

    fn accept(&mut self, pending: Pending) {
        self.values.extend(pending.values);
        self.events.extend(pending.events.into_iter().map(|(kind, _)| kind));
    }

    /// The process is gone, and another begins.
    fn crash(&mut self) {
        let (tail, pending) = Tail::load(&self.settings, self.dir.path().join("state")).unwrap();
        self.tail = tail;
        if let Some(pending) = pending {
            self.accept(pending);
        }
    }

    fn sales(&self) -> f64 {
        self.values.get("sales").copied().unwrap_or_default()
    }
}
