//! The parsers as `cargo torture parsers` sees them, with requests that `opentelemetry-proto` for Python has made.

use super::point::Points;
use super::totals::Totals;
use super::{protobuf, text};
use crate::collector::fault::FaultKind;
use crate::collector::parse::Subject;

/// The time of all points below.
const NOW_MS: i64 = 1_763_700_000_000;

pub(super) const PROTOBUF: Subject = Subject {
    name: "otlp/protobuf",
    vectors: &[GAUGE, SUM, HISTOGRAM, SUMMARY, EXPONENTIAL],
    outcomes: &["taken", "partly", "empty", "parse", "short_frame"],
    outcome: |bytes| outcome(bytes, protobuf::decode),
};

pub(super) const JSON: Subject = Subject {
    name: "otlp/json",
    vectors: &[GAUGE_JSON, SUM_JSON, HISTOGRAM_JSON, SUMMARY_JSON, EXPONENTIAL_JSON, DEEP_JSON, b"{}", b"[]"],
    outcomes: &["taken", "partly", "empty", "parse", "short_frame", "too_large"],
    outcome: |bytes| outcome(bytes, text::decode),
};

fn outcome(bytes: &[u8], decode: impl Fn(&[u8], &mut Points<'_>) -> Result<(), FaultKind>) -> &'static str {
    let labels = ["service.name".to_owned(), "s".to_owned()];
    let mut points = Points::new(&labels);
    if let Err(kind) = decode(bytes, &mut points) {
        return kind.name();
    }
    if points.seen == 0 {
        return "empty";
    }
    let (_, left_out, _) = points.finish(&Totals::default(), NOW_MS);
    if left_out.count() == 0 { "taken" } else { "partly" }
}

/// A gauge with attributes of every scalar type.
pub(super) const GAUGE: &[u8] = b"\x0as\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04till\x12W\x0a\x05\x0a\x03lib\x12N\x0a\x01m*I\x0aG\x19\x00@[6\xce\xeby\x18!\x00\x00\x00\x00\x00\x00\x04@:\x08\x0a\x01s\x12\x03\x0a\x01x:\x07\x0a\x01b\x12\x02\x10\x01:\x10\x0a\x01i\x12\x0b\x18\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01:\x0e\x0a\x01d\x12\x09!\x00\x00\x00\x00\x00\x00\xe0?";
pub(super) const GAUGE_JSON: &[u8] = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"1763700000000000000","asDouble":2.5,"attributes":[{"key":"s","value":{"stringValue":"x"}},{"key":"b","value":{"boolValue":true}},{"key":"i","value":{"intValue":"-3"}},{"key":"d","value":{"doubleValue":0.5}}]}]}}]}]}]}"#;
/// A sum of differences.
pub(super) const SUM: &[u8] = b"\x0aK\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04till\x12/\x0a\x05\x0a\x03lib\x12&\x0a\x01m:!\x0a\x1b\x11\x00v\xc0\xfa\xcd\xeby\x18\x19\x00@[6\xce\xeby\x181\x07\x00\x00\x00\x00\x00\x00\x00\x10\x01\x18\x01";
pub(super) const SUM_JSON: &[u8] = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"m","sum":{"dataPoints":[{"startTimeUnixNano":"1763699999000000000","timeUnixNano":"1763700000000000000","asInt":"7"}],"aggregationTemporality":1,"isMonotonic":true}}]}]}]}"#;
pub(super) const HISTOGRAM: &[u8] = b"\x0au\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04till\x12Y\x0a\x05\x0a\x03lib\x12P\x0a\x01mJK\x0aG\x19\x00@[6\xce\xeby\x18!\x0c\x00\x00\x00\x00\x00\x00\x00)\x00\x00\x00\x00\x00\x00\x22@2\x18\x03\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00:\x10\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@\x10\x02";
pub(super) const HISTOGRAM_JSON: &[u8] = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"m","histogram":{"dataPoints":[{"timeUnixNano":"1763700000000000000","count":"12","sum":9.0,"bucketCounts":["3","4",5],"explicitBounds":[1,2.0]}],"aggregationTemporality":2}}]}]}]}"#;
pub(super) const SUMMARY: &[u8] = b"\x0a[\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04till\x12?\x0a\x05\x0a\x03lib\x126\x0a\x01mZ1\x0a/\x19\x00@[6\xce\xeby\x18!\x02\x00\x00\x00\x00\x00\x00\x00)\x00\x00\x00\x00\x00\x00 @2\x12\x09\x00\x00\x00\x00\x00\x00\xe0?\x11\x00\x00\x00\x00\x00\x00\x10@";
pub(super) const SUMMARY_JSON: &[u8] = br#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"m","summary":{"dataPoints":[{"timeUnixNano":"1763700000000000000","count":"2","sum":8.0,"quantileValues":[{"quantile":0.5,"value":4.0}]}]}}]}]}]}"#;
pub(super) const EXPONENTIAL: &[u8] = b"\x0aG\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04till\x12+\x0a\x05\x0a\x03lib\x12\x22\x0a\x01mR\x1d\x0a\x19\x19\x00@[6\xce\xeby\x18!\x01\x00\x00\x00\x00\x00\x00\x000\x04B\x03\x12\x01\x01\x10\x02";
pub(super) const EXPONENTIAL_JSON: &[u8] = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","exponentialHistogram":{"dataPoints":[{"timeUnixNano":"1763700000000000000","count":"1","scale":2,"positive":{"bucketCounts":["1"]}}],"aggregationTemporality":2}}]}]}]}"#;
const DEEP_JSON: &[u8] = b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
