//! Where a collector's readings go: into the spool, durably, and onto the board.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storepulse_shared::batch::{Column, Event, Frame, Lane};
use storepulse_shared::ids::DeviceId;
use storepulse_shared::limits::DEVICE_SERIES_MAX;
use tokio_util::sync::CancellationToken;

use super::Kind;
use super::fault::{Fault, FaultKind};
use super::tape::Tape;
use crate::board::{Board, DeviceState, Exchange, LastError};
use crate::spool::{Spool, SpoolError};
use crate::time::{BoxClock, Ticker};

/// How long a collector waits before it offers the same reading to a spool that failed.
const RETRY: Duration = Duration::from_secs(1);

/// One device's way to the spool.
#[derive(Debug, Clone)]
pub struct Sink {
    device: DeviceId,
    kind: &'static str,
    lane: Lane,
    spool: Spool,
    board: Arc<Board>,
    clock: BoxClock,
    stop: CancellationToken,
    tape: Tape,
    /// Whether each value and each fault is an attempt: nobody else counts them, since the device is not asked.
    counts: bool,
    /// What it has given so far.
    series: Arc<Mutex<HashSet<String>>>,
}

/// Values that share a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// Unix milliseconds UTC.
    pub time_ms: i64,
    /// Series and value.
    pub values: Vec<(String, f64)>,
}

impl Sink {
    pub(crate) fn new(
        device: DeviceId,
        kind: &'static str,
        lane: Lane,
        spool: Spool,
        board: Arc<Board>,
        clock: BoxClock,
        stop: CancellationToken,
    ) -> Self {
        board.add(&device, kind);
        let (tape, counts) = (Tape::default(), true);
        Self { device, kind, lane, spool, board, clock, stop, tape, counts, series: Arc::default() }
    }

    /// The same, with what depends on the kind.
    pub(super) fn of_kind(self, kind: &Kind) -> Self {
        Self { tape: Tape::of(kind.shows_bytes()), counts: kind.talks_by_itself(), ..self }
    }

    /// What the clock of the box shows: the only time that a collector may give a reading.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Ticks on the clock of the box.
    pub(crate) fn ticker(&self, interval: Duration) -> Ticker {
        Ticker::on(self.clock.clone(), interval)
    }

    /// Accepts ticks; returns once they are durable. While the spool fails it waits here, so that nothing that was read is
    /// dropped; the device's own buffers take what comes meanwhile. The clock is read once, right after the reading, since
    /// it says which clock dated the ticks: it may be set at any time.
    ///
    /// Until then they may wait this long for others to share a commit with: [`TICK_WAIT_MAX`](crate::spool::TICK_WAIT_MAX)
    /// if the device was asked, [`LINE_WAIT_MAX`](crate::spool::LINE_WAIT_MAX) if it says by itself what it has to say.
    ///
    /// `false` only if it was told to stop while the spool failed: then they are not durable.
    pub(crate) async fn accept(&self, mut ticks: Vec<Tick>, wait_max: Duration) -> bool {
        self.keep_all_that_fits(&mut ticks);
        if ticks.is_empty() {
            return true;
        }
        let is_durable = self.store(&ticks, wait_max).await;
        if is_durable {
            self.state(DeviceState::Ok).await;
            self.came(&ticks);
        }
        is_durable
    }

    /// The same of values that are told again although nothing came: no attempt.
    pub(crate) async fn repeat(&self, ticks: Vec<Tick>, wait_max: Duration) -> bool {
        Self { counts: false, ..self.clone() }.accept(ticks, wait_max).await
    }

    /// The same of readings that do not show that the device is well: old ones, or one that says that nobody answers.
    /// Says whether there was anything to keep.
    pub(crate) async fn keep(&self, mut ticks: Vec<Tick>, wait_max: Duration) -> bool {
        self.keep_all_that_fits(&mut ticks);
        let is_kept = !ticks.is_empty() && self.store(&ticks, wait_max).await;
        if is_kept {
            self.came(&ticks);
        }
        is_kept
    }

