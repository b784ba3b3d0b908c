//! `log_file`: what a POS software writes into its log, read as it grows.
//!
//! The file is looked at again and again, since nothing tells of changes on a share of the network (SMB, NFS). [`mod@format`]
//! says how a line is a record and [`rule`] what a record becomes; both are pure. [`piece`] finds lines in bytes, [`follow`]
//! reads one file, [`find`] knows which files there are, [`files`] follows rotation, and
//! [`tail`] keeps what was said over restarts and crashes.
//!
//! It keeps a pace of its own, not `poll`'s: a file that cannot be read for a while holds everything that was written
//! meanwhile, so it is never looked at less often. Everything that touches the file runs beside the runtime, since a share
//! that is gone can hold a read for minutes; while one hangs, none is started.

mod files;
mod find;
mod follow;
mod format;
mod piece;
mod rule;
mod tail;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::limits::DEVICE_SERIES_MAX;
use tokio::task::JoinHandle;

use self::format::{Format, FormatName};
use self::rule::{Pattern, Take};
use self::tail::{Look, Pending, Tail};
use super::book::Book;
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::parse::{Subject, outcome};
use super::sink::Tick;
use super::{About, Collector, Context, pan};
use crate::board::DeviceState;
use crate::spool::LINE_WAIT_MAX;
use crate::time::stamp;

/// Lines that said something.
const RECORDS: &str = "retail.log.records";
/// How often the file was cut.
const TRUNCATIONS: &str = "retail.log.truncations";
/// Most patterns.
const PATTERNS_MAX: usize = 50;

/// `log_file:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    path: PathBuf,
    /// How often the file is looked at.
    #[serde(default = "defaults::seconds::<1>", deserialize_with = "crate::config::duration")]
    poll: Duration,
    /// How often at most what was read is told and kept.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    every: Duration,
    /// Where a log begins that was never seen.
    #[serde(default)]
    start: Start,
    /// How long a look may take.
    #[serde(default = "defaults::seconds::<10>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    /// Nothing was written for this long: the device is stale.
    #[serde(default = "defaults::hours::<1>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
    #[serde(default)]
    format: FormatName,
    /// What lines mean; each that matches counts.
    #[serde(default)]
    patterns: Vec<Pattern>,
    /// Between the columns of CSV.
    #[serde(default = "delimiter")]
    delimiter: char,
    /// What columns of CSV mean.
    #[serde(default)]
    columns: Box<Take>,
    /// What fields of JSON mean.
    #[serde(default)]
    fields: Box<Take>,
}

/// Where a log begins that was never seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Start {
    /// What stands in it is old.
    #[default]
    End,
    /// It is read.
    Beginning,
}

