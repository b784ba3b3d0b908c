//! What devices say of themselves: metrics of the catalogue whose value is a problem.
//!
//! A problem says it once, however many series say it, and what says less steps back: a printer without paper is offline
//! because of that.

use storepulse_shared::ids::DeviceId;
use storepulse_shared::series;

use crate::board::DeviceStatus;
use crate::finding::{Finding, Problem};

/// A value that is a problem.
enum When {
    /// Exactly this state of the catalogue.
    Is(u8),
    /// This state of the catalogue or a worse one.
    From(u8),
}

/// Metric, value, problem, and what says the same better.
type Sign = (&'static str, When, Problem, &'static [Problem]);

const PRINTER: &[Problem] = &[Problem::PaperOut, Problem::PaperJam, Problem::CoverOpen, Problem::TonerOut];
const ANYTHING: &[Problem] = Problem::ALL;

/// In the order in which they are looked at: what steps back comes after what it steps back for.
const SIGNS: &[Sign] = &[
    ("retail.pos.up", When::Is(0), Problem::PosDown, &[]),
    ("retail.printer.paper.state", When::Is(2), Problem::PaperOut, &[]),
    ("retail.printer.jammed", When::Is(1), Problem::PaperJam, &[]),
    ("retail.printer.cover.open", When::Is(1), Problem::CoverOpen, &[]),
    ("retail.printer.toner.state", When::Is(2), Problem::TonerOut, &[]),
    ("retail.printer.fiscal.memory.state", When::From(1), Problem::FiscalMemory, &[]),
    ("retail.printer.fiscal.close.needed", When::Is(1), Problem::FiscalClose, &[]),
    ("retail.printer.cutter.error", When::Is(1), Problem::PrinterError, &[]),
    ("retail.printer.error", When::From(1), Problem::PrinterError, PRINTER),
    ("retail.printer.service", When::Is(1), Problem::PrinterError, PRINTER),
    ("retail.printer.offline", When::Is(1), Problem::PrinterOffline, ANYTHING),
    ("retail.printer.online", When::Is(0), Problem::PrinterOffline, ANYTHING),
    ("retail.ups.low_battery", When::Is(1), Problem::BatteryLow, &[]),
    ("retail.ups.on_battery", When::Is(1), Problem::OnBattery, &[]),
    ("retail.ups.overload", When::Is(1), Problem::UpsOverload, &[]),
    ("retail.ups.replace_battery", When::Is(1), Problem::BatteryWorn, &[]),
    ("retail.cabinet.alarm", When::Is(1), Problem::CabinetAlarm, &[]),
    ("hw.status", When::Is(0), Problem::DeviceFault, ANYTHING),
    ("retail.printer.paper.state", When::Is(1), Problem::PaperLow, &[Problem::PaperOut]),
];

/// What this device, which answers, says.
pub(super) fn findings(id: &DeviceId, device: &DeviceStatus) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (metric, when, problem, better) in SIGNS {
        let is_known =
            findings.iter().any(|known| known.problem == *problem || better.contains(&known.problem));
        if is_known {
            continue;
        }
        let said = device.values.iter().find(|(series, reading)| {
            is_of(series, metric)
                && match when {
                    When::Is(state) => is_state(reading.value, *state),
                    When::From(state) => reading.value >= f64::from(*state),
                }
        });
        if let Some((series, reading)) = said {
            let evidence = format!("{series} = {}", reading.value);
            findings.push(Finding::new(*problem).of(id).since(device.changed_ms).shown_by(evidence));
        }
    }
    findings
}

fn is_of(series: &str, metric: &str) -> bool {
    series.starts_with(metric) && series::parse(series).is_ok_and(|parsed| parsed.metric == metric)
}

/// States are whole numbers, which doubles hold exactly.
fn is_state(value: f64, state: u8) -> bool {
    (value - f64::from(state)).abs() < 0.5
}

#[cfg(test)]
mod tests {
    use storepulse_shared::catalogue::{self, MetricKind};

    use super::*;

    #[test]
    fn every_sign_is_a_state_of_the_catalogue() {
        for (metric, when, problem, better) in SIGNS {
            let known = catalogue::find(metric).unwrap_or_else(|| panic!("{metric}"));
            let MetricKind::State(states) = known.kind else { panic!("{metric} is no state") };
            let (When::Is(state) | When::From(state)) = when;
            let name = states[usize::from(*state)];
            let is_bad = matches!(name, "yes" | "out" | "near_end" | "failed" | "near_full" | "recoverable");
            // What is well when it is "yes".
            let is_good_missing =
                name == "no" && matches!(*metric, "retail.pos.up" | "retail.printer.online");
            assert!(is_bad || is_good_missing, "{metric} {name} is {problem:?}");
            assert!(better.len() < 9 || *better == ANYTHING);
        }
    }
}
