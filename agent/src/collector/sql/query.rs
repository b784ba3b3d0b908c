//! `queries:` of `sql:`: what is asked, and what the columns of the answer mean.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::series;

use crate::collector::label::is_taken;

/// Most rows of a query with a label.
pub(super) const ROWS_MAX: usize = 50;
/// Longest label.
pub(super) const LABEL_BYTES_MAX: usize = 64;

/// A question, and what its answer means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub sql: String,
    /// By column.
    pub metrics: BTreeMap<String, Target>,
    /// Several rows, told apart by a column.
    #[serde(default)]
    pub label: Option<Label>,
}

/// What a column is a value of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub series: String,
    /// The column is a time, and the value how long ago that is.
    pub age: bool,
}

/// The column that tells rows apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    pub column: String,
    /// Name of the label; that of the column if it is not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Every value that is taken.
    #[serde(deserialize_with = "label_values")]
    pub values: BTreeSet<String>,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Series(String),
            Full(Full),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            metric: String,
            #[serde(default)]
            age: bool,
        }
        let (series, age) = match Raw::deserialize(deserializer)? {
            Raw::Series(series) => (series, false),
            Raw::Full(Full { metric, age }) => (metric, age),
        };
        series::check(&series).map_err(D::Error::custom)?;
        Ok(Self { series, age })
    }
}

/// A label holds no free text and nothing that could be the number of a card.
fn label_values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let values = BTreeSet::<String>::deserialize(deserializer)?;
    if values.is_empty() || values.len() > ROWS_MAX {
        return Err(D::Error::custom(format_args!("{} values, 1 to {ROWS_MAX}", values.len())));
    }
    for value in &values {
        if !is_taken(value) {
            return Err(D::Error::custom(
                "a value of a label is 1 to 64 letters, digits or _ . : / - without 13 digits in a row",
            ));
        }
    }
    Ok(values)
}

impl Query {
    /// Whether it is a `show`, whose columns nobody chooses and whose values are text.
    pub(super) fn is_show(&self) -> bool {
        self.sql.trim_start().get(..4).is_some_and(|first| first.eq_ignore_ascii_case("show"))
    }

    /// Every series that it can give.
    pub(super) fn series(&self) -> Result<Vec<String>, String> {
        if self.metrics.is_empty() {
            return Err("no metrics".to_owned());
        }
        let Some(label) = &self.label else {
            return Ok(self.metrics.values().map(|target| target.series.clone()).collect());
        };
        if self.metrics.contains_key(&label.column) {
            return Err(format!("{:?} is the label and a metric", label.column));
        }
        let mut all = Vec::new();
        for target in self.metrics.values() {
            for value in &label.values {
                all.push(label.compose(&target.series, value)?);
            }
        }
        Ok(all)
    }
}

impl Label {
    /// The series of a row.
    pub(super) fn compose(&self, series: &str, value: &str) -> Result<String, String> {
        let parsed = series::parse(series).map_err(|error| error.to_string())?;
        let name = self.name.as_ref().unwrap_or(&self.column);
        let mut labels: Vec<(&str, &str)> =
            parsed.labels.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        labels.push((name, value));
        series::compose(parsed.metric, &labels).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_among_those_that_the_metric_has() {
        let label = Label { column: "till".into(), name: None, values: BTreeSet::new() };
        assert_eq!(label.compose("a{z=\"1\"}", "7").unwrap(), "a{till=\"7\",z=\"1\"}");
    }
}
