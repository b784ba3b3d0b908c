//! `snmp`: network gear, printers and UPSs over SNMP (UDP 161), versions 1, 2c and 3, through `snmp2`.
//!
//! Only GET, GETNEXT and GETBULK are sent ([`client`]). A view is what is read together: a few objects of standard tables, each in a
//! file of its name. What a device does not have is left out; a view of which it has nothing is an error, once. Who the device
//! is, and since when it runs, is asked in each reading: a counter that falls must be told from a device that started again, and a
//! device from another at its address.

mod client;
mod counters;
mod error_state;
mod interfaces;
mod label;
mod objects;
mod printer;
mod sensors;
mod settings;
mod system;
mod ups;
mod value;

use std::collections::HashSet;
use std::path::PathBuf;

use storepulse_shared::batch::Lane;
use storepulse_shared::series;

use self::client::Client;
use self::counters::Counters;
pub(super) use self::settings::Settings;
use self::settings::View;
use super::changes::Changes;
use super::fault::{Fault, FaultKind};
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::{About, Collector, Context};
use crate::board::DeviceState;

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Network gear, printers and UPSs over SNMP 1, 2c and 3: views of standard tables, and objects of one's own. \
                  Only GET, GETNEXT and GETBULK are sent.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.battery.charge",
            "hw.battery.time_left",
            "hw.errors",
            "hw.fan.speed",
            "hw.humidity",
            "hw.network.io.receive",
            "hw.network.io.transmit",
            "hw.network.up",
            "hw.power",
            "hw.status",
            "hw.temperature",
            "hw.voltage",
            "retail.device.uptime",
            "retail.printer.cover.open",
            "retail.printer.jammed",
            "retail.printer.lines",
            "retail.printer.offline",
            "retail.printer.pages",
            "retail.printer.paper.state",
            "retail.printer.service",
            "retail.printer.supply.level",
            "retail.printer.toner.state",
            "retail.printer.tray.level",
            "retail.ups.alarms",
            "retail.ups.load",
            "retail.ups.low_battery",
            "retail.ups.on_battery",
            "retail.ups.replace_battery",
        ],
        events: &[
            "device.replaced",
            "device.restarted",
            "printer.cover",
            "printer.jam",
            "printer.offline",
            "printer.paper",
            "printer.service",
            "printer.toner",
            "ups.alarm",
            "ups.battery",
            "ups.low_battery",
            "ups.replace_battery",
        ],
        limits: &[
            "48 interfaces (`interfaces_max`), 4 printers, 24 supplies, 16 trays, 64 sensors, 9 lines of a UPS; more are left out.",
            "An interface whose name could be free text (`[A-Za-z0-9_.:/-]{1,64}`, no number as long as a card's) is left out, and so is a second of the same name; counted as `parse`.",
            "Levels of -1, -2 and -3 (no limit, unknown, some left) are no numbers and are left out.",
            "A wrong community is silence (`timeout`); a wrong user or password of version 3 is `denied`; an object of `oids` that is not there is `unsupported`.",
            "A reading takes at most its interval, and 30 s.",
        ],
        untested: &[
            "tables of real printers, switches and UPSs: makers leave out what they like",
            "md5, sha224, sha384, aes256 and des of version 3",
        ],
    };

    const SUBJECTS: &'static [Subject] = &[value::SUBJECT, error_state::SUBJECT];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.target.clone())
    }

    fn check(&self) -> Result<(), String> {
        Self::check(self)
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.secrets().filter_map(super::secret::Secret::path_mut).collect()
    }

    async fn run(&self, ctx: &Context) {
        let schedule = Schedule { interval: self.interval, timeout: self.reading_max(), jitter: self.jitter };
        poll::run(schedule, ctx, &mut Device::new(self, ctx)).await;
    }
}

/// What a device is, and what is remembered of it.
struct Device<'a> {
    settings: &'a Settings,
    ctx: &'a Context,
    client: Client<'a>,
    identity: system::Identity,
    counters: Counters,
    changes: Changes,
    /// What has been said once.
    noted: HashSet<String>,
}

impl<'a> Device<'a> {
    fn new(settings: &'a Settings, ctx: &'a Context) -> Self {
        Self {
            settings,
            ctx,
            client: Client::new(settings),
            identity: system::Identity::default(),
            counters: Counters::default(),
            changes: Changes::default(),
            noted: HashSet::new(),
        }
    }

    /// Counts what will not change from one reading to the next: once.
    fn note(&mut self, kind: FaultKind, text: String) {
        if self.noted.insert(text.clone()) {
            self.ctx.sink.error(kind, text);
        }
    }

    async fn read_view(&mut self, view: View, reading: &mut Reading) -> Result<(), Fault> {
        match view {
            View::System => {
                self.add_uptime(reading);
                Ok(())
            }
            View::Interfaces => self.read_interfaces(reading).await,
            View::Printer => self.read_printer(reading).await,
            View::Ups => self.read_ups(reading).await,
            View::ApcUps => self.read_apc_ups(reading).await,
            View::Sensors => self.read_sensors(reading).await,
        }
    }
}

impl Probe for Device<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let mut reading = Reading::default();
        self.identify(&mut reading).await?;
        for view in &self.settings.views {
            let before = reading.values.len();
            match self.read_view(*view, &mut reading).await {
                Ok(()) if reading.values.len() == before => {
                    let text = format!("it has nothing of the view {}", view.name());
                    self.note(FaultKind::Unsupported, text);
                }
                Ok(()) => {}
                // It is silent now, or lets us read no more: what is not read is not there.
                Err(fault) if fault.kind.state() == DeviceState::Unreachable => return Err(fault),
                // A defect in one table says nothing of the others.
                Err(fault) => {
                    self.ctx.sink.error(fault.kind, format!("view {}: {}", view.name(), fault.text))
                }
            }
        }
        self.read_objects(&mut reading).await?;
        if reading.values.is_empty() {
            let text = "it answers, and gives nothing of what is asked; see views and oids";
            return Err(Fault::new(FaultKind::Unsupported, text));
        }
        Ok(reading)
    }
}

/// Adds a value of a series with one label.
fn add(reading: &mut Reading, metric: &str, label: Option<(&str, &str)>, value: f64) {
    if let Ok(series) = series::compose(metric, label.as_slice()) {
        reading.value(series, value);
    }
}

/// A name below another.
fn below(base: &[u32], rest: &[u32]) -> value::Name {
    [base, rest].concat()
}

#[cfg(test)]
mod tests;
