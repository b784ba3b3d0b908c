//! What comes of messages: samples with the right time, and a state that follows measurements.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::super::Context;
use super::super::fault::{Fault, FaultKind};
use super::super::listen::LineClock;
use super::super::parse::Unread;
use super::super::sink::Tick;
use super::format::Topics;
use super::report::{Report, Stamp};
use super::{Settings, availability};
use crate::board::DeviceState;
use crate::spool::LINE_WAIT_MAX;

/// How far a time may be ahead of ours, and how far behind.
const AHEAD_MAX_MS: i64 = 60_000;
const BEHIND_MAX_MS: i64 = 7 * 86_400_000;
/// Times of a series that are remembered, to know a message that comes again.
const TIMES_KEPT: usize = 8;
/// Series of which they are remembered; of more, the sink takes none.
const SERIES_KEPT: usize = storepulse_shared::limits::DEVICE_SERIES_MAX;

/// When a report was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// It says so itself.
    Dated(i64),
    /// It has just come.
    Now,
}

pub(super) struct Sensor<'a> {
    settings: &'a Settings,
    ctx: &'a Context,
    topics: Topics,
    /// When it last measured.
    measured: Option<Instant>,
    started: Instant,
    stale_told: bool,
    /// Which of the availability topics say that it is not there.
    offline: HashSet<String>,
    unreachable: bool,
    clock: LineClock,
    seen: Seen,
}

impl<'a> Sensor<'a> {
    pub(super) fn new(settings: &'a Settings, ctx: &'a Context) -> Self {
        Self {
            settings,
            ctx,
            topics: settings.format.topics(settings),
            measured: None,
            started: Instant::now(),
            stale_told: false,
            offline: HashSet::new(),
            unreachable: false,
            clock: LineClock::default(),
            seen: Seen::default(),
        }
    }

    /// What to subscribe to.
    pub(super) fn topics(&self) -> impl Iterator<Item = &String> {
        self.topics.reports.iter().chain(&self.topics.availability)
    }

    /// When it becomes stale, unless it is known to be gone, or stale already.
    pub(super) fn stale_at(&self) -> Option<Instant> {
        let silent = !self.stale_told && !self.unreachable && self.offline.is_empty();
        silent.then(|| self.measured.unwrap_or(self.started) + self.settings.stale_after)
    }

    pub(super) async fn is_stale(&mut self) {
        self.stale_told = true;
        self.ctx.sink.state(DeviceState::Stale).await;
    }

    /// The connection has ended, or was not made.
    pub(super) async fn lost(&mut self, fault: Fault) {
        self.unreachable = true;
        let state = fault.kind.state();
        self.ctx.sink.error(fault.kind, fault.text);
        self.ctx.sink.state(state).await;
    }

    /// The broker is there: the device is what it was before, or what it has become meanwhile.
    pub(super) async fn subscribed(&mut self) {
        self.settle().await;
    }

    /// A message of any of the topics.
    pub(super) async fn message(&mut self, topic: &str, payload: &[u8], retained: bool) {
        if self.topics.availability.iter().any(|known| known == topic) {
            self.availability(topic, payload).await;
        } else if self.topics.reports.iter().any(|known| known == topic) {
            self.report(payload, retained).await;
        }
    }

    async fn availability(&mut self, topic: &str, payload: &[u8]) {
        match availability::parse(payload) {
            Ok((true, _)) => {
                if self.offline.remove(topic) {
                    self.settle().await;
                }
            }
            Ok((false, _)) => {
                if self.offline.insert(topic.to_owned()) {
                    let text = format!("{topic} says that it is offline");
                    self.ctx.sink.error(FaultKind::Timeout, text);
                    self.settle().await;
                }
            }
            Err(_) => {
                let text = format!("{topic} says neither online nor offline, in {} bytes", payload.len());
                self.ctx.sink.error(FaultKind::Parse, text);
            }
        }
    }

    /// The state without a new measurement.
    async fn settle(&mut self) {
        let is_fresh = self.measured.is_some_and(|at| at.elapsed() < self.settings.stale_after);
        if !self.offline.is_empty() {
            self.unreachable = true;
            self.ctx.sink.state(DeviceState::Unreachable).await;
        } else if std::mem::take(&mut self.unreachable) {
            self.stale_told = !is_fresh;
            self.ctx.sink.state(if is_fresh { DeviceState::Ok } else { DeviceState::Stale }).await;
        }
    }

