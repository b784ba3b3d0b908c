//! What the fleet has had answered, and when.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counters of all agents, and what counts since the return.
#[derive(Debug)]
pub(super) struct Account {
    agents: u64,
    backlog_each: u64,
    arrived: AtomicU64,
    away: AtomicU64,
    admitted: AtomicU64,
    back: Mutex<Back>,
}

#[derive(Debug)]
struct Back {
    since: Instant,
    /// When each batch of a backlog was taken after the return, and its bytes.
    backlog: Vec<(Duration, usize)>,
    received: Received,
}

/// What was answered since the return.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    pub(super) backlog_batches: u64,
    /// From reading to ack, of values read after their agent was admitted.
    pub(super) live: Vec<Duration>,
    pub(super) refused: u64,
    pub(super) unanswered: u64,
}

impl Account {
    pub(super) fn new(agents: usize, backlog_each: u64) -> Self {
        let back = Back { since: Instant::now(), backlog: Vec::new(), received: Received::default() };
        Self {
            agents: agents as u64,
            backlog_each,
            arrived: AtomicU64::new(0),
            away: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            back: Mutex::new(back),
        }
    }

    pub(super) fn agents(&self) -> u64 {
        self.agents
    }

    /// Agents that were answered for the first time.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Relaxed)
    }

    pub(super) fn has_arrived(&self) {
        self.arrived.fetch_add(1, Relaxed);
    }

    /// Agents that have lost their links.
    pub(super) fn away(&self) -> u64 {
        self.away.load(Relaxed)
    }

    pub(super) fn is_away(&self) {
        self.away.fetch_add(1, Relaxed);
    }

    /// Counts from now.
    pub(super) fn begin_return(&self) {
        *self.back() = Back { since: Instant::now(), backlog: Vec::new(), received: Received::default() };
    }

    pub(super) fn has_been_admitted(&self) {
        self.admitted.fetch_add(1, Relaxed);
    }

    pub(super) fn took_backlog(&self, bytes: usize) {
        let mut back = self.back();
        let after = back.since.elapsed();
        back.backlog.push((after, bytes));
        back.received.backlog_batches += 1;
    }

    pub(super) fn took_live(&self, after: Duration) {
        self.back().received.live.push(after);
    }

    pub(super) fn was_refused(&self) {
        self.back().received.refused += 1;
    }

    pub(super) fn was_not_answered(&self) {
        self.back().received.unanswered += 1;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.back().received.backlog_batches == self.agents * self.backlog_each
    }

    pub(super) fn received(&self) -> Received {
        self.back().received.clone()
    }

    /// The rate at which the backlog was taken between its first and its last tenth: before that connections are made, and
    /// after that few agents are left.
    pub(super) fn admitted_bytes_per_s(&self) -> f64 {
        let mut taken = self.back().backlog.clone();
        taken.sort_unstable();
        let (from, to) = (taken.len() / 10, taken.len() * 9 / 10);
        let Some(middle) = taken.get(from..to.max(from + 1)) else { return 0.0 };
        let bytes: usize = middle.iter().map(|(_, bytes)| bytes).sum();
        let span = middle.last().map_or(Duration::ZERO, |(end, _)| *end - middle[0].0);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = bytes as f64 / span.as_secs_f64().max(0.001);
        rate
    }

    fn back(&self) -> MutexGuard<'_, Back> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = self.back();
        let Received { backlog_batches, live, refused, unanswered } = &back.received;
        write!(
            f,
            "{} of {} arrived, {} admitted since; {backlog_batches} of {} batches of backlog, {} live values (the slowest \
             {} ms), {refused} refused, {unanswered} unanswered",
            self.arrived(),
            self.agents,
            self.admitted.load(Relaxed),
            self.agents * self.backlog_each,
            live.len(),
            quantile_ms(live, 1.0),
        )
    }
}

/// The time that so large a part of them did not exceed.
pub(super) fn quantile_ms(times: &[Duration], part: f64) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((sorted.len() as f64 * part).ceil() as usize).saturating_sub(1);
    sorted.get(at).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
