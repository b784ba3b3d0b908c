//! Tasmota: `tele/<topic>/SENSOR` with an object for each sensor, `tele/<topic>/STATE` with the radio
//! (tasmota.github.io, "JSON Status Responses").
//!
//! `{"Time":"2024-05-01T12:00:00","DS18B20":{"Temperature":-18.4},"TempUnit":"C"}`; several of one kind are `DS18B20-1`,
//! `DS18B20-2`. `TempUnit` and `PressureUnit` are what somebody chose. `Time` is the local time of the device and, unless it
//! was told otherwise, without its zone. `STATE` has `"Wifi":{"RSSI":78,"Signal":-61}`: percent and dBm.
//!
//! A DS18B20 shows 85 degrees after it has lost its power, and its absence as -127: both are faults, not readings.

use serde_json::Value;

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, outcome};
use super::report::{Report, Stamp, object, rounded, time_of_seconds, time_of_text};

/// Pascal of a millimetre of mercury, and of an inch.
const MILLIMETRE: f64 = 133.322_387_415;
const INCH: f64 = 3_386.389;
/// What a thermometer of this kind shows after it was without power.
const POWER_ON: f64 = 85.0;

pub(super) const SUBJECT: Subject = Subject {
    name: "mqtt/tasmota",
    vectors: &[
        br#"{"Time":"2024-05-01T12:00:00","DS18B20":{"Id":"01131B123456","Temperature":-18.4},"TempUnit":"C"}"#,
        br#"{"Time":"2024-05-01T12:00:00+02:00","DS18B20-1":{"Temperature":-0.4},"DS18B20-2":{"Temperature":39.2},"TempUnit":"F"}"#,
        br#"{"BME280":{"Temperature":21.5,"Humidity":40.1,"DewPoint":7.4,"Pressure":752.3},"PressureUnit":"mmHg","TempUnit":"C"}"#,
        br#"{"Time":"2024-05-01T12:00:00","Epoch":1714557600,"Uptime":"0T01","Wifi":{"AP":1,"RSSI":78,"Signal":-61}}"#,
        br#"{"Time":"2024-05-01T12:00:00"}"#,
        br#"{"DS18B20":{"Temperature":85.0},"TempUnit":"C"}"#,
    ],
    outcomes: &["undated", "dated", "zoneless", "nothing", "parse"],
    outcome: |bytes| outcome(parse(bytes), Report::outcome),
};

pub(super) fn parse(payload: &[u8]) -> Parsed<Report> {
    let (message, used) = object(payload)?;
    let mut report = Report::new();
    report.stamp = match (&message["Epoch"], &message["Time"]) {
        (Value::Number(seconds), _) => seconds.as_f64().map_or(Stamp::Absent, time_of_seconds),
        (_, Value::String(text)) => time_of_text(text),
        _ => Stamp::Absent,
    };
    let is_fahrenheit = message["TempUnit"] == "F";
    let pascal = match message["PressureUnit"].as_str() {
        Some("mmHg") => MILLIMETRE,
        Some("inHg") => INCH,
        _ => 100.0,
    };
    for (name, sensor) in message.as_object().into_iter().flatten().filter(|(_, value)| value.is_object()) {
        if name == "Wifi" {
            if let Some(signal) = report.number(sensor, "Signal") {
                report.aside("hw.network.signal", signal);
            }
            continue;
        }
        if let Some(shown) = report.number(sensor, "Temperature")
            && let Some(series) = report.labelled("hw.temperature", "hw.name", name)
        {
            let celsius = if is_fahrenheit { rounded((shown - 32.0) / 1.8, 3) } else { shown };
            if is_one_wire(name) && (celsius - POWER_ON).abs() < 0.01 {
                report.fault(FaultKind::Parse, "a probe shows what it shows after it was without power");
            } else {
                report.celsius(series, celsius);
            }
        }
        if let Some(percent) = report.number(sensor, "Humidity")
            && let Some(series) = report.labelled("hw.humidity", "hw.name", name)
        {
            report.humidity(series, percent);
        }
        if let Some(pressure) = report.number(sensor, "Pressure")
            && let Some(series) = report.labelled("hw.pressure", "hw.name", name)
        {
            report.measure(series, rounded(pressure * pascal, 3));
        }
    }
    Ok((report, used))
}

fn is_one_wire(name: &str) -> bool {
    ["DS18B20", "DS18S20", "DS1822", "DS18x20"].iter().any(|kind| name.starts_with(kind))
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
    fn every_sensor_has_its_name_and_local_time_has_no_zone() {
        let said = r#"{"Time":"2024-05-01T12:00:00","DS18B20":{"Temperature":-18.4},"TempUnit":"C"}"#;
        assert_eq!(values(said), [(r#"hw.temperature{hw.name="DS18B20"}"#.to_owned(), -18.4)]);
        assert_eq!(report(said).stamp, Stamp::Zoneless(1_714_564_800_000));
        let several = r#"{"DS18B20-1":{"Temperature":1},"DS18B20-2":{"Temperature":2}}"#;
        assert_eq!(values(several).len(), 2);
    }

    #[test]
    fn fahrenheit_and_mercury_are_converted() {
        let said = r#"{"AM2301":{"Temperature":-0.4,"Humidity":55.5},"TempUnit":"F"}"#;
        assert_eq!(values(said)[0].1, -18.0);
        assert_eq!(values(said)[1], (r#"hw.humidity{hw.name="AM2301"}"#.to_owned(), 0.555));
        let pressure = |unit: &str, value: f64| {
            values(&format!(r#"{{"BMP280":{{"Pressure":{value}}},"PressureUnit":"{unit}"}}"#))[0].1
        };
        assert_eq!(pressure("hPa", 1_013.25), 101_325.0);
        assert_eq!(pressure("mmHg", 760.0), 101_325.014);
        assert_eq!(pressure("inHg", 29.92), 101_320.759);
    }

    #[test]
    fn what_a_probe_shows_without_power_is_a_fault_and_the_heat_of_an_oven_is_none() {
        for said in [
            r#"{"DS18B20-2":{"Temperature":85.0}}"#,
            r#"{"DS18B20":{"Temperature":185.0},"TempUnit":"F"}"#,
            r#"{"DS18B20":{"Temperature":-127.0}}"#,
            r#"{"sensor one":{"Temperature":5}}"#,
            r#"{"4111111111111111":{"Temperature":5}}"#,
        ] {
            let report = report(said);
            assert_eq!((report.values.len(), report.outcome()), (0, "parse"), "{said}");
        }
        assert_eq!(values(r#"{"MAX31855":{"Temperature":85.0}}"#)[0].1, 85.0);
    }

    #[test]
    fn a_probe_that_is_not_there_is_nothing() {
        for said in
            [r#"{"Time":"2024-05-01T12:00:00"}"#, r#"{"AM2301":{"Temperature":null,"Humidity":null}}"#]
        {
            assert_eq!((values(said).len(), report(said).faults.len()), (0, 0), "{said}");
        }
        assert_eq!(parse(b"Online"), Err(Unread::Bad(FaultKind::Parse)));
    }

    #[test]
    fn the_radio_measures_nothing_and_the_epoch_is_a_time() {
        let state =
            report(r#"{"Epoch":1714557600,"Time":"2024-05-01T12:00:00","Wifi":{"RSSI":78,"Signal":-61}}"#);
        assert_eq!(state.values, [("hw.network.signal".to_owned(), -61.0)]);
        assert!(!state.measures);
        assert_eq!(state.stamp, Stamp::Utc(1_714_557_600_000));
    }
}
