//! One line of StatsD, and what DogStatsD adds to it.
//!
//! ```text
//! name:value|type[|@rate][|#tag:value,tag…][|c:container][|T time]
//! ```
//! Types: `c` counter, `g` gauge (`+` and `-` before the value move it), `ms`, `h` and `d` distributions, `s` set.
//! DogStatsD packs values: `name:1:2:3|h`. Its events (`_e{…}`) and service checks (`_sc|…`) are texts, and left out.
//! Sources: the README of statsd (docs/metric_types.md) and Datadog's "DogStatsD datagram format"; vectors were captured from
//! the Python clients `statsd` 4.0.1 and `datadog` 0.56.0.

use super::super::fault::FaultKind;
use super::super::pan;
use super::super::parse::{Parsed, Unread};
use super::super::pattern::number;

/// Longest name.
pub(super) const NAME_BYTES_MAX: usize = 200;
/// Most values of a line.
const VALUES_MAX: usize = 1_000;

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line<'a> {
    /// As a metric may be called.
    pub name: String,
    pub what: What<'a>,
    /// One in so many was sent.
    pub weight: f64,
    /// In the order of the line, names and values as they came.
    pub tags: Vec<(&'a str, &'a str)>,
}

/// By type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What<'a> {
    Counter(Vec<f64>),
    Gauge(f64),
    Shift(f64),
    Distribution(Vec<f64>),
    Member(&'a str),
    /// An event or a service check.
    Text,
}

impl What<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Shift(_) => "shift",
            Self::Distribution(_) => "distribution",
            Self::Member(_) => "member",
            Self::Text => "text",
        }
    }
}

const BAD: Unread = Unread::Bad(FaultKind::Parse);

/// Reads one line without its end; it always takes all of it. `deltas`: a sign before a gauge moves it.
pub(super) fn parse(bytes: &[u8], deltas: bool) -> Parsed<Line<'_>> {
    let text = std::str::from_utf8(bytes).map_err(|_| BAD)?;
    if text.starts_with("_e{") || text.starts_with("_sc|") {
        let line = Line { name: String::new(), what: What::Text, weight: 1.0, tags: Vec::new() };
        return Ok((line, bytes.len()));
    }
    let (name, rest) = text.split_once(':').ok_or(BAD)?;
    let name = metric(name)?;
    let mut sections = rest.split('|');
    let values = sections.next().unwrap_or_default();
    let kind = sections.next().ok_or(BAD)?;
    let (mut weight, mut tags) = (1.0, Vec::new());
    for section in sections {
        if let Some(rate) = section.strip_prefix('@') {
            let rate = number(rate).filter(|rate| *rate > 0.0 && *rate <= 1.0).ok_or(BAD)?;
            weight = rounded(rate.recip());
        } else if let Some(list) = section.strip_prefix('#') {
            tags.extend(list.split(',').filter_map(|tag| tag.split_once(':')));
        }
        // Others say where it came from, or when.
    }
    let what = match kind {
        "c" => counter(values)?,
        "g" => gauge(values, deltas)?,
        "ms" | "h" | "d" => What::Distribution(numbers(values)?),
        "s" if !values.is_empty() => What::Member(values),
        _ => return Err(BAD),
    };
    Ok((Line { name, what, weight, tags }, bytes.len()))
}

fn counter<'a>(values: &str) -> Result<What<'a>, Unread> {
    let values = numbers(values)?;
    // What goes up and down is a gauge; a counter that falls would look as if its source had been started again.
    if values.iter().any(|value| *value < 0.0) {
        return Err(Unread::Bad(FaultKind::Unsupported));
    }
    Ok(What::Counter(values))
}

fn gauge<'a>(text: &str, deltas: bool) -> Result<What<'a>, Unread> {
    // Packed gauges: the last one counts. A sign is part of how it is sent, so the text says which it is.
    let last = text.rsplit(':').next().unwrap_or_default();
    let value = value(last)?;
    Ok(if deltas && last.starts_with(['+', '-']) { What::Shift(value) } else { What::Gauge(value) })
}

fn numbers(text: &str) -> Result<Vec<f64>, Unread> {
    if text.bytes().filter(|byte| *byte == b':').count() >= VALUES_MAX {
        return Err(Unread::Bad(FaultKind::TooLarge));
    }
    text.split(':').map(value).collect()
}

