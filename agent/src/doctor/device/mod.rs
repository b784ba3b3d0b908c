//! The devices: where each is found, and whether it answers. While the agent runs it has the ports, and is asked what it knows;
//! otherwise each is read once, in the open.

mod live;
mod port;
mod scratch;
mod target;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storepulse_shared::ids::DeviceId;
use tokio::time::Instant;

use self::scratch::Scratch;
use super::agent::Running;
use super::check::{Check, Outcome};
use crate::collector::{Kind, Ports, Reached};
use crate::config::Config;
use crate::finding::{Finding, Problem};
use crate::time::BoxClock;

pub(super) const ANSWER: &str = "answer";
pub(super) const DEVICES: &str = "devices";
pub(super) const ADAPTERS: &str = "adapters";
/// Of each device: where it is, and whether it answers.
pub(super) const CHECKS_OF_ONE: usize = 2;

/// For all devices, if none runs; those on one port wait for each other.
const LIMIT: Duration = Duration::from_secs(16);
const LIMIT_DEEP: Duration = Duration::from_secs(180);

/// What a look at the devices needs.
pub(super) struct Looker<'a> {
    pub config: &'a Config,
    pub running: &'a Running,
    pub clock: &'a BoxClock,
    pub deep: bool,
}

impl Looker<'_> {
    /// Looks at all, those on different ports at once; tells each pair of checks as it is done.
    pub(super) async fn look(&self, tell: &mut (dyn FnMut(&[Check]) + Send)) -> Vec<Check> {
        let until = Instant::now() + if self.deep { LIMIT_DEEP } else { LIMIT };
        let needs_scratch = self.running.status.is_none() && !self.config.devices.is_empty();
        let scratch = if needs_scratch { Some(Scratch::open(self.clock)) } else { None };
        let mut groups: FuturesUnordered<_> =
            self.groups().into_iter().map(|group| self.look_at(group, scratch.as_ref(), until)).collect();
        let mut found: BTreeMap<&DeviceId, Vec<Check>> = BTreeMap::new();
        while let Some(group) = groups.next().await {
            for (id, checks) in group {
                tell(&checks);
                found.insert(id, checks);
            }
        }
        found.into_values().flatten().collect()
    }

    /// Devices of one port are one group: it has one reader.
    fn groups(&self) -> Vec<Vec<(&DeviceId, &Kind)>> {
        let mut groups: BTreeMap<String, Vec<(&DeviceId, &Kind)>> = BTreeMap::new();
        for (id, kind) in &self.config.devices {
            let name =
                kind.port().map_or_else(|| format!("device {id}"), |port| format!("port {}", port.name));
            groups.entry(name).or_default().push((id, kind));
        }
        groups.into_values().collect()
    }

    async fn look_at<'b>(
        &'b self,
        group: Vec<(&'b DeviceId, &'b Kind)>,
        scratch: Option<&Result<Scratch, String>>,
        until: Instant,
    ) -> Vec<(&'b DeviceId, Vec<Check>)> {
        let mut all = Vec::new();
        for (id, kind) in group {
            let checks = self.look_at_one(id, kind, scratch, until).await;
            all.push((id, checks.map(|check| check.of(id)).into()));
        }
        all
    }

    async fn look_at_one(
        &self,
        id: &DeviceId,
        kind: &Kind,
        scratch: Option<&Result<Scratch, String>>,
        until: Instant,
    ) -> [Check; CHECKS_OF_ONE] {
        let told = self.running.device(id.as_str());
        let is_read = told.is_some_and(|told| told["state"] == "ok");
        let place = self.place(kind, is_read).await;
        if let Some(status) = self.running.status.as_ref().filter(|_| told.is_some()) {
            let port = kind.port().map(|port| port.name.to_string());
            let mut answer = told::judge(id, port.as_deref(), status);
            if place.outcome == Outcome::Fail {
                answer.explained(&format!("explained by its {}", place.name));
            }
            return [place, answer];
        }
        if place.outcome == Outcome::Fail {
            let why = format!("not asked: see its {}", place.name);
            return [place, Check::skipped(ANSWER, why)];
        }
        let answer = match scratch {
            _ if kind.talks_by_itself() => {
                let why = "it talks by itself, and is not asked; use it, and see whether the agent hears it";
                Check::skipped(ANSWER, why)
            }
            Some(Ok(scratch)) => live::ask(scratch, id, kind, until, self.deep).await,
            Some(Err(why)) => Check::skipped(ANSWER, format!("not asked: {why}")),
            None => Check::skipped(
                ANSWER,
                "the running agent does not know it; was it configured since its start?",
            ),
        };
        [place, answer]
    }

    async fn place(&self, kind: &Kind, is_read: bool) -> Check {
        let runs = self.running.status.is_some();
        match kind.reached() {
            Reached::Serial { port, line } => port::look(&Ports::default(), port, line, self.running, is_read),
            Reached::Tcp(target) if is_read => Check::pass(target::TARGET, target),
            Reached::Tcp(target) => target::reached(&target, true).await,
            Reached::Udp(target) => target::reached(&target, false).await,
            Reached::Host(host) => target::named(&host).await,
            Reached::File(path) => target::file(path),
            Reached::Listens(address) if runs => {
                Check::pass(target::TARGET, format!("the agent listens on {address}"))
            }
            Reached::Listens(address) => target::free(address).await,
            Reached::Here => Check::pass(target::TARGET, "this box"),
        }
    }
}

/// Whether there are devices at all, and adapters that are none.
pub(super) fn overview(config: Option<&Config>) -> [Check; 2] {
    let ports = Ports::default();
    let devices = match config {
        None => Check::skipped(DEVICES, "there is no configuration"),
        Some(config) if config.devices.is_empty() => {
            Check::found(DEVICES, Finding::new(Problem::NoDevices), "devices: is empty")
        }
        Some(config) => Check::pass(DEVICES, format!("{} configured", config.devices.len())),
    };
    let known: Vec<_> = config
        .iter()
        .flat_map(|config| config.devices.values())
        .filter_map(|kind| ports.find(&kind.port()?.name).ok())
        .collect();
    let adapters: Vec<_> = ports.list().into_iter().filter(|entry| entry.usb.is_some()).collect();
    let unknown = adapters.iter().find(|entry| config.is_some() && !known.contains(&entry.path));
    let adapters = match unknown {
        Some(entry) => {
            let path = entry.path.display().to_string();
            let usb = entry.usb.as_deref().unwrap_or("-");
            let product = entry.product.as_deref().unwrap_or("no name");
            let finding = Finding::new(Problem::PortUnassigned).with("path", &path);
            Check::found(ADAPTERS, finding, format!("{path} (usb {usb}, {product}) is no device"))
        }
        None => Check::pass(ADAPTERS, format!("{} connected", adapters.len())),
    };
    [devices, adapters]
}
