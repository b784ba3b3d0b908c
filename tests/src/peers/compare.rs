//! Values compared one by one: every label, every millisecond, every bit.

use std::collections::BTreeMap;

/// A label set, the metric under `__name__`.
pub(super) type Labels = BTreeMap<String, String>;
/// By label set, by Unix milliseconds.
pub(super) type Values = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// Differences that are told.
const TOLD: usize = 20;

/// Leaves out what has no value: NaN, infinities, and series that have nothing else.
pub(super) fn with_value(values: Values) -> Values {
    let finite =
        |samples: BTreeMap<i64, f64>| samples.into_iter().filter(|(_, value)| value.is_finite()).collect();
    let kept = values.into_iter().map(|(labels, samples)| (labels, finite(samples)));
    kept.filter(|(_, samples): &(Labels, BTreeMap<i64, f64>)| !samples.is_empty()).collect()
}

/// How many values there are.
pub(super) fn count(values: &Values) -> usize {
    values.values().map(BTreeMap::len).sum()
}

/// What is not the same on both sides, in words; the first ones.
pub(super) fn differences(theirs: &Values, ours: &Values) -> Vec<String> {
    let nothing = BTreeMap::new();
    let mut told = Vec::new();
    let labels = theirs.keys().chain(ours.keys().filter(|labels| !theirs.contains_key(*labels)));
    for labels in labels {
        let (theirs, ours) = (theirs.get(labels).unwrap_or(&nothing), ours.get(labels).unwrap_or(&nothing));
        let times = theirs.keys().chain(ours.keys().filter(|time| !theirs.contains_key(time)));
        for time in times {
            let (theirs, ours) = (theirs.get(time), ours.get(time));
            if theirs.map(|value| value.to_bits()) != ours.map(|value| value.to_bits()) {
                told.push(format!("{labels:?} at {time}: theirs {theirs:?}, ours {ours:?}"));
            }
            if told.len() >= TOLD {
                return told;
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(samples: &[(&str, i64, f64)]) -> Values {
        let mut values = Values::new();
        for (name, time, value) in samples {
            let labels = Labels::from([("__name__".to_owned(), (*name).to_owned())]);
            values.entry(labels).or_default().insert(*time, *value);
        }
        values
    }

    #[test]
    fn only_equal_bits_are_equal() {
        let theirs = values(&[("a", 1, 0.1), ("a", 2, 0.0), ("b", 1, 1.0)]);
        assert_eq!(differences(&theirs, &theirs), Vec::<String>::new());
        let odd = [
            values(&[("a", 1, 0.1 + f64::EPSILON), ("a", 2, 0.0), ("b", 1, 1.0)]),
            values(&[("a", 1, 0.1), ("a", 2, -0.0), ("b", 1, 1.0)]),
            values(&[("a", 1, 0.1), ("a", 2, 0.0)]),
            values(&[("a", 1, 0.1), ("a", 2, 0.0), ("b", 1, 1.0), ("c", 1, 1.0)]),
            values(&[("a", 1, 0.1), ("a", 3, 0.0), ("b", 1, 1.0)]),
        ];
        assert_eq!(odd.map(|ours| differences(&theirs, &ours).len()), [1, 1, 1, 1, 2]);
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        let all = values(&[("a", 1, f64::NAN), ("a", 2, 1.0), ("b", 1, f64::INFINITY)]);
        assert_eq!(with_value(all), values(&[("a", 2, 1.0)]));
    }
}
