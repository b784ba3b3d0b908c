//! zigbee2mqtt: a JSON object for each device under `<base>/<friendly name>`
//! (zigbee2mqtt.io, "MQTT topics and messages").
//!
//! `{"temperature":22.75,"humidity":55.43,"pressure":1000.6,"battery":86,"voltage":2995,"linkquality":97,"contact":true}`:
//! degrees Celsius (its default), percent, hectopascal, percent, millivolts of a battery or volts of the mains, 0 to 255.
//! `contact` is true while a door is closed. `last_seen` is there if zigbee2mqtt is told to add it, as ISO 8601 or as Unix
//! milliseconds. A message repeats the last value of what has not changed.

use serde_json::Value;

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, outcome};
use super::report::{Report, Stamp, object, rounded, time_of_ms, time_of_text};

/// Best quality of a link.
const LINK_QUALITY_MAX: f64 = 255.0;
/// From here on a voltage is in millivolts, also if no battery is mentioned.
const MILLIVOLTS_MIN: f64 = 1_000.0;

pub(super) const SUBJECT: Subject = Subject {
    name: "mqtt/zigbee2mqtt",
    vectors: &[
        br#"{"temperature":22.75,"humidity":55.43,"pressure":1000.6,"battery":86,"voltage":2995,"linkquality":97}"#,
        br#"{"contact":false,"battery":100,"last_seen":"2024-05-01T12:00:00+02:00","linkquality":120}"#,
        br#"{"temperature":-18.4,"last_seen":1714557600250}"#,
        br#"{"last_seen":"2024-05-01T12:00:00","temperature":4}"#,
        br#"{"update":{"state":"idle"},"battery":null}"#,
        br#"{"temperature":"warm"}"#,
    ],
    outcomes: &["undated", "dated", "zoneless", "nothing", "parse"],
    outcome: |bytes| outcome(parse(bytes), Report::outcome),
};

pub(super) fn parse(payload: &[u8]) -> Parsed<Report> {
    let (message, used) = object(payload)?;
    let mut report = Report::new();
    report.stamp = match &message["last_seen"] {
        Value::String(text) => time_of_text(text),
        Value::Number(ms) => ms.as_f64().map_or(Stamp::Absent, time_of_ms),
        _ => Stamp::Absent,
    };
    if let Some(celsius) = report.number(&message, "temperature") {
        report.celsius("hw.temperature", celsius);
    }
    if let Some(percent) = report.number(&message, "humidity") {
        report.humidity("hw.humidity", percent);
    }
    if let Some(hectopascal) = report.number(&message, "pressure") {
        report.measure("hw.pressure", rounded(hectopascal * 100.0, 3));
    }
    match &message["contact"] {
        Value::Null => {}
        Value::Bool(closed) => report.measure("retail.cabinet.door.open", f64::from(u8::from(!closed))),
        _ => report.fault(FaultKind::Parse, "contact is neither true nor false"),
    }
    if let Some(percent) = report.number(&message, "battery") {
        report.charge(percent);
    }
    if let Some(voltage) = report.number(&message, "voltage") {
        let milli = !message["battery"].is_null() || voltage >= MILLIVOLTS_MIN;
        report.aside("hw.voltage", if milli { voltage / 1_000.0 } else { voltage });
    }
    if let Some(quality) = report.number(&message, "linkquality") {
        report.aside("hw.network.link_quality", rounded(quality / LINK_QUALITY_MAX, 3));
    }
    Ok((report, used))
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::Unread;
    use super::*;

    fn report(payload: &str) -> Report {
        parse(payload.as_bytes()).unwrap().0
    }

    fn values(payload: &str) -> Vec<(String, f64)> {
        report(payload).values
    }

    #[test]
    fn what_a_sensor_says_has_the_units_of_the_catalogue() {
        let said = r#"{"temperature":22.75,"humidity":55.43,"pressure":1000.6,"battery":86,"voltage":2995,"linkquality":97}"#;
        let expected = [
            ("hw.temperature", 22.75),
            ("hw.humidity", 0.5543),
            ("hw.pressure", 100_060.0),
            ("hw.battery.charge", 0.86),
            ("hw.voltage", 2.995),
            ("hw.network.link_quality", 0.38),
        ];
        assert_eq!(values(said), expected.map(|(series, value)| (series.to_owned(), value)));
    }

    #[test]
    fn a_contact_that_is_closed_is_a_door_that_is_not_open() {
        assert_eq!(values(r#"{"contact":true}"#), [("retail.cabinet.door.open".to_owned(), 0.0)]);
        assert_eq!(values(r#"{"contact":false}"#), [("retail.cabinet.door.open".to_owned(), 1.0)]);
    }

    #[test]
    fn volts_of_the_mains_are_no_millivolts() {
        assert_eq!(values(r#"{"voltage":230.5}"#), [("hw.voltage".to_owned(), 230.5)]);
        assert_eq!(values(r#"{"battery":1,"voltage":900}"#)[1], ("hw.voltage".to_owned(), 0.9));
    }

    #[test]
    fn null_and_absent_are_nothing_and_a_battery_measures_nothing() {
        assert_eq!(values(r#"{"temperature":null,"update":{}}"#), []);
        let battery = report(r#"{"battery":55,"linkquality":255}"#);
        assert!(!battery.measures);
        assert_eq!(battery.values[1].1, 1.0);
    }

    #[test]
    fn last_seen_is_a_time_in_words_or_in_milliseconds() {
        for said in [
            r#"{"temperature":1,"last_seen":"2024-05-01T12:00:00+02:00"}"#,
            r#"{"temperature":1,"last_seen":1714557600000}"#,
        ] {
            assert_eq!(report(said).stamp, Stamp::Utc(1_714_557_600_000), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_a_fault_and_the_rest_is_taken() {
        for said in [
            r#"{"temperature":-127,"humidity":40}"#,
            r#"{"temperature":"warm","humidity":40}"#,
            r#"{"humidity":40,"battery":101}"#,
            r#"{"humidity":40,"contact":"open"}"#,
        ] {
            let report = report(said);
            assert_eq!(report.values, [("hw.humidity".to_owned(), 0.4)], "{said}");
            assert_eq!(report.faults.len(), 1, "{said}");
        }
        for garbage in ["", "{", "[]", "22.5", "\u{0}", r#"{"temperature":1e999}"#] {
            assert_eq!(parse(garbage.as_bytes()), Err(Unread::Bad(FaultKind::Parse)), "{garbage}");
        }
    }
}
