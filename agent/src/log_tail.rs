//! The last lines of the agent's log, in memory, for a support bundle: beside what is printed, with the same filter.
//!
//! At most [`LINES_MAX`] lines and [`BYTES_MAX`] bytes, the oldest go first. A line passes redaction before it is kept, so that
//! nothing has to be trusted later. Control characters do not get in: what a device says is in some lines.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;

use crate::bundle::Redactor;

/// Most lines that are kept.
pub const LINES_MAX: usize = 2_000;
/// Most bytes of them together.
pub const BYTES_MAX: usize = 256 << 10;
/// Most bytes of a line; the rest is cut off.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The last lines; clones share them.
#[derive(Debug, Clone, Default)]
pub struct LogTail(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    redactor: Redactor,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
}

impl LogTail {
    /// Nothing yet; what this knows as secret is never kept.
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self(Arc::new(Shared { redactor, kept: Mutex::default() }))
    }

    /// What writes into it, for a subscriber.
    pub(crate) fn layer<S>(&self) -> impl tracing_subscriber::Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_subscriber::fmt::layer().with_writer(Inlet(self.clone())).with_ansi(false).with_target(false)
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    fn keep(&self, text: &str) {
        let visible: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        // Before it is cut: half a secret is one too.
        let clean = self.0.redactor.clean(visible.trim_end());
        let mut kept = self.lock();
        for line in clean.lines() {
            let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
            kept.bytes += line.len();
            kept.lines.push_back(line.to_owned());
        }
        while kept.lines.len() > LINES_MAX || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // What a panic could leave half done is a line.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the subscriber writes to.
struct Inlet(LogTail);

/// One event on its way in.
#[derive(Debug)]
struct Entry {
    tail: LogTail,
    text: Vec<u8>,
}

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tail.keep(&String::from_utf8_lossy(&self.text));
    }
}

impl<'a> MakeWriter<'a> for Inlet {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry { tail: self.0.clone(), text: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn told(tail: &LogTail, tell: impl FnOnce()) -> Vec<String> {
        let subscriber = tracing_subscriber::registry().with(tail.layer());
        tracing::subscriber::with_default(subscriber, tell);
        tail.lines()
    }

    #[test]
    fn secrets_and_card_numbers_are_gone_before_a_line_is_kept() {
        let mut redactor = Redactor::default();
        redactor.add("CANARY-1");
        let lines = told(&LogTail::new(redactor), || {
            tracing::info!(password = "CANARY-2", "signed in with CANARY-1 and 4111 1111 1111 1111");
            tracing::warn!("one\ntwo\u{1b}[2J\u{7}");
        });
        let text = lines.join("\n");
        assert!(
            !text.contains("CANARY") && !text.contains("4111 1111") && !text.contains('\u{1b}'),
            "{text}"
        );
        assert!(text.contains("signed in with [redacted] and [card number]"), "{text}");
        assert!(lines.len() == 3 && lines[1].contains("WARN") && lines[2].starts_with("two"), "{lines:?}");
    }

    #[test]
    fn the_oldest_go_first_by_lines_and_by_bytes() {
        let tail = LogTail::default();
        (0..LINES_MAX + 10).for_each(|n| tail.keep(&format!("line {n}")));
        let lines = tail.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES_MAX, "line 10"));
        (0..100).for_each(|n| tail.keep(&format!("{n} {}", "é".repeat(LINE_BYTES_MAX))));
        let lines = tail.lines();
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX - 2 * LINE_BYTES_MAX, "{bytes}");
        assert!(
            lines.last().unwrap().starts_with("99 ") && lines.iter().all(|line| line.len() <= LINE_BYTES_MAX)
        );
    }
}
