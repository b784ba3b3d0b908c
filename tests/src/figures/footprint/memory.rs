//! Memory of a process, as the kernel counts it: `VmRSS` in `/proc/<pid>/status` (proc(5)).

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::report::number;
use super::MIB;

const LOOK: Duration = Duration::from_millis(50);

/// What a process took while it was watched, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::figures) struct Memory {
    rss_peak: u64,
    /// Of which nobody else can have a share: what it has allocated.
    own_peak: u64,
    /// The largest since the process began, seen at the end.
    high_water: u64,
}

impl Memory {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(in crate::figures) fn rss_peak_mib(self) -> f64 {
        self.rss_peak as f64 / MIB
    }

    fn look(self, text: &str) -> Option<Self> {
        Some(Self {
            rss_peak: self.rss_peak.max(field(text, "VmRSS:")?),
            own_peak: self.own_peak.max(field(text, "RssAnon:")?),
            high_water: field(text, "VmHWM:")?,
        })
    }
}

impl fmt::Display for Memory {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rss, own, high] =
            [self.rss_peak, self.own_peak, self.high_water].map(|n| number(n as f64 / MIB));
        write!(
            f,
            "MiB: {rss} resident, {own} of it allocated, the rest the binary and libraries; {high} since the start"
        )
    }
}

/// Watches a process for this long.
pub(in crate::figures) async fn watch(pid: u32, time: Duration) -> anyhow::Result<Memory> {
    let (begun, mut memory) = (Instant::now(), Memory::default());
    while begun.elapsed() < time {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
        memory = memory.look(&text).context("the process has ended")?;
        tokio::time::sleep(LOOK).await;
    }
    Ok(memory)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_kept() {
        let text = |rss| format!("Name:\tx\nVmHWM:\t    9 kB\nVmRSS:\t    {rss} kB\nRssAnon:\t    1 kB\n");
        let memory = Memory::default().look(&text(7)).and_then(|m| m.look(&text(5))).unwrap();
        assert_eq!((memory.rss_peak, memory.own_peak, memory.high_water), (7 << 10, 1 << 10, 9 << 10));
        assert!(memory.look("Name:\tx\nState:\tZ (zombie)\n").is_none());
    }
}
