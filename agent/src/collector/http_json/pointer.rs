//! What is read of a document: values at JSON pointers (RFC 6901), and perhaps one time for all of them.
//!
//! A number is a number, also in quotes, as many devices write it; `true` and `false` are 1 and 0; a word is what `states`
//! says. `null` is no value, as if nothing stood there. What stands there and is none of these is counted, and never told:
//! it may be anything.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use storepulse_shared::series;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::collector::defaults;
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::json;

/// One entry of `values:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    #[serde(deserialize_with = "pointer")]
    pub pointer: String,
    #[serde(deserialize_with = "metric")]
    pub metric: String,
    #[serde(default = "defaults::one")]
    pub scale: f64,
    #[serde(default)]
    pub offset: f64,
    /// Words instead of numbers.
    #[serde(default)]
    pub states: BTreeMap<String, f64>,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeUnit {
    /// Seconds since 1970, perhaps with a fraction.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// `2026-11-21T10:30:00Z`.
    Rfc3339,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    pub values: Vec<(String, f64)>,
    /// Pointers at which nothing stands.
    pub missing: usize,
    /// Pointers at which something else stands than can be read.
    pub unread: usize,
    /// Of all values, Unix milliseconds.
    pub own_ms: Option<i64>,
}

/// Reads a document.
///
/// # Errors
/// It is no JSON, or too much of it; nothing stands where a value should; its time cannot be read.
pub(super) fn read(bytes: &[u8], targets: &[Target], time: Option<(&str, TimeUnit)>) -> Result<Found, Fault> {
    let document = json::parse(bytes).map_err(|kind| {
        Fault::new(kind, format!("an answer of {} bytes is not JSON that is read", bytes.len()))
    })?;
    let mut found = Found::default();
    if let Some((pointer, unit)) = time {
        let own_ms = document.pointer(pointer).and_then(|value| time_ms(value, unit));
        let none = || Fault::new(FaultKind::Parse, "no time stands where `time` points to");
        found.own_ms = Some(own_ms.ok_or_else(none)?);
    }
    for target in targets {
        match document.pointer(&target.pointer) {
            None | Some(Value::Null) => found.missing += 1,
            Some(value) => match target.value(value) {
                Some(value) => found.values.push((target.metric.clone(), value)),
                None => found.unread += 1,
            },
        }
    }
    if found.values.is_empty() {
        let text = format!("of {} pointers none leads to a value that can be read", targets.len());
        return Err(Fault::new(FaultKind::Parse, text));
    }
    Ok(found)
}

impl Target {
    fn value(&self, value: &Value) -> Option<f64> {
        if let Value::Array(_) | Value::Object(_) | Value::Null = value {
            return None;
        }
        if !self.states.is_empty() {
            let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return self.states.get(&word).copied();
        }
        let number = match value {
            Value::Bool(is) => f64::from(u8::from(*is)),
            Value::String(text) => text.trim().parse().ok()?,
            value => value.as_f64()?,
        };
        Some(number * self.scale + self.offset).filter(|number| number.is_finite())
    }
}

fn time_ms(value: &Value, unit: TimeUnit) -> Option<i64> {
    if unit == TimeUnit::Rfc3339 {
        let time = OffsetDateTime::parse(value.as_str()?.trim(), &Rfc3339).ok()?;
        return i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok();
    }
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    let ms = if unit == TimeUnit::S { number * 1_000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "it stops at the ends, which are no times")]
    ms.is_finite().then_some(ms.round() as i64)
}

/// A JSON pointer: empty for the whole document, or `/` before each step; `~1` is a slash, `~0` a tilde.
pub(super) fn pointer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes {
        return Ok(text);
    }
    Err(D::Error::custom(format_args!("{text:?} is not a JSON pointer such as /sensors/0/temperature")))
}