    /// The same for somebody who keeps what is not accepted, and comes again: tried once. Returns how many values were left
    /// out, which are counted.
    ///
    /// # Errors
    /// Nothing of it was accepted.
    pub(crate) async fn offer(&self, mut ticks: Vec<Tick>, wait_max: Duration) -> Result<usize, SpoolError> {
        let left_out = self.keep_all_that_fits(&mut ticks);
        if !ticks.is_empty() {
            let frames = ticks.iter().map(|tick| self.frame(tick)).collect();
            self.spool.append_within(wait_max, self.lane, frames, self.now_ms()).await?;
            self.show(&ticks);
            self.state(DeviceState::Ok).await;
            self.came(&ticks);
        }
        Ok(left_out)
    }

    async fn store(&self, ticks: &[Tick], wait_max: Duration) -> bool {
        let read_ms = self.now_ms();
        let frames: Vec<Frame<'static>> = ticks.iter().map(|tick| self.frame(tick)).collect();
        let is_durable =
            self.insist(|| self.spool.append_within(wait_max, self.lane, frames.clone(), read_ms)).await;
        if is_durable {
            self.show(ticks);
        }
        is_durable
    }

    fn show(&self, ticks: &[Tick]) {
        for tick in ticks {
            let values: Vec<(&str, f64)> = tick.values.iter().map(|(s, v)| (s.as_str(), *v)).collect();
            self.board.good(&self.device, tick.time_ms, &values);
        }
    }

    fn keep_all_that_fits(&self, ticks: &mut Vec<Tick>) -> usize {
        let count = |ticks: &[Tick]| ticks.iter().map(|tick| tick.values.len()).sum::<usize>();
        let before = count(ticks);
        ticks.iter_mut().for_each(|tick| self.keep_what_fits(tick));
        ticks.retain(|tick| !tick.values.is_empty());
        before - count(ticks)
    }

