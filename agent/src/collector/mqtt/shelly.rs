//! Shelly Gen2 and later: notifications of its RPC under `<id>/events/rpc`
//! (shelly-api-docs.shelly.cloud, "Notifications").
//!
//! `{"src":"…","method":"NotifyFullStatus","params":{"ts":1680962879.62,"temperature:0":{"id":0,"tC":19.8,"tF":67.6},
//! "humidity:0":{"rh":42.2},"devicepower:0":{"battery":{"V":5.4,"percent":87}},"wifi":{"rssi":-60}}}`; `NotifyStatus` has the
//! components that changed. A component whose number is not 0 is a probe of an add-on. A sensor that failed has null and says
//! why in `errors`. `NotifyEvent` and all else is left alone.

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, outcome};
use super::report::{Report, Stamp, object, time_of_seconds};

pub(super) const SUBJECT: Subject = Subject {
    name: "mqtt/shelly",
    vectors: &[
        br#"{"src":"shellyplusht-08b61fce","dst":"x","method":"NotifyFullStatus","params":{"ts":1680962879.62,"temperature:0":{"id":0,"tC":19.8,"tF":67.6},"humidity:0":{"id":0,"rh":42.2},"devicepower:0":{"battery":{"V":5.4,"percent":87}},"wifi":{"rssi":-60}}}"#,
        br#"{"method":"NotifyStatus","params":{"temperature:100":{"id":100,"tC":-18.5}}}"#,
        br#"{"method":"NotifyStatus","params":{"ts":1680962879.62,"temperature:0":{"tC":null,"errors":["out_of_range"]}}}"#,
        br#"{"method":"NotifyEvent","params":{"ts":1680962879.62,"events":[]}}"#,
        br#"{"method":"NotifyStatus","params":{"humidity:0":{"rh":420}}}"#,
    ],
    outcomes: &["undated", "dated", "nothing", "exception", "parse"],
    outcome: |bytes| outcome(parse(bytes), Report::outcome),
};

pub(super) fn parse(payload: &[u8]) -> Parsed<Report> {
    let (message, used) = object(payload)?;
    let mut report = Report::new();
    let params = &message["params"];
    if !matches!(message["method"].as_str(), Some("NotifyStatus" | "NotifyFullStatus")) {
        return Ok((report, used));
    }
    report.stamp = params["ts"].as_f64().map_or(Stamp::Absent, time_of_seconds);
    for (key, component) in params.as_object().into_iter().flatten() {
        let (name, id) = key.split_once(':').unwrap_or((key, "0"));
        if matches!(name, "temperature" | "humidity")
            && component["errors"].as_array().is_some_and(|e| !e.is_empty())
        {
            report.fault(FaultKind::Exception, "the device says that a sensor of its has failed");
        }
        match name {
            "temperature" => {
                if let Some(celsius) = report.number(component, "tC")
                    && let Some(series) = series(&mut report, "hw.temperature", id)
                {
                    report.celsius(series, celsius);
                }
            }
            "humidity" => {
                if let Some(percent) = report.number(component, "rh")
                    && let Some(series) = series(&mut report, "hw.humidity", id)
                {
                    report.humidity(series, percent);
                }
            }
            "devicepower" if id == "0" => {
                if let Some(volts) = report.number(&component["battery"], "V") {
                    report.aside("hw.voltage", volts);
                }
                if let Some(percent) = report.number(&component["battery"], "percent") {
                    report.charge(percent);
                }
            }
            "wifi" => {
                if let Some(signal) = report.number(component, "rssi") {
                    report.aside("hw.network.signal", signal);
                }
            }
            _ => {}
        }
    }
    Ok((report, used))
}

/// The device's own sensor has number 0, and needs no label.
fn series(report: &mut Report, metric: &str, id: &str) -> Option<String> {
    if id == "0" { Some(metric.to_owned()) } else { report.labelled(metric, "hw.id", id) }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::Unread;
    use super::*;

    fn report(params: &str) -> Report {
        parse(format!(r#"{{"method":"NotifyStatus","params":{params}}}"#).as_bytes()).unwrap().0
    }

    #[test]
    fn a_sensor_that_wakes_up_says_everything_with_its_time() {
        let (report, used) = parse(SUBJECT.vectors[0]).unwrap();
        assert_eq!(used, SUBJECT.vectors[0].len());
        assert_eq!(report.stamp, Stamp::Utc(1_680_962_879_620));
        let mut values = report.values;
        values.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("hw.battery.charge", 0.87),
            ("hw.humidity", 0.422),
            ("hw.network.signal", -60.0),
            ("hw.temperature", 19.8),
            ("hw.voltage", 5.4),
        ];
        assert_eq!(values, expected.map(|(series, value)| (series.to_owned(), value)));
    }

    #[test]
    fn a_probe_of_an_add_on_has_its_number() {
        assert_eq!(
            report(r#"{"temperature:100":{"tC":-18.5}}"#).values,
            [(r#"hw.temperature{hw.id="100"}"#.to_owned(), -18.5)]
        );
        assert_eq!(report(r#"{"temperature:4111111111111111":{"tC":1}}"#).outcome(), "parse");
    }

    #[test]
    fn a_sensor_that_failed_is_an_exception_and_no_value() {
        let failed = report(r#"{"temperature:0":{"tC":null,"errors":["read"]},"humidity:0":{"rh":40}}"#);
        assert_eq!(failed.faults[0].kind, FaultKind::Exception);
        assert_eq!(failed.values, [("hw.humidity".to_owned(), 0.4)]);
    }

    #[test]
    fn other_methods_say_nothing_and_garbage_is_a_fault() {
        for said in [
            r#"{"method":"NotifyEvent","params":{"temperature:0":{"tC":1}}}"#,
            "{}",
            r#"{"method":"NotifyStatus"}"#,
        ] {
            assert_eq!(parse(said.as_bytes()).unwrap().0.outcome(), "nothing", "{said}");
        }
        assert_eq!(parse(b"true"), Err(Unread::Bad(FaultKind::Parse)));
    }
}
