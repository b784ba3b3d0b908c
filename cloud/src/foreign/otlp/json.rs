//! `ExportMetricsServiceRequest` in JSON, the protobuf JSON mapping as OTLP narrows it: names in lower camel case, 64-bit
//! integers as text (or numbers), enums as numbers, unknown fields passed over.
//!
//! Lists are kept as the texts of their elements and taken apart one after the other, so that a body holds no more memory
//! than its text and a list of slices for each level it is nested.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use storepulse_shared::limits::SAMPLES_MAX;

use super::points::{Attributes, Metric, Origin, Point, Points, Shape};
use crate::foreign::body::BodyError;

/// Elements of one list. Beyond it nothing of a body could be stored: each would bring a sample, or is empty.
const ELEMENTS_MAX: usize = SAMPLES_MAX;

/// Hands over all data points of the request.
///
/// # Errors
/// It is no such request, or has too many samples.
pub(super) fn decode(body: &[u8], points: &mut Points) -> Result<(), BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::Json(error.to_string()))?;
    let request: Request<'_> = parse_object(text)?;
    for resource_metrics in request.resource_metrics.elements()? {
        let resource_metrics: ResourceMetrics<'_> = parse_object(resource_metrics.get())?;
        let mut attributes = Attributes::of_resource();
        if let Some(resource) = resource_metrics.resource {
            add_attributes(&resource.attributes, &mut attributes)?;
        }
        let origin = Origin::of(attributes);
        for scope_metrics in resource_metrics.scope_metrics.elements()? {
            let scope_metrics: ScopeMetrics<'_> = parse_object(scope_metrics.get())?;
            let name = scope_metrics.scope.and_then(|scope| scope.name).unwrap_or_default();
            let origin = origin.in_scope(&name);
            for metric in scope_metrics.metrics.elements()? {
                add_metric(parse_object(metric.get())?, &origin, points)?;
            }
        }
    }
    Ok(())
}

fn add_metric(metric: MetricJson<'_>, origin: &Origin, points: &mut Points) -> Result<(), BodyError> {
    let name = metric.name.unwrap_or_default();
    let of_shape = [
        (metric.gauge, Shape::Gauge),
        (metric.sum, Shape::Sum),
        (metric.histogram, Shape::Histogram),
        (metric.exponential_histogram, Shape::ExponentialHistogram),
        (metric.summary, Shape::Summary),
    ];
    for (data, shape) in of_shape.into_iter().filter_map(|(data, shape)| Some((data?, shape))) {
        let temporality = data.aggregation_temporality.unwrap_or_default();
        let metric = Metric { name: Cow::Borrowed(&*name), shape, temporality };
        for point in data.data_points.elements()? {
            points.add(origin, &metric, &read_point(shape, parse_object(point.get())?)?)?;
        }
    }
    Ok(())
}

fn read_point(shape: Shape, json: PointJson<'_>) -> Result<Point<'_>, BodyError> {
    let mut point = Point {
        time_ns: json.time_unix_nano.unwrap_or_default().unsigned()?,
        flags: json.flags.unwrap_or_default(),
        value: json.as_double.map(|double| double.0),
        count: json.count.unwrap_or_default().unsigned()?,
        sum: json.sum.map(|double| double.0),
        ..Point::default()
    };
    #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
    if let Some(int) = json.as_int {
        point.value = Some(int.0 as f64);
    }
    add_attributes(&json.attributes, &mut point.attributes)?;
    point.bounds = json.explicit_bounds.read_all(|Double(bound)| Ok(bound))?;
    point.buckets = json.bucket_counts.read_all(Int::unsigned)?;
    point.quantiles = json.quantile_values.read_all(|quantile: Quantile| {
        let or_zero = |double: Option<Double>| double.map_or(0.0, |double| double.0);
        Ok((or_zero(quantile.quantile), or_zero(quantile.value)))
    })?;
    if shape == Shape::Summary {
        // Not optional there: without a field it is 0.
        point.sum = point.sum.or(Some(0.0));
    }
    Ok(point)
}

fn add_attributes<'a>(list: &List<'a>, attributes: &mut Attributes<'a>) -> Result<(), BodyError> {
    for attribute in list.elements()? {
        let attribute: KeyValue<'a> = parse_object(attribute.get())?;
        let value = match attribute.value {
            None => Some("".into()),
            Some(value) => value.into_scalar(),
        };
        attributes.push(attribute.key.unwrap_or_default(), value);
    }
    Ok(())
}

