//! What is counted here from what was seen: cumulative counters, histograms with fixed bounds, and the last values.
//!
//! A series has one owner: a counter and a value of one name, or a counter that is called like a part of a histogram, would
//! be two values of one time, so the second is refused. A book has a limit of series and of what it keeps for them. Counters
//! and histograms are cumulative and can be kept over a restart ([`Kept`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use storepulse_shared::series;

use super::fault::FaultKind;

/// Most bounds of a histogram.
const BOUNDS_MAX: usize = 30;

/// The upper bounds of a histogram's buckets, ascending; the last bucket has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds(pub Arc<[f64]>);

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bounds = Vec::<f64>::deserialize(deserializer)?;
        let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]) && bounds.iter().all(|b| b.is_finite());
        if !ascend || !(1..=BOUNDS_MAX).contains(&bounds.len()) {
            return Err(D::Error::custom(format_args!("bounds are 1 to {BOUNDS_MAX} ascending numbers")));
        }
        Ok(Self(bounds.into()))
    }
}

impl Bounds {
    /// For times in milliseconds.
    pub(crate) fn milliseconds() -> Self {
        Self([5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4].into())
    }
}

/// A metric with its labels, in any order.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

#[derive(Debug)]
enum Entry {
    Counter(f64),
    Gauge(f64),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Histogram {
    bounds: Bounds,
    /// One for each bound, then `+Inf`, then sum and count.
    series: Vec<String>,
    /// Not cumulative yet; one more than bounds.
    counts: Vec<f64>,
    sum: f64,
}

/// All of it. The key is the series as it would be without parts.
#[derive(Debug)]
pub(crate) struct Book {
    entries: BTreeMap<String, (Entry, bool)>,
    /// Every series that comes out of it.
    series: HashSet<String>,
    series_max: usize,
}

/// What outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    counters: BTreeMap<String, f64>,
    histograms: BTreeMap<String, KeptHistogram>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptHistogram {
    bounds: Vec<f64>,
    counts: Vec<f64>,
    sum: f64,
}

impl Book {
    /// With at most so many series.
    pub(crate) fn new(series_max: usize) -> Self {
        Self { entries: BTreeMap::new(), series: HashSet::new(), series_max }
    }

    /// Adds to a counter.
    pub(crate) fn count(&mut self, metric: &str, labels: Labels<'_>, by: f64) -> Result<(), FaultKind> {
        match self.entry(metric, labels, None, || Entry::Counter(0.0))? {
            (Entry::Counter(value), changed) => add(value, by, changed),
            _ => Err(FaultKind::Parse),
        }
    }

    /// Sets a value.
    pub(crate) fn set(&mut self, metric: &str, labels: Labels<'_>, to: f64) -> Result<(), FaultKind> {
        match self.entry(metric, labels, None, || Entry::Gauge(0.0))? {
            (Entry::Gauge(value), changed) => {
                *value = 0.0;
                add(value, to, changed)
            }
            _ => Err(FaultKind::Parse),
        }
    }

    /// Moves a value; one that was never set begins at 0.
    pub(crate) fn shift(&mut self, metric: &str, labels: Labels<'_>, by: f64) -> Result<(), FaultKind> {
        match self.entry(metric, labels, None, || Entry::Gauge(0.0))? {
            (Entry::Gauge(value), changed) => add(value, by, changed),
            _ => Err(FaultKind::Parse),
        }
    }

    /// Puts a value into a histogram, so many times; 0 only makes it.
    pub(crate) fn observe(
        &mut self,
        metric: &str,
        labels: Labels<'_>,
        bounds: &Bounds,
        value: f64,
        times: f64,
    ) -> Result<(), FaultKind> {
        match self.entry(metric, labels, Some(bounds), || Entry::Gauge(0.0))? {
            (Entry::Histogram(histogram), changed) => {
                let bucket = histogram.bounds.0.iter().position(|bound| value <= *bound);
                let count = &mut histogram.counts[bucket.unwrap_or(histogram.bounds.0.len())];
                add(&mut histogram.sum, value * times, changed)?;
                add(count, times, changed)
            }
            _ => Err(FaultKind::Parse),
        }
    }

