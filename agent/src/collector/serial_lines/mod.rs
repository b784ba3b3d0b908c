//! `serial_lines`: any device that prints lines on a serial port.
//!
//! A line ends with CR, LF or both. It must match a pattern as a whole, so a line whose beginning was missed is not read
//! as something else. Nothing is ever written to the port. What does not match is counted and forgotten, never kept: it
//! may be card data.
//!
//! A port that goes away is dropped first (a held descriptor would make the adapter come back under another name), then
//! looked for every second.

mod pattern;
mod splitter;

use std::time::{Duration, Instant};

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use tokio::io::AsyncReadExt as _;
use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt as _, SerialStream, StopBits};
use tokio_util::sync::CancellationToken;

use self::pattern::{EventSetting, Pattern, Reading};
use self::splitter::{LINE_BYTES_MAX, Piece, Splitter};
use super::Sink;
use super::sink::Tick;
use crate::board::DeviceState;
use crate::spool::LINE_WAIT_MAX;

/// How often a missing port is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Two lines of one millisecond get times a millisecond apart; beyond this the clock was set back.
const PUSHED_AHEAD_MAX_MS: i64 = 1_000;

/// `serial_lines:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The device file, best a stable name such as `/dev/serial/by-id/…`.
    pub port: String,
    /// Bits a second.
    #[serde(default = "baud")]
    pub baud: u32,
    /// 7 or 8.
    #[serde(default = "data_bits", deserialize_with = "seven_or_eight")]
    pub data_bits: DataBits,
    /// none, even or odd.
    #[serde(default)]
    pub parity: ParityName,
    /// 1 or 2.
    #[serde(default = "stop_bits", deserialize_with = "one_or_two")]
    pub stop_bits: StopBits,
    /// No line for this long: the device is stale.
    #[serde(default = "stale_after", deserialize_with = "crate::config::duration")]
    pub stale_after: Duration,
    /// The lane of its samples.
    #[serde(default = "lane")]
    pub lane: Lane,
    /// What its lines mean; the first that matches counts.
    pub patterns: Vec<Pattern>,
}

/// Parity as it stands in the configuration.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParityName {
    /// No parity bit.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

const fn baud() -> u32 {
    9_600
}

const fn data_bits() -> DataBits {
    DataBits::Eight
}

const fn stop_bits() -> StopBits {
    StopBits::One
}

const fn stale_after() -> Duration {
    Duration::from_secs(300)
}

const fn lane() -> Lane {
    Lane::Normal
}

fn seven_or_eight<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DataBits, D::Error> {
    match u8::deserialize(deserializer)? {
        7 => Ok(DataBits::Seven),
        8 => Ok(DataBits::Eight),
        n => Err(serde::de::Error::custom(format_args!("{n} data bits: 7 or 8"))),
    }
}

fn one_or_two<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<StopBits, D::Error> {
    match u8::deserialize(deserializer)? {
        1 => Ok(StopBits::One),
        2 => Ok(StopBits::Two),
        n => Err(serde::de::Error::custom(format_args!("{n} stop bits: 1 or 2"))),
    }
}

pub(super) async fn run(settings: &Settings, sink: &Sink, stop: &CancellationToken) {
    let mut gone_since: Option<Instant> = None;
    loop {
        match open(settings) {
            Ok(port) => {
                if let Some(since) = gone_since.take() {
                    // Whole milliseconds, by a clock that nobody can set.
                    let gap =
                        Duration::from_millis(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
                    let gap = humantime::format_duration(gap);
                    sink.event("device.plugged", format!("{} is back after {gap}", settings.port)).await;
                }
                let Some(why) = read(settings, sink, port, stop).await else { return };
                // The port has been dropped: only now may anybody look for it again.
                gone_since = Some(Instant::now());
                sink.error("missing_port", why.clone());
                sink.event("device.unplugged", why).await;
            }
            Err(error) => {
                sink.error(kind_of(&error), format!("cannot open {}: {error}", settings.port));
                gone_since.get_or_insert_with(Instant::now);
            }
        }
        sink.state(DeviceState::Unreachable).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

fn open(settings: &Settings) -> Result<SerialStream, tokio_serial::Error> {
    let parity = match settings.parity {
        ParityName::None => Parity::None,
        ParityName::Even => Parity::Even,
        ParityName::Odd => Parity::Odd,
    };
    tokio_serial::new(&settings.port, settings.baud)
        .data_bits(settings.data_bits)
        .parity(parity)
        .stop_bits(settings.stop_bits)
        .flow_control(FlowControl::None)
        .open_native_async()
}

fn kind_of(error: &tokio_serial::Error) -> &'static str {
    match error.kind() {
        tokio_serial::ErrorKind::NoDevice => "missing_port",
        tokio_serial::ErrorKind::Io(std::io::ErrorKind::NotFound) => "missing_port",
        _ => "busy_port",
    }
}

/// Reads lines until the port goes away, and returns what happened to it; `None` when it is time to stop. What has been
/// read is accepted before either.
async fn read(
    settings: &Settings,
    sink: &Sink,
    mut port: SerialStream,
    stop: &CancellationToken,
) -> Option<String> {
    let mut splitter = Splitter::default();
    let mut clock = LineClock::default();
    let mut buffer = [0; 4_096];
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => return None,
            read = tokio::time::timeout(settings.stale_after, port.read(&mut buffer)) => read,
        };
        let bytes = match read {
            Err(_) => {
                sink.state(DeviceState::Stale).await;
                continue;
            }
            // After a hang-up a read returns nothing, at once and for ever.
            Ok(Ok(0)) => return Some(format!("{} was unplugged", settings.port)),
            Ok(Err(error)) => return Some(format!("{}: {error}", settings.port)),
            Ok(Ok(n)) => &buffer[..n],
        };
        let (ticks, events) = read_lines(settings, sink, &mut clock, splitter.push(bytes));
        sink.accept(ticks, LINE_WAIT_MAX).await;
        for event in events {
            sink.event(&event.kind, event.text).await;
        }
    }
}

fn read_lines(
    settings: &Settings,
    sink: &Sink,
    clock: &mut LineClock,
    pieces: Vec<Piece>,
) -> (Vec<Tick>, Vec<EventSetting>) {
    let mut ticks = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Line(line) => match pattern::read(&settings.patterns, &line) {
                Reading::Matched { values, event } => {
                    if !values.is_empty() {
                        ticks.push(Tick { time_ms: clock.stamp(sink.now_ms()), values });
                    }
                    events.extend(event);
                }
                Reading::Unknown => {
                    sink.error("parse", format!("a line of {} bytes matches no pattern", line.len()));
                }
                Reading::NotANumber { group } => {
                    sink.error("parse", format!("group {group:?} is not a number"));
                }
            },
            Piece::TooLong => {
                sink.error(
                    "framing",
                    format!("a line of more than {LINE_BYTES_MAX} bytes; is the baud rate right?"),
                );
            }
        }
    }
    (ticks, events)
}

/// Gives every line a time of its own, so that no two of them are one sample.
#[derive(Debug, Default)]
struct LineClock {
    last_ms: i64,
}

impl LineClock {
    fn stamp(&mut self, now_ms: i64) -> i64 {
        let ahead = self.last_ms - now_ms;
        self.last_ms = if (0..PUSHED_AHEAD_MAX_MS).contains(&ahead) { self.last_ms + 1 } else { now_ms };
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_millisecond_have_times_of_their_own() {
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
