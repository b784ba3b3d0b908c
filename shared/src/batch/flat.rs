//! The flat form, for curl and other people's programs:
//!
//! ```json
//! {"metrics":[{"device_id":"POS01","metric":"retail.pos.up","value":1,"timestamp":"2026-11-21T10:30:00Z"}]}
//! ```
//!
//! `timestamp` is RFC 3339 or Unix milliseconds, `value` a number or a boolean (0/1), `labels` optional.
//! Rows become frames: grouped by device, series with the same times together. Two rows of one series
//! and millisecond are one sample, the later row.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::decode::{check_whole, within};
use super::object::{self, Object};
use super::{Batch, BatchError, Column, Frame};
use crate::ids::check_device;
use crate::limits::SAMPLES_MAX;
use crate::series;

/// The collector kind of frames made from flat rows.
pub const FLAT_KIND: &str = "push";

/// A flat body, read.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatBatch {
    /// The rows as frames.
    pub batch: Batch<'static>,
    /// How many rows there were.
    pub rows: usize,
}

/// Reads and checks a flat body.
///
/// # Errors
/// See [`BatchError`].
pub fn decode(body: &[u8]) -> Result<FlatBatch, BatchError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let Object(body): Object<Body<'_>> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { "body".to_owned() } else { path };
        BatchError::malformed(at, error.inner())
    })?;
    json.end().map_err(|error| BatchError::malformed("body", error))?;
    let rows = body.metrics.len();
    within("samples", "too_many_samples", rows, SAMPLES_MAX)?;
    let batch = into_batch(body.metrics)?;
    check_whole(&batch)?;
    Ok(FlatBatch { batch, rows })
}

fn into_batch(rows: Vec<Row<'_>>) -> Result<Batch<'static>, BatchError> {
    type Samples = BTreeMap<i64, f64>;
    let mut devices: BTreeMap<Cow<'_, str>, BTreeMap<String, Samples>> = BTreeMap::new();
    for (at, row) in rows.into_iter().enumerate() {
        let place = |field: &str| format!("metrics[{at}].{field}");
        check_device(&row.device_id).map_err(|why| BatchError::malformed(place("device_id"), why))?;
        let series = series_of(&row).map_err(|why| BatchError::malformed(place("metric"), why))?;
        let samples = devices.entry(row.device_id).or_default().entry(series).or_default();
        samples.insert(row.timestamp.0, row.value.0);
    }
    let mut batch = Batch::default();
    for (device, all_series) in devices {
        let mut by_times: BTreeMap<Vec<i64>, Vec<Column<'static>>> = BTreeMap::new();
        for (series, samples) in all_series {
            let (times, values) = samples.into_iter().unzip();
            by_times.entry(times).or_default().push(Column { series: series.into(), values });
        }
        let device = device.into_owned();
        batch.frames.extend(by_times.into_iter().map(|(times, columns)| Frame {
            device: device.clone().into(),
            kind: FLAT_KIND.into(),
            times,
            columns,
        }));
    }
    Ok(batch)
}

fn series_of(row: &Row<'_>) -> Result<String, series::SeriesError> {
    if row.labels.is_empty() {
        series::check(&row.metric)?;
        return Ok(row.metric.clone().into_owned());
    }
    let labels: Vec<(&str, &str)> = row.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
    series::compose(&row.metric, &labels)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow, deserialize_with = "object::list")]
    metrics: Vec<Row<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(borrow)]
    device_id: Cow<'a, str>,
    #[serde(borrow)]
    metric: Cow<'a, str>,
    value: Value,
    timestamp: Timestamp,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrBool;
        impl Visitor<'_> for NumberOrBool {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value(f64::from(u8::from(value))))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value(value))
            }

            #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value(value as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value(value as f64))
            }
        }
        deserializer.deserialize_any(NumberOrBool)
    }
}

