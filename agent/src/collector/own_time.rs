//! Values that come with a time of their own: whether it can be believed.
//!
//! What is asked may answer with a value that it has had for long: with the time of the question that would be a fridge that
//! stands still at -18 degrees for ever. So a time of the value's own is kept. But clocks in shops are wrong, and ours too:
//! a time ahead of ours, or from before clocks were set, says nothing, and the value gets the time at which it was read.
//! Both are by the clock of this box, whatever it shows, since that is what [`Sink`](super::Sink) writes down as having
//! dated everything it takes.

use storepulse_shared::limits::TIME_MIN_MS;

/// How far ahead of our clock a time may be.
const AHEAD_MAX_MS: i64 = 60_000;
/// How old a value may be.
const AGE_MAX_MS: i64 = 24 * 3_600_000;

/// What a time that a value came with is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnTime {
    /// It is the value's, Unix milliseconds.
    Kept(i64),
    /// The clock over there is wrong: the value has the time at which it was read.
    Read,
    /// The value is older than is taken.
    Old,
}

/// Judges a time; both in Unix milliseconds.
pub(crate) const fn judge(own_ms: i64, now_ms: i64) -> OwnTime {
    if own_ms < TIME_MIN_MS || own_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
        OwnTime::Read
    } else if own_ms < now_ms.saturating_sub(AGE_MAX_MS) {
        OwnTime::Old
    } else {
        OwnTime::Kept(own_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    #[test]
    fn a_time_is_believed_from_a_day_ago_to_a_minute_ahead() {
        for own in [NOW, NOW - AGE_MAX_MS, NOW + AHEAD_MAX_MS] {
            assert_eq!(judge(own, NOW), OwnTime::Kept(own));
        }
        assert_eq!(judge(NOW - AGE_MAX_MS - 1, NOW), OwnTime::Old);
        for own in [NOW + AHEAD_MAX_MS + 1, 0, 5_000, -1, i64::MAX, i64::MIN] {
            assert_eq!(judge(own, NOW), OwnTime::Read, "{own}");
        }
        assert_eq!(judge(TIME_MIN_MS, i64::MIN), OwnTime::Read);
    }
}