/// A struct would be read from a list of its fields too, which is not what JSON means by it.
fn parse_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BodyError> {
    if text.trim_start().starts_with('[') {
        return Err(BodyError::Json(format!("{text:.40?} is not an object")));
    }
    parse(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BodyError> {
    serde_json::from_str(text).map_err(|error| BodyError::Json(error.to_string()))
}

/// A list, its elements still as texts. `null` and an absent field are empty ones.
#[derive(Debug, Default)]
struct List<'a> {
    elements: Vec<&'a RawValue>,
    is_longer: bool,
}

impl<'a> List<'a> {
    fn elements(&self) -> Result<impl Iterator<Item = &'a RawValue>, BodyError> {
        if self.is_longer {
            Err(BodyError::ListTooLong(ELEMENTS_MAX))
        } else {
            Ok(self.elements.iter().copied())
        }
    }

    fn read_all<T: DeserializeOwned, U>(
        &self,
        read: impl Fn(T) -> Result<U, BodyError>,
    ) -> Result<Vec<U>, BodyError> {
        self.elements()?.map(|element| read(parse(element.get())?)).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<List<'de>, E> {
                Ok(List::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<'de>, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < ELEMENTS_MAX {
                    match list.next_element()? {
                        Some(element) => elements.push(element),
                        None => return Ok(List { elements, is_longer: false }),
                    }
                }
                let mut is_longer = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    is_longer = true;
                }
                Ok(List { elements, is_longer })
            }
        }
        deserializer.deserialize_any(Elements)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    resource_metrics: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetrics<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, default)]
    scope_metrics: List<'a>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default)]
    attributes: List<'a>,
}

#[derive(Deserialize)]
struct ScopeMetrics<'a> {
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
    #[serde(borrow, default)]
    metrics: List<'a>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricJson<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    gauge: Option<Data<'a>>,
    #[serde(borrow)]
    sum: Option<Data<'a>>,
    #[serde(borrow)]
    histogram: Option<Data<'a>>,
    #[serde(borrow)]
    exponential_histogram: Option<Data<'a>>,
    #[serde(borrow)]
    summary: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow, default)]
    data_points: List<'a>,
    aggregation_temporality: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PointJson<'a> {
    #[serde(borrow, default)]
    attributes: List<'a>,
    time_unix_nano: Option<Int>,
    flags: Option<u64>,
    as_double: Option<Double>,
    as_int: Option<Int>,
    count: Option<Int>,
    sum: Option<Double>,
    #[serde(borrow, default)]
    explicit_bounds: List<'a>,
    #[serde(borrow, default)]
    bucket_counts: List<'a>,
    #[serde(borrow, default)]
    quantile_values: List<'a>,
}

#[derive(Deserialize)]
struct Quantile {
    quantile: Option<Double>,
    value: Option<Double>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    int_value: Option<Int>,
    double_value: Option<Double>,
    array_value: Option<IgnoredAny>,
    kvlist_value: Option<IgnoredAny>,
    bytes_value: Option<IgnoredAny>,
}

impl<'a> AnyValue<'a> {
    /// `None` for a list, a map or bytes.
    fn into_scalar(self) -> Option<Cow<'a, str>> {
        if self.array_value.is_some() || self.kvlist_value.is_some() || self.bytes_value.is_some() {
            return None;
        }
        let number = || Some(Cow::Owned(self.int_value.map(|int| int.0.to_string())?));
        let double = || Some(Cow::Owned(self.double_value.as_ref().map(|double| double.0.to_string())?));
        let truth = || self.bool_value.map(|truth| Cow::Borrowed(if truth { "true" } else { "false" }));
        let other = truth().or_else(number).or_else(double);
        Some(self.string_value.or(other).unwrap_or_default())
    }
}

/// A 64-bit integer with or without sign, as a number or as text.
#[derive(Debug, Clone, Copy, Default)]
struct Int(i128);

impl Int {
    fn unsigned(self) -> Result<u64, BodyError> {
        u64::try_from(self.0)
            .map_err(|_| BodyError::Json(format!("{} is not an unsigned 64-bit integer", self.0)))
    }
}

/// A double as a number, or as text: `NaN`, `Infinity`, `-Infinity`.
#[derive(Debug, Clone, Copy)]
struct Double(f64);

macro_rules! number_or_text {
    ($name:ident, $expecting:literal, $($visit:ident: $from:ty => $convert:expr),+) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NumberOrText;
                impl Visitor<'_> for NumberOrText {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    $(fn $visit<E: de::Error>(self, value: $from) -> Result<$name, E> {
                        let convert: fn($from) -> Option<_> = $convert;
                        let refused = || E::custom(format_args!("{value:.60?} is not {}", $expecting));
                        convert(value).map($name).ok_or_else(refused)
                    })+
                }
                deserializer.deserialize_any(NumberOrText)
            }
        }
    };
}

