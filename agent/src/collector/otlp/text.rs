//! `ExportMetricsServiceRequest` in JSON, the protobuf JSON mapping as OTLP narrows it: names in lower camel case, 64-bit
//! integers as text (or numbers), enums as numbers, unknown members passed over, `null` the same as absent.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::point::{Attributes, Data, Origin, PARTS_MAX, Point, Points, Temporality};
use crate::collector::fault::FaultKind;
use crate::collector::json;

/// An object.
type Object = Map<String, Value>;

/// Hands over all data points of the request.
///
/// # Errors
/// It is none, or was cut, or is too large; what was handed over before does not count.
pub(super) fn decode(body: &[u8], points: &mut Points<'_>) -> Result<(), FaultKind> {
    let request = json::parse(body)?;
    for resource_metrics in list(object(&request)?, "resourceMetrics")? {
        let resource_metrics = object(resource_metrics)?;
        let mut origin = Origin::default();
        if let Some(resource) = member(resource_metrics, "resource") {
            add_attributes(object(resource)?, &mut origin.resource)?;
        }
        for scope_metrics in list(resource_metrics, "scopeMetrics")? {
            let scope_metrics = object(scope_metrics)?;
            if let Some(scope) = member(scope_metrics, "scope") {
                origin.scope = text(object(scope)?, "name")?.into();
            }
            for metric in list(scope_metrics, "metrics")? {
                add_metric(object(metric)?, &origin, points)?;
            }
        }
    }
    Ok(())
}

fn add_metric(metric: &Object, origin: &Origin<'_>, points: &mut Points<'_>) -> Result<(), FaultKind> {
    let name = text(metric, "name")?;
    for shape in ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] {
        let Some(data) = member(metric, shape) else { continue };
        let data = object(data)?;
        let temporality = match shape {
            "sum" | "histogram" => {
                let number = int(data, "aggregationTemporality")?;
                Temporality::of(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
            }
            _ => Temporality::Cumulative,
        };
        for point in list(data, "dataPoints")? {
            points.take(origin, name, temporality, &read_point(shape, object(point)?)?);
        }
    }
    Ok(())
}

fn read_point<'a>(shape: &str, point: &'a Object) -> Result<Point<'a>, FaultKind> {
    let mut attributes = Attributes::default();
    add_attributes(point, &mut attributes)?;
    let count = || Ok(unsigned(point, "count")?.unwrap_or_default());
    let sum = || member(point, "sum").map(double).transpose();
    let data = match shape {
        "histogram" => Data::Histogram {
            count: count()?,
            sum: sum()?,
            bounds: all(point, "explicitBounds", double)?,
            buckets: all(point, "bucketCounts", |value| as_unsigned(as_int(value)?))?,
        },
        "summary" => Data::Summary {
            count: count()?,
            // Not optional there: without a member it is 0.
            sum: sum()?.unwrap_or_default(),
            quantiles: all(point, "quantileValues", |value| {
                let value = object(value)?;
                let or_zero = |name| member(value, name).map_or(Ok(0.0), double);
                Ok((or_zero("quantile")?, or_zero("value")?))
            })?,
        },
        "exponentialHistogram" => Data::ExponentialHistogram,
        _ => Data::Number(match (member(point, "asDouble"), int(point, "asInt")?) {
            (Some(value), _) => Some(double(value)?),
            #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
            (None, value) => value.map(|value| value as f64),
        }),
    };
    Ok(Point {
        attributes,
        start_ns: unsigned(point, "startTimeUnixNano")?.unwrap_or_default(),
        time_ns: unsigned(point, "timeUnixNano")?.unwrap_or_default(),
        is_empty: unsigned(point, "flags")?.unwrap_or_default() & 1 != 0,
        data,
    })
}

fn add_attributes<'a>(of: &'a Object, attributes: &mut Attributes<'a>) -> Result<(), FaultKind> {
    for attribute in list(of, "attributes")? {
        let attribute = object(attribute)?;
        let value = match member(attribute, "value") {
            None => Some("".into()),
            Some(value) => scalar(object(value)?)?,
        };
        attributes.push(text(attribute, "key")?.into(), value);
    }
    Ok(())
}

/// `None` for a list, a map or bytes.
fn scalar(value: &Object) -> Result<Option<Cow<'_, str>>, FaultKind> {
    for (name, value) in value.iter().filter(|(_, value)| !value.is_null()) {
        return match (name.as_str(), value) {
            ("stringValue", Value::String(text)) => Ok(Some(text.as_str().into())),
            ("boolValue", Value::Bool(is)) => Ok(Some(is.to_string().into())),
            ("intValue", value) => Ok(Some(as_int(value)?.to_string().into())),
            ("doubleValue", value) => Ok(Some(double(value)?.to_string().into())),
            ("stringValue" | "boolValue", _) => Err(FaultKind::Parse),
            ("arrayValue" | "kvlistValue" | "bytesValue", _) => Ok(None),
            _ => continue,
        };
    }
    Ok(Some("".into()))
}

fn member<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn object(value: &Value) -> Result<&Object, FaultKind> {
    value.as_object().ok_or(FaultKind::Parse)
}

fn list<'a>(object: &'a Object, name: &str) -> Result<&'a [Value], FaultKind> {
    match member(object, name) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(FaultKind::Parse),
    }
}

fn all<T>(
    object: &Object,
    name: &str,
    read: impl Fn(&Value) -> Result<T, FaultKind>,
) -> Result<Vec<T>, FaultKind> {
    let list = list(object, name)?;
    if list.len() > PARTS_MAX { Err(FaultKind::TooLarge) } else { list.iter().map(read).collect() }
}

fn text<'a>(object: &'a Object, name: &str) -> Result<&'a str, FaultKind> {
    match member(object, name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(FaultKind::Parse),
    }
}

fn int(object: &Object, name: &str) -> Result<Option<i128>, FaultKind> {
    member(object, name).map(as_int).transpose()
}

fn unsigned(object: &Object, name: &str) -> Result<Option<u64>, FaultKind> {
    int(object, name)?.map(as_unsigned).transpose()
}

fn as_unsigned(value: i128) -> Result<u64, FaultKind> {
    u64::try_from(value).map_err(|_| FaultKind::Parse)
}

/// A 64-bit integer with or without sign, as a number or as text.
fn as_int(value: &Value) -> Result<i128, FaultKind> {
    let read = match value {
        Value::Number(number) => number.as_i128(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let fits = |value: &i128| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value);
    read.filter(fits).ok_or(FaultKind::Parse)
}

/// A number, or the texts `NaN`, `Infinity` and `-Infinity`, which Rust reads as they are spelled there.
fn double(value: &Value) -> Result<f64, FaultKind> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or(FaultKind::Parse)
}
