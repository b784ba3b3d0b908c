//! What the variables of a UPS mean, by the names of Network UPS Tools.
//!
//! `ups.status` is a set of words; the words that tell of nothing we show are known and pass, those of a newer NUT are counted.

use storepulse_shared::series;

use crate::collector::changes::{Changes, Condition};
use crate::collector::poll::Reading;

/// Variables that are numbers: name, metric, place, what they are multiplied by, and the highest that can be true.
const NUMBERS: &[(&str, &str, Option<&str>, f64, f64)] = &[
    ("battery.charge", "hw.battery.charge", None, 0.01, 100.0),
    ("battery.runtime", "hw.battery.time_left", None, 1.0, 1e8),
    ("battery.temperature", "hw.temperature", Some("battery"), 1.0, 200.0),
    ("battery.voltage", "hw.voltage", Some("battery"), 1.0, 1e4),
    ("input.voltage", "hw.voltage", Some("input"), 1.0, 1e4),
    ("output.voltage", "hw.voltage", Some("output"), 1.0, 1e4),
    ("ups.load", "retail.ups.load", None, 0.01, 1_000.0),
    ("ups.temperature", "hw.temperature", None, 1.0, 200.0),
];

/// Words of `ups.status` that tell of nothing we show.
const OTHER_WORDS: &[&str] =
    &["BOOST", "BYPASS", "CAL", "CHRG", "DISCHRG", "ECO", "HB", "TEST", "TRIM", "WAIT"];
/// Words after which it does not report itself well.
const UNWELL: &[&str] = &["ALARM", "FSD", "OFF", "OVER", "RB"];

/// The words that are shown, by metric.
const FLAGS: &[(&str, &str)] = &[
    ("LB", "retail.ups.low_battery"),
    ("OVER", "retail.ups.overload"),
    ("RB", "retail.ups.replace_battery"),
];

/// The words that are news.
const CONDITIONS: &[(&str, Condition)] = &[
    ("OB", Condition { event: "ups.battery", begins: "on battery", ends: "on mains again" }),
    (
        "LB",
        Condition {
            event: "ups.low_battery",
            begins: "the battery is low",
            ends: "the battery is not low any more",
        },
    ),
    (
        "RB",
        Condition {
            event: "ups.replace_battery",
            begins: "the battery must be replaced",
            ends: "the battery need not be replaced any more",
        },
    ),
    ("OVER", Condition { event: "ups.overload", begins: "overloaded", ends: "not overloaded any more" }),
    ("ALARM", Condition { event: "ups.alarm", begins: "it reports an alarm", ends: "its alarm is over" }),
    (
        "FSD",
        Condition {
            event: "ups.shutdown",
            begins: "what hangs on it is being shut down",
            ends: "the shutdown is over",
        },
    ),
];

