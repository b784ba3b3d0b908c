//! The samples of many series over any range, piece by piece: series after series, and of a long one stretch after stretch.
//!
//! No more than [`PIECE_MAX`] samples are held at once. How many series or how much time makes a piece is guessed from what
//! the pieces before had, and tried again with less where the guess was too high. Most samples lie where they are kept
//! and not in the future, so time outside of that counts as nearly empty: `from=0` costs no thousand empty pieces.

use storepulse_shared::ids::StoreId;
use storepulse_shared::limits::{TIME_MAX_MS, TIME_MIN_MS};

use crate::db::TenantTx;
use crate::samples::{self, Range, ReadError, SeriesSamples};
use crate::store::parameters::TimeRange;

/// Most samples of one piece: 4 MB.
const PIECE_MAX: usize = 250_000;
/// Samples that a piece is meant to have.
const PIECE_MEANT: f64 = 150_000.0;
/// Samples of a series a millisecond, until something is known: one every 30 seconds.
const FIRST_GUESS: f64 = 1.0 / 30_000.0;
/// No guess is lower: samples a millisecond.
const LOWEST_GUESS: f64 = 1.0 / 86_400_000.0;
/// Time where samples are not expected counts so much less than time where they are.
const UNEXPECTED: f64 = 0.001;
const DAY_MS: i64 = 86_400_000;

/// Where samples are expected: as long as the tenant keeps them, and two days more on both sides.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Expected {
    from_ms: i64,
    to_ms: i64,
}

impl Expected {
    pub(in crate::store) fn new(now_ms: i64, retention_days: i32) -> Self {
        Self { from_ms: now_ms - (i64::from(retention_days) + 2) * DAY_MS, to_ms: now_ms + 2 * DAY_MS }
    }

    /// The milliseconds of a range, those where nothing is expected counted for less.
    #[expect(clippy::cast_precision_loss, reason = "a guess")]
    fn weight(self, from_ms: i64, to_ms: i64) -> f64 {
        let all = (to_ms - from_ms + 1).max(0);
        let within = (to_ms.min(self.to_ms) - from_ms.max(self.from_ms) + 1).max(0);
        within as f64 + (all - within) as f64 * UNEXPECTED
    }

    /// The last millisecond of a range that begins here and has at most this weight; never before the beginning.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a guess")]
    fn reach(self, from_ms: i64, to_ms: i64, weight: f64) -> i64 {
        let (mut at, mut left) = (from_ms, weight);
        for (end, worth) in [(self.from_ms - 1, UNEXPECTED), (self.to_ms, 1.0), (i64::MAX, UNEXPECTED)] {
            let end = end.min(to_ms);
            if end < at {
                continue;
            }
            let whole = (end - at + 1) as f64 * worth;
            if whole > left {
                return at.saturating_add((left / worth) as i64).saturating_sub(1).clamp(from_ms, to_ms);
            }
            left -= whole;
            at = end.saturating_add(1);
        }
        to_ms
    }

    /// Days of a range where samples are expected.
    #[expect(clippy::cast_precision_loss, reason = "for comparison with a limit")]
    pub(in crate::store) fn days(self, range: TimeRange) -> f64 {
        self.weight(range.from_ms.max(TIME_MIN_MS), range.to_ms.min(TIME_MAX_MS)) / DAY_MS as f64
    }
}

/// Samples of one series.
#[derive(Debug)]
pub(in crate::store) struct Part {
    /// Its place in the list of series.
    pub series: usize,
    /// In ascending order of time; after those of the part before it, if that was of the same series. May be empty.
    pub samples: SeriesSamples,
    /// Nothing more comes of this series.
    pub is_last: bool,
}

/// Where a walk is.
#[derive(Debug)]
pub(in crate::store) struct Walk {
    /// Each with its store; those of a store are side by side.
    series: Vec<(StoreId, i32)>,
    from_ms: i64,
    to_ms: i64,
    expected: Expected,
    /// The next series, and the time in it.
    at: usize,
    time_ms: i64,
    /// Samples of a series a millisecond.
    guess: f64,
    read: usize,
}

impl Walk {
    /// Over these series in this order.
    pub(in crate::store) fn new(series: Vec<(StoreId, i32)>, range: TimeRange, expected: Expected) -> Self {
        // Samples have no times outside of these.
        let from_ms = range.from_ms.max(TIME_MIN_MS);
        let to_ms = range.to_ms.min(TIME_MAX_MS);
        let at = if from_ms > to_ms { series.len() } else { 0 };
        Self { series, from_ms, to_ms, expected, at, time_ms: from_ms, guess: FIRST_GUESS, read: 0 }
    }

    /// Begins at this time of this series instead.
    pub(in crate::store) fn begin_at(&mut self, series: usize, time_ms: i64) {
        self.at = self.at.max(series);
        self.time_ms = time_ms.clamp(self.from_ms, self.to_ms);
    }

    /// The next series and time; `None` at the end.
    pub(in crate::store) fn place(&self) -> Option<(usize, i64)> {
        (self.at < self.series.len()).then_some((self.at, self.time_ms))
    }

    /// Samples read so far.
    pub(in crate::store) fn read(&self) -> usize {
        self.read
    }

