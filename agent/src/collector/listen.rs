//! The pace of what talks by itself on a serial port: whatever comes is read at once, and silence is noticed.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::Context;
use super::fault::{Fault, FaultKind};
use super::poll::{LOOK_AGAIN, Reading, whole_ms};
use super::serial::{Line, Port, PortSettings};
use super::sink::Tick;
use crate::board::DeviceState;
use crate::spool::LINE_WAIT_MAX;

/// Longest wait for a port that somebody else has.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(32);
/// Two readings of one millisecond get times a millisecond apart; beyond this the clock was set back.
const PUSHED_AHEAD_MAX_MS: i64 = 1_000;

/// What makes readings of bytes.
pub(crate) trait Listener: Send {
    /// Bytes that came. Faults are counted and disturb nothing.
    fn take(&mut self, bytes: &[u8]) -> (Vec<Reading>, Vec<Fault>);

    /// How long a pause ends what was begun; then [`Self::pause`] is asked.
    fn gap(&self) -> Option<Duration> {
        None
    }

    /// What a pause makes of it.
    fn pause(&mut self) -> (Vec<Reading>, Vec<Fault>) {
        (Vec::new(), Vec::new())
    }

    /// The port was opened: what was begun on the one before is forgotten.
    fn restart(&mut self);
}

/// Which port, and how long it may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hearing<'a> {
    pub port: &'a PortSettings,
    pub expected: Line,
    /// Nothing that makes a reading for this long: the device is stale, or has a fault if it babbles.
    pub stale_after: Duration,
}

/// Listens until it is told to stop.
pub(crate) async fn run(hearing: Hearing<'_>, ctx: &Context, listener: &mut impl Listener) {
    let mut gone_since: Option<Instant> = None;
    let mut wait = LOOK_AGAIN;
    loop {
        match ctx.ports.open(ctx.sink.device(), hearing.port, hearing.expected).await {
            Ok(port) => {
                if let Some(since) = gone_since.take() {
                    let gap = humantime::format_duration(whole_ms(since.elapsed()));
                    ctx.sink
                        .event("device.plugged", format!("{} is there after {gap}", hearing.port.name))
                        .await;
                }
                listener.restart();
                wait = LOOK_AGAIN;
                let Some(why) = hear(hearing, ctx, listener, port).await else { return };
                // The port has been dropped: only now may anybody look for it again.
                gone_since = Some(Instant::now());
                ctx.sink.error(FaultKind::MissingPort, why.clone());
                ctx.sink.event("device.unplugged", why).await;
            }
            Err(fault) => {
                // A missing path is looked for every second; a port that somebody has is left alone for longer and longer.
                wait = if fault.kind == FaultKind::MissingPort {
                    LOOK_AGAIN
                } else {
                    (wait * 2).min(BUSY_WAIT_MAX)
                };
                ctx.sink.error(fault.kind, fault.text);
                gone_since.get_or_insert_with(Instant::now);
            }
        }
        ctx.sink.state(DeviceState::Unreachable).await;
        tokio::select! {
            () = ctx.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Reads until the port goes away, and returns what happened to it; `None` when it is time to stop. What has been read is
/// accepted before either.
async fn hear(
    hearing: Hearing<'_>,
    ctx: &Context,
    listener: &mut impl Listener,
    mut port: Port,
) -> Option<String> {
    let name = &hearing.port.name;
    let mut clock = LineClock::default();
    let mut buffer = [0; 4_096];
    let mut heard = Instant::now();
    let mut misheard: Option<FaultKind> = None;
    loop {
        let left = hearing.stale_after.checked_sub(heard.elapsed()).filter(|left| !left.is_zero());
        let patience = listener.gap().or(left).unwrap_or(hearing.stale_after);
        let read = tokio::select! {
            () = ctx.stop.cancelled() => return None,
            read = tokio::time::timeout(patience, port.stream.read(&mut buffer)) => read,
        };
        let (readings, faults) = match read {
            Err(_) => listener.pause(),
            // After a hang-up a read returns nothing, at once and for ever.
            Ok(Ok(0)) => return Some(format!("{name} was unplugged")),
            Ok(Err(error)) => return Some(format!("{name} was unplugged: {error}")),
            Ok(Ok(n)) => {
                ctx.sink.tape().rewind();
                ctx.sink.tape().hears(&buffer[..n]);
                listener.take(&buffer[..n])
            }
        };
        misheard = faults.last().map(|fault| fault.kind).or(misheard);
        if !readings.is_empty() {
            (heard, misheard) = (Instant::now(), None);
        } else if heard.elapsed() >= hearing.stale_after {
            // Bytes that nobody understands are no sign of life of this device.
            ctx.sink.state(misheard.map_or(DeviceState::Stale, FaultKind::state)).await;
        }
        for fault in faults {
            ctx.sink.error(fault.kind, fault.text);
        }
        accept(ctx, &mut clock, readings).await;
    }
}

async fn accept(ctx: &Context, clock: &mut LineClock, readings: Vec<Reading>) {
    let (mut ticks, mut events) = (Vec::new(), Vec::new());
    for reading in readings {
        if reading.values.is_empty() {
            // An event alone: nothing of it is accepted below.
            ctx.sink.ended(true);
        } else {
            ctx.sink.saw(&reading.seen);
            ticks.push(Tick { time_ms: clock.stamp(ctx.sink.now_ms()), values: reading.values });
        }
        events.extend(reading.events);
    }
    ctx.sink.accept(ticks, LINE_WAIT_MAX).await;
    for (kind, text) in events {
        ctx.sink.event(kind, text).await;
    }
}

/// Gives every reading a time of its own, so that no two of them are one sample.
#[derive(Debug, Default)]
pub(crate) struct LineClock {
    last_ms: i64,
}

impl LineClock {
    pub(crate) fn stamp(&mut self, now_ms: i64) -> i64 {
        let ahead = self.last_ms - now_ms;
        self.last_ms = if (0..PUSHED_AHEAD_MAX_MS).contains(&ahead) { self.last_ms + 1 } else { now_ms };
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_one_millisecond_have_times_of_their_own() {
        let mut clock = LineClock::default();
        assert_eq!(
            [5_000, 5_000, 5_000, 5_001, 5_010].map(|now| clock.stamp(now)),
            [5_000, 5_001, 5_002, 5_003, 5_010]
        );
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut clock = LineClock::default();
        clock.stamp(1_000_000);
        assert_eq!(clock.stamp(5_000), 5_000);
    }
}