    /// A value must be a number, and a device has so many series: what is beyond is counted and left out, the rest is taken.
    fn keep_what_fits(&self, tick: &mut Tick) {
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut beyond, mut no_number) = (0_usize, 0_usize);
        tick.values.retain(|(series, value)| {
            let is_known = known.contains(series);
            if !is_known && known.len() >= DEVICE_SERIES_MAX {
                beyond += 1;
                return false;
            }
            if !value.is_finite() {
                no_number += 1;
                return false;
            }
            if !is_known {
                known.insert(series.clone());
            }
            true
        });
        drop(known);
        if beyond > 0 {
            let text =
                format!("{beyond} values of new series left out: a device has at most {DEVICE_SERIES_MAX}");
            self.error(FaultKind::TooManySeries, text);
        }
        if no_number > 0 {
            self.error(FaultKind::Parse, format!("{no_number} values are no numbers"));
        }
    }

    /// Accepts an event about the device.
    pub(crate) async fn event(&self, kind: impl Into<Cow<'static, str>>, text: impl Into<String>) {
        let seen_ms = self.now_ms();
        let event = Event {
            device: self.device.to_string().into(),
            t: seen_ms,
            kind: kind.into(),
            text: text.into().into(),
        };
        self.insist(|| self.spool.record(vec![event.clone()], seen_ms)).await;
    }

    /// Notes a failed reading. The text must not hold what the device said: it may be card data.
    pub(crate) fn error(&self, kind: FaultKind, text: String) {
        self.fault(Fault::new(kind, text));
    }

    /// The same with the bytes that belong to it; if it has none, those that were said last.
    pub(crate) fn fault(&self, fault: Fault) {
        let (kind, text, at_ms) = (fault.kind.name(), fault.text, self.now_ms());
        tracing::debug!(device = %self.device, kind, text, "reading failed");
        let bytes = fault.bytes.or_else(|| self.tape.exchange(at_ms));
        if self.counts {
            self.board.ended(&self.device, 0, 1, bytes.clone());
        }
        self.board.failed(&self.device, LastError { at_ms, kind, text, bytes });
    }

    /// Notes that a reading has ended, well or not; it is an attempt. What was said is shown, if it may be, and returned.
    pub(crate) fn ended(&self, is_good: bool) -> Option<Exchange> {
        let exchange = self.tape.exchange(self.now_ms());
        let good = u64::from(is_good);
        self.board.ended(&self.device, good, 1 - good, exchange.clone());
        exchange
    }

    /// Notes what a good reading saw that is no sample: for people on the box, it goes nowhere else.
    pub(crate) fn saw(&self, seen: &[(&'static str, f64)]) {
        self.board.saw(&self.device, seen);
    }

    /// Where the bytes of its line go.
    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// What was last said on its line, if that may be shown.
    pub(crate) fn exchange(&self) -> Option<Exchange> {
        self.tape.exchange(self.now_ms())
    }

    /// Something came of a device that is not asked.
    fn came(&self, ticks: &[Tick]) {
        if self.counts {
            let goods = ticks.len() as u64;
            self.board.ended(&self.device, goods, 0, self.exchange());
        }
    }

    /// Whether it has ever given a good reading since the agent started.
    pub(crate) fn was_good(&self) -> bool {
        self.board.was_good(&self.device)
    }

    /// Whose readings these are.
    pub(crate) fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Notes a state; a change of it is a sample of the critical lane.
    pub(crate) async fn state(&self, state: DeviceState) {
        if !self.board.state(&self.device, state) {
            return;
        }
        if self.counts && state == DeviceState::Stale {
            // It was silent for too long.
            self.board.ended(&self.device, 0, 1, None);
        }
        tracing::info!(device = %self.device, ?state, "device state");
        let seen_ms = self.now_ms();
        let tick = Tick { time_ms: seen_ms, values: vec![("agent.device.state".to_owned(), state.value())] };
        let frames = vec![self.frame(&tick)];
        self.insist(|| self.spool.append(Lane::Critical, frames.clone(), seen_ms)).await;
    }

    fn frame(&self, tick: &Tick) -> Frame<'static> {
        let columns = tick
            .values
            .iter()
            .map(|(series, value)| Column { series: series.clone().into(), values: vec![*value] });
        Frame {
            device: self.device.to_string().into(),
            kind: self.kind.into(),
            times: vec![tick.time_ms],
            columns: columns.collect(),
        }
    }

    /// `false` if it was told to stop before it succeeded.
    async fn insist<F>(&self, mut call: impl FnMut() -> F) -> bool
    where
        F: Future<Output = Result<(), SpoolError>>,
    {
        while let Err(error) = call().await {
            tracing::error!(device = %self.device, %error, "the spool did not take a reading; trying again");
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::rig::Rig;

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_left_out_and_the_rest_is_taken() {
        let rig = Rig::new();
        let give = async |values: Vec<(String, f64)>| {
            rig.ctx.sink.accept(vec![Tick { time_ms: 1, values }], Duration::ZERO).await;
            rig.status()
        };
        let numbered = |n: usize| (format!("s{n}"), 1.0);
        // What is no number takes no place from another.
        let mut values = vec![("none".to_owned(), f64::NAN)];
        values.extend((1..DEVICE_SERIES_MAX).map(numbered));
        let status = give(values).await;
        assert_eq!((status.samples, status.errors.get("parse")), (199, Some(&1)));
        let (last, beyond) = (numbered(DEVICE_SERIES_MAX), numbered(DEVICE_SERIES_MAX + 1));
        let status = give(vec![last, beyond, numbered(1), ("s2".to_owned(), f64::INFINITY)]).await;
        assert_eq!(status.samples, 201, "the last new one, and one that is known");
        let counted = ["parse", "too_many_series"].map(|kind| status.errors.get(kind).copied());
        assert_eq!(counted, [Some(2), Some(1)]);
        assert!(status.last_error.is_some_and(|error| error.text == "1 values are no numbers"));
    }
}
