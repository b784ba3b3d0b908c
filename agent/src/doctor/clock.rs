//! The clock of the box: whether the kernel says that somebody sets it, and how far it is from what the cloud tells.
//!
//! The cloud's time is that of its `Date` header, read over a connection that is verified, or over one whose certificates are
//! good but for their dates; no key is sent for it.

use std::time::{Duration, UNIX_EPOCH};

use super::check::Check;
use crate::finding::{Finding, Problem};
use crate::status::units::duration;
use crate::time::BUILD_MS;

pub(super) const CLOCK: &str = "clock";

/// Beyond this it is wrong, and certificates and times on receipts suffer.
const WRONG_MS: u64 = 5 * 60_000;
/// Beyond this it is worth a word.
const OFF_MS: u64 = 10_000;

const YEAR_MS: u64 = 31_557_600_000;

/// What is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// What it shows, Unix milliseconds UTC.
    pub now_ms: i64,
    /// The kernel says that NTP keeps it.
    pub is_set: bool,
    /// What the cloud says, minus what it shows.
    pub offset_ms: Option<i64>,
}

impl Known {
    /// Whether it is so wrong that certificates cannot be judged by it.
    pub(super) fn is_wrong(self) -> bool {
        self.now_ms < BUILD_MS || self.offset_ms.is_some_and(|offset| offset.unsigned_abs() > WRONG_MS)
    }
}

/// Judges it.
pub(super) fn judge(known: Known) -> Check {
    let Known { now_ms, is_set, offset_ms } = known;
    let time = shown(now_ms);
    let kept = if is_set { "kept by NTP" } else { "nobody sets it" };
    let wrong = |off: String| Finding::new(Problem::ClockWrong).with("off", off);
    match offset_ms {
        Some(offset_ms) if offset_ms.unsigned_abs() > OFF_MS => {
            let off = off(offset_ms);
            let direction = if offset_ms > 0 { "behind" } else { "ahead" };
            let told = shown(now_ms.saturating_add(offset_ms));
            let evidence = format!("{off} {direction}: it shows {time}, the cloud says {told}; {kept}");
            let finding = wrong(off);
            if offset_ms.unsigned_abs() > WRONG_MS {
                Check::found(CLOCK, finding, evidence)
            } else {
                Check::noted(CLOCK, finding, evidence)
            }
        }
        None if now_ms < BUILD_MS => {
            let off = off(BUILD_MS - now_ms);
            Check::found(CLOCK, wrong(off), format!("it shows {time}, before this agent was built; {kept}"))
        }
        offset_ms => {
            let told = offset_ms.map_or_else(
                || "the cloud did not tell its time".to_owned(),
                |offset_ms| format!("{offset_ms} ms from the cloud's"),
            );
            let evidence = format!("it shows {time}, {told}; {kept}");
            if is_set {
                Check::pass(CLOCK, evidence)
            } else {
                Check::found(CLOCK, Finding::new(Problem::ClockUnset), evidence)
            }
        }
    }
}

/// How far it is off; days are for few of them.
fn off(ms: i64) -> String {
    let hundredths = ms.unsigned_abs() / (YEAR_MS / 100);
    if hundredths < 100 {
        duration(ms)
    } else {
        format!("{} ({}.{} years)", duration(ms), hundredths / 100, hundredths / 10 % 10)
    }
}

/// A time as people read it; one beyond what can be shown is the last that can.
pub(super) fn shown(ms: i64) -> String {
    let ms = ms.clamp(0, storepulse_shared::limits::TIME_MAX_MS).unsigned_abs();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    const NOW: i64 = BUILD_MS + 40 * 86_400_000;
    const YEAR: i64 = 31_557_600_000;

    fn judged(now_ms: i64, is_set: bool, offset_ms: Option<i64>) -> (Outcome, Option<Problem>, String) {
        let check = judge(Known { now_ms, is_set, offset_ms });
        (check.outcome, check.finding.map(|f| f.problem), check.evidence)
    }

    #[test]
    fn years_off_are_called_out() {
        let (outcome, problem, said) = judged(NOW, true, Some(2 * YEAR));
        assert_eq!((outcome, problem), (Outcome::Fail, Some(Problem::ClockWrong)));
        assert!(said.starts_with("730 d 12 h (2.0 years) behind"), "{said}");
        let (outcome, _, said) = judged(NOW, false, Some(-3_600_000));
        assert!(outcome == Outcome::Fail && said.starts_with("1 h ahead"), "{said}");
        assert_eq!(judged(NOW, true, Some(30_000)).0, Outcome::Warn);
        let (outcome, problem, _) = judged(0, false, None);
        assert_eq!((outcome, problem), (Outcome::Fail, Some(Problem::ClockWrong)), "it is 1970");
    }

    #[test]
    fn a_good_clock_that_nobody_sets_is_a_note() {
        assert_eq!(judged(NOW, true, Some(200)).0, Outcome::Pass);
        assert_eq!(judged(NOW, true, None).0, Outcome::Pass);
        let (outcome, problem, _) = judged(NOW, false, Some(200));
        assert_eq!((outcome, problem), (Outcome::Warn, Some(Problem::ClockUnset)));
    }
}
