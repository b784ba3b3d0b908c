//! `modbus`: controllers, probes and meters that are asked by Modbus, on an RS-485 line (RTU) or over TCP. Functions 1 to 4
//! only, which read; there is no code here that writes, since with some controllers a write starts a defrost.
//!
//! [`frame`] knows the bytes, [`way`] the line or the connection, [`plan`] makes requests of registers, [`register`] says
//! what the bits of one mean, [`preset`] knows registers of devices.
//!
//! What a unit refuses (exceptions 1 to 3) and what it says to be invalid is counted and left out, and the rest is taken; if
//! nothing is left the reading has failed. All other failures end the reading: a silent unit costs one timeout, not one for
//! each of its requests.

mod frame;
mod plan;
mod preset;
mod register;
mod way;

use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::limits::DEVICE_SERIES_MAX;

use self::frame::{Answer, Request, exception, is_about_the_question};
use self::plan::Group;
use self::register::Register;
use self::way::Way;
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::probe::Introduction;
use super::serial::{Line, PortSettings};
use super::{About, Collector, Context, Sink};

/// The longest that a unit waits for others on its line; they are many, and some may be silent.
const LINE_WAIT_MAX: Duration = Duration::from_secs(30);

/// `modbus:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The line.
    port: Option<PortSettings>,
    /// Or a host.
    tcp: Option<String>,
    #[serde(default = "unit")]
    unit: u8,
    preset: Option<String>,
    #[serde(default)]
    registers: Vec<Register>,
    /// Addresses between two registers of a request that nobody asked for.
    #[serde(default)]
    gap: u16,
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// For one answer.
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

const fn unit() -> u8 {
    1
}

impl Settings {
    /// The preset's registers and the configured ones, which replace those of the same series.
    fn all_registers(&self) -> Result<Vec<Register>, String> {
        let mut all = self.preset.as_deref().map_or(Ok(Vec::new()), preset::find)?;
        all.retain(|known| self.registers.iter().all(|own| own.metric != known.metric));
        all.extend(self.registers.iter().cloned());
        let mut names: Vec<&str> = all.iter().map(|register| register.metric.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("registers: two are both {:?}", twice[0]));
        }
        match all.len() {
            0 => Err("neither preset nor registers are given: nothing to read".to_owned()),
            1..=DEVICE_SERIES_MAX => Ok(all),
            n => Err(format!("registers: {n}, a device has at most {DEVICE_SERIES_MAX}")),
        }
    }

    fn way(&self, ctx: &Context) -> Result<Way, String> {
        match (&self.port, &self.tcp) {
            (Some(port), None) => {
                Ok(Way::line(ctx.ports.bus(ctx.sink.device(), port, Line::eight_n_one(9_600))))
            }
            (None, Some(host)) => Ok(Way::connection(with_port(host))),
            _ => Err("either port or tcp is given".to_owned()),
        }
    }

    fn device(&self, ctx: &Context) -> Result<Device, String> {
        let registers = self.all_registers()?;
        let groups = plan::plan(self.unit, &registers, self.gap);
        Ok(Device { way: self.way(ctx)?, timeout: self.timeout, registers, groups, sink: ctx.sink.clone() })
    }
}

