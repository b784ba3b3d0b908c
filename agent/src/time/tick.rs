//! The wall clock, and ticks on it.
//!
//! Ticks fall on whole multiples of their interval, so that devices read at the same pace share their times, which
//! halves what is sent and stored. A reading within a second of its tick has the tick's time, a later one its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::BoxClock;

/// How late a reading may be and still count as its tick's.
const TICK_TOLERANCE_MS: i64 = 1_000;

/// The wall clock of the system, Unix milliseconds UTC. Samples are dated by [`BoxClock::now_ms`], which tests can set.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time of a reading that was due at `tick_ms` and made at `read_ms`.
#[must_use]
pub fn stamp(tick_ms: i64, read_ms: i64) -> i64 {
    if (read_ms - tick_ms).abs() <= TICK_TOLERANCE_MS { tick_ms } else { read_ms }
}

/// Wakes at every multiple of an interval.
#[derive(Debug)]
pub struct Ticker {
    interval_ms: i64,
    last_ms: i64,
    clock: Option<BoxClock>,
}

impl Ticker {
    /// With this interval, on the system's clock; it must be at least a millisecond.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval_ms: i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1),
            last_ms: i64::MIN,
            clock: None,
        }
    }

    /// The same on the clock of the box.
    #[must_use]
    pub fn on(clock: BoxClock, interval: Duration) -> Self {
        Self { clock: Some(clock), ..Self::new(interval) }
    }

    /// Waits for the next tick and returns its time. Ticks that were missed are not made up for.
    pub async fn tick(&mut self) -> i64 {
        loop {
            let now = self.now_ms();
            let tick = self.due_after(now);
            let wait = u64::try_from(tick - now).unwrap_or_default();
            if wait > 0 {
                // In short pieces, so that a clock that is set forward is noticed.
                tokio::time::sleep(Duration::from_millis(wait.min(1_000))).await;
            }
            if self.now_ms() >= tick {
                self.last_ms = tick;
                return tick;
            }
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.as_ref().map_or_else(now_ms, BoxClock::now_ms)
    }

    /// The first multiple at or after now that was not served yet; a clock that was set back begins afresh.
    fn due_after(&self, now: i64) -> i64 {
        let tick = now.div_euclid(self.interval_ms) * self.interval_ms;
        let tick = if tick < now { tick.saturating_add(self.interval_ms) } else { tick };
        if tick == self.last_ms { tick.saturating_add(self.interval_ms) } else { tick }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_fall_on_multiples_and_none_is_served_twice() {
        let mut ticker = Ticker::new(Duration::from_secs(30));
        assert_eq!(ticker.due_after(60_000), 60_000);
        assert_eq!(ticker.due_after(60_001), 90_000);
        ticker.last_ms = 60_000;
        assert_eq!(ticker.due_after(60_000), 90_000);
        assert_eq!(ticker.due_after(10_000), 30_000);
    }

    #[test]
    fn a_reading_has_its_ticks_time_only_while_it_is_close() {
        assert_eq!(stamp(60_000, 60_015), 60_000);
        assert_eq!(stamp(60_000, 61_000), 60_000);
        assert_eq!(stamp(60_000, 61_001), 61_001);
    }

    #[tokio::test]
    async fn a_ticker_ticks() {
        let mut ticker = Ticker::new(Duration::from_millis(20));
        let first = ticker.tick().await;
        let second = ticker.tick().await;
        assert!(first % 20 == 0 && second > first && second % 20 == 0);
    }
}
