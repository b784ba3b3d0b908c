//! From OTLP data points to samples.
//!
//! | data | series |
//! |---|---|
//! | gauge, sum | the metric |
//! | histogram | `<metric>_bucket{le="…"}` with cumulated counts up to `le="+Inf"`, `<metric>_sum` if it is told, `<metric>_count` |
//! | summary | `<metric>{quantile="…"}`, `<metric>_sum`, `<metric>_count` |
//!
//! Labels are the attributes of the point, and those of the resource and scope that tell streams apart. Refused, each data
//! point for itself: sums and histograms that are not cumulative (adding differences up needs the memory of every one that
//! was lost or came twice) and exponential histograms (their bounds move, so each would become hundreds of series).

use std::borrow::Cow;

use storepulse_shared::series;

use crate::foreign::device::device_id;
use crate::foreign::gathered::{Gathered, TooManySamples};
use crate::foreign::refusal::Reason;
use crate::foreign::{LABELS_MAX, OTLP_KIND};

/// Attributes of a resource that become labels.
const IDENTITY: [&str; 4] = ["host.name", "service.instance.id", "service.name", "service.namespace"];
/// Those that name the device, the best first.
const DEVICE_NAMES: [&str; 3] = ["service.instance.id", "service.name", "host.name"];
/// The label for the name of an instrumentation scope.
const SCOPE_LABEL: &str = "otel.scope.name";
/// Bit of the flags of a data point: it only says that there is no value.
const NO_RECORDED_VALUE: u64 = 1;
/// Of `AggregationTemporality`.
const CUMULATIVE: u64 = 2;

/// Names and values in no order, of a point or a resource.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    /// `None` for a value that is a list, a map or bytes.
    list: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    /// Only these are kept.
    only: Option<&'static [&'static str]>,
}

impl<'a> Attributes<'a> {
    /// Of a resource: those that become labels.
    pub(super) fn of_resource() -> Self {
        Self { only: Some(&IDENTITY), ..Self::default() }
    }

    /// Notes one; an empty value is none. What is beyond the limit makes the series a bad one.
    pub(super) fn push(&mut self, key: Cow<'a, str>, value: Option<Cow<'a, str>>) {
        let wanted = self.only.is_none_or(|only| only.contains(&&*key));
        if wanted && self.list.len() <= LABELS_MAX && value.as_ref().is_none_or(|value| !value.is_empty()) {
            self.list.push((key, value));
        }
    }
}

/// Where data points come from: the device, and the labels of all of them.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    device: String,
    labels: Vec<(String, String)>,
}

impl Origin {
    /// Of a resource.
    pub(super) fn of(resource: Attributes<'_>) -> Self {
        let text = |(key, value): (Cow<'_, str>, Option<Cow<'_, str>>)| {
            Some((key.into_owned(), value?.into_owned()))
        };
        let labels: Vec<(String, String)> = resource.list.into_iter().filter_map(text).collect();
        let named = |name: &&str| labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let device = device_id(DEVICE_NAMES.iter().find_map(named), OTLP_KIND);
        Self { device, labels }
    }

    /// Of a scope of it.
    pub(super) fn in_scope(&self, scope: &str) -> Self {
        let mut origin = self.clone();
        if !scope.is_empty() {
            origin.labels.push((SCOPE_LABEL.to_owned(), scope.to_owned()));
        }
        origin
    }
}

/// A metric: its name, and how its data points are to be read.
#[derive(Debug)]
pub(super) struct Metric<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) shape: Shape,
    /// `AggregationTemporality`, of sums and histograms.
    pub(super) temporality: u64,
}

/// The kind of data of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// A data point.
#[derive(Debug, Default)]
pub(super) struct Point<'a> {
    pub(super) attributes: Attributes<'a>,
    /// Unix nanoseconds; 0 is none.
    pub(super) time_ns: u64,
    pub(super) flags: u64,
    /// Of a gauge or sum.
    pub(super) value: Option<f64>,
    /// Of a histogram or summary.
    pub(super) count: u64,
    /// Of a histogram or summary.
    pub(super) sum: Option<f64>,
    /// Upper bounds of the buckets but the last.
    pub(super) bounds: Vec<f64>,
    /// Counts of the buckets, each for itself.
    pub(super) buckets: Vec<u64>,
    /// Quantile and value.
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// One value of a point: what is added to the metric's name, a label of its own, and the value.
type Part = (&'static str, Option<(&'static str, String)>, f64);