    /// The entry, made if it is new, and whether it has changed.
    fn entry(
        &mut self,
        metric: &str,
        labels: Labels<'_>,
        bounds: Option<&Bounds>,
        plain: impl FnOnce() -> Entry,
    ) -> Result<&mut (Entry, bool), FaultKind> {
        let key = series::compose(metric, labels).map_err(|_| FaultKind::Parse)?;
        if !self.entries.contains_key(&key) {
            let (entry, names) = match bounds {
                None => (plain(), vec![key.clone()]),
                Some(bounds) => {
                    let names = parts(metric, labels, bounds).map_err(|_| FaultKind::Parse)?;
                    let counts = vec![0.0; bounds.0.len() + 1];
                    let histogram =
                        Histogram { bounds: bounds.clone(), series: names.clone(), counts, sum: 0.0 };
                    (Entry::Histogram(histogram), names)
                }
            };
            if names.iter().any(|name| self.series.contains(name)) {
                return Err(FaultKind::Parse);
            }
            if self.series.len() + names.len() > self.series_max {
                return Err(FaultKind::TooManySeries);
            }
            self.series.extend(names);
            self.entries.insert(key.clone(), (entry, false));
        }
        self.entries.get_mut(&key).ok_or(FaultKind::Internal)
    }

    /// Whether anything has changed since it was taken.
    pub(crate) fn has_changed(&self) -> bool {
        self.entries.values().any(|(_, changed)| *changed)
    }

    /// What has changed since it was last taken; `all`: counters and histograms that have not, too. A value is taken once,
    /// since it is of that time.
    pub(crate) fn take(&mut self, all: bool) -> Vec<(String, f64)> {
        let mut values = Vec::new();
        for (key, (entry, changed)) in &mut self.entries {
            let changed = std::mem::take(changed);
            match entry {
                Entry::Counter(value) if changed || all => values.push((key.clone(), *value)),
                Entry::Gauge(value) if changed => values.push((key.clone(), *value)),
                Entry::Histogram(histogram) if changed || all => values.extend(histogram.values()),
                _ => {}
            }
        }
        values
    }

    /// What outlives a restart.
    pub(crate) fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for (key, (entry, _)) in &self.entries {
            match entry {
                Entry::Counter(value) => {
                    kept.counters.insert(key.clone(), *value);
                }
                Entry::Histogram(Histogram { bounds, counts, sum, .. }) => {
                    let bounds = bounds.0.to_vec();
                    let histogram = KeptHistogram { bounds, counts: counts.clone(), sum: *sum };
                    kept.histograms.insert(key.clone(), histogram);
                }
                Entry::Gauge(_) => {}
            }
        }
        kept
    }

    /// Goes on with what was kept, of what is here by now under the same name and with the same bounds.
    pub(crate) fn resume(&mut self, kept: &Kept) {
        for (key, (entry, _)) in &mut self.entries {
            match entry {
                Entry::Counter(value) => *value = kept.counters.get(key).copied().unwrap_or(*value),
                Entry::Histogram(histogram) => {
                    let same = |kept: &&KeptHistogram| {
                        *kept.bounds == *histogram.bounds.0 && kept.counts.len() == histogram.counts.len()
                    };
                    if let Some(kept) = kept.histograms.get(key).filter(same) {
                        (histogram.counts, histogram.sum) = (kept.counts.clone(), kept.sum);
                    }
                }
                Entry::Gauge(_) => {}
            }
        }
    }
}

impl Histogram {
    fn values(&self) -> Vec<(String, f64)> {
        let mut so_far = 0.0;
        let mut numbers: Vec<f64> = Vec::with_capacity(self.series.len());
        for count in &self.counts {
            so_far += count;
            numbers.push(so_far);
        }
        numbers.extend([self.sum, so_far]);
        self.series.iter().cloned().zip(numbers).collect()
    }
}

/// Adds what leaves a number a number.
fn add(value: &mut f64, by: f64, changed: &mut bool) -> Result<(), FaultKind> {
    let sum = *value + by;
    if !sum.is_finite() {
        return Err(FaultKind::Parse);
    }
    (*value, *changed) = (sum, true);
    Ok(())
}