    async fn report(&mut self, payload: &[u8], retained: bool) {
        let report = match self.settings.format.parse(self.settings, payload) {
            Ok((report, _)) => report,
            Err(Unread::Need(_)) => return self.refused(FaultKind::Parse, payload, retained).await,
            Err(Unread::Bad(kind)) => return self.refused(kind, payload, retained).await,
        };
        let Report { stamp, mut values, measures, faults } = report;
        let failed = faults.first().map(|fault| fault.kind.state());
        for fault in faults {
            self.ctx.sink.error(fault.kind, fault.text);
        }
        let now_ms = self.ctx.sink.now_ms();
        let Some(when) = self.when(stamp, retained, now_ms) else { return };
        let (time_ms, age) = match when {
            When::Dated(time_ms) => {
                values.retain(|(series, _)| self.seen.is_new(series, time_ms));
                (time_ms, Duration::from_millis(u64::try_from(now_ms - time_ms).unwrap_or_default()))
            }
            When::Now => (self.clock.stamp(now_ms), Duration::ZERO),
        };
        let came = !values.is_empty();
        let kept = self.ctx.sink.keep(vec![Tick { time_ms, values }], LINE_WAIT_MAX).await;
        if kept && measures {
            self.measured(age, retained).await;
        } else if let (Some(state), false) = (failed, retained || (came && measures)) {
            self.unreachable = false;
            self.ctx.sink.state(state).await;
        }
    }

    async fn refused(&mut self, kind: FaultKind, payload: &[u8], retained: bool) {
        let text = format!("a message of {} bytes is not understood; is the format right?", payload.len());
        self.ctx.sink.error(kind, text);
        if !retained {
            self.unreachable = false;
            self.ctx.sink.state(kind.state()).await;
        }
    }

    /// It has measured, that long ago.
    async fn measured(&mut self, age: Duration, retained: bool) {
        // On a box that was started just now there is no instant of before; it is old then in any case.
        let at = Instant::now().checked_sub(age);
        self.measured = self.measured.max(at);
        if !retained {
            // Whoever measures is there, whatever is said of it.
            self.offline.clear();
        }
        if !self.offline.is_empty() {
            return;
        }
        let is_fresh = age < self.settings.stale_after;
        if is_fresh {
            self.stale_told = false;
            self.unreachable = false;
            self.ctx.sink.state(DeviceState::Ok).await;
        } else if self.measured == at {
            self.unreachable = false;
            self.is_stale().await;
        }
    }

    /// When a report was measured; nothing, if that is not known.
    fn when(&self, stamp: Stamp, retained: bool, now_ms: i64) -> Option<When> {
        let said = match stamp {
            Stamp::Utc(ms) => Some(ms),
            Stamp::Zoneless(ms) => {
                self.settings.utc_offset.map(|offset| ms - i64::from(offset.whole_seconds()) * 1_000)
            }
            Stamp::Absent => None,
        };
        let plausible = said.filter(|ms| (now_ms - BEHIND_MAX_MS..=now_ms + AHEAD_MAX_MS).contains(ms));
        match plausible {
            Some(ms) => Some(When::Dated(ms)),
            None => (!retained).then_some(When::Now),
        }
    }
}

/// The last times of each series.
#[derive(Debug, Default)]
struct Seen {
    times: HashMap<String, VecDeque<i64>>,
}

impl Seen {
    /// Whether there has been no value of this series and time.
    fn is_new(&mut self, series: &str, time_ms: i64) -> bool {
        let Some(times) = self.times.get_mut(series) else {
            if self.times.len() < SERIES_KEPT {
                self.times.insert(series.to_owned(), VecDeque::from([time_ms]));
            }
            return true;
        };
        if times.contains(&time_ms) {
            return false;
        }
        if times.len() == TIMES_KEPT {
            times.pop_front();
        }
        times.push_back(time_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_series_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a", 1) && seen.is_new("b", 1) && seen.is_new("a", 2));
        assert!(!seen.is_new("a", 1) && !seen.is_new("a", 2));
        for time in 3..20 {
            assert!(seen.is_new("a", time));
        }
        assert!(seen.times["a"].len() <= TIMES_KEPT);
    }
}
