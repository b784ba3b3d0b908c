//! Where the clocks are read: the kernel's, or a test's.

use std::fmt;

use nix::time::{ClockId, clock_gettime};
use storepulse_shared::ids::Epoch;

use super::now_ms;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Since boot, suspend included.
    pub boot_ms: i64,
    /// The wall clock, Unix milliseconds UTC, right or wrong.
    pub wall_ms: i64,
}

impl Reading {
    /// What the wall clock would have shown at the moment of boot.
    #[must_use]
    pub const fn base_ms(&self) -> i64 {
        self.wall_ms.saturating_sub(self.boot_ms)
    }
}

/// The clocks of a box.
pub trait ClockSource: fmt::Debug + Send + Sync {
    /// Another one after every boot, the same between two.
    fn boot_id(&self) -> String;
    /// Both clocks, now.
    fn read(&self) -> Reading;
    /// Whether somebody (NTP) vouches for the wall clock.
    fn is_synchronised(&self) -> bool;
}

/// The clocks of this box.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the id of this boot. Where the kernel tells none, this process counts as a boot: then nothing is repaired
    /// across a restart, which is the careful mistake.
    #[must_use]
    pub fn load() -> Self {
        let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id =
            if told.trim().is_empty() { Epoch::random().to_string() } else { told.trim().to_owned() };
        Self { boot_id }
    }
}

impl ClockSource for SystemClock {
    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    fn read(&self) -> Reading {
        let since_boot =
            clock_gettime(ClockId::CLOCK_BOOTTIME).or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC));
        let boot_ms = since_boot.map_or(0, |at| at.tv_sec() * 1_000 + at.tv_nsec() / 1_000_000);
        Reading { boot_ms, wall_ms: now_ms() }
    }

    /// The kernel drops this by itself when the clock is set by hand, and some hours after NTP last spoke.
    #[expect(
        unsafe_code,
        reason = "adjtimex(2) has no safe wrapper; with modes = 0 it only fills the struct it is given"
    )]
    fn is_synchronised(&self) -> bool {
        // SAFETY: all fields of `timex` are integers, for which zero is a value, and the pointer is to a live one.
        let (state, timex) = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            (libc::adjtimex(&raw mut timex), timex)
        };
        state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_its_boot_and_its_time() {
        let (clock, again) = (SystemClock::load(), SystemClock::load());
        let (first, second) = (clock.read(), again.read());
        assert!(first.boot_ms > 0 && second.boot_ms >= first.boot_ms);
        assert!((second.base_ms() - first.base_ms()).abs() < 1_000);
        if std::path::Path::new("/proc/sys/kernel/random/boot_id").exists() {
            assert_eq!(clock.boot_id(), again.boot_id());
        }
        // Whatever it says, it says it without harm.
        clock.is_synchronised();
    }
}
