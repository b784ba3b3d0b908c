//! From data points to values of series.
//!
//! | data | series |
//! |---|---|
//! | gauge, sum | the metric |
//! | histogram | `<metric>_bucket{le="…"}` with cumulated counts up to `le="+Inf"`, `<metric>_sum` if it is told, `<metric>_count` |
//! | summary | `<metric>{quantile="…"}`, `<metric>_sum`, `<metric>_count` |
//!
//! Labels are the listed attributes of the point and of its resource; the point's own come first. Sums and histograms that
//! tell differences are added up (`totals`). Exponential histograms are refused: their bounds move, so each would become
//! hundreds of series.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::collector::gathered::Gathered;
use crate::collector::label::{self, Unnamed};

use super::totals::{Deltas, Span};

/// Most attributes of a point or a resource that are looked at.
pub(super) const ATTRIBUTES_MAX: usize = 64;
/// Most buckets of a histogram, and quantiles of a summary; a device has not more series.
pub(super) const PARTS_MAX: usize = 256;

/// Name and value of attributes; `None` for a value that is a list, a map or bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes<'a>(Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>);

impl<'a> Attributes<'a> {
    /// Notes one, while there is room.
    pub(super) fn push(&mut self, key: Cow<'a, str>, value: Option<Cow<'a, str>>) {
        if self.0.len() < ATTRIBUTES_MAX {
            self.0.push((key, value));
        }
    }

    /// The same for the same attributes in whatever order.
    fn identity(&self) -> u64 {
        self.0.iter().fold(0, |all: u64, attribute| all.wrapping_add(hash(attribute)))
    }
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Where points come from.
#[derive(Debug, Default)]
pub(super) struct Origin<'a> {
    pub resource: Attributes<'a>,
    pub scope: Cow<'a, str>,
}

/// Whether values are totals or differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporality {
    /// Also of gauges and summaries, which have none.
    Cumulative,
    Delta,
    Unknown,
}

impl Temporality {
    /// Of `AggregationTemporality`.
    pub(super) const fn of(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unknown,
        }
    }
}

/// A data point.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub attributes: Attributes<'a>,
    /// Unix nanoseconds; 0 is none.
    pub start_ns: u64,
    pub time_ns: u64,
    /// It only says that there is no value.
    pub is_empty: bool,
    pub data: Data,
}

/// What a point says.
#[derive(Debug)]
pub(super) enum Data {
    Number(Option<f64>),
    Histogram { count: u64, sum: Option<f64>, bounds: Vec<f64>, buckets: Vec<u64> },
    Summary { count: u64, sum: f64, quantiles: Vec<(f64, f64)> },
    ExponentialHistogram,
}

/// One value of a point: what is added to the metric's name, a label of its own, and the value.
type Part = (&'static str, Option<(&'static str, String)>, f64);

/// Takes data points one by one.
#[derive(Debug)]
pub(super) struct Points<'c> {
    labels: &'c [String],
    pub gathered: Gathered,
    pub deltas: Deltas,
    /// All that came.
    pub seen: u64,
}

impl<'c> Points<'c> {
    /// With these labels.
    pub(super) fn new(labels: &'c [String]) -> Self {
        Self { labels, gathered: Gathered::default(), deltas: Deltas::default(), seen: 0 }
    }

    /// Takes one.
    pub(super) fn take(
        &mut self,
        origin: &Origin<'_>,
        metric: &str,
        temporality: Temporality,
        point: &Point<'_>,
    ) {
        self.seen += 1;
        if point.is_empty {
            return;
        }
        if matches!(point.data, Data::ExponentialHistogram) || temporality == Temporality::Unknown {
            return self.gathered.unsupported();
        }
        let Some(parts) = parts(&point.data) else { return self.gathered.unread() };
        let identity = hash((&*origin.scope, origin.resource.identity(), point.attributes.identity()));
        let span = Span { start_ns: point.start_ns, time_ns: point.time_ns };
        for (suffix, extra, value) in parts {
            let series = self.series(origin, metric, point, suffix, extra.as_ref());
            let identity = hash((identity, &extra));
            if temporality == Temporality::Delta {
                self.deltas.add(series, identity, span, value, &mut self.gathered);
            } else {
                self.gathered.add(series, identity, span.own_ms(), value);
            }
        }
    }

    fn series(
        &self,
        origin: &Origin<'_>,
        metric: &str,
        point: &Point<'_>,
        suffix: &str,
        extra: Option<&(&'static str, String)>,
    ) -> Result<String, Unnamed> {
        let own = &point.attributes.0;
        let of_resource =
            origin.resource.0.iter().filter(|(key, _)| !own.iter().any(|(taken, _)| taken == key));
        let mut labels = Vec::new();
        for (key, value) in own.iter().chain(of_resource) {
            if !self.labels.iter().any(|listed| listed == key) {
                continue;
            }
            // What is no scalar is no name of anything.
            labels.push((&**key, value.as_deref().ok_or(Unnamed::FreeText)?));
        }
        labels.extend(extra.map(|(name, value)| (*name, value.as_str())));
        label::series(&format!("{metric}{suffix}"), labels.into_iter(), self.labels)
    }
}

/// The values of a point; `None` if it contradicts itself.
fn parts(data: &Data) -> Option<Vec<Part>> {
    #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
    let number = |count: u64| count as f64;
    let mut parts: Vec<Part> = Vec::new();
    match data {
        Data::Number(value) => parts.push(("", None, value.unwrap_or(f64::NAN))),
        Data::ExponentialHistogram => return None,
        Data::Summary { count, sum, quantiles } => {
            parts.extend(quantiles.iter().map(|(q, value)| ("", Some(("quantile", q.to_string())), *value)));
            parts.push(("_sum", None, *sum));
            parts.push(("_count", None, number(*count)));
        }
        Data::Histogram { count, sum, bounds, buckets } => {
            let ascend = bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|bound| bound.is_finite());
            let only_totals = bounds.is_empty() && buckets.is_empty();
            let total = buckets.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n));
            if !ascend || !only_totals && (buckets.len() != bounds.len() + 1 || total != Some(*count)) {
                return None;
            }
            let mut so_far = 0;
            for (bound, n) in bounds.iter().zip(buckets) {
                so_far += n;
                parts.push(("_bucket", Some(("le", bound.to_string())), number(so_far)));
            }
            parts.push(("_bucket", Some(("le", "+Inf".to_owned())), number(*count)));
            parts.extend(sum.map(|sum| ("_sum", None, sum)));
            parts.push(("_count", None, number(*count)));
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::super::totals::Totals;
    use super::*;

