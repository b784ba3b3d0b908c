//! How fast batches get away, for an estimate of when the spool is empty.
//!
//! Only the time in which something is on its way counts: a shop that has nothing to send is not slow. What is older than
//! half a minute of that time counts less and less.

use std::time::{Duration, Instant};

/// Time on the way after which what was counted counts half.
const WINDOW: Duration = Duration::from_secs(30);
/// Less says nothing.
const LEAST: Duration = Duration::from_millis(20);

/// Bytes that arrived, and how long that took.
#[derive(Debug, Default)]
pub(super) struct Speed {
    /// Something is on its way since then, or since it was last counted.
    busy_since: Option<Instant>,
    busy: Duration,
    bytes: u64,
}

impl Speed {
    /// A request leaves.
    pub(super) fn left(&mut self, now: Instant) {
        self.busy_since.get_or_insert(now);
    }

    /// A request is back, with so many bytes delivered; others are still on their way, or not.
    pub(super) fn landed(&mut self, now: Instant, delivered: usize, others: bool) {
        if let Some(since) = self.busy_since.take() {
            self.busy += now.duration_since(since);
        }
        self.busy_since = others.then_some(now);
        self.bytes += delivered as u64;
        if self.busy > WINDOW {
            (self.busy, self.bytes) = (self.busy / 2, self.bytes / 2);
        }
    }

    /// Bytes a second, once something has arrived.
    pub(super) fn bytes_per_s(&self) -> Option<u64> {
        let ms = u64::try_from(self.busy.max(LEAST).as_millis()).ok()?;
        Some(self.bytes.checked_mul(1_000)? / ms).filter(|per_s| *per_s > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_time_on_the_way_counts() {
        let (mut speed, now) = (Speed::default(), Instant::now());
        assert_eq!(speed.bytes_per_s(), None);
        speed.left(now);
        speed.landed(now + SECOND, 10_000, false);
        assert_eq!(speed.bytes_per_s(), Some(10_000));
        // An hour in which there was nothing to send.
        let later = now + 3_600 * SECOND;
        speed.left(later);
        speed.left(later + SECOND);
        speed.landed(later + 2 * SECOND, 10_000, true);
        speed.landed(later + 3 * SECOND, 20_000, false);
        assert_eq!(speed.bytes_per_s(), Some(10_000));
    }

    #[test]
    fn a_link_that_slows_down_is_noticed() {
        let (mut speed, mut now) = (Speed::default(), Instant::now());
        for (bytes, times) in [(100_000, 100), (1_000, 300)] {
            for _ in 0..times {
                speed.left(now);
                now += SECOND;
                speed.landed(now, bytes, false);
            }
        }
        assert!((900..1_200).contains(&speed.bytes_per_s().unwrap()), "{:?}", speed.bytes_per_s());
        let mut failed = Speed::default();
        failed.left(now);
        failed.landed(now + SECOND, 0, false);
        assert_eq!(failed.bytes_per_s(), None);
    }
}
