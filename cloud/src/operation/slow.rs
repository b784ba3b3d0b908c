//! The log's form, and in it that of statements that took too long: name, time, rows and the statement's text, on one line.
//!
//! The name is the beginning of the SHA-256 of the text, as in `cloud/.sqlx/query-<name>….json`, so that one statement has one
//! name whoever runs it. Values are bound and never part of the text; so no line says whose data it was.

use std::fmt::Debug;

use sha2::{Digest as _, Sha256};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::time::FormatTime as _;
use tracing_subscriber::fmt::{FmtContext, time::SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// What the database library calls the statements that it tells of.
const TARGET: &str = "sqlx::query";
/// Digits of a statement's name.
const NAME_DIGITS: usize = 12;
/// Longest text of a statement in a line.
const TEXT_CHARS_MAX: usize = 160;

/// The service's format of events.
#[derive(Debug, Clone)]
pub(crate) struct LogFormat(Format<Full>);

impl Default for LogFormat {
    fn default() -> Self {
        Self(Format::default().with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut statement = Statement::default();
        if event.metadata().target() == TARGET {
            event.record(&mut statement);
        }
        if !statement.slow {
            return self.0.format_event(context, writer, event);
        }
        SystemTime.format_time(&mut writer)?;
        writeln!(writer, "  {} {}", event.metadata().level(), statement.line())
    }
}

/// What is told of one.
#[derive(Debug, Default)]
struct Statement {
    slow: bool,
    /// The text, where it is short.
    summary: String,
    /// The text, where it is longer than the summary.
    text: String,
    seconds: f64,
    returned: u64,
    affected: u64,
}

impl Statement {
    fn line(&self) -> String {
        // The library sets longer texts apart by empty lines.
        let text = self.text.strip_prefix("\n\n").and_then(|text| text.strip_suffix('\n'));
        let text = text.unwrap_or(&self.summary);
        let name: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = words.chars().take(TEXT_CHARS_MAX).collect();
        let more = if shown.len() < words.len() { " …" } else { "" };
        format!(
            "slow statement query-{} took {:.3} s, {} rows returned, {} affected: {shown}{more}",
            &name[..NAME_DIGITS],
            self.seconds,
            self.returned,
            self.affected
        )
    }
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "rows_returned" => self.returned = value,
            "rows_affected" => self.affected = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, _: &dyn Debug) {
        self.slow |= field.name() == "slow_threshold";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_statement_is_named_as_its_file_is_and_stands_on_one_line() {
        let text = "select 1\n        where $1";
        let statement = Statement {
            slow: true,
            summary: "select 1 where $1 …".to_owned(),
            text: format!("\n\n{text}\n"),
            seconds: 2.5,
            returned: 3,
            affected: 0,
        };
        let line = statement.line();
        let hash: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            line,
            format!(
                "slow statement query-{} took 2.500 s, 3 rows returned, 0 affected: select 1 where $1",
                &hash[..12]
            )
        );
        let short = Statement { summary: "commit".to_owned(), ..Statement::default() };
        assert!(short.line().ends_with(": commit"), "{}", short.line());
    }

    #[test]
    fn a_long_statement_is_cut() {
        let text = "select ".repeat(100);
        let line = Statement { text: format!("\n\n{text}\n"), ..Statement::default() }.line();
        assert!(line.ends_with('…') && line.len() < 300, "{line}");
    }
}
