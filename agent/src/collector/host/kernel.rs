//! What the kernel tells in files, and sysinfo does not read: `/proc/diskstats` (Documentation/admin-guide/iostats.rst),
//! `/proc/loadavg`, `/proc/meminfo`, the wear of eMMC (JEDEC 84-B51, `DEVICE_LIFE_TIME_EST_TYP_A` and `_B`), and what the
//! firmware of a Raspberry Pi says of its supply.
//!
//! Reading is apart from parsing: the parsers are pure, and what they do not understand is `None`, never zero. The wear of NVMe
//! and SATA disks is told to root alone, by commands of the disk, and is left out.

use std::path::Path;

use crate::kernel::{Supply, meminfo, names, read};

/// Bytes of a sector in `diskstats`, whatever the disk has.
const SECTOR_BYTES: u64 = 512;
/// What is no disk of its own, but a part or a copy of another, or memory.
const NO_DISKS: [&str; 7] = ["dm-", "fd", "loop", "md", "ram", "sr", "zram"];

/// What the files tell, by metric.
pub(super) fn look(root: &Path) -> Vec<(&'static str, f64)> {
    let file = |path: &str| read(&root.join(path));
    let mut values = Vec::new();
    let disks = disks(&root.join("sys/block"));
    if let Some((read, written)) = file("proc/diskstats").and_then(|text| diskstats(&text, &disks)) {
        values.push(("system.disk.io.read", super::whole(read)));
        values.push(("system.disk.io.write", super::whole(written)));
    }
    let wear =
        disks.iter().filter_map(|disk| life_time(&file(&format!("sys/block/{disk}/device/life_time"))?));
    values.extend(wear.reduce(f64::max).map(|wear| ("system.disk.wear", wear)));
    values.extend(
        file("proc/loadavg").and_then(|text| load(&text)).map(|load| ("system.cpu.load_average.1m", load)),
    );
    values.extend(
        file("proc/meminfo")
            .and_then(|text| swap(&text))
            .map(|used| ("system.paging.usage", super::whole(used))),
    );
    if let Some(supply) = Supply::look(root) {
        values.extend([
            ("system.cpu.throttled", flag(supply.throttled)),
            ("system.power.undervoltage", flag(supply.is_low)),
            ("system.power.undervoltage.seen", flag(supply.was_low)),
        ]);
    }
    values
}

/// The disks of the box.
fn disks(folder: &Path) -> Vec<String> {
    let is_disk = |name: &String| !NO_DISKS.iter().any(|no_disk| name.starts_with(no_disk));
    names(folder).into_iter().filter(is_disk).collect()
}

/// Bytes read and written by these disks since the box started.
fn diskstats(text: &str, disks: &[String]) -> Option<(u64, u64)> {
    let mut sum = None;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let is_disk = fields.next().is_some_and(|name| disks.iter().any(|disk| disk == name));
        if !is_disk {
            continue;
        }
        // Reads, merged, sectors, milliseconds; writes, merged, sectors.
        let read: u64 = fields.nth(2)?.parse().ok()?;
        let written: u64 = fields.nth(3)?.parse().ok()?;
        let (all_read, all_written) = sum.unwrap_or((0_u64, 0_u64));
        sum = Some((all_read.saturating_add(read), all_written.saturating_add(written)));
    }
    sum.map(|(read, written)| (read.saturating_mul(SECTOR_BYTES), written.saturating_mul(SECTOR_BYTES)))
}

/// How much of its life an eMMC has used, the worse of its two kinds of cells: 0x01 is up to a tenth, 0x0a up to all, 0x0b
/// more than it was made for; 0x00 is "not told".
fn life_time(text: &str) -> Option<f64> {
    let steps = text.split_ascii_whitespace().map(|word| {
        let step = u8::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
        (1..=11).contains(&step).then_some(step)
    });
    steps.flatten().max().map(|step| f64::from(step) / 10.0)
}

/// Load average of a minute.
fn load(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite() && *load >= 0.0)
}

/// Bytes of swap in use; a box without swap has no value.
fn swap(text: &str) -> Option<u64> {
    let (total, free) = (meminfo(text, "SwapTotal:")?, meminfo(text, "SwapFree:")?);
    (total > 0).then(|| total.saturating_sub(free))
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISKSTATS: &str = "\
 179       0 mmcblk0 4102 1203 402138 9210 1203 8812 120344 44120 0 8120 53330 0 0 0 0 0 0
 179       1 mmcblk0p1 4000 1203 400000 9210 1203 8812 120344 44120 0 8120 53330
   7       0 loop0 12 0 800 1 0 0 0 0 0 4 1
   8       0 sda 10 0 2 1 20 0 4 1 0 1 1
";
    const MEMINFO: &str = "MemTotal: 948304 kB\nSwapTotal:        102396 kB\nSwapFree:          51198 kB\n";

    #[test]
    fn bytes_are_those_of_whole_disks() {
        let disks = ["mmcblk0".to_owned(), "sda".to_owned()];
        assert_eq!(diskstats(DISKSTATS, &disks), Some((402_140 * 512, 120_348 * 512)));
        assert_eq!(diskstats(DISKSTATS, &[]), None);
        for bad in ["", "179 0 mmcblk0", "179 0 mmcblk0 1 2 x 4 5 6 7", "179 0 mmcblk0 1 2 3 4 5 6"] {
            assert_eq!(diskstats(bad, &disks), None, "{bad}");
        }
    }

    #[test]
    fn the_wear_is_that_of_the_worse_cells() {
        assert_eq!(life_time("0x02 0x01\n"), Some(0.2));
        assert_eq!(life_time("0x00 0x0b"), Some(1.1));
        for bad in ["", "0x00 0x00", "0x0c", "2 1", "0xzz", "0x"] {
            assert_eq!(life_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn load_and_swap_are_read_or_left_out() {
        assert_eq!(load("0.52 0.71 1.31 2/311 9120\n"), Some(0.52));
        assert_eq!((load(""), load("x"), load("-1"), load("inf")), (None, None, None, None));
        assert_eq!(swap(MEMINFO), Some(51_198 * 1_024));
        assert_eq!(swap("SwapTotal: 0 kB\nSwapFree: 0 kB\n"), None);
        assert_eq!(swap("SwapTotal: 10 kB\n"), None);
        assert_eq!(swap("SwapTotal: 10 MB\nSwapFree: 1 MB\n"), None);
    }

    #[test]
    fn another_root_is_looked_at_and_what_is_not_there_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()), []);
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/diskstats", DISKSTATS);
        write("proc/loadavg", "1.5 1 1 1/1 1\n");
        write("proc/meminfo", MEMINFO);
        write("sys/block/mmcblk0/device/life_time", "0x03 0x02\n");
        write("sys/block/zram0/device/life_time", "0x0a 0x0a\n");
        write("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n");
        let names: Vec<_> = look(dir.path()).into_iter().collect();
        assert!(names.contains(&("system.disk.io.read", 402_138.0 * 512.0)), "{names:?}");
        assert!(names.contains(&("system.disk.wear", 0.3)), "{names:?}");
        assert_eq!(names.len(), 8);
    }
}