const fn delimiter() -> char {
    ','
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "The log of a POS software (or any other), read as it grows: lines by patterns, CSV, or a JSON object a line. Rotation is followed; the file is never written.",
        example: include_str!("example.yaml"),
        metrics: &[RECORDS, TRUNCATIONS],
        events: &["log.truncated", "log.gone", "log.state_lost"],
        limits: &[
            "Numbers that look like those of cards (13 to 19 digits with a valid check digit, spaces or dashes between) are dropped from a line before anything else; so are runs of 20 digits and more. A value that is such a number is refused as `parse`.",
            "A label has the values that the configuration lists; a pattern whose label has another value is not for that line, and a record of CSV or JSON is refused as `parse`.",
            "A line of more than 16 KiB is skipped and counted as `too_large`; a record that is not what the settings say is counted as `parse` and forgotten. A line that matches no pattern says nothing.",
            "1 MiB is read a poll. 16 files of one log are known at once: the one that is written, and those that it was rotated into.",
            "What was written between the last look and a truncation (`copytruncate`) cannot be read; it is an event and a count. So let rotation rename. Packed files (`.gz`, …) are not read.",
            "What is read is exact over restarts and crashes; an event can be told twice after a crash.",
            "Files are held open; a share that forbids renaming open files needs a glob and a new name for each day.",
        ],
        untested: &[
            "shares of Windows: their inodes are the server's, or made up by the kernel for each mount",
        ],
    };

    const SUBJECTS: &'static [Subject] = SUBJECTS;

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }

    fn check(&self) -> Result<(), String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        if self.path.file_name().is_none() || folder.as_os_str().as_encoded_bytes().contains(&b'*') {
            return Err("path: a file, with '*' in its last part only".to_owned());
        }
        if self.poll < Duration::from_millis(100) || self.every < self.poll {
            return Err("poll: at least 100ms, and every: at least that".to_owned());
        }
        let given = [!self.patterns.is_empty(), !self.columns.is_empty(), !self.fields.is_empty()];
        let (needed, name) = match self.format {
            FormatName::Lines => ([true, false, false], "patterns"),
            FormatName::Csv => ([false, true, false], "columns"),
            FormatName::Json => ([false, false, true], "fields"),
        };
        if given != needed {
            return Err(format!("format: this one needs {name}, and only these"));
        }
        if self.patterns.len() > PATTERNS_MAX {
            return Err(format!("patterns: at most {PATTERNS_MAX}"));
        }
        if !self.delimiter.is_ascii() || matches!(self.delimiter, '"' | '\r' | '\n') {
            return Err("delimiter: one ASCII character, no quote".to_owned());
        }
        for take in self.format().takes() {
            take.check()?;
        }
        if let Some(pointer) = self.fields.fields().find(|pointer| !pointer.starts_with('/')) {
            return Err(format!("fields: {pointer:?} is not a JSON pointer, /like/this"));
        }
        let mut book = self.book()?;
        self.format().takes().into_iter().try_for_each(|take| take.declare_values(&mut book)).map_err(unfit)
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.path]
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        if let Err(fault) = Reader::run(self, ctx).await {
            ctx.sink.error(fault.kind, fault.text);
            ctx.sink.state(fault.kind.state()).await;
        }
    }
}

impl Settings {
    fn format(&self) -> Format {
        match self.format {
            FormatName::Lines => Format::Lines(self.patterns.clone()),
            FormatName::Csv => Format::Csv {
                delimiter: u8::try_from(self.delimiter).unwrap_or(b','),
                take: Take::clone(&self.columns),
            },
            FormatName::Json => Format::Json(Take::clone(&self.fields)),
        }
    }

    /// A book with all counters and histograms at 0, and room for the values.
    fn book(&self) -> Result<Book, String> {
        let mut book = Book::new(DEVICE_SERIES_MAX);
        for name in [RECORDS, TRUNCATIONS] {
            book.count(name, &[], 0.0).map_err(unfit)?;
        }
        self.format().takes().into_iter().try_for_each(|take| take.declare(&mut book)).map_err(unfit)?;
        Ok(book)
    }
}

fn unfit(kind: FaultKind) -> String {
    match kind {
        FaultKind::TooManySeries => {
            format!("it makes more than {DEVICE_SERIES_MAX} series; use fewer labels or bounds")
        }
        _ => "two of its metrics would be one series, or a name is too long".to_owned(),
    }
}

/// The log and who reads it: a job that ends when the file system lets it.
struct Reader<'a> {
    settings: &'a Settings,
    ctx: &'a Context,
    tail: Option<Tail>,
    job: Option<JoinHandle<(Tail, Look)>>,
}

impl<'a> Reader<'a> {
    async fn run(settings: &'a Settings, ctx: &'a Context) -> Result<(), Fault> {
        let (kept, folder) = (settings.clone(), ctx.state.clone());
        let loaded = tokio::task::spawn_blocking(move || Tail::load(&kept, folder)).await;
        let (tail, pending) = loaded
            .map_err(|_| panicked())?
            .map_err(|error| Fault::new(FaultKind::Denied, format!("{}: {error}", ctx.state.display())))?;
        let mut reader = Self { settings, ctx, tail: Some(tail), job: None };
        let mut ticker = ctx.sink.ticker(settings.poll);
        let mut is_kept = match pending {
            Some(pending) => reader.accept(pending).await,
            None => true,
        };
        while is_kept {
            let tick = tokio::select! {
                () = ctx.stop.cancelled() => break,
                tick = ticker.tick() => stamp(tick, ctx.sink.now_ms()),
            };
            reader.start(move |tail| tail.look(tick));
            let Some(look) = reader.done().await? else { continue };
            is_kept = reader.tell(look, tick).await;
        }
        let now_ms = ctx.sink.now_ms();
        if is_kept && reader.start(move |tail| tail.finish(now_ms)) {
            let Some(look) = reader.done().await? else { return Ok(()) };
            if reader.tell(look, now_ms).await {
                reader.start(Tail::close);
                reader.done().await?;
            }
        }
        Ok(())
    }