/// Unix milliseconds.
struct Timestamp(i64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMillis;
        impl Visitor<'_> for TextOrMillis {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time with offset, or Unix milliseconds")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                let refused = || E::custom(format_args!("{text:.40?} is not an RFC 3339 time with offset"));
                let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
                let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
                i64::try_from(millis).map(Timestamp).map_err(|_| refused())
            }

            fn visit_i64<E>(self, millis: i64) -> Result<Timestamp, E> {
                Ok(Timestamp(millis))
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timestamp, E> {
                let beyond = |_| E::custom(format_args!("{millis} is beyond all time"));
                i64::try_from(millis).map(Timestamp).map_err(beyond)
            }
        }
        deserializer.deserialize_any(TextOrMillis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(rows: &str) -> String {
        decode(format!(r#"{{"metrics":[{rows}]}}"#).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_frozen_body_becomes_frames() {
        let flat = decode(include_bytes!("../../testdata/flat_form.json")).unwrap();
        assert_eq!(flat.rows, 4);
        let frames = &flat.batch.frames;
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert_eq!(frames[0].device, "POS01");
        assert_eq!(frames[0].times, [1_795_257_000_000]);
        let series: Vec<_> = frames[0].columns.iter().map(|c| (&*c.series, c.values[0])).collect();
        assert_eq!(series, [(r#"retail.pos.errors{error.type="timeout"}"#, 2.0), ("retail.pos.up", 1.0)]);
        assert_eq!(frames[1].times, [1_795_257_000_000]);
        assert_eq!(frames[1].columns[0].values, [-18.5]);
    }

    #[test]
    fn the_later_row_of_one_millisecond_counts() {
        let row =
            |t: &str, v: f64| format!(r#"{{"device_id":"d","metric":"m","value":{v},"timestamp":{t}}}"#);
        let body = format!(r#"{{"metrics":[{},{},{}]}}"#, row("5", 1.0), row("4", 2.0), row("5", 3.0));
        let flat = decode(body.as_bytes()).unwrap();
        assert_eq!(flat.rows, 3);
        assert_eq!(flat.batch.frames[0].times, [4, 5]);
        assert_eq!(flat.batch.frames[0].columns[0].values, [2.0, 3.0]);
    }

    #[test]
    fn a_bad_row_is_refused_with_its_place() {
        for (row, place, why) in [
            (
                r#"{"device_id":"d d","metric":"m","value":1,"timestamp":1}"#,
                "metrics[0].device_id",
                "not a device id",
            ),
            (
                r#"{"device_id":"d","metric":"","value":1,"timestamp":1}"#,
                "metrics[0].metric",
                "not a metric name",
            ),
            (
                r#"{"device_id":"d","metric":"m","value":"1","timestamp":1}"#,
                "metrics[0].value",
                "invalid type",
            ),
            (r#"{"device_id":"d","metric":"m","value":NaN,"timestamp":1}"#, "metrics[0].value", "expected"),
            (
                r#"{"device_id":"d","metric":"m","value":1,"timestamp":"10:30"}"#,
                "metrics[0].timestamp",
                "RFC 3339",
            ),
            (r#"{"device_id":"d","metric":"m","value":1,"timestamp":1.5}"#, "metrics[0].timestamp", "1.5"),
            (r#"{"device_id":"d","metric":"m","value":1}"#, "metrics[0]", "missing field `timestamp`"),
            (
                r#"{"device_id":"d","metric":"m","value":1,"timestamp":1,"unit":"C"}"#,
                "metrics[0].unit",
                "unknown field",
            ),
            (
                r#"{"device_id":"d","metric":"m","value":1,"timestamp":1,"labels":{"a b":"c"}}"#,
                "metrics[0].metric",
                "list of labels",
            ),
        ] {
            let refusal = refusal(row);
            assert!(refusal.starts_with(place) && refusal.contains(why), "{row}\n  {refusal}");
        }
        assert!(refusal("").contains("empty batch"));
    }
}
