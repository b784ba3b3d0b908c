//! `scale`: a weighing scale on a serial port.
//!
//! All protocols but one are asked, and with the request for the weight only: `W`, `W CR`, ENQ and DC1, or STX. What would
//! set the zero, a tare, or start a self-test is not in this file. `cas_stream` is listened to, and nothing is written. What
//! the bytes mean is in [`toledo`], [`nci`] and [`cas`]; [`counts`] makes series of it, whatever the protocol; the pace is
//! that of [`poll`] and [`listen`].

mod asked;
mod cas;
mod counts;
mod nci;
mod stream;
mod toledo;
mod weighing;

use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::asked::Asked;
use self::stream::Stream;
use self::weighing::Unit;
use super::defaults;
use super::listen::{self, Hearing};
use super::parse::Subject;
use super::poll::{self, Schedule};
use super::probe::Introduction;
use super::serial::{Line, PortSettings};
use super::{About, Collector, Context};

/// Most digits after the point.
const DECIMALS_MAX: u8 = 4;

/// `scale:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    port: PortSettings,
    protocol: Protocol,
    /// How often it is asked, or how often what it says by itself is told.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// For each answer.
    #[serde(default = "defaults::seconds::<1>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    /// `cas_stream`: nothing for this long, and the device is stale.
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    /// Where the protocol does not say it.
    #[serde(default = "unit")]
    unit: Unit,
    /// Of Toledo do Brasil, where the weight comes without a point.
    #[serde(default = "decimals")]
    decimals: u8,
    /// A weight below this, either way, is that of an empty platform.
    #[serde(default = "idle_below", rename = "idle_below", deserialize_with = "weighing::mass_kg")]
    idle_below_kg: f64,
    /// Whether weights are told: they are the shop's business.
    #[serde(default)]
    weight: bool,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    #[serde(rename = "toledo_8217")]
    Toledo8217,
    Nci,
    Cas,
    CasStream,
    ToledoBr,
    #[serde(rename = "toledo_br_p06")]
    ToledoBrP06,
}

impl Protocol {
    /// As the manuals have it.
    const fn line(self) -> Line {
        match self {
            Self::Toledo8217 | Self::Nci => Line::seven_e_one(9_600),
            Self::Cas | Self::CasStream | Self::ToledoBr | Self::ToledoBrP06 => Line::eight_n_one(9_600),
        }
    }
}

const fn unit() -> Unit {
    Unit::Kg
}

const fn decimals() -> u8 {
    toledo::DECIMALS
}

const fn idle_below() -> f64 {
    0.02
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A weighing scale on a serial port that no till uses: how often it weighs well, and whether its zero drifts. It is asked for its weight and nothing else; `cas_stream` talks by itself, and nothing is written.",
        example: include_str!("example.yaml"),
        metrics: &[
            "retail.scale.idle.weight",
            "retail.scale.last_weighing.age",
            "retail.scale.overload",
            "retail.scale.reads",
            "retail.scale.underload",
            "retail.scale.unstable",
            "retail.scale.weight",
            "retail.scale.zero",
        ],
        events: &["device.plugged", "device.unplugged"],
        limits: &[
            "Asked are `W` (toledo_8217), `W CR` (nci), ENQ and DC1 (cas), ENQ (toledo_br), STX (toledo_br_p06); never zero, tare, clear or a self-test.",
            "`reads`, `unstable`, `overload` and `underload` count looks at the scale since the agent started: one an interval, or each frame of `cas_stream`. Whatever is wrong between two looks is not seen.",
            "The zero is told only when the scale says it, or weighs exactly nothing without a tare; the idle weight only at rest, without a tare, below `idle_below`.",
            "A weight further below zero than `idle_below` is `underload`, even if the scale calls it stable.",
            "`weight` is off unless it is asked for: what a shop weighs is its business.",
            "Of bytes that are no frame, only their number and the kind of error are kept.",
        ],
        untested: &[
            "real scales: the frames are those of manuals and of published drivers",
            "parity and speed: pseudo-terminals have none; bytes with a parity bit are tested",
            "the length of a status in nci (two to four bytes), and `F` for too much in cas, which one manual has",
        ],
    };

    const INTRODUCTIONS: &'static [Introduction] = asked::INTRODUCTIONS;
    const SHOWS_BYTES: bool = true;
    const SUBJECTS: &'static [Subject] =
        &[toledo::STANDARD, toledo::BRAZIL, nci::ANSWER, cas::READY, cas::ASKED, cas::STREAMED];

    fn port(&self) -> Option<&PortSettings> {
        Some(&self.port)
    }

    fn lane(&self) -> Lane {
        self.lane
    }

    fn check(&self) -> Result<(), String> {
        if self.decimals > DECIMALS_MAX {
            return Err(format!("scale: decimals {} is above {DECIMALS_MAX}", self.decimals));
        }
        if self.protocol == Protocol::CasStream && self.stale_after <= self.interval {
            return Err("scale: stale_after must be longer than interval".to_owned());
        }
        Ok(())
    }

    fn talks_by_itself(&self) -> bool {
        self.protocol == Protocol::CasStream
    }

    async fn run(&self, ctx: &Context) {
        let expected = self.protocol.line();
        if self.protocol == Protocol::CasStream {
            let hearing = Hearing { port: &self.port, expected, stale_after: self.stale_after };
            listen::run(hearing, ctx, &mut Stream::new(self)).await;
            return;
        }
        let bus = ctx.ports.bus(ctx.sink.device(), &self.port, expected);
        let schedule = Schedule {
            interval: self.interval,
            timeout: self.timeout * asked::QUESTIONS_MAX + asked::OPENING_MAX,
            jitter: self.jitter,
        };
        poll::run(schedule, ctx, &mut Asked::new(self, bus, ctx.sink.tape())).await;
    }
}

#[cfg(test)]
mod tests;
