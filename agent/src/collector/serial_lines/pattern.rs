//! What a line means: a regular expression whose named groups become values of series.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::collector::pattern::{self, EventSetting, Target};

/// One entry of `patterns:`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// By the name of the group.
    metrics: BTreeMap<String, Target>,
    event: Option<EventSetting>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    #[serde(rename = "match", deserialize_with = "pattern::whole_line")]
    regex: Regex,
    #[serde(default)]
    metrics: BTreeMap<String, Target>,
    #[serde(default)]
    event: Option<EventSetting>,
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawPattern::deserialize(deserializer)?;
        if raw.metrics.is_empty() && raw.event.is_none() {
            return Err(D::Error::custom("a pattern without metrics and without event does nothing"));
        }
        for group in raw.metrics.keys() {
            pattern::require_group(&raw.regex, group).map_err(D::Error::custom)?;
        }
        let mut names: Vec<&str> = raw.metrics.values().map(|t| t.series.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(D::Error::custom(format_args!("two groups of one pattern are both {:?}", twice[0])));
        }
        Ok(Self { regex: raw.regex, metrics: raw.metrics, event: raw.event })
    }
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