/// 502 is the port of Modbus.
fn with_port(host: &str) -> String {
    // An address of IP version 6 has colons of its own, and stands in brackets.
    let behind = host.rsplit(']').next().unwrap_or(host);
    if behind.contains(':') { host.to_owned() } else { format!("{host}:502") }
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Controllers, probes and meters by Modbus, RTU on a serial line or TCP. Asks with functions 1 to 4, which read; it cannot write.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.energy",
            "hw.humidity",
            "hw.power",
            "hw.temperature",
            "hw.voltage",
            "retail.cabinet.alarm",
            "retail.cabinet.controller.status",
            "retail.cabinet.defrost",
            "retail.cabinet.setpoint",
        ],
        events: &["device.plugged", "device.unplugged"],
        limits: &[
            "An invalid number, a state without a name and an address that the device refuses are counted (`parse`, `exception`), and the other values are taken. The device has a fault if none is left.",
            "A request has at most 125 registers or 2,000 bits. Neighbours share one; each device has at most 200 registers.",
            "Nothing is asked twice: what failed is asked again at the next interval.",
            "Devices of one line share it by the name of its port, which must be written alike, as must its speed, format and `dtr`. No other kind may name that port.",
            "Over TCP each device has a connection of its own, which stays open; a gateway must allow as many as it has devices.",
        ],
        untested: &[
            "parity and speed, and adapters for RS-485 that switch between sending and receiving: pseudo-terminals have none",
            "the maps of the presets: no device was here, and some are only from public pages, as `presets.yaml` says of each; maps differ between models",
        ],
    };
    const SUBJECTS: &'static [Subject] = frame::SUBJECTS;
    const INTRODUCTIONS: &'static [Introduction] = frame::INTRODUCTIONS;
    const SHARES_ITS_LINE: bool = true;
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
        match (&self.port, &self.tcp, self.unit) {
            (Some(_), None, 1..=247) | (None, Some(_), _) => {}
            (Some(_), None, unit) => return Err(format!("unit: {unit}, on a line 1 to 247")),
            _ => return Err("either port or tcp is given".to_owned()),
        }
        self.all_registers().map(|_| ())
    }

    async fn run(&self, ctx: &Context) {
        let mut device = match self.device(ctx) {
            Ok(device) => device,
            Err(why) => return ctx.sink.error(FaultKind::Internal, why),
        };
        // Each question has its own limit; this one is for what no question counts: connecting, or waiting for a turn.
        let questions = u32::try_from(device.groups.len() + 3).unwrap_or(u32::MAX);
        let timeout = self.timeout.saturating_mul(questions).saturating_add(LINE_WAIT_MAX);
        let schedule = Schedule { interval: self.interval, timeout, jitter: self.jitter };
        poll::run(schedule, ctx, &mut device).await;
    }
}

struct Device {
    way: Way,
    timeout: Duration,
    registers: Vec<Register>,
    groups: Vec<Group>,
    sink: Sink,
}

impl Probe for Device {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let (mut reading, mut faults) = (Reading::default(), Vec::new());
        for group in &self.groups {
            match self.way.ask(self.sink.tape(), group.request, self.timeout).await? {
                Answer::Data(data) => {
                    let fault = take(&mut reading, &self.registers, group, &data);
                    faults.extend(fault.map(|fault| self.with_bytes(fault)));
                }
                Answer::Exception(code) if is_about_the_question(code) => {
                    faults.push(self.with_bytes(refused(group.request, code)));
                }
                Answer::Exception(code) => return Err(refused(group.request, code)),
            }
        }
        if reading.values.is_empty()
            && let Some(fault) = faults.pop()
        {
            self.count(faults);
            return Err(fault);
        }
        self.count(faults);
        Ok(reading)
    }

    fn is_gone(&mut self) -> bool {
        self.way.is_gone()
    }
}

impl Device {
    fn count(&self, faults: Vec<Fault>) {
        for fault in faults {
            self.sink.fault(fault);
        }
    }

    /// Before another group is asked: what was said belongs to this one.
    fn with_bytes(&self, fault: Fault) -> Fault {
        Fault { bytes: self.sink.exchange(), ..fault }
    }
}

/// Takes the values of an answer; those that say nothing are one fault.
fn take(reading: &mut Reading, registers: &[Register], group: &Group, data: &[u8]) -> Option<Fault> {
    let mut invalid = Vec::new();
    for register in group.registers.iter().filter_map(|at| registers.get(*at)) {
        match register.value(data, group.request.address) {
            Some(value) => reading.value(register.metric.clone(), value),
            None => invalid.push(register.metric.as_str()),
        }
    }
    let text = || format!("no value: the device gives an invalid number for {}", invalid.join(", "));
    (!invalid.is_empty()).then(|| Fault::new(FaultKind::Parse, text()))
}

fn refused(request: Request, code: u8) -> Fault {
    let Request { unit, table, address, count } = request;
    let (table, why) = (table.name(), exception(code));
    let text = format!("unit {unit} refuses {count} of {table} from {address} on: {why}");
    Fault::new(FaultKind::Exception, text)
}

#[cfg(test)]
mod tests;
