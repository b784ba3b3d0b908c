//! Values for people: what a series is called, what its number says, and which value of a device comes first.

use std::collections::BTreeMap;

use storepulse_shared::catalogue::{self, Metric, MetricKind};
use storepulse_shared::series;

use super::speaker::Speaker;
use crate::board::Reading;

/// What a device is looked at for, the most telling first; of the others the first that we know.
const TELLING: [&str; 24] = [
    "retail.printer.paper.state",
    "hw.temperature",
    "retail.scale.weight",
    "retail.scale.idle.weight",
    "retail.ups.on_battery",
    "hw.battery.charge",
    "retail.drawer.open",
    "retail.pos.up",
    "retail.endpoint.up",
    "retail.scanner.scans",
    "retail.pos.transactions",
    "retail.cabinet.alarm",
    "hw.humidity",
    "hw.power",
    "hw.energy",
    "retail.printer.error",
    "retail.printer.online",
    "retail.printer.supply.level",
    "retail.endpoint.ping.duration",
    "retail.pos.database.duration",
    "system.temperature",
    "system.cpu.utilization",
    "retail.log.records",
    "hw.status",
];

/// Bits, although their unit is 1.
const BITS: &str = "retail.cabinet.controller.status";

/// The value that stands for the device, with its series.
pub(super) fn most_telling(values: &BTreeMap<String, Reading>) -> Option<(&str, Reading)> {
    let metric_of = |series: &str| series.split('{').next().unwrap_or_default().to_owned();
    let rank = |series: &str| {
        let metric = metric_of(series);
        let telling = TELLING.iter().position(|name| *name == metric);
        telling.unwrap_or(TELLING.len() + usize::from(catalogue::find(&metric).is_none()))
    };
    values.iter().min_by_key(|(series, _)| rank(series)).map(|(series, reading)| (series.as_str(), *reading))
}

/// What a series is called: of one in the catalogue the name of its metric in the reader's language, then its labels.
pub(super) fn name(speaker: Speaker, text: &str) -> String {
    let Ok(series) = series::parse(text) else { return text.to_owned() };
    let metric = speaker.call("metric", series.metric).unwrap_or(series.metric);
    let labels: Vec<&str> = series.labels.iter().map(|(_, value)| value.as_ref()).collect();
    if labels.is_empty() { metric.to_owned() } else { format!("{metric} ({})", labels.join(", ")) }
}

/// What a value of a series says.
pub(super) fn write(speaker: Speaker, text: &str, value: f64) -> String {
    let metric = series::parse(text).ok().and_then(|series| catalogue::find(series.metric));
    match metric {
        Some(Metric { kind: MetricKind::State(names), .. }) => state(speaker, names, value),
        Some(Metric { name, .. }) if *name == BITS => speaker.number(value, 0),
        Some(Metric { unit, .. }) => with_unit(speaker, value, unit),
        None => loose(speaker, value),
    }
}

/// The name of a state; a number that is no state is shown as it is.
fn state(speaker: Speaker, names: &[&str], value: f64) -> String {
    let named =
        names.iter().zip(0_u8..).find(|(_, number)| f64::from(*number) == value).map(|(name, _)| name);
    let words = named.and_then(|name| speaker.call("value", name));
    words.map_or_else(|| loose(speaker, value), str::to_owned)
}

/// A value of this UCUM unit, in the unit that people use.
fn with_unit(speaker: Speaker, value: f64, unit: &str) -> String {
    match unit {
        "1" => speaker.with_unit(value * 100.0, usize::from(value.abs() < 0.1), "%"),
        "Cel" => speaker.with_unit(value, 1, "°C"),
        "By" => speaker.bytes(value),
        "s" => speaker.span(value),
        "J" => speaker.with_unit(value / 3.6e6, 2, "kWh"),
        "Pa" => speaker.with_unit(value / 100.0, 0, "hPa"),
        "dB[mW]" => speaker.with_unit(value, 0, "dBm"),
        "kg" => speaker.with_unit(value, 3, unit),
        "V" | "W" => speaker.with_unit(value, 1, unit),
        "{currency}" | "{thread}" => speaker.number(value, 2),
        // The name of the metric says what is counted.
        counted if counted.starts_with('{') => loose(speaker, value),
        other => speaker.with_unit(value, 0, other),
    }
}

/// With as many decimals as it has, and no more than three.
fn loose(speaker: Speaker, value: f64) -> String {
    let short = |decimals: &usize| {
        let scale = [1.0, 10.0, 100.0, 1_000.0][*decimals];
        ((value * scale).round() - value * scale).abs() < 1e-6
    };
    speaker.number(value, (0..3).find(short).unwrap_or(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    const ES: Speaker = Speaker::new(Language::Es);

    fn said(series: &str, value: f64) -> String {
        write(ES, series, value).replace('\u{a0}', " ")
    }

    #[test]
    fn units_are_those_of_people_and_states_have_names() {
        for (series, value, says) in [
            ("hw.temperature", 4.12, "4,1 °C"),
            ("hw.temperature{sensor=\"left\"}", -18.0, "\u{2212}18,0 °C"),
            ("hw.humidity", 0.653, "65 %"),
            ("hw.network.io.receive", 1_500_000.0, "1,5 MB"),
            ("retail.scale.weight", 1.2345, "1,234 kg"),
            ("retail.printer.paper.state", 2.0, "agotado"),
            ("retail.printer.paper.state", 7.0, "7"),
            ("retail.drawer.open", 1.0, "sí"),
            ("retail.endpoint.ping.duration", 0.0123, "12 ms"),
            ("hw.energy", 7.2e6, "2,00 kWh"),
            ("hw.pressure", 101_325.0, "1013 hPa"),
            ("retail.cabinet.controller.status", 37.0, "37"),
            ("retail.pos.transactions", 12_345.0, "12 345"),
            ("something.else", 0.25, "0,25"),
        ] {
            assert_eq!(said(series, value), says, "{series}");
        }
    }

    #[test]
    fn series_have_names_with_their_labels() {
        assert_eq!(name(ES, "hw.temperature{sensor=\"left\"}"), "Temperatura (left)");
        assert_eq!(name(ES, "own.metric"), "own.metric");
        assert_eq!(name(ES, "no series at all{"), "no series at all{");
    }

    #[test]
    fn the_most_telling_value_comes_first() {
        let reading = Reading { t: 0, value: 1.0 };
        let values = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), reading)).collect();
        let first = |names: &[&str]| most_telling(&values(names)).map(|(series, _)| series.to_owned());
        assert_eq!(first(&["hw.humidity", "hw.temperature{a=\"b\"}"]).unwrap(), "hw.temperature{a=\"b\"}");
        assert_eq!(first(&["a.unknown", "retail.ups.load"]).unwrap(), "retail.ups.load");
        assert_eq!(first(&["a.unknown"]).unwrap(), "a.unknown");
        assert_eq!(first(&[]), None);
    }
}
