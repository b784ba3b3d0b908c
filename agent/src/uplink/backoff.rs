//! How long to wait before the next attempt.
//!
//! Full jitter below a cap: the wait is random between nothing and a bound that doubles up to the cap. Jitter is applied
//! after the cap, so that a thousand shops that lost the same link do not come back in step.

use std::time::Duration;

use rand::RngExt as _;

/// The first bound.
const BASE: Duration = Duration::from_millis(500);
/// Least time between two attempts, so that a jitter of nothing is no busy loop.
const LEAST: Duration = Duration::from_millis(50);

/// The state of one sequence of attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    cap: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(cap: Duration) -> Self {
        Self { cap, failures: 0 }
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt failed: how long to wait.
    pub(super) fn wait(&mut self) -> Duration {
        let bound = self.bound();
        self.failures = self.failures.saturating_add(1);
        rand::rng().random_range(Duration::ZERO..=bound).max(LEAST)
    }

    fn bound(&self) -> Duration {
        BASE.saturating_mul(1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX)).min(self.cap)
    }
}

/// A wait that the cloud asked for, with up to a tenth more, so that not everybody comes at once.
pub fn asked(wait: Duration) -> Duration {
    let more = (wait / 10).max(Duration::from_millis(500));
    wait + rand::rng().random_range(Duration::ZERO..=more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_over_everything_below_the_cap() {
        let cap = Duration::from_secs(60);
        let mut backoff = Backoff::new(cap);
        for _ in 0..20 {
            assert!(backoff.wait() <= cap);
        }
        let waits: Vec<f64> = (0..2_000).map(|_| backoff.wait().as_secs_f64()).collect();
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((27.0..33.0).contains(&mean), "mean {mean} s: the jitter does not fill the cap");
        backoff.reset();
        assert!(backoff.wait() <= BASE.max(LEAST));
    }

    #[test]
    fn what_the_cloud_asks_for_is_never_cut_short() {
        for _ in 0..100 {
            let wait = asked(Duration::from_secs(10));
            assert!((Duration::from_secs(10)..=Duration::from_secs(11)).contains(&wait));
        }
    }
}