number_or_text!(Int, "a 64-bit integer, as a number or as text",
    visit_u64: u64 => |n| Some(n.into()),
    visit_i64: i64 => |n| Some(n.into()),
    visit_str: &str => |text| text.parse().ok()
);
#[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
mod double {
    use super::*;
    number_or_text!(Double, "a number, or \"NaN\", \"Infinity\", \"-Infinity\"",
        visit_u64: u64 => |n| Some(n as f64),
        visit_i64: i64 => |n| Some(n as f64),
        visit_f64: f64 => Some,
        // Rust reads the three words as they are spelled there.
        visit_str: &str => |text| text.parse().ok()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Points, String> {
        let mut points = Points::default();
        decode(text.as_bytes(), &mut points).map(|()| points).map_err(|error| error.to_string())
    }

    fn of_metric(metric: &str) -> String {
        let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]}"#;
        let scope = r#"{"name":"lib","unknown":[1]}"#;
        format!(
            r#"{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{{"scope":{scope},"metrics":[{metric}]}}]}}]}}"#
        )
    }

    fn samples(metric: &str) -> Vec<(String, i64, f64)> {
        let mut points = decoded(&of_metric(metric)).unwrap();
        let batches = points.gathered.take_batches("otlp").unwrap();
        let of = |f: &storepulse_shared::batch::Frame<'_>| {
            (f.columns[0].series.clone().into_owned(), f.times[0], f.columns[0].values[0])
        };
        batches[0].frames.iter().map(of).collect()
    }

    #[test]
    fn numbers_are_read_with_attributes_of_every_scalar_type() {
        let attributes = r#"[{"key":"s","value":{"stringValue":"x\ny"}},{"key":"b","value":{"boolValue":true}},
            {"key":"i","value":{"intValue":"-3"}},{"key":"d","value":{"doubleValue":0.5}},{"key":"e"}]"#;
        let metric = format!(
            r#"{{"name":"m","gauge":{{"dataPoints":[{{"attributes":{attributes},"timeUnixNano":"1763700000000999999","asInt":"-7"}}]}}}}"#
        );
        let name = r#"m{b="true",d="0.5",i="-3",otel.scope.name="lib",s="x\ny",service.name="till"}"#;
        assert_eq!(samples(&metric), [(name.to_owned(), 1_763_700_000_000, -7.0)]);
    }

    #[test]
    fn cumulative_sums_histograms_and_summaries_are_read() {
        let sum = r#"{"name":"m","sum":{"aggregationTemporality":2,"isMonotonic":true,
            "dataPoints":[{"timeUnixNano":1000000,"asDouble":2.5}]}}"#;
        assert_eq!(samples(sum)[0].2, 2.5);
        let histogram = r#"{"name":"m","histogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1000000",
            "count":"12","sum":9,"bucketCounts":["3","4",5],"explicitBounds":[1,2.0],"min":0.1,"exemplars":[]}]}}"#;
        let values: Vec<f64> = samples(histogram).iter().map(|s| s.2).collect();
        assert_eq!(values, [12.0, 3.0, 7.0, 12.0, 9.0], "+Inf, 1, 2, count, sum");
        let summary = r#"{"name":"m","summary":{"dataPoints":[{"timeUnixNano":"1000000","count":"2",
            "quantileValues":[{"quantile":0.5,"value":4},{"quantile":1,"value":"NaN"}]}]}}"#;
        let values: Vec<f64> = samples(summary).iter().map(|s| s.2).collect();
        assert_eq!(values, [2.0, 0.0, 4.0], "count, sum, quantile");
    }

    #[test]
    fn an_empty_request_is_one() {
        for text in ["{}", r#"{"resourceMetrics":null}"#, r#"{"resourceMetrics":[{}],"more":1}"#] {
            assert_eq!(decoded(text).unwrap().seen, 0);
        }
    }

    #[test]
    fn what_is_no_request_says_where() {
        let point =
            |fields: &str| of_metric(&format!(r#"{{"name":"m","gauge":{{"dataPoints":[{{{fields}}}]}}}}"#));
        for (text, says) in [
            ("", "EOF"),
            ("[]", "\"[]\" is not an object"),
            (r#"{"resourceMetrics":[[]]}"#, "\"[]\" is not an object"),
            (r#"{"resourceMetrics":[1]}"#, "expected struct ResourceMetrics"),
            (r#"{"resourceMetrics":{}}"#, "expected a list"),
            (&point(r#""timeUnixNano":"now""#), "\"now\" is not a 64-bit integer"),
            (&point(r#""timeUnixNano":-1"#), "-1 is not an unsigned"),
            (&point(r#""asDouble":"x""#), "\"x\" is not a number"),
            (&point(r#""asDouble":true"#), "expected a number"),
        ] {
            let error = decoded(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(decode(&[0xff], &mut Points::default()).is_err());
    }

    #[test]
    fn a_list_that_is_too_long_is_not_kept() {
        let error =
            decoded(&format!(r#"{{"resourceMetrics":[{{}}{}]}}"#, ",{}".repeat(ELEMENTS_MAX))).unwrap_err();
        assert!(error.starts_with("a list of more than 20000"), "{error}");
    }
}
