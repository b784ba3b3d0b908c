//! The labels of a series, as PromQL sees them: sorted by name, no value empty, cheap to copy.
//!
//! A metric or label may be spelled with dots (`hw.temperature`), which PromQL's identifiers cannot have: it is shown with
//! underscores instead. Series that came from Prometheus keep exactly the labels that they came with; all others also say
//! whose they are, in `device`, `kind` and `store`. Where the stores of a tenant stand side by side, every series says its
//! `store`. A label of the series' own with a name that is used so becomes `exported_…`, as when Prometheus scrapes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The label that holds the metric.
pub(super) const NAME: &str = "__name__";
/// The label that holds the store.
pub(super) const STORE: &str = "store";

/// Collector kinds whose series bring all their labels with them.
const KINDS_WITH_OWN_LABELS: [&str; 2] = ["prometheus", "otlp"];

/// Labels in ascending order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Labels(Arc<Vec<(Arc<str>, Arc<str>)>>);

impl Labels {
    /// From pairs in any order; of one name the last counts, an empty value is none.
    pub(super) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sorted: BTreeMap<&str, &str> = pairs.into_iter().collect();
        let pairs = sorted.into_iter().filter(|(_, value)| !value.is_empty());
        Self(Arc::new(pairs.map(|(name, value)| (name.into(), value.into())).collect()))
    }

    /// The value of a label, empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let at = self.0.binary_search_by(|(label, _)| (**label).cmp(name));
        at.map_or("", |at| &self.0[at].1)
    }

    /// Name and value of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// With this label; without it if the value is empty.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        Self::of(self.iter().chain([(name, value)]))
    }

    /// Only those that are wanted.
    fn filtered(&self, wanted: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().all(|(name, _)| wanted(name)) {
            return self.clone();
        }
        Self(Arc::new(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect()))
    }

    /// Only those of these names.
    pub(super) fn keep(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().any(|n| n == name))
    }

    /// Without those of these names.
    pub(super) fn without(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().all(|n| n != name))
    }

    /// Without the metric: what is computed from it is not it.
    pub(super) fn without_name(&self) -> Self {
        self.filtered(|name| name != NAME)
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// The spelling of a metric in PromQL's identifiers.
pub(super) fn metric_identifier(metric: &str) -> String {
    metric.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':', "_")
}

/// The spelling of a label in PromQL's identifiers.
pub(super) fn label_identifier(label: &str) -> String {
    label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_")
}

/// Whether a text can name a label.
pub(super) fn is_label(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What is known of a stored series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub store: &'a str,
    pub device: &'a str,
    pub kind: &'a str,
    pub metric: &'a str,
    /// It stands beside series of other stores.
    pub is_among_stores: bool,
}

impl Origin<'_> {
    /// Whether a label of this name says whose the series is.
    fn says(&self, label: &str) -> bool {
        let brings_all = KINDS_WITH_OWN_LABELS.contains(&self.kind);
        match label {
            STORE => !brings_all || self.is_among_stores,
            "device" | "kind" => !brings_all,
            _ => false,
        }
    }
}

/// The labels of a stored series with labels of its own.
pub(super) fn of_series<'a>(origin: Origin<'_>, own: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut labels = BTreeMap::from([(NAME.to_owned(), metric_identifier(origin.metric))]);
    for (name, value) in [("device", origin.device), ("kind", origin.kind), (STORE, origin.store)] {
        if origin.says(name) {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    for (name, value) in own {
        let mut name = label_identifier(name);
        if origin.says(&name) {
            name.insert_str(0, "exported_");
        }
        // Two spellings of one identifier: both values are shown.
        labels
            .entry(name)
            .and_modify(|first| {
                first.push(';');
                first.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    Labels::of(labels.iter().map(|(name, value)| (&**name, &**value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Origin<'_> = Origin {
        store: "T01",
        device: "fridge",
        kind: "modbus",
        metric: "hw.temperature",
        is_among_stores: false,
    };

    #[test]
    fn a_series_of_an_agent_says_whose_it_is() {
        let labels = of_series(OURS, [("error.type", "x"), ("device", "eth0")]);
        let expected = r#"{__name__="hw_temperature", device="fridge", error_type="x", exported_device="eth0", kind="modbus", store="T01"}"#;
        assert_eq!(labels.to_string(), expected);
    }

    #[test]
    fn a_series_of_prometheus_comes_back_as_it_came() {
        let origin = Origin { kind: "prometheus", metric: "node_network_up", ..OURS };
        let labels = of_series(origin, [("device", "eth0"), ("instance", "a:1"), ("job", "node")]);
        let expected = r#"{__name__="node_network_up", device="eth0", instance="a:1", job="node"}"#;
        assert_eq!(labels.to_string(), expected);
    }

    #[test]
    fn among_the_stores_of_a_tenant_every_series_says_its_store() {
        let origin = Origin { kind: "prometheus", metric: "up", is_among_stores: true, ..OURS };
        let labels = of_series(origin, [("device", "eth0"), ("store", "their own")]);
        let expected = r#"{__name__="up", device="eth0", exported_store="their own", store="T01"}"#;
        assert_eq!(labels.to_string(), expected);
    }

    #[test]
    fn two_spellings_of_one_label_are_both_shown() {
        let labels = of_series(OURS, [("a.b", "1"), ("a_b", "2")]);
        assert_eq!(labels.get("a_b"), "1;2");
    }

    #[test]
    fn labels_are_taken_away_and_set() {
        let labels = Labels::of([("b", "2"), ("a", "1"), (NAME, "m"), ("empty", "")]);
        assert_eq!(labels.to_string(), r#"{__name__="m", a="1", b="2"}"#);
        assert_eq!(labels.without_name().with("a", "").with("c", "3").to_string(), r#"{b="2", c="3"}"#);
        assert_eq!(labels.keep(&["a".into()]).to_string(), r#"{a="1"}"#);
        assert_eq!(labels.without(&["a".into()]).to_string(), r#"{__name__="m", b="2"}"#);
    }
}
