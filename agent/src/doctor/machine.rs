//! The box: memory, temperature, power supply; and whether it is a container, and what happened to it there.

use std::path::Path;

use super::check::Check;
use crate::finding::{Finding, Problem};
use crate::status::units::bytes;
use crate::status::{Machine, of_machine};

pub(super) const MEMORY: &str = "memory";
pub(super) const TEMPERATURE: &str = "temperature";
pub(super) const POWER: &str = "power supply";
pub(super) const CONTAINER: &str = "container";
pub(super) const VERSION: &str = "version";

/// Judges the box as the status of the agent does.
pub(super) fn judge(machine: &Machine) -> Vec<Check> {
    let findings = of_machine(machine);
    let check = |name, problem, seen: Option<String>| {
        let found = findings.iter().find(|finding| finding.problem == problem);
        match (found, seen) {
            (Some(finding), seen) => Check::found(name, finding.clone(), seen.unwrap_or_default()),
            (None, Some(seen)) => Check::pass(name, seen),
            (None, None) => Check::skipped(name, "the box does not tell"),
        }
    };
    let of = machine.memory_bytes.map(|all| format!(" of {}", bytes(all))).unwrap_or_default();
    let free = machine.memory_free_bytes.map(|free| format!("{} free{of}", bytes(free)));
    let heat = machine.temperature.map(|celsius| format!("{celsius:.0} °C"));
    let supply = machine.under_voltage.map(|is_weak| {
        if is_weak { "under-voltage now or since the start" } else { "no under-voltage" }.to_owned()
    });
    vec![
        check(MEMORY, Problem::MemoryLow, free),
        check(TEMPERATURE, Problem::BoxHot, heat),
        check(POWER, Problem::UnderVoltage, supply),
        version(machine),
    ]
}

fn version(machine: &Machine) -> Check {
    let known = [machine.system.clone(), machine.kernel.as_ref().map(|kernel| format!("kernel {kernel}"))];
    let box_is: Vec<String> = known.into_iter().flatten().collect();
    let on = if box_is.is_empty() { String::new() } else { format!(" on {}", box_is.join(", ")) };
    Check::pass(VERSION, format!("agent {}{on}", env!("CARGO_PKG_VERSION")))
}

/// Whether this is a container, and whether the kernel has killed something in it for its memory.
pub(super) fn container(root: &Path) -> Check {
    let is_one = [".dockerenv", "run/.containerenv"].iter().any(|mark| root.join(mark).exists());
    let killed = killed_for_memory(root);
    let place = if is_one { "in a container" } else { "not in a container" };
    match killed {
        Some(count @ 1..) => {
            let finding = Finding::new(Problem::KilledForMemory).with("count", count.to_string());
            Check::noted(CONTAINER, finding, format!("{place}; {count} processes were killed for memory"))
        }
        Some(0) => Check::pass(CONTAINER, format!("{place}; nothing was killed for memory")),
        None if is_one => {
            Check::pass(CONTAINER, format!("{place}; it does not tell whether something was killed"))
        }
        None => Check::skipped(CONTAINER, place),
    }
}

/// `oom_kill` of our own control group, version 2 and then 1. Outside a container these files tell of the whole box or are
/// not there.
fn killed_for_memory(root: &Path) -> Option<u64> {
    let files = ["sys/fs/cgroup/memory.events", "sys/fs/cgroup/memory/memory.oom_control"];
    let text = files.iter().find_map(|file| std::fs::read_to_string(root.join(file)).ok())?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(checks: &[Check]) -> Vec<Problem> {
        checks.iter().filter_map(|check| Some(check.finding.as_ref()?.problem)).collect()
    }

    #[test]
    fn a_weak_hot_and_full_box_is_told() {
        let good = Machine {
            memory_bytes: Some(4 << 30),
            memory_free_bytes: Some(1 << 30),
            temperature: Some(54.5),
            under_voltage: Some(false),
            ..Machine::default()
        };
        assert_eq!(problems(&judge(&good)), []);
        assert_eq!(problems(&judge(&Machine::default())), [], "what is not told is not bad");
        let bad = Machine {
            memory_bytes: Some(1 << 30),
            memory_free_bytes: Some(9 << 20),
            temperature: Some(91.0),
            under_voltage: Some(true),
            ..Machine::default()
        };
        assert_eq!(problems(&judge(&bad)), [Problem::MemoryLow, Problem::BoxHot, Problem::UnderVoltage]);
    }

    #[test]
    fn who_was_killed_in_a_container_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert!(container(root.path()).evidence.contains("not in a container"));
        std::fs::write(root.path().join(".dockerenv"), "").unwrap();
        assert!(container(root.path()).evidence.starts_with("in a container"));
        std::fs::create_dir_all(root.path().join("sys/fs/cgroup")).unwrap();
        let events = root.path().join("sys/fs/cgroup/memory.events");
        std::fs::write(&events, "low 0\noom 2\noom_kill 2\n").unwrap();
        assert_eq!(problems(&[container(root.path())]), [Problem::KilledForMemory]);
        std::fs::write(&events, "oom_kill 0\n").unwrap();
        assert_eq!(problems(&[container(root.path())]), []);
    }
}