fn metric<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    series::check(&text).map_err(D::Error::custom)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(yaml: &str) -> Vec<Target> {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn one_value(target: &str, document: &str) -> Result<f64, FaultKind> {
        let targets = targets(&format!("[{{ metric: m, {target} }}]"));
        read(document.as_bytes(), &targets, None).map(|found| found.values[0].1).map_err(|fault| fault.kind)
    }

    #[test]
    fn a_value_is_a_number_a_truth_or_a_word() {
        for (target, document, value) in [
            ("pointer: /t", r#"{"t":-18.5}"#, -18.5),
            ("pointer: /t, scale: 0.1, offset: -40", r#"{"t":215}"#, -18.5),
            ("pointer: /t", r#"{"t":" 4.25 "}"#, 4.25),
            ("pointer: /t", r#"{"t":true}"#, 1.0),
            ("pointer: ''", "7", 7.0),
            ("pointer: /a~1b/1/~0", r#"{"a/b":[0,{"~":3}]}"#, 3.0),
            ("pointer: /s, states: { ok: 0, out: 2 }", r#"{"s":"out"}"#, 2.0),
            ("pointer: /s, states: { '3': 1, 'true': 5 }", r#"{"s":3}"#, 1.0),
            ("pointer: /s, states: { '3': 1, 'true': 5 }", r#"{"s":true}"#, 5.0),
            ("pointer: /", r#"{"":1}"#, 1.0),
        ] {
            assert_eq!(one_value(target, document), Ok(value), "{target} {document}");
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for (target, document) in [
            ("pointer: /t", r#"{"u":1}"#),
            ("pointer: /t", r#"{"t":null}"#),
            ("pointer: /t", r#"{"t":"warm"}"#),
            ("pointer: /t", r#"{"t":[1]}"#),
            ("pointer: /t", r#"{"t":"inf"}"#),
            ("pointer: /t, scale: 1e300", r#"{"t":1e300}"#),
            ("pointer: /s, states: { ok: 0 }", r#"{"s":"jam"}"#),
            ("pointer: /01", "[1,2]"),
            ("pointer: /t", "<html>"),
        ] {
            assert_eq!(one_value(target, document), Err(FaultKind::Parse), "{target} {document}");
        }
        assert_eq!(one_value("pointer: /t", r#"{"t":1"#), Err(FaultKind::ShortFrame));
        assert_eq!(one_value("pointer: /t", &"[".repeat(1_000)), Err(FaultKind::TooLarge));
    }

    #[test]
    fn what_is_missing_and_what_cannot_be_read_are_counted() {
        let targets = targets(
            "[{ pointer: /a, metric: a }, { pointer: /b, metric: b }, { pointer: /c, metric: c }, { pointer: /d, metric: d }]",
        );
        let found = read(br#"{"a":1,"c":"x","d":null}"#, &targets, None).unwrap();
        assert_eq!((found.values, found.missing, found.unread), (vec![("a".to_owned(), 1.0)], 2, 1));
    }

    #[test]
    fn a_time_is_read_in_its_unit() {
        let targets = targets("[{ pointer: /v, metric: m }]");
        let own = |time: &str, unit| {
            let document = format!("{{\"v\":1,\"at\":{time}}}");
            read(document.as_bytes(), &targets, Some(("/at", unit)))
                .map(|found| found.own_ms)
                .map_err(|fault| fault.kind)
        };
        assert_eq!(own("1763700000.25", TimeUnit::S), Ok(Some(1_763_700_000_250)));
        assert_eq!(own("\"1763700000\"", TimeUnit::S), Ok(Some(1_763_700_000_000)));
        assert_eq!(own("1763700000250", TimeUnit::Ms), Ok(Some(1_763_700_000_250)));
        assert_eq!(own("\"2025-11-20T21:40:00.25-03:00\"", TimeUnit::Rfc3339), Ok(Some(1_763_685_600_250)));
        for (time, unit) in
            [("null", TimeUnit::S), ("\"now\"", TimeUnit::Ms), ("17", TimeUnit::Rfc3339), ("[]", TimeUnit::S)]
        {
            assert_eq!(own(time, unit), Err(FaultKind::Parse), "{time}");
        }
    }

    #[test]
    fn an_entry_that_cannot_work_is_refused() {
        for bad in [
            "{ pointer: a, metric: m }",
            "{ pointer: /a~2, metric: m }",
            "{ pointer: /a~, metric: m }",
            "{ pointer: /a, metric: 'a b' }",
            "{ pointer: /a }",
            "{ pointer: /a, metric: m, states: { a: b } }",
        ] {
            assert!(serde_yaml::from_str::<Target>(bad).is_err(), "{bad}");
        }
    }
}
