//! What a line means: which counters it increments, which of its fields are values, and which are labels.
//!
//! A field is a named group of a pattern, a column of a CSV record, or what a JSON pointer points at. A label has a closed
//! list of values, so what a log says can never become one, and all series are known before the first line is read.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::series;

use super::super::book::{Book, Bounds};
use super::super::fault::FaultKind;
use super::super::pan;
use super::super::pattern::{self, EventSetting, Target};

/// A metric and the labels that it has anyway.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Name {
    metric: String,
    labels: Vec<(String, String)>,
}

impl TryFrom<String> for Name {
    type Error = series::SeriesError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = series::parse(&text)?;
        let labels = name.labels.into_iter().map(|(label, value)| (label.to_owned(), value.into_owned()));
        Ok(Self { metric: name.metric.to_owned(), labels: labels.collect() })
    }
}

/// One entry of `patterns:`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub regex: Regex,
    pub take: Take,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPattern {
    #[serde(rename = "match", deserialize_with = "pattern::typed")]
    regex: Regex,
    /// It may stand anywhere in the line.
    #[serde(default)]
    search: bool,
    #[serde(default)]
    counters: Vec<Name>,
    #[serde(default)]
    metrics: BTreeMap<String, TargetName>,
    #[serde(default)]
    histograms: BTreeMap<String, HistogramSetting>,
    #[serde(default)]
    labels: BTreeMap<String, LabelSetting>,
    #[serde(default)]
    event: Option<EventSetting>,
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawPattern { regex, search, counters, metrics, histograms, labels, event } =
            RawPattern::deserialize(deserializer)?;
        let regex = if search { regex } else { pattern::whole(&regex).map_err(D::Error::custom)? };
        let take = Take { counters, metrics, histograms, labels, event };
        take.check().map_err(D::Error::custom)?;
        let mut groups = take.fields();
        groups.try_for_each(|group| pattern::require_group(&regex, group)).map_err(D::Error::custom)?;
        drop(groups);
        Ok(Self { regex, take })
    }
}

/// What a record becomes. All of it belongs together: a record is taken as a whole or refused as a whole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Take {
    /// Each record adds 1 to these.
    counters: Vec<Name>,
    /// Fields that are values.
    metrics: BTreeMap<String, TargetName>,
    /// Fields that go into a histogram.
    histograms: BTreeMap<String, HistogramSetting>,
    /// Fields that are labels, for counters and histograms.
    labels: BTreeMap<String, LabelSetting>,
    /// What it is, if it is an event.
    event: Option<EventSetting>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Target")]
struct TargetName {
    name: Name,
    target: Target,
}

impl TryFrom<Target> for TargetName {
    type Error = series::SeriesError;

    fn try_from(target: Target) -> Result<Self, Self::Error> {
        Ok(Self { name: target.series.clone().try_into()?, target })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistogramSetting {
    metric: Name,
    #[serde(default = "Bounds::milliseconds")]
    bounds: Bounds,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a label is a list of texts (in quotes: '1', 'N'), or { label: …, values: […] }"
)]
enum LabelSetting {
    Values(Vec<String>),
    Full(FullLabel),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullLabel {
    label: String,
    values: Vec<String>,
}

impl LabelSetting {
    fn values(&self) -> &[String] {
        match self {
            Self::Values(values) | Self::Full(FullLabel { values, .. }) => values,
        }
    }