fn value(text: &str) -> Result<f64, Unread> {
    number(text).filter(|value| !pan::is_card_value(*value)).ok_or(BAD)
}

/// The name as a metric may be called: what it may not hold becomes `_`.
fn metric(name: &str) -> Result<String, Unread> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Unread::Bad(FaultKind::TooLarge));
    }
    let kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-');
    let mut metric: String = name.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    if metric.is_empty() || !pan::is_clean_name(&metric) {
        return Err(BAD);
    }
    if !metric.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        metric.insert(0, '_');
    }
    Ok(metric)
}

/// A rate of 0.1 stands for 10, not for 10.000000000000002.
fn rounded(weight: f64) -> f64 {
    let whole = weight.round();
    if (weight - whole).abs() < weight * 1e-9 { whole } else { weight }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line<'_>, FaultKind> {
        match parse(text.as_bytes(), true) {
            Ok((line, used)) => {
                assert_eq!(used, text.len());
                Ok(line)
            }
            Err(Unread::Bad(kind)) => Err(kind),
            Err(Unread::Need(_)) => panic!("a datagram is whole"),
        }
    }

    fn what(text: &str) -> (String, What<'_>, f64) {
        let line = line(text).unwrap();
        (line.name, line.what, line.weight)
    }

    #[test]
    fn lines_of_the_python_client_are_read() {
        assert_eq!(
            what("pos.t1.tx.completed:1|c"),
            ("pos.t1.tx.completed".into(), What::Counter(vec![1.0]), 1.0)
        );
        assert_eq!(
            what("pos.t1.tender.ms:320.000000|ms"),
            ("pos.t1.tender.ms".into(), What::Distribution(vec![320.0]), 1.0)
        );
        assert_eq!(what("pos.t1.queue:7|g").1, What::Gauge(7.0));
        assert_eq!(what("pos.t1.queue:-2|g").1, What::Shift(-2.0));
        assert_eq!(what("pos.t1.queue:+2|g").1, What::Shift(2.0));
        assert_eq!(what("pos.t1.users:a|s").1, What::Member("a"));
        assert_eq!(what("x:1|c|@0.1"), ("x".into(), What::Counter(vec![1.0]), 10.0));
    }

    #[test]
    fn what_dogstatsd_adds_is_read() {
        let line =
            line("pos.ms:1:2.5:3|d|@0.5|#lane:3,tender:cash,urgent|c:83c0a99c0a54|T1656581400").unwrap();
        assert_eq!(line.what, What::Distribution(vec![1.0, 2.5, 3.0]));
        assert_eq!((line.weight, line.tags), (2.0, vec![("lane", "3"), ("tender", "cash")]));
        assert_eq!(what("_e{5,4}:title|text|#a:b").1, What::Text);
        assert_eq!(what("_sc|pos|0").1, What::Text);
        assert_eq!(what("q:1:7|g").1, What::Gauge(7.0));
        // Its gauges know no moves.
        assert_eq!(parse(b"t:-7|g", false).unwrap().0.what, What::Gauge(-7.0));
    }

    #[test]
    fn names_become_names_of_metrics() {
        assert_eq!(what("pos lane#3.tx:1|c").0, "pos_lane_3.tx");
        assert_eq!(what("9.lives:1|c").0, "_9.lives");
        assert_eq!(what("ñ:1|c").0, "_");
    }

    #[test]
    fn garbage_has_its_kind() {
        for bad in [
            "",
            ":1|c",
            "x",
            "x:1",
            "x:|c",
            "x:1|",
            "x:1|q",
            "x:1|c|@0",
            "x:1|c|@2",
            "x:1|c|@x",
            "x:nan|g",
            "x:inf|g",
            "x:1e999|g",
            "x:|s",
            "x:1,5|g",
            "card.4111111111111111:1|c",
            "card.4111-1111-1111-1111:1|c",
            "x:4111111111111111|g",
            "x:4.111111111111111e15|g",
        ] {
            assert_eq!(line(bad), Err(FaultKind::Parse), "{bad}");
        }
        assert_eq!(parse(b"x\xff:1|c", true), Err(BAD));
        assert_eq!(line("x:-1|c"), Err(FaultKind::Unsupported));
        assert_eq!(line(&format!("{}:1|c", "n".repeat(201))), Err(FaultKind::TooLarge));
        assert_eq!(line(&format!("n:{}1|ms", "1:".repeat(1_000))), Err(FaultKind::TooLarge));
    }
}