/// What a UPS says of itself, and how many of its numbers are none.
pub(super) fn read(variables: &[(String, String)], changes: &mut Changes) -> (Reading, usize) {
    let mut reading = Reading::default();
    let mut no_numbers = 0;
    for (name, metric, place, scale, highest) in NUMBERS {
        let Some(text) = value(variables, name) else { continue };
        let lowest = if *metric == "hw.temperature" { -100.0 } else { 0.0 };
        match text.trim().parse::<f64>() {
            Ok(number) if (lowest..=*highest).contains(&number) => {
                let labels = place.map(|place| ("hw.sensor_location", place));
                if let Ok(series) = series::compose(metric, labels.as_slice()) {
                    // A product with 0.01 has digits that nobody measured.
                    reading.value(series, (number * scale * 1e6).round() / 1e6);
                }
            }
            _ => no_numbers += 1,
        }
    }
    if let Some(status) = value(variables, "ups.status") {
        read_status(status, &mut reading, changes);
    }
    (reading, no_numbers)
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn read_status(status: &str, reading: &mut Reading, changes: &mut Changes) {
    let words: Vec<&str> = status.split_ascii_whitespace().collect();
    let says = |word: &str| words.contains(&word);
    // Of nothing, or while it waits for its UPS, the driver says nothing: that no word is there is no news.
    if words.is_empty() || says("WAIT") {
        return;
    }
    // Neither on mains nor on battery: it is off, or does not know.
    if says("OL") || says("OB") {
        reading.flag("retail.ups.on_battery", says("OB"));
    }
    for (word, metric) in FLAGS {
        reading.flag(*metric, says(word));
    }
    reading.flag("hw.status", !UNWELL.iter().any(|word| says(word)));
    let unknown = words.iter().filter(|word| !is_known(word)).count();
    reading.value("retail.ups.status.unknown", f64::from(u16::try_from(unknown).unwrap_or(u16::MAX)));
    for (word, condition) in CONDITIONS {
        changes.note(reading, *condition, says(word));
    }
}

fn is_known(word: &str) -> bool {
    word == "OL"
        || OTHER_WORDS.contains(&word)
        || UNWELL.contains(&word)
        || CONDITIONS.iter().any(|(known, _)| *known == word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (BTreeMap<String, f64>, Vec<(String, String)>, usize) {
        let variables: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let (reading, no_numbers) = read(&variables, &mut Changes::default());
        let events = reading.events.into_iter().map(|(kind, text)| (kind.into_owned(), text)).collect();
        (reading.values.into_iter().collect(), events, no_numbers)
    }

    #[test]
    fn numbers_have_their_units() {
        let (values, _, no_numbers) = of(&[
            ("battery.charge", "57"),
            ("battery.runtime", "1260"),
            ("input.voltage", "229.8"),
            ("output.voltage", "230.0"),
            ("ups.load", "23"),
            ("ups.temperature", "31.5"),
            ("ups.serial", "AS1234567890123"),
        ]);
        let wanted = [
            ("hw.battery.charge", 0.57),
            ("hw.battery.time_left", 1_260.0),
            ("hw.temperature", 31.5),
            ("hw.voltage{hw.sensor_location=\"input\"}", 229.8),
            ("hw.voltage{hw.sensor_location=\"output\"}", 230.0),
            ("retail.ups.load", 0.23),
        ];
        assert_eq!(values, wanted.map(|(series, value)| (series.to_owned(), value)).into());
        assert_eq!(no_numbers, 0);
    }

    #[test]
    fn what_is_no_number_is_counted_and_left_out() {
        let (values, _, no_numbers) = of(&[
            ("battery.charge", "-1"),
            ("battery.runtime", "unknown"),
            ("ups.load", "NaN"),
            ("input.voltage", ""),
        ]);
        assert_eq!((values.len(), no_numbers), (0, 4));
    }

    #[test]
    fn words_of_the_status_become_states_and_events() {
        let (values, events, _) = of(&[("ups.status", "OB DISCHRG LB RB OVER ALARM FSD")]);
        for metric in [
            "retail.ups.on_battery",
            "retail.ups.low_battery",
            "retail.ups.replace_battery",
            "retail.ups.overload",
        ] {
            assert_eq!(values[metric], 1.0, "{metric}");
        }
        assert_eq!((values["hw.status"], values["retail.ups.status.unknown"]), (0.0, 0.0));
        assert_eq!(events.len(), 6);
        let (values, events, _) = of(&[("ups.status", "OL CHRG")]);
        assert_eq!((values["retail.ups.on_battery"], values["hw.status"]), (0.0, 1.0));
        assert_eq!(events, []);
    }

    #[test]
    fn a_word_of_a_newer_nut_is_counted_and_changes_nothing() {
        let (values, events, _) = of(&[("ups.status", "OL SHINY")]);
        assert_eq!((values["retail.ups.status.unknown"], values["hw.status"]), (1.0, 1.0));
        assert_eq!(events, []);
    }

    #[test]
    fn a_status_that_says_nothing_is_no_state() {
        assert_eq!(of(&[("ups.status", "")]).0, BTreeMap::new());
        assert_eq!(of(&[("ups.status", "WAIT")]).0, BTreeMap::new(), "a driver that has just started");
        assert!(!of(&[("ups.status", "OFF")]).0.contains_key("retail.ups.on_battery"));
    }
}