/// Takes data points one by one.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) gathered: Gathered,
    /// All that came.
    pub(super) seen: u64,
    /// Of them, refused here.
    pub(super) refused: u64,
    /// Of them, gauges and sums whose value is NaN, infinite or missing though no flag says so.
    pub(super) without_value: u64,
}

impl Points {
    /// Takes one.
    ///
    /// # Errors
    /// There are too many samples.
    pub(super) fn add(
        &mut self,
        origin: &Origin,
        metric: &Metric<'_>,
        point: &Point<'_>,
    ) -> Result<(), TooManySamples> {
        self.seen += 1;
        let count = count_parts(metric.shape, point);
        self.gathered.count(count)?;
        if point.flags & NO_RECORDED_VALUE != 0 {
            self.gathered.without_value += count as u64;
            return Ok(());
        }
        let time = i64::try_from(point.time_ns / 1_000_000).unwrap_or(i64::MAX);
        match values(origin, metric, point) {
            Ok(values) => {
                let is_number = matches!(metric.shape, Shape::Gauge | Shape::Sum);
                let has_value = values.iter().any(|(_, value)| value.is_finite());
                self.without_value += u64::from(is_number && !has_value);
                for (series, value) in values {
                    self.gathered.add(&origin.device, series, &[(time, value)]);
                }
            }
            Err((reason, why)) => {
                self.refused += 1;
                let example =
                    || format!("{:.80}{}{why:.300}", metric.name, if why.is_empty() { "" } else { ": " });
                self.gathered.refuse(reason, &[(time, 0.0)], example);
            }
        }
        Ok(())
    }
}

/// The values of a point by series, or why it is refused.
fn values(
    origin: &Origin,
    metric: &Metric<'_>,
    point: &Point<'_>,
) -> Result<Vec<(String, f64)>, (Reason, String)> {
    acceptable(metric, point).map_err(|(reason, why)| (reason, why.to_owned()))?;
    let parts = parts(metric.shape, point).map_err(|why| (Reason::BadPoint, why.to_owned()))?;
    let named = parts.into_iter().map(|part| Ok((series(origin, metric, point, &part)?, part.2)));
    named.collect::<Result<_, String>>().map_err(|why| (Reason::BadSeries, why))
}

/// Whether a point of this metric can be stored at all.
fn acceptable(metric: &Metric<'_>, point: &Point<'_>) -> Result<(), (Reason, &'static str)> {
    if metric.shape == Shape::ExponentialHistogram {
        return Err((Reason::ExponentialHistogram, ""));
    }
    if matches!(metric.shape, Shape::Sum | Shape::Histogram) && metric.temporality != CUMULATIVE {
        return Err((Reason::NotCumulative, ""));
    }
    if point.time_ns == 0 {
        return Err((Reason::BadPoint, "without a time"));
    }
    if point.attributes.list.iter().any(|(_, value)| value.is_none()) {
        return Err((Reason::BadAttribute, "an attribute that is a list, a map or bytes"));
    }
    Ok(())
}

/// How many values a point has at most: told before there is memory for them.
fn count_parts(shape: Shape, point: &Point<'_>) -> usize {
    match shape {
        Shape::Gauge | Shape::Sum | Shape::ExponentialHistogram => 1,
        Shape::Histogram => point.bounds.len() + 3,
        Shape::Summary => point.quantiles.len() + 2,
    }
}

