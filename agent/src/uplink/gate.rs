//! When the next request may leave, and what it may carry.
//!
//! After a failure everything waits, and then one request goes alone to see. Where the cloud asked to wait, what is more
//! urgent than the refused batch still goes: it has room of its own there. So what is fresh does not wait for the backlog,
//! nor what is critical for either; if it was critical itself, everything waits. The backlog goes at the pace that the
//! cloud gives, after a random time at the start, so that a region whose power comes back does not arrive at once.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use storepulse_shared::answer::Pace;
use storepulse_shared::limits::RETRY_AFTER_MAX;

use crate::spool::Reach;

/// Requests on their way at once, while all goes well.
const IN_FLIGHT_MAX: usize = 4;
/// The same while their bodies together are small: over a long way few of them would leave the link idle.
const SMALL_IN_FLIGHT_MAX: usize = 8;
const SMALL_BYTES: usize = 64 << 10;
/// The slowest pace that the cloud can give, bytes a second.
const PACE_MIN: u64 = 1_024;

/// Decides what may leave and when. Pure: the time comes from outside.
#[derive(Debug)]
pub struct Gate {
    /// Nothing leaves before.
    closed_until: Option<Instant>,
    /// Only critical batches leave before.
    waiting_until: Option<Instant>,
    /// The backlog stays before.
    backlog_from: Instant,
    backlog_bytes_per_s: u64,
    /// The last answer was a good one.
    is_good: bool,
}

impl Gate {
    /// The backlog waits for a random part of `spread`.
    pub fn new(now: Instant, spread: Duration) -> Self {
        Self {
            closed_until: None,
            waiting_until: None,
            backlog_from: now + rand::rng().random_range(Duration::ZERO..=spread),
            backlog_bytes_per_s: u64::MAX,
            is_good: false,
        }
    }

    /// How far down the order the next request may reach, with so many on their way and so many bytes in them.
    pub fn reach(&self, now: Instant, in_flight: usize, bytes: usize) -> Option<Reach> {
        let most = match self.is_good {
            true if bytes < SMALL_BYTES => SMALL_IN_FLIGHT_MAX,
            true => IN_FLIGHT_MAX,
            false => 1,
        };
        if in_flight >= most || self.closed_until.is_some_and(|until| now < until) {
            return None;
        }
        Some(if self.waiting_until.is_some_and(|until| now < until) {
            Reach::Critical
        } else if now < self.backlog_from {
            Reach::Fresh
        } else {
            Reach::Backlog
        })
    }

