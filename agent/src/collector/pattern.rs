//! What kinds have in common that read text: a piece of it becomes a value of a series, a line becomes an event.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::series;

/// The series that a piece of text is a value of: `name`, or `{ metric: name, values: { WORD: number } }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawTarget")]
pub(crate) struct Target {
    pub series: String,
    /// Words instead of numbers.
    values: BTreeMap<String, f64>,
}

impl Target {
    /// What a piece of text is worth; `None` if it is no number, or none of the words.
    pub(crate) fn value(&self, text: &str) -> Option<f64> {
        if self.values.is_empty() { number(text) } else { self.values.get(text).copied() }
    }
}

/// A number that can be a value.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// An event that a line is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSetting {
    /// Its kind, `printer.cover_open`.
    #[serde(deserialize_with = "event_kind")]
    pub kind: String,
    /// The same for people.
    pub text: String,
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

impl TryFrom<RawTarget> for Target {
    type Error = series::SeriesError;

    fn try_from(raw: RawTarget) -> Result<Self, Self::Error> {
        let (series, values) = match raw {
            RawTarget::Series(series) => (series, BTreeMap::new()),
            RawTarget::Full(full) => (full.metric, full.values),
        };
        series::check(&series)?;
        Ok(Self { series, values })
    }
}

/// A regular expression as somebody typed it, so that an error speaks of that and of its line.
pub(crate) fn typed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    let text = String::deserialize(deserializer)?;
    Regex::new(&text).map_err(|error| D::Error::custom(format_args!("regular expression: {error}")))
}

/// The same, for the whole of a line.
pub(crate) fn whole_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Regex, D::Error> {
    whole(&typed(deserializer)?).map_err(D::Error::custom)
}

/// A regular expression for the whole of a line.
pub(crate) fn whole(regex: &Regex) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{regex})$"))
}

/// Whether a regular expression has a group of this name.
pub(crate) fn require_group(regex: &Regex, group: &str) -> Result<(), String> {
    match regex.capture_names().flatten().any(|name| name == group) {
        true => Ok(()),
        false => Err(format!("the pattern has no group (?<{group}>…)")),
    }
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
