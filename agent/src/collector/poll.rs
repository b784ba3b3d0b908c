//! The pace of everything that is asked: at once, and then on ticks of the box's clock, a little apart from the other devices,
//! within a time limit, less often while nothing answers, and every second while the port is missing.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use super::Context;
use super::asked::Ended;
use super::fault::{Fault, FaultKind};
use super::sink::Tick;
use crate::spool::TICK_WAIT_MAX;
use crate::time::stamp;

/// How often a missing port is looked for, and a present one is looked at while nobody reads.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A first tick that comes within this is waited for: to have been started is no reason to ask twice in a second.
const SOON_MS: i64 = 1_000;
/// Readings that fail in a row before the pace slows down.
const PATIENCE: u32 = 3;
/// The slowest pace of a device that does not answer; one whose interval is longer keeps its interval.
const SLOWEST: Duration = Duration::from_secs(60);

/// How often, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// From one reading to the next.
    pub interval: Duration,
    /// The longest that a reading may take, all its questions together.
    pub timeout: Duration,
    /// Up to this long after its tick a device is read; which part of it is the device's own, always the same. Up to a second,
    /// the reading still has the tick's time.
    pub jitter: Duration,
}

/// What a reading found out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    /// By series.
    pub values: Vec<(String, f64)>,
    /// Kind and text.
    pub events: Vec<(Cow<'static, str>, String)>,
    /// What is no sample: for people on the box.
    pub seen: Vec<(&'static str, f64)>,
}

impl Reading {
    /// Adds a value.
    pub(crate) fn value(&mut self, series: impl Into<String>, value: f64) {
        self.values.push((series.into(), value));
    }

    /// Adds an event.
    pub(crate) fn event(&mut self, kind: impl Into<Cow<'static, str>>, text: impl Into<String>) {
        self.events.push((kind.into(), text.into()));
    }

    /// Adds what was seen and is no sample.
    pub(crate) fn see(&mut self, what: &'static str, value: f64) {
        self.seen.push((what, value));
    }

    /// Adds a state that is yes or no.
    pub(crate) fn flag(&mut self, series: impl Into<String>, is: bool) {
        self.value(series, f64::from(u8::from(is)));
    }
}

/// What is asked.
pub(crate) trait Probe: Send {
    /// Asks once.
    fn read(&mut self) -> impl Future<Output = Result<Reading, Fault>> + Send;

    /// What the last reading found that has times of its own; taken after it, with its values.
    fn dated(&mut self) -> Vec<Tick> {
        Vec::new()
    }

    /// Whether what the device is plugged into has gone while nobody read. Looked at every second, so it must cost nothing.
    fn is_gone(&mut self) -> bool {
        false
    }
}

/// Reads until it is told to stop. The first reading waits for no tick, and has the time at which it is made.
pub(crate) async fn run(schedule: Schedule, ctx: &Context, probe: &mut impl Probe) {
    let mut ticker = ctx.sink.ticker(schedule.interval);
    let offset = offset(ctx, schedule.jitter);
    let mut at_once = (!is_tick_soon(schedule.interval, ctx.sink.now_ms())).then_some(offset);
    let mut trouble = Trouble::default();
    let _serving = ctx.asked.serve(schedule.timeout);
    loop {
        let tick = if let Some(pause) = at_once.take().or_else(|| trouble.pause(schedule)) {
            tokio::select! {
                () = ctx.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => ctx.sink.now_ms(),
                () = ctx.asked.wished() => ctx.sink.now_ms(),
            }
        } else {
            tokio::select! {
                () = ctx.stop.cancelled() => return,
                tick = ticker.tick() => {
                    tokio::select! {
                        () = tokio::time::sleep(offset) => {}
                        () = ctx.asked.wished() => {}
                    }
                    if ctx.asked.is_too_soon() {
                        continue;
                    }
                    tick
                }
                () = ctx.asked.wished() => ctx.sink.now_ms(),
                () = gone(probe) => {
                    trouble.unplugged(ctx, "the port has gone").await;
                    continue;
                }
            }
        };
        if trouble.rests() && !ctx.asked.is_wished() {
            continue;
        }
        ctx.sink.tape().rewind();
        let turn = ctx.asked.begin();
        let read = tokio::select! {
            () = ctx.stop.cancelled() => return,
            read = tokio::time::timeout(schedule.timeout, probe.read()) => read,
        };
        let late = |_| {
            let timeout = humantime::format_duration(schedule.timeout);
            Err(Fault::new(FaultKind::Timeout, format!("not read within {timeout}")))
        };
        let (took, read) = (turn.elapsed(), read.unwrap_or_else(late));
        let good = read.is_ok();
        match read {
            Ok(reading) => {
                trouble.is_over(ctx).await;
                let time_ms = stamp(tick, ctx.sink.now_ms());
                take(ctx, reading, probe.dated(), time_ms).await;
            }
            Err(fault) => trouble.goes_on(ctx, schedule, fault).await,
        }
        let exchange = ctx.sink.ended(good);
        turn.end(&Ended { good, took, exchange });
    }
}

async fn take(ctx: &Context, reading: Reading, mut ticks: Vec<Tick>, time_ms: i64) {
    ticks.push(Tick { time_ms, values: reading.values });
    ctx.sink.saw(&reading.seen);
    ctx.sink.accept(ticks, TICK_WAIT_MAX).await;
    for (kind, text) in reading.events {
        ctx.sink.event(kind, text).await;
    }
}

async fn gone(probe: &mut impl Probe) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if probe.is_gone() {
            return;
        }
    }
}