    /// Its name: that of the field, of a JSON pointer the last part.
    fn name<'a>(&'a self, field: &'a str) -> &'a str {
        match self {
            Self::Values(_) => field.rsplit('/').next().unwrap_or(field),
            Self::Full(full) => &full.label,
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It counts.
    Whole,
    /// A label's field is not there, or has a value that is not listed.
    NotListed,
    /// A field should be a number, or one of the words, and is neither.
    NotANumber,
}

/// Where it goes.
#[derive(Debug)]
pub(super) struct Heard {
    pub book: Book,
    /// Kind and text, and how often since they were last told.
    pub events: BTreeMap<(String, String), u64>,
}

impl Take {
    /// Whether it does anything.
    pub(super) fn is_empty(&self) -> bool {
        self.counters.is_empty()
            && self.metrics.is_empty()
            && self.histograms.is_empty()
            && self.event.is_none()
    }

    /// The fields that it looks at.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let metrics = self.metrics.keys().chain(self.histograms.keys());
        metrics.chain(self.labels.keys()).map(String::as_str)
    }

    /// What its labels have wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.is_empty() {
            return Err("without counters, metrics, histograms and event it does nothing".to_owned());
        }
        for (field, label) in &self.labels {
            let name = label.name(field);
            if series::compose("m", &[(name, "x")]).is_err() || name == "le" {
                return Err(format!("{name:?} is not a label; name it: {{ label: …, values: […] }}"));
            }
            if label.values().is_empty() || !label.values().iter().all(|value| pan::is_label_value(value)) {
                return Err(format!(
                    "label {name:?} needs values of letters, digits and '_.:/-', at most 64 each"
                ));
            }
        }
        Ok(())
    }

    /// Makes all its series, so that counters begin at 0 and none can come later.
    pub(super) fn declare(&self, book: &mut Book) -> Result<(), FaultKind> {
        let mut combinations: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
        for (field, label) in &self.labels {
            let mut longer = Vec::new();
            for so_far in &combinations {
                for value in label.values() {
                    longer.push([so_far.as_slice(), &[(label.name(field), value.as_str())]].concat());
                }
            }
            combinations = longer;
            if combinations.len() > 1_000 {
                return Err(FaultKind::TooManySeries);
            }
        }
        for labels in &combinations {
            self.count(book, labels, 0.0)?;
            for histogram in self.histograms.values() {
                let name = &histogram.metric;
                book.observe(&name.metric, &name.with(labels), &histogram.bounds, 0.0, 0.0)?;
            }
        }
        Ok(())
    }

    /// Makes the values, too, to see whether all of it goes together; in use they are made by the first line.
    pub(super) fn declare_values(&self, book: &mut Book) -> Result<(), FaultKind> {
        self.metrics
            .values()
            .try_for_each(|target| book.set(&target.name.metric, &target.name.with(&[]), 0.0))
    }

    fn count(&self, book: &mut Book, labels: &[(&str, &str)], by: f64) -> Result<(), FaultKind> {
        self.counters.iter().try_for_each(|name| book.count(&name.metric, &name.with(labels), by))
    }

    /// Takes a record, whose fields are `field`.
    pub(super) fn apply(
        &self,
        field: impl Fn(&str) -> Option<String>,
        heard: &mut Heard,
    ) -> Result<Taken, FaultKind> {
        let mut labels = Vec::with_capacity(self.labels.len());
        for (name, label) in &self.labels {
            let text = field(name);
            let listed = |value: &&String| text.as_ref().is_some_and(|text| text == *value);
            let Some(value) = label.values().iter().find(listed) else { return Ok(Taken::NotListed) };
            labels.push((label.name(name), value.as_str()));
        }
        let (mut values, mut observed) = (Vec::new(), Vec::new());
        for (name, target) in &self.metrics {
            // A field that is not there has no value.
            let Some(text) = field(name) else { continue };
            let value = target.target.value(&text).filter(|value| !pan::is_card_value(*value));
            let Some(value) = value else { return Ok(Taken::NotANumber) };
            values.push((&target.name, value));
        }
        for (name, histogram) in &self.histograms {
            let Some(text) = field(name) else { continue };
            let value = pattern::number(&text).filter(|value| !pan::is_card_value(*value));
            let Some(value) = value else { return Ok(Taken::NotANumber) };
            observed.push((histogram, value));
        }
        for (name, value) in values {
            heard.book.set(&name.metric, &name.with(&[]), value)?;
        }
        for (histogram, value) in observed {
            let name = &histogram.metric;
            heard.book.observe(&name.metric, &name.with(&labels), &histogram.bounds, value, 1.0)?;
        }
        self.count(&mut heard.book, &labels, 1.0)?;
        if let Some(event) = &self.event {
            *heard.events.entry((event.kind.clone(), event.text.clone())).or_default() += 1;
        }
        Ok(Taken::Whole)
    }
}

impl Name {
    fn with<'a>(&'a self, labels: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        own.chain(labels.iter().copied()).collect()
    }
}
