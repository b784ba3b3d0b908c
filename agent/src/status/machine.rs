//! The box: disk, memory, temperature, power supply, versions. What it does not tell is `None`, never zero.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::kernel::{Supply, meminfo, names, read};

/// Degrees Celsius that a sensor of a box can mean.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -40.0..=150.0;

/// The box as it is now; what it does not tell is `None`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Machine {
    /// Its name.
    pub host_name: Option<String>,
    /// Its system, as `/etc/os-release` names it.
    pub system: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Since it was started, in seconds.
    pub uptime_s: Option<u64>,
    /// Bytes of the disk of the spool.
    pub disk_bytes: Option<u64>,
    /// Bytes of it that the agent could still use.
    pub disk_free_bytes: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of it that programs can still have.
    pub memory_free_bytes: Option<u64>,
    /// Of its warmest sensor, in degrees Celsius.
    pub temperature: Option<f64>,
    /// The power supply is too weak, or was since the start.
    pub under_voltage: Option<bool>,
}

impl Machine {
    /// Looks at the box whose files are below `root`, and at the disk of this folder.
    pub(crate) fn read(root: &Path, state_dir: &Path) -> Self {
        let file = |path: &str| read(&root.join(path));
        let line = |path: &str| file(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let memory = file("proc/meminfo").unwrap_or_default();
        let (disk_bytes, disk_free_bytes) = disk(state_dir).unzip();
        Self {
            host_name: line("proc/sys/kernel/hostname"),
            system: file("etc/os-release").and_then(|text| pretty_name(&text)),
            kernel: line("proc/sys/kernel/osrelease"),
            uptime_s: file("proc/uptime").and_then(|text| uptime(&text)),
            disk_bytes,
            disk_free_bytes,
            memory_bytes: meminfo(&memory, "MemTotal:"),
            memory_free_bytes: meminfo(&memory, "MemAvailable:"),
            temperature: temperature(&root.join("sys/class/thermal")),
            under_voltage: under_voltage(root),
        }
    }
}

/// Size of the disk of a folder, and what of it is free to programs without privileges.
fn disk(folder: &Path) -> Option<(u64, u64)> {
    let disk = statvfs(folder).ok()?;
    #[expect(clippy::useless_conversion, reason = "its numbers have 32 bits on smaller boxes")]
    let (block, all, free) =
        (u64::from(disk.fragment_size()), u64::from(disk.blocks()), u64::from(disk.blocks_available()));
    Some((all.checked_mul(block)?, free.checked_mul(block)?))
}

/// `PRETTY_NAME` of os-release(5).
fn pretty_name(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whole seconds of `/proc/uptime`.
fn uptime(text: &str) -> Option<u64> {
    text.split(['.', ' ']).next()?.trim().parse().ok()
}

/// The warmest zone, in degrees; the kernel tells thousandths.
fn temperature(folder: &Path) -> Option<f64> {
    let zones = names(folder).into_iter().filter(|name| name.starts_with("thermal_zone"));
    let told = zones.filter_map(|zone| {
        let thousandths: f64 = read(&folder.join(zone).join("temp"))?.trim().parse().ok()?;
        Some((thousandths / 100.0).round() / 10.0).filter(|celsius| PLAUSIBLE.contains(celsius))
    });
    told.reduce(f64::max)
}

/// What the firmware of a Raspberry Pi says, or an alarm of a voltage that is watched (Documentation/hwmon/sysfs-interface.rst).
fn under_voltage(root: &Path) -> Option<bool> {
    let folder = root.join("sys/class/hwmon");
    let alarms = names(&folder).into_iter().flat_map(|chip| {
        let chip = folder.join(chip);
        let is_alarm = |name: &String| name.starts_with("in") && name.ends_with("_lcrit_alarm");
        names(&chip).into_iter().filter(is_alarm).filter_map(move |name| read(&chip.join(name)))
    });
    let said = alarms.filter_map(|text| Some(text.trim().parse::<u8>().ok()? != 0));
    let firmware = Supply::look(root).map(|supply| supply.is_low || supply.was_low);
    said.chain(firmware).reduce(|one, other| one || other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_box_is_what_its_files_tell() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "proc/sys/kernel/hostname", "gateway-7\n");
        write(root, "proc/sys/kernel/osrelease", "6.12.47-v8\n");
        write(root, "proc/uptime", "93784.22 350000.01\n");
        write(root, "proc/meminfo", "MemTotal: 948304 kB\nMemFree: 1 kB\nMemAvailable: 20480 kB\n");
        write(root, "etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        write(root, "sys/class/thermal/thermal_zone0/temp", "48312\n");
        write(root, "sys/class/thermal/thermal_zone1/temp", "61250\n");
        write(root, "sys/class/thermal/thermal_zone2/temp", "-273000\n");
        write(root, "sys/class/thermal/cooling_device0/temp", "99000\n");
        write(root, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        write(root, "sys/class/hwmon/hwmon0/temp1_crit_alarm", "1\n");
        let machine = Machine::read(root, root);
        assert_eq!(machine.host_name.as_deref(), Some("gateway-7"));
        assert_eq!(machine.system.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!((machine.kernel.as_deref(), machine.uptime_s), (Some("6.12.47-v8"), Some(93_784)));
        assert_eq!((machine.memory_bytes, machine.memory_free_bytes), (Some(948_304 << 10), Some(20 << 20)));
        assert_eq!((machine.temperature, machine.under_voltage), (Some(61.3), Some(true)));
        let (all, free) = machine.disk_bytes.zip(machine.disk_free_bytes).unwrap();
        assert!(all >= free && all > 0);
    }

    #[test]
    fn what_a_box_does_not_tell_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::read(dir.path(), &dir.path().join("gone"));
        assert_eq!(serde_json::json!(machine), serde_json::json!(Machine::default()));
        write(dir.path(), "etc/os-release", "PRETTY_NAME=\"\"\n");
        write(dir.path(), "proc/uptime", "soon\n");
        write(dir.path(), "sys/class/thermal/thermal_zone0/temp", "warm\n");
        write(dir.path(), "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "0\n");
        let machine = Machine::read(dir.path(), &dir.path().join("gone"));
        assert_eq!((machine.system, machine.uptime_s, machine.temperature), (None, None, None));
        assert_eq!(machine.under_voltage, Some(false));
        write(dir.path(), "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n");
        assert_eq!(
            Machine::read(dir.path(), dir.path()).under_voltage,
            Some(true),
            "it was, since the start"
        );
    }
}
