//! The earliest that it can be: when the agent was built, and the last time that was trusted on this box.
//!
//! The latter is a number in a small file of the state folder, so that it outlives a spool that had to be given up. It
//! guards one decision, whether a certificate may be believed on a box that does not know the time. The file follows what
//! is known, also backward: a cloud that once told a wrong future must not lock the box out until that future comes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// When the agent was built, Unix milliseconds UTC; a day earlier, because the clock of a machine that builds is only a
/// clock too.
pub const BUILD_MS: i64 = build_ms(env!("STOREPULSE_BUILD_SECONDS")) - 24 * 3_600 * 1_000;

/// The name of the file in the state folder.
const FILE: &str = "last-trusted-time";

const fn build_ms(seconds: &str) -> i64 {
    let (digits, mut at, mut value) = (seconds.as_bytes(), 0, 0_i64);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "the build script writes a number");
        value = value * 10 + (digits[at] - b'0') as i64;
        at += 1;
    }
    value * 1_000
}

/// The last time that was trusted.
#[derive(Debug, Clone)]
pub struct LastTrusted {
    path: PathBuf,
}

impl LastTrusted {
    /// In a state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE) }
    }

    /// The earliest that it can be now, Unix milliseconds UTC.
    #[must_use]
    pub fn floor_ms(&self) -> i64 {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.trim().parse().unwrap_or(BUILD_MS).max(BUILD_MS)
    }

    /// Notes a time that is trusted.
    ///
    /// # Errors
    /// The folder cannot be written; what stood in the file stays.
    pub fn keep(&self, time_ms: i64) -> std::io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(time_ms.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_was_in_this_century_and_is_not_to_come() {
        const { assert!(BUILD_MS > storepulse_shared::limits::TIME_MIN_MS) };
        assert!(BUILD_MS <= super::super::now_ms());
        assert_eq!(build_ms("1763700000"), 1_763_700_000_000);
    }
}