/// The values of a point, or how it contradicts itself.
fn parts(shape: Shape, point: &Point<'_>) -> Result<Vec<Part>, &'static str> {
    #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
    let number = |count: u64| count as f64;
    let mut parts: Vec<Part> = Vec::new();
    match shape {
        Shape::Gauge | Shape::Sum => return Ok(vec![("", None, point.value.unwrap_or(f64::NAN))]),
        Shape::ExponentialHistogram => return Ok(Vec::new()),
        Shape::Summary => {
            let quantile = |(q, value): &(f64, f64)| ("", Some(("quantile", q.to_string())), *value);
            parts.extend(point.quantiles.iter().map(quantile));
        }
        Shape::Histogram => {
            if !point.bounds.is_sorted_by(|a, b| a < b) || !point.bounds.iter().all(|b| b.is_finite()) {
                return Err("bounds that do not ascend");
            }
            let only_totals = point.bounds.is_empty() && point.buckets.is_empty();
            if !only_totals && point.buckets.len() != point.bounds.len() + 1 {
                return Err("not one bucket more than bounds");
            }
            let total = point.buckets.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n));
            if !point.buckets.is_empty() && total != Some(point.count) {
                return Err("buckets that do not add up to the count");
            }
            let mut so_far = 0;
            for (bound, count) in point.bounds.iter().zip(&point.buckets) {
                so_far += count;
                parts.push(("_bucket", Some(("le", bound.to_string())), number(so_far)));
            }
            parts.push(("_bucket", Some(("le", "+Inf".to_owned())), number(point.count)));
        }
    }
    parts.extend(point.sum.map(|sum| ("_sum", None, sum)));
    parts.push(("_count", None, number(point.count)));
    Ok(parts)
}