/// The series of a histogram.
fn parts(metric: &str, labels: Labels<'_>, bounds: &Bounds) -> Result<Vec<String>, series::SeriesError> {
    let ends = bounds.0.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let bucket = format!("{metric}_bucket");
    let mut names = ends
        .map(|end| series::compose(&bucket, &[labels, &[("le", &end)]].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    names.push(series::compose(&format!("{metric}_sum"), labels)?);
    names.push(series::compose(&format!("{metric}_count"), labels)?);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        Bounds([0.5, 10.0].into())
    }

    #[test]
    fn counters_and_histograms_are_cumulative_and_values_are_taken_once() {
        let mut book = Book::new(200);
        for _ in 0..3 {
            book.count("c", &[("b", "2"), ("a", "1")], 1.0).unwrap();
        }
        book.set("g", &[], 7.0).unwrap();
        book.shift("g", &[], -2.0).unwrap();
        for value in [0.5, 0.6, 99.0] {
            book.observe("h", &[], &bounds(), value, 1.0).unwrap();
        }
        let taken = book.take(false);
        let expected = [
            (r#"c{a="1",b="2"}"#, 3.0),
            ("g", 5.0),
            (r#"h_bucket{le="0.5"}"#, 1.0),
            (r#"h_bucket{le="10"}"#, 2.0),
            (r#"h_bucket{le="+Inf"}"#, 3.0),
            ("h_sum", 100.1),
            ("h_count", 3.0),
        ];
        assert_eq!(taken, expected.map(|(series, value)| (series.to_owned(), value)));
        assert!(!book.has_changed() && book.take(false).is_empty());
        assert_eq!(book.take(true).len(), 6, "all that is cumulative, and no value");
    }

    #[test]
    fn a_series_has_one_owner() {
        let mut book = Book::new(200);
        book.set("x", &[], 1.0).unwrap();
        assert_eq!(book.count("x", &[], 1.0), Err(FaultKind::Parse));
        book.count("h_sum", &[], 1.0).unwrap();
        assert_eq!(book.observe("h", &[], &bounds(), 1.0, 1.0), Err(FaultKind::Parse));
        book.observe("i", &[], &bounds(), 1.0, 1.0).unwrap();
        assert_eq!(book.count("i_count", &[], 1.0), Err(FaultKind::Parse));
        assert_eq!(book.count("no name", &[], 1.0), Err(FaultKind::Parse));
        let names: HashSet<String> = book.take(true).into_iter().map(|(series, _)| series).collect();
        assert_eq!(names.len(), 1 + 1 + 5, "{names:?}");
    }

    #[test]
    fn a_full_book_takes_no_new_series_and_goes_on_with_those_it_has() {
        let mut book = Book::new(3);
        book.count("a", &[], 1.0).unwrap();
        book.count("b", &[], 1.0).unwrap();
        assert_eq!(book.observe("h", &[], &bounds(), 1.0, 1.0), Err(FaultKind::TooManySeries));
        book.count("c", &[], 1.0).unwrap();
        for n in 0..10_000 {
            assert_eq!(book.count(&format!("n{n}"), &[], 1.0), Err(FaultKind::TooManySeries));
        }
        book.count("a", &[], 1.0).unwrap();
        assert_eq!((book.entries.len(), book.series.len()), (3, 3));
    }

    #[test]
    fn what_was_kept_goes_on_unless_the_bounds_are_others() {
        let mut book = Book::new(200);
        book.count("c", &[], 5.0).unwrap();
        book.observe("h", &[], &bounds(), 1.0, 1.0).unwrap();
        book.observe("i", &[], &bounds(), 0.1, 1.0).unwrap();
        let text = serde_json::to_string(&book.kept()).unwrap();
        let kept: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!(kept, book.kept());
        let mut next = Book::new(200);
        next.count("c", &[], 0.0).unwrap();
        next.observe("h", &[], &bounds(), 0.0, 0.0).unwrap();
        next.observe("i", &[], &Bounds([1.0].into()), 0.0, 0.0).unwrap();
        next.resume(&kept);
        next.count("c", &[], 1.0).unwrap();
        let values: BTreeMap<String, f64> = next.take(true).into_iter().collect();
        assert_eq!(
            (values["c"], values["h_count"], values["h_sum"], values["i_count"]),
            (6.0, 1.0, 1.0, 0.0)
        );
    }

    #[test]
    fn bounds_ascend() {
        for bad in ["[]", "[1, 1]", "[2, 1]", "[.inf]", "[.nan]"] {
            assert!(serde_yaml::from_str::<Bounds>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_yaml::from_str::<Bounds>("[0.1, 1, 10]").unwrap(), Bounds([0.1, 1.0, 10.0].into()));
    }
}
