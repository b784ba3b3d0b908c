//! What is known of the true time, and what it makes of a time that a wrong clock gave.
//!
//! The truth is a base: a true time minus the boot time at which it was heard. Two marks are kept, so that a clock that
//! drifted through a long outage is corrected along the line between them: a batch from the beginning of the outage by
//! what was true then, one from its end by what is true now.
//!
//! A truth does not twitch. As long as what is heard agrees with what is known, within what both can know, the known
//! value stays: samples of one series must not move against each other because a packet took longer.

use serde::{Deserialize, Serialize};
use storepulse_shared::batch::Clock;

use super::Reading;

/// A clock this close to the truth is right.
pub const TOLERANCE_MS: i64 = 1_000;
/// A round trip longer than this says nothing about the time.
const ROUND_TRIP_MAX_MS: i64 = 10_000;
/// What a truth may be off before it is moved, beyond what both measurements cannot know.
const SIGNIFICANT_MS: i64 = 250;

/// Who told the time. A later one outranks an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// The kernel says that its clock is synchronised.
    Ntp,
    /// The cloud.
    Cloud,
}

/// A time that was told by somebody who knows it.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// By whom.
    pub authority: Authority,
    /// What, Unix milliseconds UTC.
    pub time_ms: i64,
    /// It may be off by this much in itself: half a second for an HTTP `Date`.
    pub coarse_ms: i64,
    /// When it was asked for.
    pub asked: Reading,
    /// When the answer was there.
    pub answered: Reading,
}

/// What was heard once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Up to which boot time it is known to hold.
    boot_ms: i64,
    /// The base of a right clock.
    base_ms: i64,
    /// Which may be off by this much.
    unsure_ms: i64,
}

impl Mark {
    fn of(heard: &Heard) -> Option<Self> {
        let round_trip = heard.answered.boot_ms - heard.asked.boot_ms;
        let boot_ms = heard.asked.boot_ms + round_trip / 2;
        (0..=ROUND_TRIP_MAX_MS).contains(&round_trip).then(|| Self {
            boot_ms,
            base_ms: heard.time_ms.saturating_sub(boot_ms),
            unsure_ms: round_trip / 2 + heard.coarse_ms,
        })
    }

    fn differs_from(&self, other: &Self) -> bool {
        let unsure = self.unsure_ms + other.unsure_ms + SIGNIFICANT_MS;
        self.base_ms.abs_diff(other.base_ms) > unsure.unsigned_abs()
    }
}

/// What is known of the true time of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    authority: Authority,
    /// What held before `latest`, if that was something else.
    before: Option<Mark>,
    latest: Mark,
}

/// What a batch says of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dating {
    /// To be added to them.
    pub offset_ms: i64,
    /// What is known of them then.
    pub clock: Clock,
}

impl Truth {
    /// What is known after something was heard for the first time; `None` if that says nothing.
    #[must_use]
    pub fn first(heard: &Heard) -> Option<Self> {
        Mark::of(heard).map(|latest| Self { authority: heard.authority, before: None, latest })
    }

    /// Takes in what was heard. Says whether what is known changed by that.
    pub fn hear(&mut self, heard: &Heard) -> bool {
        let Some(mark) = Mark::of(heard).filter(|_| heard.authority >= self.authority) else { return false };
        if heard.authority > self.authority {
            // NTP may have been wrong all along.
            *self = Self { authority: heard.authority, before: None, latest: mark };
            return true;
        }
        if mark.differs_from(&self.latest) {
            self.before = Some(self.latest);
            self.latest = mark;
            return true;
        }
        self.latest.boot_ms = self.latest.boot_ms.max(mark.boot_ms);
        let finer = self.latest.unsure_ms > SIGNIFICANT_MS && mark.unsure_ms < self.latest.unsure_ms / 2;
        if finer {
            self.latest = mark;
        }
        finer
    }

    /// By whom.
    #[must_use]
    pub const fn authority(&self) -> Authority {
        self.authority
    }

    /// The base of a right clock, as it was at a boot time.
    #[must_use]
    pub fn base_at(&self, boot_ms: i64) -> i64 {
        let Some(before) = self.before else { return self.latest.base_ms };
        if boot_ms <= before.boot_ms {
            return before.base_ms;
        }
        if boot_ms >= self.latest.boot_ms {
            return self.latest.base_ms;
        }
        let (part, whole) = (boot_ms - before.boot_ms, self.latest.boot_ms - before.boot_ms);
        let drift = i128::from(self.latest.base_ms - before.base_ms) * i128::from(part) / i128::from(whole);
        before.base_ms + i64::try_from(drift).unwrap_or_default()
    }

    /// The true time at a boot time.
    #[must_use]
    pub fn time_at(&self, boot_ms: i64) -> i64 {
        self.base_at(boot_ms).saturating_add(boot_ms)
    }