/// The one spelling of a series; an attribute of the point stands before one of the resource.
fn series(origin: &Origin, metric: &Metric<'_>, point: &Point<'_>, part: &Part) -> Result<String, String> {
    let own = &point.attributes.list;
    if own.len() > LABELS_MAX {
        return Err(format!("more than {LABELS_MAX} attributes"));
    }
    let (suffix, extra, _) = part;
    let mut labels: Vec<(&str, &str)> = own.iter().filter_map(|(k, v)| Some((&**k, v.as_deref()?))).collect();
    let inherited = origin.labels.iter().filter(|(key, _)| own.iter().all(|(own, _)| own != key));
    labels.extend(inherited.map(|(key, value)| (key.as_str(), value.as_str())));
    labels.extend(extra.as_ref().map(|(key, value)| (*key, value.as_str())));
    let composed = if suffix.is_empty() {
        series::compose(&metric.name, &labels)
    } else {
        series::compose(&format!("{}{suffix}", metric.name), &labels)
    };
    composed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        let mut resource = Attributes::of_resource();
        for (key, value) in [("service.name", "till"), ("telemetry.sdk.name", "x"), ("host.name", "box 1")] {
            resource.push(key.into(), Some(value.into()));
        }
        Origin::of(resource).in_scope("lib")
    }

    fn metric(shape: Shape) -> Metric<'static> {
        Metric { name: "m".into(), shape, temporality: CUMULATIVE }
    }

    fn samples(points: &mut Points) -> Vec<(String, f64)> {
        let batches = points.gathered.take_batches("otlp").unwrap();
        let frames = batches[0].frames.iter();
        frames.map(|f| (f.columns[0].series.clone().into_owned(), f.columns[0].values[0])).collect()
    }

    fn one(shape: Shape, point: Point<'_>) -> Points {
        let mut points = Points::default();
        points.add(&origin(), &metric(shape), &Point { time_ns: 5_000_000, ..point }).unwrap();
        points
    }

    #[test]
    fn a_number_has_the_attributes_of_its_point_and_of_where_it_comes_from() {
        let mut attributes = Attributes::default();
        attributes.push("a".into(), Some("1".into()));
        attributes.push("host.name".into(), Some("own".into()));
        attributes.push("empty".into(), Some("".into()));
        let mut points = one(Shape::Gauge, Point { attributes, value: Some(2.5), ..Point::default() });
        let batches = points.gathered.take_batches("otlp").unwrap();
        let frame = &batches[0].frames[0];
        assert_eq!((&*frame.device, &*frame.kind, &*frame.times), ("till", "otlp", &[5][..]));
        assert_eq!(
            frame.columns[0].series,
            r#"m{a="1",host.name="own",otel.scope.name="lib",service.name="till"}"#
        );
    }

    #[test]
    fn a_histogram_becomes_cumulated_buckets() {
        let point = Point {
            count: 6,
            sum: Some(9.5),
            bounds: vec![0.005, 1.0, 1e21],
            buckets: vec![1, 2, 0, 3],
            ..Point::default()
        };
        let place = r#"host.name="box 1""#;
        let rest = r#"otel.scope.name="lib",service.name="till"}"#;
        let mut expected =
            vec![(format!("m_count{{{place},{rest}"), 6.0), (format!("m_sum{{{place},{rest}"), 9.5)];
        for (le, count) in [("+Inf", 6.0), ("0.005", 1.0), ("1", 3.0), ("1000000000000000000000", 3.0)] {
            expected.push((format!(r#"m_bucket{{{place},le="{le}",{rest}"#), count));
        }
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let mut points = one(Shape::Histogram, point);
        assert_eq!((samples(&mut points), points.refused), (expected, 0));
    }

    #[test]
    fn a_summary_becomes_quantiles_and_one_without_value_is_left_out() {
        let quantiles = vec![(0.5, f64::NAN), (0.99, 7.0)];
        let mut points =
            one(Shape::Summary, Point { count: 2, sum: Some(8.0), quantiles, ..Point::default() });
        let names = samples(&mut points);
        assert_eq!(names.len(), 3);
        assert!(names.iter().any(|(name, value)| name.contains(r#"quantile="0.99""#) && *value == 7.0));
        assert_eq!((points.gathered.without_value, points.refused), (1, 0));
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_its_reason() {
        let histogram = |bounds: &[f64], buckets: &[u64]| Point {
            count: 1,
            bounds: bounds.to_vec(),
            buckets: buckets.to_vec(),
            ..Point::default()
        };
        let mut listed = Attributes::default();
        listed.push("a".into(), None);
        let mut many = Attributes::default();
        for n in 0..100 {
            many.push(format!("a{n}").into(), Some("1".into()));
        }
        let value = Some(1.0);
        for (shape, point, reason) in [
            (Shape::ExponentialHistogram, Point::default(), "exponential_histogram"),
            (Shape::Histogram, histogram(&[1.0], &[1]), "bad_point"),
            (Shape::Histogram, histogram(&[2.0, 1.0], &[1, 0, 0]), "bad_point"),
            (Shape::Histogram, histogram(&[f64::NAN], &[1, 0]), "bad_point"),
            (Shape::Histogram, histogram(&[1.0], &[1, 1]), "bad_point"),
            (Shape::Histogram, histogram(&[1.0], &[u64::MAX, 2]), "bad_point"),
            (Shape::Gauge, Point { attributes: listed, value, ..Point::default() }, "bad_attribute"),
            (Shape::Gauge, Point { attributes: many, value, ..Point::default() }, "bad_series"),
        ] {
            let points = one(shape, point);
            assert_eq!(points.gathered.rejections()[0].told.reason, reason);
            assert_eq!((points.seen, points.refused), (1, 1));
        }
    }

    #[test]
    fn differences_and_points_without_a_time_are_refused() {
        let mut points = Points::default();
        let point = Point { time_ns: 1, value: Some(1.0), ..Point::default() };
        for temporality in [0, 1] {
            let metric = Metric { temporality, ..metric(Shape::Sum) };
            points.add(&origin(), &metric, &point).unwrap();
        }
        points.add(&origin(), &metric(Shape::Gauge), &Point { time_ns: 0, ..point }).unwrap();
        let told: Vec<_> =
            points.gathered.rejections().into_iter().map(|r| (r.told.reason, r.told.samples)).collect();
        assert_eq!(told, [("not_cumulative".to_owned(), 2), ("bad_point".to_owned(), 1)]);
    }

    #[test]
    fn no_value_is_no_sample() {
        for value in [None, Some(f64::NAN), Some(f64::NEG_INFINITY)] {
            let points = one(Shape::Gauge, Point { value, ..Point::default() });
            assert_eq!((points.without_value, points.gathered.without_value, points.refused), (1, 1, 0));
        }
        let flagged = one(Shape::Gauge, Point { flags: 1, ..Point::default() });
        assert_eq!((flagged.without_value, flagged.gathered.without_value, flagged.refused), (0, 1, 0));
    }
}