    const NOW: i64 = 1_763_700_000_000;
    const NOW_NS: u64 = 1_763_700_000_000_000_000;

    fn point(data: Data) -> Point<'static> {
        Point { attributes: Attributes::default(), start_ns: 0, time_ns: NOW_NS, is_empty: false, data }
    }

    fn values(points: Points<'_>) -> (Vec<(String, f64)>, usize) {
        let (ticks, left_out, _) = points.finish(&Totals::default(), NOW);
        (ticks.into_iter().flat_map(|tick| tick.values).collect(), left_out.count())
    }

    fn one(point: &Point<'_>) -> (Vec<(String, f64)>, usize) {
        let labels = ["shelf".to_owned(), "service.name".to_owned()];
        let mut points = Points::new(&labels);
        let mut origin = Origin::default();
        origin.resource.push("service.name".into(), Some("till".into()));
        origin.resource.push("shelf".into(), Some("resource".into()));
        points.take(&origin, "m", Temporality::Cumulative, point);
        values(points)
    }

    #[test]
    fn listed_attributes_become_labels_and_the_points_own_come_first() {
        let mut labelled = point(Data::Number(Some(2.5)));
        labelled.attributes.push("shelf".into(), Some("dairy".into()));
        labelled.attributes.push("customer".into(), Some("Ana Díaz".into()));
        labelled.attributes.push("list".into(), None);
        assert_eq!(one(&labelled), (vec![(r#"m{service.name="till",shelf="dairy"}"#.to_owned(), 2.5)], 0));
    }

    #[test]
    fn free_text_and_lists_in_a_listed_attribute_are_refused() {
        for value in [Some("two words".into()), Some("4111111111111111".into()), None] {
            let mut labelled = point(Data::Number(Some(1.0)));
            labelled.attributes.push("shelf".into(), value);
            assert_eq!(one(&labelled), (vec![], 1));
        }
    }

    #[test]
    fn a_histogram_becomes_cumulated_buckets() {
        let data =
            Data::Histogram { count: 6, sum: Some(9.5), bounds: vec![0.005, 1.0], buckets: vec![1, 2, 3] };
        let (values, left_out) = one(&point(data));
        let short: Vec<(String, f64)> = values
            .into_iter()
            .map(|(series, value)| (series.replace(r#"service.name="till",shelf="resource""#, ""), value))
            .collect();
        let expected = [
            (r#"m_bucket{le="+Inf",}"#, 6.0),
            (r#"m_bucket{le="0.005",}"#, 1.0),
            (r#"m_bucket{le="1",}"#, 3.0),
            ("m_count{}", 6.0),
            ("m_sum{}", 9.5),
        ];
        assert_eq!(
            (short, left_out),
            (expected.map(|(series, value)| (series.to_owned(), value)).to_vec(), 0)
        );
    }

    #[test]
    fn what_contradicts_itself_or_is_not_taken_is_refused() {
        let histogram = |count, bounds: &[f64], buckets: &[u64]| Data::Histogram {
            count,
            sum: None,
            bounds: bounds.to_vec(),
            buckets: buckets.to_vec(),
        };
        for data in [
            histogram(1, &[1.0], &[1]),
            histogram(1, &[2.0, 1.0], &[1, 0, 0]),
            histogram(1, &[f64::NAN], &[1, 0]),
            histogram(1, &[1.0], &[1, 1]),
            histogram(1, &[1.0], &[u64::MAX, 2]),
            Data::ExponentialHistogram,
        ] {
            assert_eq!(one(&point(data)), (vec![], 1));
        }
        let empty = Point { is_empty: true, ..point(Data::Number(Some(1.0))) };
        assert_eq!(one(&empty), (vec![], 0), "no value is no sample");
        assert_eq!(one(&point(Data::Number(Some(f64::NAN)))), (vec![], 0));
    }

    #[test]
    fn points_that_only_unlisted_attributes_tell_apart_are_left_out() {
        let mut points = Points::new(&[]);
        for shelf in ["dairy", "meat"] {
            let mut labelled = point(Data::Number(Some(1.0)));
            labelled.attributes.push("shelf".into(), Some(shelf.into()));
            points.take(&Origin::default(), "m", Temporality::Cumulative, &labelled);
        }
        assert_eq!(values(points), (vec![], 2));
    }
}
