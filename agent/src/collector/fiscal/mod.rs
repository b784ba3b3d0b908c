//! `fiscal`: fiscal printers of Latin America, their status only.
//!
//! What is sent: for HKA ENQ ([`hka::ENQ`]) and, if counters are wanted, the upload S1 ([`hka::S1`]); for Bematech command 13
//! ([`bematech::STATUS`]); for Hasar and Epson command 2A ([`argentina::request`]), and for Hasar the ACK of its answer. No
//! report, no close, no document, ever. Amounts of sales are not read even where an answer holds them.
//!
//! The tables come from published drivers that may share an ancestor; no printer was at hand.

mod argentina;
mod bematech;
mod hka;
mod offset;
mod status;
mod wire;

use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::argentina::{Maker, Numbers};
use self::offset::UtcOffset;
use self::status::{FiscalWatch, Status};
use self::wire::{CLEAR_TIMEOUT, Wire};
use super::defaults;
use super::fault::Fault;
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::serial::{Line, PortSettings};
use super::{About, Collector, Context};

/// How much longer a reading may take while the printer says that it is still at work.
const WORK_MAX: Duration = Duration::from_secs(30);

/// `fiscal:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    protocol: Protocol,
    port: PortSettings,
    #[serde(default)]
    handshake: Handshake,
    /// Whether counters are read too.
    #[serde(default)]
    counters: bool,
    /// What the printer's clock shows, against UTC.
    #[serde(default)]
    utc_offset: Option<UtcOffset>,
    #[serde(default = "defaults::seconds::<60>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// For each answer.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Hka,
    Bematech,
    Hasar,
    Epson,
}

/// What stands before each question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Handshake {
    #[default]
    None,
    RtsCts,
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A fiscal printer of Latin America (The Factory HKA, Bematech, Hasar, Epson of Argentina): its status only. It is \
                  never asked for a report, a close or a document.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.status",
            "retail.printer.clock.skew",
            "retail.printer.cover.open",
            "retail.printer.document.open",
            "retail.printer.error",
            "retail.printer.fiscal.close.needed",
            "retail.printer.fiscal.closings",
            "retail.printer.fiscal.memory.state",
            "retail.printer.online",
            "retail.printer.paper.state",
        ],
        events: &[
            "printer.cover_closed",
            "printer.cover_open",
            "printer.error",
            "printer.error_over",
            "printer.fiscal_memory",
            "printer.offline",
            "printer.online",
            "printer.paper_near_end",
            "printer.paper_ok",
            "printer.paper_out",
        ],
        limits: &[
            "What a protocol does not tell is left out: the cover is told by hasar only, whether it is online by hasar and epson, \
             the near end of the paper by all but hka, paper that is out by all but hasar.",
            "hka gives one code at a time: while it speaks of the last command, it says nothing of paper.",
            "Counters are read from hka only, and not while a document is open. New firmware (sixteen fields) gives its clock but \
             not the closes: published drivers disagree about which field counts them.",
            "Amounts of sales are never read.",
            "A printer that says that it is still at work is waited for half a minute longer than its answers may take.",
        ],
        untested: &[
            "all four protocols: there is no independent program for them, so byte vectors and a simulator of ours are all \
             that they have met",
            "8E1, RTS and CTS: pseudo-terminals have none",
            "how a printer behaves towards a till on another of its ports",
        ],
    };
    const SUBJECTS: &'static [Subject] = &[
        hka::SUBJECTS[0],
        hka::SUBJECTS[1],
        bematech::SUBJECTS[0],
        argentina::SUBJECTS[0],
        argentina::SUBJECTS[1],
    ];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn port(&self) -> Option<&PortSettings> {
        Some(&self.port)
    }

    fn check(&self) -> Result<(), String> {
        if self.counters && self.protocol != Protocol::Hka {
            return Err("counters are read from the protocol hka only".to_owned());
        }
        if self.utc_offset.is_some() && !self.counters {
            return Err("utc_offset is for counters: true".to_owned());
        }
        Ok(())
    }

    async fn run(&self, ctx: &Context) {
        let expected = match self.protocol {
            Protocol::Hka => Line::eight_e_one(9_600),
            Protocol::Bematech | Protocol::Hasar | Protocol::Epson => Line::eight_n_one(9_600),
        };
        let wire = Wire {
            ctx,
            settings: &self.port,
            expected,
            handshake: self.handshake,
            timeout: self.timeout,
            port: None,
        };
        let maker = if self.protocol == Protocol::Hasar { Maker::Hasar } else { Maker::Epson };
        let mut printer = Printer {
            settings: self,
            wire,
            watch: FiscalWatch::default(),
            maker,
            numbers: Numbers::new(maker),
        };
        let schedule = Schedule {
            interval: self.interval,
            timeout: (CLEAR_TIMEOUT + self.timeout) * 2 + WORK_MAX,
            jitter: self.jitter,
        };
        poll::run(schedule, ctx, &mut printer).await;
    }
}

struct Printer<'a> {
    settings: &'a Settings,
    wire: Wire<'a>,
    watch: FiscalWatch,
    maker: Maker,
    numbers: Numbers,
}

impl Probe for Printer<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let status = match self.settings.protocol {
            Protocol::Hka => self.wire.ask(hka::ENQ, |_| false, hka::parse).await?,
            Protocol::Bematech => self.wire.ask(bematech::STATUS, |_| false, bematech::parse).await?,
            Protocol::Hasar | Protocol::Epson => self.argentina().await?,
        };
        let mut reading = self.watch.take(status);
        if self.settings.counters && status.document_open == Some(false) {
            self.counters(&mut reading).await;
        }
        Ok(reading)
    }

    fn is_gone(&mut self) -> bool {
        self.wire.is_gone()
    }
}

impl Printer<'_> {
    async fn argentina(&mut self) -> Result<Status, Fault> {
        let (maker, number) = (self.maker, self.numbers.take());
        let parse = |bytes: &[u8]| argentina::parse(bytes, maker, number);
        let status = self.wire.ask(&argentina::request(number), argentina::works, parse).await?;
        if maker == Maker::Hasar {
            self.wire.say(argentina::ACK).await?;
        }
        Ok(status)
    }

    /// What the counters say. If they cannot be had, that is counted; the status has been read all the same.
    async fn counters(&mut self, reading: &mut Reading) {
        match self.wire.ask(hka::S1, |_| false, hka::parse_counters).await {
            Ok(counters) => {
                if let Some(closings) = counters.closings {
                    reading.value("retail.printer.fiscal.closings", f64::from(closings));
                }
                if let Some(offset) = self.settings.utc_offset {
                    let skew = offset.skew_s(counters.clock_s, self.wire.ctx.sink.now_ms());
                    reading.value("retail.printer.clock.skew", skew);
                }
            }
            Err(fault) => self.wire.ctx.sink.error(fault.kind, format!("counters: {}", fault.text)),
        }
    }
}

#[cfg(test)]
mod tests;