    /// When more may leave than now.
    pub fn opens(&self, now: Instant) -> Option<Instant> {
        let all = [self.closed_until, self.waiting_until, Some(self.backlog_from)];
        all.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether the last answer was a good one.
    pub fn is_good(&self) -> bool {
        self.is_good
    }

    /// Whether it is closed already: a second failure of requests that left together says nothing new.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }

    /// A request was answered well.
    pub fn open(&mut self) {
        self.is_good = true;
        self.closed_until = None;
    }

    /// Nothing leaves for this time.
    pub fn close(&mut self, now: Instant, wait: Duration) {
        self.is_good = false;
        self.closed_until = Some(now + wait);
    }

    /// The cloud asked to wait, in answer to a batch that needs this reach.
    pub fn wait(&mut self, now: Instant, wait: Duration, refused: Reach) {
        let until = now + wait;
        match refused {
            Reach::Critical => {
                // A good answer to another batch that was on its way opens it for critical ones, and for no others.
                self.closed_until = Some(until);
                self.waiting_until = Some(until);
            }
            Reach::Fresh => self.waiting_until = Some(until),
            Reach::Backlog => self.backlog_from = self.backlog_from.max(until),
        }
    }

    /// The key is another one: try it at once.
    pub fn reopen(&mut self) {
        self.closed_until = None;
    }

    /// The cloud gave a pace for the backlog.
    pub fn pace(&mut self, now: Instant, pace: &Pace) {
        self.backlog_bytes_per_s = pace.backlog_bytes_per_s.max(PACE_MIN);
        let start = Duration::from_millis(pace.start_in_ms).min(RETRY_AFTER_MAX);
        self.backlog_from = self.backlog_from.max(now + start);
    }

    /// So many bytes of the backlog have left.
    pub fn backlog_left(&mut self, now: Instant, bytes: usize) {
        let takes = Duration::from_micros(bytes as u64 * 1_000_000 / self.backlog_bytes_per_s.max(1));
        self.backlog_from = self.backlog_from.max(now) + takes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate(now: Instant) -> Gate {
        Gate::new(now, Duration::ZERO)
    }

    #[test]
    fn one_goes_alone_until_an_answer_was_good() {
        let now = Instant::now();
        let mut gate = gate(now);
        assert_eq!(
            (gate.reach(now, 0, SMALL_BYTES), gate.reach(now, 1, SMALL_BYTES)),
            (Some(Reach::Backlog), None)
        );
        gate.open();
        assert_eq!(
            (gate.reach(now, 3, SMALL_BYTES), gate.reach(now, 4, SMALL_BYTES)),
            (Some(Reach::Backlog), None)
        );
        assert_eq!((gate.reach(now, 7, 9_000), gate.reach(now, 8, 9_000)), (Some(Reach::Backlog), None));
        gate.close(now, SECOND);
        assert_eq!((gate.reach(now, 0, SMALL_BYTES), gate.opens(now)), (None, Some(now + SECOND)));
        assert_eq!(
            (gate.reach(now + SECOND, 0, SMALL_BYTES), gate.reach(now + SECOND, 1, SMALL_BYTES)),
            (Some(Reach::Backlog), None)
        );
    }

    #[test]
    fn what_is_more_urgent_than_the_refused_goes_on() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.open();
        gate.wait(now, SECOND, Reach::Backlog);
        assert_eq!(gate.reach(now, 0, SMALL_BYTES), Some(Reach::Fresh));
        gate.wait(now, SECOND, Reach::Fresh);
        assert_eq!(gate.reach(now, 0, SMALL_BYTES), Some(Reach::Critical));
        assert_eq!(gate.reach(now + SECOND, 0, SMALL_BYTES), Some(Reach::Backlog));
        let mut gate = self::gate(now);
        gate.wait(now, SECOND, Reach::Critical);
        assert_eq!(gate.reach(now, 0, SMALL_BYTES), None);
        gate.open();
        assert_eq!(gate.reach(now, 0, SMALL_BYTES), Some(Reach::Critical), "another one was answered well");
    }

    #[test]
    fn the_backlog_keeps_the_pace_and_what_is_fresh_does_not_wait_for_it() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.pace(now, &Pace { backlog_bytes_per_s: 10_000, start_in_ms: 2_000 });
        assert_eq!(
            (gate.reach(now, 0, SMALL_BYTES), gate.opens(now)),
            (Some(Reach::Fresh), Some(now + 2 * SECOND))
        );
        gate.backlog_left(now + 2 * SECOND, 5_000);
        assert_eq!(gate.opens(now), Some(now + 2 * SECOND + SECOND / 2));
        gate.pace(now, &Pace { backlog_bytes_per_s: 0, start_in_ms: u64::MAX });
        assert!(gate.opens(now).is_some_and(|at| at <= now + RETRY_AFTER_MAX), "clamped");
    }

    #[test]
    fn the_backlog_begins_at_a_random_time() {
        let now = Instant::now();
        let begins: Vec<_> = (0..50).map(|_| Gate::new(now, 60 * SECOND).opens(now)).collect();
        assert!(begins.iter().flatten().all(|at| *at <= now + 60 * SECOND));
        assert!(begins.iter().any(|at| *at != begins[0]));
    }
}