    /// The next piece, meant to have no more than `meant` samples; `None` at the end.
    ///
    /// # Errors
    /// See [`ReadError`]. It is `TooMany` only if one millisecond of one series was received more than [`PIECE_MAX`] times.
    pub(in crate::store) async fn next(
        &mut self,
        tx: &mut TenantTx,
        meant: usize,
    ) -> Result<Option<Vec<Part>>, ReadError> {
        while let Some((store, _)) = self.series.get(self.at) {
            let (count, end_ms) = self.plan(meant);
            let ids: Vec<i32> = self.series[self.at..self.at + count].iter().map(|(_, id)| *id).collect();
            let range = Range { store, series_ids: &ids, from_ms: self.time_ms, to_ms: end_ms };
            match samples::read(tx, range, PIECE_MAX).await {
                Ok(mut found) => {
                    let total: usize = found.values().map(Vec::len).sum();
                    let is_last = end_ms == self.to_ms;
                    let parts = ids.iter().zip(self.at..).map(|(id, series)| Part {
                        series,
                        samples: found.remove(id).unwrap_or_default(),
                        is_last,
                    });
                    let parts = parts.collect();
                    self.learn(total, count, end_ms);
                    self.read += total;
                    if is_last {
                        (self.at, self.time_ms) = (self.at + count, self.from_ms);
                    } else {
                        self.time_ms = end_ms + 1;
                    }
                    return Ok(Some(parts));
                }
                Err(ReadError::TooMany { .. }) if count > 1 || end_ms > self.time_ms => {
                    self.expect_more(count, end_ms);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// How many series, and up to which time: several of one store to the end of the range, or a stretch of one.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess, at least 1"
    )]
    fn plan(&self, meant: usize) -> (usize, i64) {
        let meant = PIECE_MEANT.min(meant as f64).max(1.0);
        let each = self.guess * self.expected.weight(self.time_ms, self.to_ms);
        if each > meant || self.time_ms > self.from_ms {
            return (1, self.expected.reach(self.time_ms, self.to_ms, meant / self.guess));
        }
        let count = (meant / each).max(1.0) as usize;
        let rest = &self.series[self.at..];
        let of_store = rest.iter().take(count).take_while(|(store, _)| *store == rest[0].0).count();
        (of_store, self.to_ms)
    }

    #[expect(clippy::cast_precision_loss, reason = "a guess")]
    fn learn(&mut self, total: usize, count: usize, end_ms: i64) {
        let weight = self.expected.weight(self.time_ms, end_ms) * count as f64;
        self.guess = (1.25 * total as f64 / weight).max(self.guess / 4.0).max(LOWEST_GUESS);
    }

    #[expect(clippy::cast_precision_loss, reason = "a guess")]
    fn expect_more(&mut self, count: usize, end_ms: i64) {
        let weight = self.expected.weight(self.time_ms, end_ms) * count as f64;
        self.guess = (4.0 * self.guess).max(1.5 * PIECE_MAX as f64 / weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    #[test]
    fn what_a_stretch_reaches_has_the_weight_it_was_given() {
        let expected = Expected::new(NOW, 30);
        for (from, weight) in [
            (NOW - DAY_MS, 3_600_000.0),
            (TIME_MIN_MS, 1_000_000.0),
            (expected.from_ms - 1_000_000, 5_000.0),
            (expected.to_ms - 10, 500.0),
            (NOW, 1.0),
        ] {
            let end = expected.reach(from, TIME_MAX_MS, weight);
            let reached = expected.weight(from, end);
            assert!(reached <= weight && reached > weight - 1.001, "{from}: {reached} of {weight}");
        }
        assert_eq!(expected.reach(NOW, NOW + 5, 1_000.0), NOW + 5, "no further than the range");
        assert_eq!(expected.reach(NOW, NOW + 5, 0.1), NOW, "a millisecond at the least");
    }

    #[test]
    fn all_time_is_not_much_more_than_what_is_kept() {
        let expected = Expected::new(NOW, 30);
        let days = expected.days(TimeRange { from_ms: i64::MIN, to_ms: i64::MAX });
        assert!((34.0..80.0).contains(&days), "{days}");
    }

    #[test]
    fn a_piece_is_of_one_store() {
        let [first, second]: [StoreId; 2] = ["T01", "T02"].map(|id| id.parse().unwrap());
        let series = vec![(first.clone(), 1), (first, 2), (second.clone(), 3), (second, 4)];
        let range = TimeRange { from_ms: NOW - 1_000, to_ms: NOW };
        let mut walk = Walk::new(series, range, Expected::new(NOW, 30));
        assert_eq!(walk.plan(usize::MAX), (2, NOW));
        walk.begin_at(3, NOW - 1_000);
        assert_eq!(walk.plan(usize::MAX), (1, NOW));
    }

    #[test]
    fn a_guess_that_was_too_low_makes_the_next_piece_smaller() {
        let store: StoreId = "T01".parse().unwrap();
        let range = TimeRange { from_ms: NOW - 10 * DAY_MS, to_ms: NOW };
        let mut walk =
            Walk::new((0..100).map(|id| (store.clone(), id)).collect(), range, Expected::new(NOW, 30));
        let mut before = walk.plan(usize::MAX);
        assert!(before.0 > 1 && before.1 == NOW, "{before:?}");
        for _ in 0..20 {
            walk.expect_more(before.0, before.1);
            let now = walk.plan(usize::MAX);
            assert!(
                now.0 < before.0 || now.1 < before.1 || now == (1, walk.time_ms),
                "{now:?} after {before:?}"
            );
            before = now;
        }
        assert_eq!(before, (1, walk.time_ms), "a millisecond of one series");
    }
}