    /// What a clock of this base is off, around a reading of it: to be added.
    #[must_use]
    pub fn offset_of(&self, base_ms: i64, wall_ms: i64) -> i64 {
        self.base_at(wall_ms.saturating_sub(base_ms)).saturating_sub(base_ms)
    }

    /// What to say of times around `wall_ms` that a clock of this base gave.
    #[must_use]
    pub fn date(&self, base_ms: i64, wall_ms: i64) -> Dating {
        let offset_ms = self.offset_of(base_ms, wall_ms);
        if offset_ms.abs() <= TOLERANCE_MS.max(self.latest.unsure_ms) {
            Dating { offset_ms: 0, clock: Clock::Ok }
        } else {
            Dating { offset_ms, clock: Clock::Repaired }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE_BASE: i64 = 1_763_700_000_000;
    const HOUR: i64 = 3_600_000;

    /// Told by the cloud at a boot time, with a round trip, by a clock that is off by `error`.
    fn told(boot_ms: i64, round_trip: i64, error: i64) -> Heard {
        let at = |boot_ms| Reading { boot_ms, wall_ms: boot_ms };
        let time_ms = TRUE_BASE + boot_ms + round_trip / 2 + error;
        let (asked, answered) = (at(boot_ms), at(boot_ms + round_trip));
        Heard { authority: Authority::Cloud, time_ms, coarse_ms: 0, asked, answered }
    }

    #[test]
    fn a_clock_that_began_in_1970_is_repaired_and_one_that_is_right_is_left_alone() {
        let truth = Truth::first(&told(60_000, 40, 0)).unwrap();
        assert_eq!(truth.date(0, 30_000), Dating { offset_ms: TRUE_BASE, clock: Clock::Repaired });
        for off in [-900, 0, 900] {
            let dating = truth.date(TRUE_BASE + off, TRUE_BASE + 30_000);
            assert_eq!(dating, Dating { offset_ms: 0, clock: Clock::Ok });
        }
        assert_eq!(truth.date(TRUE_BASE + 1_100, TRUE_BASE).offset_ms, -1_100);
    }

    #[test]
    fn a_long_round_trip_says_nothing() {
        assert_eq!(Truth::first(&told(0, ROUND_TRIP_MAX_MS + 1, 0)), None);
        let mut truth = Truth::first(&told(0, 40, 0)).unwrap();
        assert!(!truth.hear(&told(HOUR, ROUND_TRIP_MAX_MS + 1, 1_000_000)));
        assert_eq!(truth.time_at(HOUR), TRUE_BASE + HOUR);
    }

    #[test]
    fn jitter_of_the_link_does_not_move_what_is_known() {
        let mut truth = Truth::first(&told(0, 200, 90)).unwrap();
        for (at, round_trip, error) in [(1_000, 900, -400), (2_000, 20, -5), (3_000, 8_000, 3_000)] {
            assert!(!truth.hear(&told(at, round_trip, error)), "{at}");
        }
        assert_eq!(truth.base_at(0), TRUE_BASE + 90);
    }

    #[test]
    fn a_coarse_date_is_refined_once() {
        let mut truth = Truth::first(&Heard { coarse_ms: 500, ..told(0, 20, 450) }).unwrap();
        assert!(truth.hear(&told(1_000, 20, 3)));
        assert!(!truth.hear(&told(2_000, 2, 0)));
        assert_eq!(truth.base_at(500), TRUE_BASE + 3);
    }

    #[test]
    fn drift_through_an_outage_is_corrected_along_the_line() {
        let mut truth = Truth::first(&told(0, 20, 0)).unwrap();
        assert!(!truth.hear(&told(HOUR, 20, 0)), "known up to here");
        // A hundred hours without the cloud, in which the box lost ten seconds.
        assert!(truth.hear(&told(101 * HOUR, 20, 10_000)));
        let expected = [(0, 0), (HOUR, 0), (51 * HOUR, 5_000), (101 * HOUR, 10_000), (110 * HOUR, 10_000)];
        for (boot_ms, drift) in expected {
            assert!((truth.base_at(boot_ms) - TRUE_BASE - drift).abs() < 5, "{boot_ms}");
        }
    }

    #[test]
    fn the_cloud_outranks_ntp_and_ntp_never_the_cloud() {
        let ntp = |error| Heard { authority: Authority::Ntp, ..told(0, 0, error) };
        let mut truth = Truth::first(&ntp(7_000)).unwrap();
        assert!(truth.hear(&told(HOUR, 20, 0)));
        assert_eq!(truth.base_at(0), TRUE_BASE, "what NTP said is forgotten");
        assert!(!truth.hear(&ntp(7_000)));
    }

    #[test]
    fn it_survives_a_restart() {
        let mut truth = Truth::first(&told(0, 20, 0)).unwrap();
        truth.hear(&told(HOUR, 20, 5_000));
        let text = serde_json::to_string(&truth).unwrap();
        assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), truth);
    }
}
