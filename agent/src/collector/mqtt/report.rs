//! What a message says, whatever its format: values, the time that it gives itself, and what of it cannot be taken.

use serde_json::Value;
use storepulse_shared::series;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::fault::{Fault, FaultKind};
use super::super::label::is_taken;
use super::super::parse::{Parsed, Unread};

/// What thermometers of a shop can show, with its ovens: Celsius. -127 is how a DS18B20 is absent.
const CELSIUS: std::ops::RangeInclusive<f64> = -100.0..=1_400.0;

/// The time that a message gives itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// It gives none.
    Absent,
    /// Unix milliseconds UTC.
    Utc(i64),
    /// The hands of a clock whose zone is not said, as if they were UTC.
    Zoneless(i64),
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub stamp: Stamp,
    pub values: Vec<(String, f64)>,
    /// Whether the sensor has measured something: batteries and radios go on while it is broken.
    pub measures: bool,
    /// What cannot be taken, each kind once.
    pub faults: Vec<Fault>,
}

impl Report {
    pub(super) const fn new() -> Self {
        Self { stamp: Stamp::Absent, values: Vec::new(), measures: false, faults: Vec::new() }
    }

    /// Adds what the sensor is there for.
    pub(super) fn measure(&mut self, series: impl Into<String>, value: f64) {
        self.measures = true;
        self.values.push((series.into(), value));
    }

    /// Adds what the sensor says of itself.
    pub(super) fn aside(&mut self, series: impl Into<String>, value: f64) {
        self.values.push((series.into(), value));
    }

    pub(super) fn fault(&mut self, kind: FaultKind, text: &'static str) {
        if !self.faults.iter().any(|known| known.kind == kind) {
            self.faults.push(Fault::new(kind, text));
        }
    }

    /// A field that is a number; absent and null are nothing, anything else is a fault.
    pub(super) fn number(&mut self, of: &Value, field: &str) -> Option<f64> {
        match &of[field] {
            Value::Null => None,
            Value::Number(number) => number.as_f64(),
            _ => {
                self.fault(FaultKind::Parse, "a field that should be a number is none");
                None
            }
        }
    }

    /// A temperature in Celsius.
    pub(super) fn celsius(&mut self, series: impl Into<String>, value: f64) {
        if CELSIUS.contains(&value) {
            self.measure(series, value);
        } else {
            self.fault(
                FaultKind::Parse,
                "a temperature that no thermometer shows: its probe is absent or broken",
            );
        }
    }

    /// A relative humidity in percent.
    pub(super) fn humidity(&mut self, series: impl Into<String>, percent: f64) {
        if (0.0..=100.0).contains(&percent) {
            self.measure(series, rounded(percent / 100.0, 5));
        } else {
            self.fault(FaultKind::Parse, "a humidity that is not from 0 to 100 percent");
        }
    }

    /// The charge of a battery in percent.
    pub(super) fn charge(&mut self, percent: f64) {
        if (0.0..=100.0).contains(&percent) {
            self.aside("hw.battery.charge", rounded(percent / 100.0, 5));
        } else {
            self.fault(FaultKind::Parse, "a charge that is not from 0 to 100 percent");
        }
    }

    /// A series with one label whose value came from outside.
    pub(super) fn labelled(&mut self, metric: &str, label: &str, value: &str) -> Option<String> {
        let series = is_taken(value).then(|| series::compose(metric, &[(label, value)]).ok()).flatten();
        if series.is_none() {
            self.fault(
                FaultKind::Parse,
                "the name of a sensor cannot be a label: at most 64 of A-Z a-z 0-9 _ . : / -",
            );
        }
        series
    }

    /// What it comes to, as an outcome.
    pub(super) fn outcome(&self) -> &'static str {
        match (self.faults.first(), self.values.is_empty(), self.stamp) {
            (Some(fault), ..) => fault.kind.name(),
            (None, true, _) => "nothing",
            (None, false, Stamp::Absent) => "undated",
            (None, false, Stamp::Utc(_)) => "dated",
            (None, false, Stamp::Zoneless(_)) => "zoneless",
        }
    }
}

/// A JSON object. A message comes whole, so what is cut is no message: more of it never comes.
pub(super) fn object(payload: &[u8]) -> Parsed<Value> {
    match serde_json::from_slice(payload) {
        Ok(value @ Value::Object(_)) => Ok((value, payload.len())),
        _ => Err(Unread::Bad(FaultKind::Parse)),
    }
}

/// A time in words, with its zone or without.
pub(super) fn time_of_text(text: &str) -> Stamp {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return unix_ms(time).map_or(Stamp::Absent, Stamp::Utc);
    }
    let zoneless = OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339).ok().and_then(unix_ms);
    zoneless.map_or(Stamp::Absent, Stamp::Zoneless)
}

fn unix_ms(time: OffsetDateTime) -> Option<i64> {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// A time in Unix seconds, with a fraction.
pub(super) fn time_of_seconds(seconds: f64) -> Stamp {
    time_of_ms(seconds * 1_000.0)
}

/// A time in Unix milliseconds.
pub(super) fn time_of_ms(ms: f64) -> Stamp {
    // Up to the year 5138; what is beyond is no time.
    if (0.0..1e14).contains(&ms) {
        #[expect(clippy::cast_possible_truncation, reason = "it has just been compared")]
        return Stamp::Utc(ms.round() as i64);
    }
    Stamp::Absent
}

/// A number of so many decimals: what was multiplied has more than were measured.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone_and_without() {
        assert_eq!(time_of_text("2024-05-01T12:00:00.250+02:00"), Stamp::Utc(1_714_557_600_250));
        assert_eq!(time_of_text("2024-05-01T10:00:00Z"), Stamp::Utc(1_714_557_600_000));
        assert_eq!(time_of_text("2024-05-01T12:00:00"), Stamp::Zoneless(1_714_564_800_000));
        for text in ["", "yesterday", "2024-13-01T12:00:00Z", "12:00", "1970-01-01"] {
            assert_eq!(time_of_text(text), Stamp::Absent, "{text}");
        }
        assert_eq!(time_of_seconds(1_680_962_879.62), Stamp::Utc(1_680_962_879_620));
        for ms in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(time_of_ms(ms), Stamp::Absent, "{ms}");
        }
    }
}