fn is_tick_soon(interval: Duration, now_ms: i64) -> bool {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    interval_ms - now_ms.rem_euclid(interval_ms) <= SOON_MS
}

/// Devices of one interval are not all read in the same millisecond.
fn offset(ctx: &Context, jitter: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    ctx.sink.device().as_str().hash(&mut hasher);
    jitter.mul_f64(f64::from(u16::try_from(hasher.finish() & 0xffff).unwrap_or_default()) / 65_536.0)
}

/// What a device has been doing wrong, and since when.
#[derive(Debug, Default)]
struct Trouble {
    /// Since when its port was not there; it ends with an answer.
    gone_since: Option<Instant>,
    /// Its port is not there.
    is_missing: bool,
    /// It has been looked for since it went.
    looked: bool,
    /// Failed readings in a row of a port that is there.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Trouble {
    /// How long to wait, if not for the next tick: who has just been plugged in is asked at once, and again soon.
    fn pause(&self, schedule: Schedule) -> Option<Duration> {
        if self.is_missing {
            // Who is pulled and plugged in again within a second is there already.
            return Some(if self.looked { LOOK_AGAIN } else { Duration::ZERO });
        }
        self.gone_since?;
        Some(LOOK_AGAIN.saturating_mul(1 << self.failures.min(16))).filter(|pause| *pause < schedule.interval)
    }

    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| Instant::now() < until)
    }

    async fn unplugged(&mut self, ctx: &Context, why: &str) {
        self.looked = self.is_missing;
        self.is_missing = true;
        let was_there = self.gone_since.is_none();
        self.gone_since.get_or_insert_with(Instant::now);
        self.failures = 0;
        self.rests_until = None;
        ctx.sink.error(FaultKind::MissingPort, why.to_owned());
        ctx.sink.state(FaultKind::MissingPort.state()).await;
        if was_there && ctx.sink.was_good() {
            ctx.sink.event("device.unplugged", why).await;
        }
    }

    async fn goes_on(&mut self, ctx: &Context, schedule: Schedule, fault: Fault) {
        if fault.kind == FaultKind::MissingPort {
            return self.unplugged(ctx, &fault.text).await;
        }
        self.is_missing = false;
        self.failures = self.failures.saturating_add(1);
        if self.failures > PATIENCE {
            let doubled = schedule.interval.saturating_mul(1 << (self.failures - PATIENCE).min(16));
            let slower = doubled.min(SLOWEST.max(schedule.interval));
            // A little less, so that the tick it is for is not missed by a hair.
            self.rests_until = Some(Instant::now() + slower.mul_f64(0.9));
        }
        let state = fault.kind.state();
        ctx.sink.fault(fault);
        ctx.sink.state(state).await;
    }

    async fn is_over(&mut self, ctx: &Context) {
        if let Some(since) = self.gone_since.take() {
            let gap = humantime::format_duration(whole_ms(since.elapsed()));
            ctx.sink.event("device.plugged", format!("it is there, and answers, after {gap}")).await;
        }
        *self = Self::default();
    }
}

/// Whole milliseconds, for people.
pub(crate) fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::DeviceStatus;
    use crate::collector::rig::Rig;
    use crate::time::now_ms;

    /// A device that answers at once.
    struct Ready;

    impl Probe for Ready {
        async fn read(&mut self) -> Result<Reading, Fault> {
            let mut reading = Reading::default();
            reading.value("a", 1.0);
            Ok(reading)
        }
    }

    /// The times of the first readings.
    async fn times<const N: usize>(interval: Duration) -> [i64; N] {
        let rig = Rig::new();
        let (ctx, mut tasks) = (rig.ctx.clone(), tokio::task::JoinSet::new());
        let schedule = Schedule { interval, timeout: interval, jitter: Duration::from_millis(100) };
        tasks.spawn(async move { run(schedule, &ctx, &mut Ready).await });
        let mut times = [0; N];
        for (n, time) in times.iter_mut().enumerate() {
            let has_come = |status: &DeviceStatus| status.samples > n as u64;
            *time = rig.until("a reading", has_come).await.values["a"].t;
        }
        times
    }

    #[tokio::test]
    async fn a_device_is_read_when_the_agent_starts_and_not_at_its_first_tick() {
        let began = now_ms();
        let [first] = times(Duration::from_secs(86_400)).await;
        assert!((began..began + 5_000).contains(&first), "{began}: {first}");
    }

    #[tokio::test]
    async fn what_comes_after_the_first_reading_is_on_ticks() {
        let [first, second] = times(Duration::from_secs(2)).await;
        assert!(first < second && second % 2_000 == 0, "{first}, {second}");
    }

    #[tokio::test]
    async fn a_first_tick_that_comes_soon_is_waited_for() {
        let [first] = times(Duration::from_secs(1)).await;
        assert_eq!(first % 1_000, 0, "{first}");
        for (now_ms, is_soon) in [(60_000, false), (60_001, false), (118_999, false), (119_000, true)] {
            assert_eq!(is_tick_soon(Duration::from_secs(60), now_ms), is_soon, "{now_ms}");
        }
    }
}
