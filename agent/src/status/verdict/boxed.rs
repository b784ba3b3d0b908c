//! The box: its clock, its disk, its memory, its heat and its supply.

use crate::finding::{Finding, Problem};
use crate::status::{AgentStatus, Machine, units};
use crate::time::{Authority, BUILD_MS};

/// How far off a clock is wrong; less is repaired without a word.
const OFF_MS: i64 = 60_000;
/// How long a box may take to find somebody who sets its clock.
const SETTING_MS: i64 = 10 * 60_000;
/// Free bytes of the disk below which it is full: SQLite needs room to work.
const DISK_FULL: u64 = 16 << 20;
/// Below this the disk is low, however small it is.
const DISK_LOW: u64 = 256 << 20;
/// And below this as well, if that is not a twentieth of it.
const DISK_LOW_LARGE: u64 = 2 << 30;
/// Memory that must be free, as a part of all.
const MEMORY_PART: u64 = 20;
/// Degrees Celsius at which a small board slows down.
const HOT: f64 = 85.0;

pub(super) fn look(status: &AgentStatus, findings: &mut Vec<Finding>) {
    findings.extend(clock(status));
    let machine = &status.machine;
    findings.extend(disk(machine));
    if let (Some(all), Some(free)) = (machine.memory_bytes, machine.memory_free_bytes)
        && free < all / MEMORY_PART
    {
        findings.push(Finding::new(Problem::MemoryLow).with("free", units::bytes(free)));
    }
    if let Some(celsius) = machine.temperature.filter(|celsius| *celsius >= HOT) {
        findings.push(Finding::new(Problem::BoxHot).with("temperature", format!("{celsius:.0} °C")));
    }
    if machine.under_voltage == Some(true) {
        findings.push(Finding::new(Problem::UnderVoltage));
    }
}

fn clock(status: &AgentStatus) -> Option<Finding> {
    let clock = &status.clock;
    if let Some(off_ms) = clock.offset_ms.filter(|off_ms| off_ms.abs() >= OFF_MS) {
        let direction = if off_ms > 0 { "behind" } else { "ahead" };
        let off = units::duration(off_ms);
        let evidence = format!("the clock of the box is {off} {direction}");
        return Some(Finding::new(Problem::ClockWrong).with("off", off).shown_by(evidence));
    }
    if !clock.trusted && status.now_ms < BUILD_MS {
        let evidence = "the clock of the box shows a time before the agent was built";
        return Some(Finding::new(Problem::ClockWrong).shown_by(evidence));
    }
    let is_set = clock.authority == Some(Authority::Ntp);
    let runs_ms = status.now_ms - status.started_ms;
    (!is_set && runs_ms >= SETTING_MS).then(|| Finding::new(Problem::ClockUnset))
}

fn disk(machine: &Machine) -> Option<Finding> {
    let (all, free) = machine.disk_bytes.zip(machine.disk_free_bytes)?;
    let problem = if free < DISK_FULL {
        Problem::DiskFull
    } else if free < DISK_LOW || (free < DISK_LOW_LARGE && free < all / 20) {
        Problem::DiskLow
    } else {
        return None;
    };
    Some(Finding::new(problem).with("free", units::bytes(free)))
}
