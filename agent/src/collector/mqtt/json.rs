//! Any other JSON, or a bare word: the configuration says where in it the values are, by JSON pointers (RFC 6901).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::super::defaults;
use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, Unread, outcome};
use super::report::{Report, Stamp, time_of_ms, time_of_seconds, time_of_text};

/// Longest word that is not JSON.
const WORD_BYTES_MAX: usize = 64;
/// From here on a time is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS_MIN: f64 = 1e11;

/// One of `values:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    /// Where it stands; empty: the whole message.
    pub pointer: String,
    /// What it is, a series.
    pub metric: String,
    #[serde(default = "defaults::one")]
    pub scale: f64,
    #[serde(default)]
    pub offset: f64,
    /// What words mean. With them, a word that is not among them is a fault.
    #[serde(default)]
    pub states: BTreeMap<String, f64>,
}

pub(super) const SUBJECT: Subject = Subject {
    name: "mqtt/json",
    vectors: &[
        br#"{"t":{"value":"21.5"},"door":"open","ts":"2024-05-01T12:00:00Z"}"#,
        br#"{"t":{"value":-18.4},"ts":1714557600}"#,
        br#"{"t":{"value":4},"door":"closed","ts":"2024-05-01T12:00:00"}"#,
        br#"{"door":"closed"}"#,
        br#"{"door":"ajar"}"#,
        b"open",
    ],
    outcomes: &["undated", "dated", "zoneless", "parse"],
    outcome: |bytes| {
        static FIELDS: LazyLock<[Field; 2]> = LazyLock::new(|| {
            let field = |pointer: &str, metric: &str, states: BTreeMap<String, f64>| Field {
                pointer: pointer.to_owned(),
                metric: metric.to_owned(),
                scale: 1.0,
                offset: 0.0,
                states,
            };
            let states = [("closed".to_owned(), 0.0), ("open".to_owned(), 1.0)].into();
            [
                field("/t/value", "hw.temperature", BTreeMap::new()),
                field("/door", "retail.cabinet.door.open", states),
            ]
        });
        outcome(parse(bytes, &*FIELDS, Some("/ts")), Report::outcome)
    },
};

/// Where none of the fields is there, it is another message than the configuration speaks of.
pub(super) fn parse(payload: &[u8], fields: &[Field], time: Option<&str>) -> Parsed<Report> {
    let message = match serde_json::from_slice(payload) {
        Ok(message) => message,
        Err(_) => word(payload).ok_or(Unread::Bad(FaultKind::Parse))?,
    };
    let mut report = Report::new();
    report.stamp = match time.and_then(|pointer| message.pointer(pointer)) {
        Some(Value::String(text)) => time_of_text(text),
        Some(Value::Number(number)) => number.as_f64().map_or(Stamp::Absent, time_of_number),
        _ => Stamp::Absent,
    };
    for field in fields {
        match message.pointer(&field.pointer) {
            None | Some(Value::Null) => {}
            Some(value) => match field.read(value) {
                Some(value) => report.measure(field.metric.as_str(), value),
                None => report.fault(FaultKind::Parse, "a value is neither a number nor one of the states"),
            },
        }
    }
    if report.values.is_empty() && report.faults.is_empty() {
        return Err(Unread::Bad(FaultKind::Parse));
    }
    Ok((report, payload.len()))
}

impl Field {
    fn read(&self, value: &Value) -> Option<f64> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return None,
        };
        if !self.states.is_empty() {
            return self.states.get(&text).copied();
        }
        let number: f64 = match value {
            Value::Bool(is) => f64::from(u8::from(*is)),
            _ => text.parse().ok()?,
        };
        Some(number * self.scale + self.offset).filter(|value| value.is_finite())
    }
}

fn time_of_number(number: f64) -> Stamp {
    if number >= MILLISECONDS_MIN { time_of_ms(number) } else { time_of_seconds(number) }
}

fn word(payload: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    (1..=WORD_BYTES_MAX).contains(&text.len()).then(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(yaml: &str) -> Vec<Field> {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn values(yaml: &str, payload: &str) -> Vec<f64> {
        let values = parse(payload.as_bytes(), &fields(yaml), None).unwrap().0.values;
        values.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn pointers_scale_and_states_make_values() {
        let t = "[{ pointer: /a/0/t, metric: hw.temperature, scale: 0.5, offset: -40 }]";
        assert_eq!(values(t, r#"{"a":[{"t":43}]}"#), [-18.5]);
        assert_eq!(values(t, r#"{"a":[{"t":" 43 "}]}"#), [-18.5]);
        let door = "[{ pointer: '', metric: retail.cabinet.door.open, states: { OPEN: 1, 'false': 0 } }]";
        assert_eq!(values(door, "OPEN"), [1.0]);
        assert_eq!(values(door, "\"OPEN\""), [1.0]);
        assert_eq!(values(door, "false"), [0.0]);
        assert_eq!(values("[{ pointer: '', metric: m }]", "true"), [1.0]);
    }

    #[test]
    fn no_value_at_all_is_a_fault_and_one_of_several_is_enough() {
        let two = fields("[{ pointer: /a, metric: a }, { pointer: /b, metric: b }]");
        assert_eq!(parse(br#"{"b":2}"#, &two, None).unwrap().0.values, [("b".to_owned(), 2.0)]);
        for bad in [r#"{"c":1}"#, r#"{"a":null}"#, "ERROR", "", "{\"a\":"] {
            assert_eq!(parse(bad.as_bytes(), &two, None), Err(Unread::Bad(FaultKind::Parse)), "{bad}");
        }
        for wrong in [r#"{"a":"x"}"#, r#"{"a":[1]}"#, r#"{"a":"inf"}"#, r#"{"a":"NaN"}"#] {
            assert_eq!(parse(wrong.as_bytes(), &two, None).unwrap().0.outcome(), "parse", "{wrong}");
        }
    }

    #[test]
    fn a_time_is_in_words_in_seconds_or_in_milliseconds() {
        let a = fields("[{ pointer: /a, metric: a }]");
        for ts in ["\"2024-05-01T10:00:00Z\"", "1714557600", "1714557600000"] {
            let report = parse(format!(r#"{{"a":1,"ts":{ts}}}"#).as_bytes(), &a, Some("/ts")).unwrap().0;
            assert_eq!(report.stamp, Stamp::Utc(1_714_557_600_000), "{ts}");
        }
    }
}
