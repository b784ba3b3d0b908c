//! What a line means: a regular expression whose named groups become values of series.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::series;

/// One entry of `patterns:`.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    /// By the name of the group.
    metrics: BTreeMap<String, Target>,
    event: Option<EventSetting>,
}

/// The series that a group is a value of.
#[derive(Debug, Clone)]
struct Target {
    series: String,
    /// Words instead of numbers.
    values: BTreeMap<String, f64>,
}

/// An event that a matching line is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventSetting {
    /// Its kind, `printer.cover_open`.
    #[serde(deserialize_with = "event_kind")]
    pub kind: String,
    /// The same for people.
    pub text: String,
}

/// What became of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    /// Values by series, perhaps none, and an event, perhaps.
    Matched { values: Vec<(String, f64)>, event: Option<EventSetting> },
    /// No pattern is for it.
    Unknown,
    /// A group should be a number, or one of the words, and is neither.
    NotANumber { group: String },
}

/// Reads a line by the first pattern that matches it as a whole.
pub(super) fn read(patterns: &[Pattern], line: &str) -> Reading {
    for pattern in patterns {
        let Some(captures) = pattern.regex.captures(line) else { continue };
        let mut values = Vec::with_capacity(pattern.metrics.len());
        for (group, target) in &pattern.metrics {
            // A group that took no part in the match has no value.
            let Some(text) = captures.name(group) else { continue };
            match target.value(text.as_str()) {
                Some(value) => values.push((target.series.clone(), value)),
                None => return Reading::NotANumber { group: group.clone() },
            }
        }
        return Reading::Matched { values, event: pattern.event.clone() };
    }
    Reading::Unknown
}

impl Target {
    fn value(&self, text: &str) -> Option<f64> {
        if !self.values.is_empty() {
            return self.values.get(text).copied();
        }
        text.trim().parse().ok().filter(|value: &f64| value.is_finite())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    #[serde(rename = "match", deserialize_with = "whole_line")]
    regex: Regex,
    #[serde(default)]
    metrics: BTreeMap<String, RawTarget>,
    #[serde(default)]
    event: Option<EventSetting>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawTarget {
    Series(String),
    Full(FullTarget),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullTarget {
    metric: String,
    #[serde(default)]
    values: BTreeMap<String, f64>,
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawPattern::deserialize(deserializer)?;
        if raw.metrics.is_empty() && raw.event.is_none() {
            return Err(D::Error::custom("a pattern without metrics and without event does nothing"));
        }
        let mut metrics = BTreeMap::new();
        for (group, target) in raw.metrics {
            if !raw.regex.capture_names().flatten().any(|name| name == group) {
                return Err(D::Error::custom(format_args!("the pattern has no group (?<{group}>…)")));
            }
            let (series, values) = match target {
                RawTarget::Series(series) => (series, BTreeMap::new()),
                RawTarget::Full(full) => (full.metric, full.values),
            };
            series::check(&series).map_err(D::Error::custom)?;
            metrics.insert(group, Target { series, values });
        }
        let mut names: Vec<&str> = metrics.values().map(|t| t.series.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(D::Error::custom(format_args!("two groups of one pattern are both {:?}", twice[0])));
        }
        Ok(Self { regex: raw.regex, metrics, event: raw.event })
    }
}

fn whole_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Checked as it was written, so that the error speaks of what the person typed.
    Regex::new(&text).map_err(|e| D::Error::custom(format_args!("regular expression: {e}")))?;
    Regex::new(&format!("^(?:{text})$")).map_err(D::Error::custom)
}

fn event_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let kind = String::deserialize(deserializer)?;
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.');
    if kind.is_empty()
        || kind.len() > 64
        || !kind.bytes().all(word)
        || !kind.as_bytes()[0].is_ascii_lowercase()
    {
        return Err(D::Error::custom(format_args!("{kind:?} is not an event kind: a-z, 0-9, '_' and '.'")));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(yaml: &str) -> Vec<Pattern> {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn sale() -> Vec<Pattern> {
        patterns(
            r"
- match: 'SALE no=(?<no>\d+) ms=(?<ms>[\d.]+)( void=(?<void>\d))?'
  metrics: { no: retail.pos.transactions, ms: tender.ms, void: retail.pos.voids }
- match: 'PAPER (?<paper>\w+)'
  metrics: { paper: { metric: retail.printer.paper.state, values: { OK: 0, OUT: 2 } } }
  event: { kind: printer.paper, text: paper changed }
",
        )
    }

    #[test]
    fn groups_become_values_and_absent_groups_do_not() {
        let Reading::Matched { values, event } = read(&sale(), "SALE no=17 ms=320.5") else {
            panic!("no match")
        };
        assert_eq!(values, [("tender.ms".to_owned(), 320.5), ("retail.pos.transactions".to_owned(), 17.0)]);
        assert_eq!(event, None);
    }

    #[test]
    fn words_become_numbers_and_a_line_can_be_an_event() {
        let Reading::Matched { values, event } = read(&sale(), "PAPER OUT") else { panic!("no match") };
        assert_eq!(values, [("retail.printer.paper.state".to_owned(), 2.0)]);
        assert_eq!(event.unwrap().kind, "printer.paper");
        assert_eq!(read(&sale(), "PAPER JAM"), Reading::NotANumber { group: "paper".to_owned() });
    }

    #[test]
    fn a_line_must_match_as_a_whole() {
        for line in ["ALE no=17 ms=320", "SALE no=17 ms=320 card=4111111111111111", "xSALE no=17 ms=1"] {
            assert_eq!(read(&sale(), line), Reading::Unknown, "{line}");
        }
        assert_eq!(read(&sale(), "SALE no=17 ms=1.2.3"), Reading::NotANumber { group: "ms".to_owned() });
    }

    #[test]
    fn a_pattern_that_cannot_work_is_refused() {
        for (yaml, why) in [
            ("- {match: 'a'}", "does nothing"),
            ("- {match: '(?<a>.)', metrics: {b: m}}", "no group (?<b>…)"),
            ("- {match: '(?<a>.)', metrics: {a: 'a b'}}", "not a metric name"),
            ("- {match: '(?<a>.)(?<b>.)', metrics: {a: m, b: m}}", "are both"),
            ("- {match: '(?<a>.', metrics: {a: m}}", "regular expression"),
            ("- {match: 'a', event: {kind: 'A B', text: ''}}", "not an event kind"),
        ] {
            let error = serde_yaml::from_str::<Vec<Pattern>>(yaml).unwrap_err().to_string();
            assert!(error.contains(why), "{yaml}\n{error}");
        }
    }
}
