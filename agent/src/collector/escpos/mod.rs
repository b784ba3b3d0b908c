//! `escpos`: a receipt printer that understands Epson's ESC/POS, on a serial port or a raw TCP port.
//!
//! It is asked four real-time questions (`DLE EOT`, see [`status`]) and nothing else: no automatic status is enabled, nothing
//! is printed, cut or kicked. On TCP a connection lasts for the four answers only, since many printers take one at a time.
//!
//! The cash drawer is the level of one pin, whose meaning depends on the drawer: it is told only if the configuration says
//! which level is open.

mod status;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::status::{QUESTIONS, Status};
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::link::{self, Question};
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::printer::Watch;
use super::probe::{Introduction, is_answer};
use super::serial::{Bus, Line, PortSettings};
use super::tape::Tape;
use super::{About, Collector, Context};

/// Longest wait for a connection; a printer that is busy would let us wait for a minute.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer is a byte; flow control and automatic status may stand around it.
const ANSWER_BYTES_MAX: usize = 64;

/// `escpos:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default)]
    port: Option<PortSettings>,
    /// `host:port`.
    #[serde(default)]
    tcp: Option<String>,
    #[serde(default = "defaults::seconds::<60>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// For each answer.
    #[serde(default = "defaults::seconds::<1>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    /// Whether it has a sensor for the near end of the paper.
    #[serde(default = "defaults::yes")]
    near_end_sensor: bool,
    #[serde(default)]
    drawer: Option<DrawerSettings>,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrawerSettings {
    open_when: Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    High,
    Low,
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A receipt printer that understands ESC/POS, on a serial or a raw TCP port. It is asked four real-time questions \
                  (`DLE EOT` 1 to 4), which it answers also when it is offline; nothing else is sent.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.status",
            "retail.drawer.open",
            "retail.drawer.opens",
            "retail.printer.cover.open",
            "retail.printer.cutter.error",
            "retail.printer.error",
            "retail.printer.online",
            "retail.printer.paper.state",
        ],
        events: &[
            "printer.cover_closed",
            "printer.cover_open",
            "printer.error",
            "printer.error_over",
            "printer.offline",
            "printer.online",
            "printer.paper_near_end",
            "printer.paper_ok",
            "printer.paper_out",
        ],
        limits: &[
            "`retail.drawer.opens` counts since the agent started, and misses what is opened and closed between two readings.",
            "\"No drawer\" reads like one of the two levels: the printer cannot tell them apart.",
            "A printer without a sensor for the near end says for ever that there is enough paper; set `near_end_sensor: false`.",
            "A port that refuses us, or takes us and does not answer, is reported as busy or wedged: another program may have the \
             only connection.",
            "Star printers in their own mode and impact printers differ; only what Epson's reference gives is read.",
        ],
        untested: &[
            "speed, parity and DTR/DSR flow control: pseudo-terminals have none",
            "which level of the pin a drawer gives when it is open",
            "how a printer behaves towards a till while we are connected",
        ],
    };
    const SUBJECTS: &'static [Subject] = status::SUBJECTS;
    const INTRODUCTIONS: &'static [Introduction] = &[Introduction {
        what: "an ESC/POS printer",
        lines: &Line::EIGHT_N_ONE,
        tcp: Some(9_100),
        request: QUESTIONS[0],
        is_answer: |bytes| is_answer(status::parse(bytes)),
        kind: "escpos",
        settings: &[],
    }];
    const SHOWS_BYTES: bool = true;

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        self.tcp.clone()
    }

    fn port(&self) -> Option<&PortSettings> {
        self.port.as_ref()
    }

    fn check(&self) -> Result<(), String> {
        match (&self.port, &self.tcp) {
            (Some(_), None) => Ok(()),
            (None, Some(tcp)) => match tcp.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(()),
                _ => Err(format!("tcp {tcp:?} is not host:port, such as 192.168.1.50:9100")),
            },
            _ => Err("escpos has either port or tcp".to_owned()),
        }
    }

    async fn run(&self, ctx: &Context) {
        let way = match (&self.port, &self.tcp) {
            (Some(port), _) => Way::Serial(ctx.ports.bus(ctx.sink.device(), port, Line::eight_n_one(9_600))),
            (None, Some(tcp)) => Way::Tcp(tcp.clone()),
            // check() has refused this.
            (None, None) => return,
        };
        let schedule = Schedule {
            interval: self.interval,
            timeout: CONNECT_TIMEOUT + self.timeout * 5,
            jitter: self.jitter,
        };
        let tape = ctx.sink.tape();
        let mut printer =
            Printer { settings: self, way, tape, watch: Watch::default(), drawer: Drawer::default() };
        poll::run(schedule, ctx, &mut printer).await;
    }
}

