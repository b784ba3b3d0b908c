//! What the kernel of the box tells in files, and how its files are read: for the collector `host` and for the status.
//!
//! Reading is apart from parsing: the parsers are pure, and what they do not understand is `None`, never zero. Where `proc` and
//! `sys` are is said by whoever calls, so that tests can give folders.

use std::path::Path;

/// Longest file that is read; diskstats of a hundred disks have a tenth of it.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// What firmware of a Raspberry Pi says of its supply.
const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// The text of a file, if it can be read.
pub(crate) fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The names in a folder, sorted; none if it cannot be read.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Bytes of a line of `/proc/meminfo`, which is named with its colon.
pub(crate) fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// The supply of a Raspberry Pi, as its firmware tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Supply {
    /// The processor is slowed down now.
    pub throttled: bool,
    /// The supply is too low now.
    pub is_low: bool,
    /// It was, since the start.
    pub was_low: bool,
}

impl Supply {
    /// Of the box below this root, if it is one that tells.
    pub(crate) fn look(root: &Path) -> Option<Self> {
        Self::parse(&read(&root.join(THROTTLED))?)
    }

    /// Bit 0: the supply is too low now; bit 16: it was since the start; bits 1 to 3: the processor is slowed down now (the
    /// documentation of `vcgencmd get_throttled`).
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bits = u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()?;
        let has = |mask: u32| bits & mask != 0;
        Some(Self { throttled: has(0b1110), is_low: has(1), was_low: has(1 << 16) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_meminfo_is_bytes_or_nothing() {
        let text = "MemTotal:         948304 kB\nMemAvailable:     20480 kB\nHugePages_Total:       0\n";
        assert_eq!(meminfo(text, "MemAvailable:"), Some(20 << 20));
        for (text, name) in [(text, "MemFree:"), (text, "HugePages_Total:"), ("MemTotal: x kB", "MemTotal:")]
        {
            assert_eq!(meminfo(text, name), None, "{name}");
        }
    }

    #[test]
    fn an_undervoltage_of_before_is_told_apart_from_one_of_now() {
        let told = |text| Supply::parse(text).map(|s| (s.throttled, s.is_low, s.was_low));
        assert_eq!(told("0\n"), Some((false, false, false)));
        assert_eq!(told("50005\n"), Some((true, true, true)));
        assert_eq!(told("0x10000"), Some((false, false, true)));
        assert_eq!((told(""), told("on")), (None, None));
    }
}