    /// Has something done beside the runtime, unless the last is not done yet.
    fn start(&mut self, work: impl FnOnce(&mut Tail) -> Look + Send + 'static) -> bool {
        let Some(mut tail) = self.tail.take() else { return false };
        self.job = Some(tokio::task::spawn_blocking(move || {
            let look = work(&mut tail);
            (tail, look)
        }));
        true
    }

    /// Waits for what was started; `None` if it is not done in time.
    async fn done(&mut self) -> Result<Option<Look>, Fault> {
        let Some(job) = &mut self.job else { return Err(panicked()) };
        if let Ok(done) = tokio::time::timeout(self.settings.timeout, job).await {
            let (tail, look) = done.map_err(|_| panicked())?;
            (self.tail, self.job) = (Some(tail), None);
            return Ok(Some(look));
        }
        let timeout = humantime::format_duration(self.settings.timeout);
        let text = format!("{} does not answer within {timeout}", self.settings.path.display());
        self.ctx.sink.error(FaultKind::Timeout, text);
        self.ctx.sink.state(FaultKind::Timeout.state()).await;
        Ok(None)
    }

    /// Passes on what a look has found; `false` if the agent stops and the spool did not take it.
    async fn tell(&self, look: Look, time_ms: i64) -> bool {
        let sink = &self.ctx.sink;
        for kind in look.refused {
            let text = match kind {
                FaultKind::TooLarge => format!("a line of more than {} bytes", piece::LINE_BYTES_MAX),
                _ => "a line is not what the settings say".to_owned(),
            };
            sink.error(kind, text);
        }
        if let Some(pending) = look.pending
            && !self.accept(pending).await
        {
            return false;
        }
        if look.state == Some(DeviceState::Ok) && !look.again.is_empty() {
            sink.repeat(vec![Tick { time_ms, values: look.again }], LINE_WAIT_MAX).await;
        }
        if let Some(fault) = look.trouble {
            sink.error(fault.kind, fault.text);
        }
        if let Some(state) = look.state {
            sink.state(state).await;
        }
        true
    }

    async fn accept(&self, pending: Pending) -> bool {
        let Pending { time_ms, values, events } = pending;
        let sink = &self.ctx.sink;
        if !sink.accept(vec![Tick { time_ms, values }], LINE_WAIT_MAX).await {
            return false;
        }
        for (kind, text) in events {
            sink.event(kind, text).await;
        }
        true
    }
}

fn panicked() -> Fault {
    Fault::new(FaultKind::Internal, "reading the log panicked")
}

/// A line limit that mutated bytes can reach.
const SUBJECT_LINE_BYTES_MAX: usize = 64;

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "log_file/line",
        vectors: &[
            b"2026-11-21 10:30:00,123 ERROR [main] pos.Tender - declined\r\n",
            b"\0\0\0\0SALE no=17 ms=320.5\n",
            b"a line that has more bytes than are allowed for a line of this subject\n",
        ],
        outcomes: &["line", "need", "too_large"],
        outcome: |bytes| outcome(piece::line(bytes, SUBJECT_LINE_BYTES_MAX), |_| "line"),
    },
    Subject {
        name: "log_file/csv",
        vectors: &[b"2026-11-21;17;320.5;cash", b"\"a;\"\"b\"\"\";2;\"\"", b"1;\"two\"x;3"],
        outcomes: &["fields", "need", "framing"],
        outcome: |bytes| outcome(format::split(bytes, b';'), |_| "fields"),
    },
    Subject {
        name: "log_file/pan",
        vectors: &[
            b"card 4111 1111 1111 1111 ok",
            b"{\"ts\":1763700000123,\"pan\":\"3714-496353-98431\"}",
            b"2026-11-21 10:30:00,123 took 320 ms",
        ],
        outcomes: &["clean", "card"],
        outcome: pan::outcome,
    },
];
