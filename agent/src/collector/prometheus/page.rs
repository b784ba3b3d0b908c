//! A whole page: which of its samples are taken, and what a page must be.
//!
//! A line that cannot be read does not take the others with it; a page without a single good one is none. What follows the
//! last line end has no end, and a number that was cut is another number: it is not read. A page of OpenMetrics ends with
//! `# EOF`; without it, it was cut, and nothing of it counts.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::line::{self, Line, Sample};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::gathered::Gathered;
use crate::collector::label;

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text 0.0.4: times are milliseconds.
    Text,
    /// Times are seconds.
    OpenMetrics,
}

impl Form {
    /// By the type of the content.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type.starts_with("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

/// Which metrics are taken: a name, or the beginning of one with `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Name(String),
    Prefix(String),
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => name == wanted,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_suffix('*').unwrap_or(&text);
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
        if name.is_empty() || !name.bytes().all(named) {
            let why = format_args!(
                "{text:?} is not the name of a metric, or the beginning of one with * behind it"
            );
            return Err(D::Error::custom(why));
        }
        Ok(if name.len() == text.len() { Self::Name(text) } else { Self::Prefix(name.to_owned()) })
    }
}

/// What is taken of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub metrics: &'a [Wanted],
    pub labels: &'a [String],
}

/// Reads a page.
///
/// # Errors
/// It is none, or was cut.
pub(super) fn read(bytes: &[u8], form: Form, taken: Taken<'_>) -> Result<Gathered, Fault> {
    let mut gathered = Gathered::default();
    let (mut good, mut bad, mut has_end) = (0_usize, 0_usize, false);
    for (number, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match line::parse(text) {
            Ok((Line::Sample(sample), _)) => {
                good += 1;
                add(&mut gathered, number, form, taken, &sample);
            }
            Ok((Line::Comment, _)) => {}
            Ok((Line::End, _)) => has_end = true,
            Err(_) => {
                bad += 1;
                gathered.unread();
            }
        }
        if has_end && form == Form::OpenMetrics {
            break;
        }
    }
    if form == Form::OpenMetrics && !has_end {
        return Err(Fault::new(FaultKind::ShortFrame, "the page has no # EOF: it was cut"));
    }
    if good == 0 && bad > 0 {
        return Err(Fault::new(
            FaultKind::Parse,
            format!("{bad} lines, none of them a sample; is url the page?"),
        ));
    }
    Ok(gathered)
}

fn add(gathered: &mut Gathered, number: usize, form: Form, taken: Taken<'_>, sample: &Sample<'_>) {
    if !taken.metrics.iter().any(|wanted| wanted.has(sample.name)) {
        return;
    }
    let labels = sample.labels.iter().map(|(name, value)| (*name, &**value));
    let series = label::series(sample.name, labels, taken.labels);
    #[expect(clippy::cast_possible_truncation, reason = "it stops at the ends, which are no times")]
    let own_ms = sample.time.map(|time| if form == Form::Text { time } else { time * 1_000.0 } as i64);
    // One line, one series: whatever is there twice cannot be told apart.
    gathered.add(series, number as u64, own_ms, sample.value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    fn taken<T>(metrics: &[&str], run: impl FnOnce(Taken<'_>) -> T) -> T {
        let metrics: Vec<Wanted> =
            metrics.iter().map(|text| serde_yaml::from_str(&format!("{text:?}")).unwrap()).collect();
        run(Taken { metrics: &metrics, labels: &["mode".to_owned()] })
    }

    fn values(page: &str, form: Form) -> Result<Vec<(i64, String, f64)>, FaultKind> {
        let gathered =
            taken(&["a", "b_*"], |taken| read(page.as_bytes(), form, taken)).map_err(|fault| fault.kind)?;
        let (dated, undated, _) = gathered.ticks(NOW, false);
        let dated = dated
            .into_iter()
            .flat_map(|tick| tick.values.into_iter().map(move |(s, v)| (tick.time_ms, s, v)));
        Ok(undated.into_iter().map(|(s, v)| (0, s, v)).chain(dated).collect())
    }

    #[test]
    fn only_listed_metrics_are_taken_and_only_listed_labels() {
        let page = "# HELP a A.\n# TYPE a gauge\na{mode=\"idle\",cpu=\"0\"} 1\na{mode=\"user\"} 2\naa 3\nb_ 4\nb_x{cpu=\"7\"} 5\nb 6\n";
        let expected = [("a{mode=\"idle\"}", 1.0), ("a{mode=\"user\"}", 2.0), ("b_", 4.0), ("b_x", 5.0)];
        assert_eq!(
            values(page, Form::Text).unwrap(),
            expected.map(|(series, value)| (0, series.to_owned(), value))
        );
    }

    #[test]
    fn a_time_is_in_milliseconds_or_in_seconds() {
        let text = format!("a 1 {}\n", NOW - 1_500);
        let open = "a 1 1763699998.5\n# EOF\n";
        for (page, form) in [(&*text, Form::Text), (open, Form::OpenMetrics)] {
            assert_eq!(values(page, form).unwrap(), [(NOW - 1_500, "a".to_owned(), 1.0)]);
        }
    }

    #[test]
    fn series_that_only_an_unlisted_label_tells_apart_are_left_out() {
        let page = "a{cpu=\"0\"} 1\na{cpu=\"1\"} 2\nb_ 3\n";
        assert_eq!(values(page, Form::Text).unwrap(), [(0, "b_".to_owned(), 3.0)]);
    }

    #[test]
    fn a_page_that_was_cut_gives_no_wrong_number() {
        assert_eq!(values("a 1\nb_ 123", Form::Text).unwrap(), [(0, "a".to_owned(), 1.0)]);
        assert_eq!(values("a 1\n", Form::OpenMetrics), Err(FaultKind::ShortFrame));
        assert_eq!(values("<html>\n<p>Log in</p>\n", Form::Text), Err(FaultKind::Parse));
        assert_eq!(values("", Form::Text).unwrap(), []);
    }

    #[test]
    fn a_pattern_that_cannot_work_is_refused() {
        for bad in ["'*'", "''", "'a*b'", "'a b'", "'a.b'"] {
            assert!(serde_yaml::from_str::<Wanted>(bad).is_err(), "{bad}");
        }
    }
}
