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

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::pattern::Pattern;
use self::splitter::{LINE_BYTES_MAX, Piece, Splitter};
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::listen::{self, Hearing, Listener};
use super::poll::Reading;
use super::serial::{Line, PortSettings};
use super::{About, Collector, Context};

/// `serial_lines:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    port: PortSettings,
    /// No line for this long: the device is stale.
    #[serde(default = "defaults::minutes::<5>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
    /// What its lines mean; the first that matches counts.
    patterns: Vec<Pattern>,
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Any device that prints lines on a serial port; patterns say what they mean. Nothing is ever written to the port.",
        example: include_str!("example.yaml"),
        metrics: &[],
        events: &["device.plugged", "device.unplugged"],
        limits: &[
            "A line of more than 4,096 bytes is skipped up to its end and counted as `framing`.",
            "What matches no pattern is counted as `parse` and forgotten: it may be card data.",
        ],
        untested: &["parity, handshake lines and speed: pseudo-terminals have none"],
    };

    fn lane(&self) -> Lane {
        self.lane
    }

    fn port(&self) -> Option<&PortSettings> {
        Some(&self.port)
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        let hearing =
            Hearing { port: &self.port, expected: Line::eight_n_one(9_600), stale_after: self.stale_after };
        listen::run(hearing, ctx, &mut Lines { patterns: &self.patterns, splitter: Splitter::default() })
            .await;
    }
}

struct Lines<'a> {
    patterns: &'a [Pattern],
    splitter: Splitter,
}

impl Listener for Lines<'_> {
    fn take(&mut self, bytes: &[u8]) -> (Vec<Reading>, Vec<Fault>) {
        let (mut readings, mut faults) = (Vec::new(), Vec::new());
        for piece in self.splitter.push(bytes) {
            match read(self.patterns, piece) {
                Ok(reading) => readings.push(reading),
                Err(fault) => faults.push(fault),
            }
        }
        (readings, faults)
    }

    fn restart(&mut self) {
        self.splitter = Splitter::default();
    }
}

fn read(patterns: &[Pattern], piece: Piece) -> Result<Reading, Fault> {
    let line = match piece {
        Piece::Line(line) => line,
        Piece::TooLong => {
            let text = format!("a line of more than {LINE_BYTES_MAX} bytes; is the baud rate right?");
            return Err(Fault::new(FaultKind::Framing, text));
        }
    };
    match pattern::read(patterns, &line) {
        pattern::Reading::Matched { values, event } => {
            let events = event.into_iter().map(|event| (Cow::Owned(event.kind), event.text)).collect();
            Ok(Reading { values, events, ..Reading::default() })
        }
        pattern::Reading::Unknown => {
            Err(Fault::new(FaultKind::Parse, format!("a line of {} bytes matches no pattern", line.len())))
        }
        pattern::Reading::NotANumber { group } => {
            Err(Fault::new(FaultKind::Parse, format!("group {group:?} is not a number")))
        }
    }
}