/// How it is reached.
enum Way {
    Serial(Arc<Bus>),
    Tcp(String),
}

struct Printer<'a> {
    settings: &'a Settings,
    way: Way,
    tape: &'a Tape,
    watch: Watch,
    drawer: Drawer,
}

/// The cash drawer, as far as readings show it.
#[derive(Debug, Default)]
struct Drawer {
    was_open: Option<bool>,
    opens: u32,
}

impl Probe for Printer<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let timeout = self.settings.timeout;
        let answers = match &self.way {
            Way::Serial(bus) => over_serial(bus, self.tape, timeout).await?,
            Way::Tcp(target) => over_tcp(target, self.tape, timeout).await?,
        };
        Ok(self.reading(Status::of(answers)))
    }

    fn is_gone(&mut self) -> bool {
        matches!(&self.way, Way::Serial(bus) if bus.is_gone())
    }
}

impl Printer<'_> {
    fn reading(&mut self, status: Status) -> Reading {
        let mut reading = self.watch.take(status.seen(self.settings.near_end_sensor));
        reading.flag("retail.printer.cutter.error", status.cutter_error);
        // Also without `drawer`: this is how people find out which level is open.
        reading.see("drawer_pin", f64::from(u8::from(status.drawer_high)));
        if let Some(DrawerSettings { open_when }) = self.settings.drawer {
            let open = status.drawer_high == (open_when == Level::High);
            let opens = self.drawer.take(open);
            reading.flag("retail.drawer.open", open);
            reading.value("retail.drawer.opens", f64::from(opens));
        }
        reading
    }
}

impl Drawer {
    /// How often it has been opened. That it is open at first is no opening: nobody knows since when.
    fn take(&mut self, open: bool) -> u32 {
        if open && self.was_open == Some(false) {
            self.opens = self.opens.saturating_add(1);
        }
        self.was_open = Some(open);
        self.opens
    }
}

async fn over_serial(bus: &Bus, tape: &Tape, timeout: Duration) -> Result<[u8; 4], Fault> {
    let mut answers = [0; 4];
    for (answer, question) in answers.iter_mut().zip(QUESTIONS) {
        *answer = bus.ask(tape, question, (Duration::ZERO, timeout), ANSWER_BYTES_MAX, status::parse).await?;
    }
    Ok(answers)
}

/// One connection for the four questions; it is closed when this returns, whatever has happened.
async fn over_tcp(target: &str, tape: &Tape, timeout: Duration) -> Result<[u8; 4], Fault> {
    let mut stream = link::connect(target, CONNECT_TIMEOUT).await.map_err(not_taken)?;
    let mut answers = [0; 4];
    for (answer, bytes) in answers.iter_mut().zip(QUESTIONS) {
        let question =
            Question { bytes, timeout, answer_bytes_max: ANSWER_BYTES_MAX, ended: FaultKind::Refused, tape };
        let answered = link::ask(&mut stream, question, status::parse).await;
        *answer = answered.map_err(|fault| not_answered(target, fault))?;
    }
    Ok(answers)
}

/// A host that refuses is there; one that is silent may be off.
fn not_taken(fault: Fault) -> Fault {
    let what = match fault.kind {
        FaultKind::Refused if fault.text.contains("refused") => {
            "the host answers and the printer is busy or wedged"
        }
        FaultKind::Timeout => "it is off, or busy or wedged; a ping tells which",
        _ => return fault,
    };
    Fault::new(fault.kind, format!("{}: {what}", fault.text))
}

/// It took the connection and says nothing, or let it go.
fn not_answered(target: &str, fault: Fault) -> Fault {
    let what = match fault.kind {
        FaultKind::Refused | FaultKind::Timeout => {
            ": the printer is busy or wedged; does another program have its only connection?"
        }
        _ => "",
    };
    Fault::new(fault.kind, format!("{target}: {}{what}", fault.text))
}

#[cfg(test)]
mod tests;
