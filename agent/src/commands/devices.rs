//! `devices`: what should be there and what is: the configured devices with their places, the serial ports with who has them;
//! and, on request, what answers there.
//!
//! How devices answer is asked of the running agent. Without one, and without a configuration, it says less, and works: this
//! is where a shop begins.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use storepulse_shared::ids::DeviceId;

use super::progress::Progress;
use crate::collector::{Found, Plan, Ports, probe_host, probe_port};
use crate::config::Config;
use crate::inventory::{self, Expected, Instead, Inventory, Known, SeenPort, Standing};

/// What to do with them.
#[derive(Debug, Args)]
pub(super) struct DevicesCommand {
    /// Ask what answers: on these ports (/dev/ttyUSB0) and hosts (192.168.1.50), or on every port that nobody has open
    #[arg(long, num_args = 0.., value_name = "PORT|HOST")]
    probe: Option<Vec<String>>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Probed {
    place: String,
    found: Vec<Found>,
    /// Why it could not be asked.
    problem: Option<String>,
}

pub(super) async fn run(
    config: Option<&Config>,
    command: DevicesCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let ports = Ports::default();
    let none = BTreeMap::new();
    let devices = config.map_or(&none, |config| &config.devices);
    let known = match config {
        Some(config) => known(config).await,
        None => BTreeMap::new(),
    };
    let inventory = inventory::look(devices, &ports, &known);
    let mut probed = Vec::new();
    if let Some(places) = command.probe {
        let places = chosen(places, &inventory);
        let plan = places.iter().fold(Plan::default(), |plan, place| plan.and(plan_of(place)));
        let progress = Progress::begin("asking");
        let mut before = 0;
        for place in places {
            let questions = plan_of(&place).questions;
            let tell = |done: usize, what: &str| progress.tell(before + done, plan.questions, what);
            probed.push(probe(&ports, place, &tell).await);
            before += questions;
        }
    }
    if command.json {
        let Inventory { devices, ports } = &inventory;
        let count = inventory.count();
        writeln!(
            out,
            "{}",
            serde_json::json!({ "count": count, "devices": devices, "ports": ports, "probed": probed })
        )?;
    } else {
        tell(&inventory, out)?;
        probed.iter().try_for_each(|probed| tell_probed(probed, out))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a running agent knows of its devices; nothing if none answers.
async fn known(config: &Config) -> BTreeMap<DeviceId, Known> {
    let Ok((200, text)) = super::ask(config, "/status").await else { return BTreeMap::new() };
    let Ok(status) = serde_json::from_str::<serde_json::Value>(&text) else { return BTreeMap::new() };
    let devices = status["devices"].as_object().into_iter().flatten();
    devices.filter_map(|(id, device)| Some((id.parse().ok()?, Known::of_json(device)))).collect()
}

/// All free ports, if nothing was named.
fn chosen(places: Vec<String>, inventory: &Inventory) -> Vec<String> {
    if !places.is_empty() {
        return places;
    }
    let free = inventory.ports.iter().filter(|port| port.is_free());
    free.map(|port| port.entry.stable_name().display().to_string()).collect()
}

fn is_port(place: &str) -> bool {
    place.starts_with('/')
}

fn plan_of(place: &str) -> Plan {
    if is_port(place) { Plan::of_port() } else { Plan::of_host() }
}

async fn probe(ports: &Ports, place: String, tell: &(impl Fn(usize, &str) + Sync)) -> Probed {
    let mut tell = |done: usize, _: usize, what: &str| tell(done, what);
    if !is_port(&place) {
        let found = probe_host(&place, &mut tell).await;
        return Probed { place, found, problem: None };
    }
    match probe_port(ports, &place, &mut tell).await {
        Ok(found) => Probed { place, found: found.into_iter().collect(), problem: None },
        Err(problem) => Probed { place, found: Vec::new(), problem: Some(problem) },
    }
}

fn tell(inventory: &Inventory, out: &mut impl Write) -> std::io::Result<()> {
    let Inventory { devices, ports } = inventory;
    if !devices.is_empty() {
        let count = inventory.count();
        let of_them = (count.answering, count.expected);
        writeln!(
            out,
            "{} of {} devices answer, {} ports unassigned\n",
            of_them.0, of_them.1, count.unassigned
        )?;
        devices.iter().try_for_each(|device| tell_device(device, out))?;
        writeln!(out)?;
    }
    if ports.is_empty() {
        writeln!(out, "no serial port with hardware behind it; is /dev passed into the container?")?;
    }
    ports.iter().try_for_each(|port| tell_port(port, out))
}

fn tell_device(device: &Expected, out: &mut impl Write) -> std::io::Result<()> {
    let place = device.place.as_deref().unwrap_or("this box");
    writeln!(out, "{:<8}  {} ({}) at {place}", device.standing.name(), device.id, device.kind)?;
    match &device.instead {
        Some(Instead::Holder(holder)) => writeln!(out, "    {holder} has the port"),
        Some(Instead::SameMake { name, usb }) => {
            writeln!(out, "    an adapter of this make, {usb}, is at {}", name.display())
        }
        Some(Instead::FreePorts(names)) => {
            let names: Vec<String> = names.iter().map(|name| name.display().to_string()).collect();
            writeln!(out, "    nobody's, perhaps this: {}", names.join(", "))
        }
        Some(Instead::Nothing) => writeln!(out, "    no other adapter is plugged in"),
        Some(Instead::Error(why)) => writeln!(out, "    {why}"),
        None if device.standing == Standing::Unknown => writeln!(out, "    no agent runs that has asked it"),
        None => Ok(()),
    }
}

fn tell_port(port: &SeenPort, out: &mut impl Write) -> std::io::Result<()> {
    let entry = &port.entry;
    let usb = entry.usb.iter().map(|usb| format!("usb {usb}"));
    let product = entry.product.iter().map(|product| format!("{product:?}"));
    let about: Vec<String> = usb.chain(product).collect();
    writeln!(out, "{}  {}", entry.path.display(), about.join(" "))?;
    let devices: Vec<&str> = port.devices.iter().map(DeviceId::as_str).collect();
    let state = match (devices.is_empty(), &entry.holder) {
        (false, Some(holder)) => format!("configured as {}, held by {holder}", devices.join(", ")),
        (false, None) => format!("configured as {}", devices.join(", ")),
        (true, Some(holder)) => format!("held by {holder}"),
        (true, None) => "free, no device of the configuration".to_owned(),
    };
    writeln!(out, "    {state}")?;
    entry.links.iter().try_for_each(|link| writeln!(out, "    {}", link.display()))
}

fn tell_probed(probed: &Probed, out: &mut impl Write) -> std::io::Result<()> {
    let Probed { place, found, problem } = probed;
    match (problem, found.as_slice()) {
        (Some(problem), _) => writeln!(out, "\n{place}: {problem}"),
        (None, []) => writeln!(out, "\n{place}: nothing that we know answers"),
        (None, found) => found.iter().try_for_each(|found| {
            writeln!(
                out,
                "\n# {place}: {}; under devices: in agent.yaml\n{}",
                found.what, found.configuration
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::PortEntry;

    fn port(path: &str, holder: Option<&str>) -> SeenPort {
        let entry = PortEntry {
            path: path.into(),
            links: vec!["/dev/serial/by-path/pci-1".into()],
            usb: Some("1a86:7523".to_owned()),
            product: None,
            holder: holder.map(str::to_owned),
        };
        SeenPort { entry, devices: Vec::new(), reader: None }
    }

    fn inventory() -> Inventory {
        let expected = Expected {
            id: "scale-1".parse().unwrap(),
            kind: "scale",
            place: Some("/dev/serial/by-id/usb-x".to_owned()),
            is_on_a_port: true,
            port: None,
            adapter: None,
            socket: None,
            standing: Standing::Missing,
            known: Known::default(),
            instead: Some(Instead::FreePorts(vec!["/dev/serial/by-path/pci-1".into()])),
        };
        let ports = vec![port("/dev/ttyUSB0", None), port("/dev/ttyUSB1", Some("process 77 (posd)"))];
        Inventory { devices: vec![expected], ports }
    }

    #[test]
    fn the_screen_says_what_is_missing_and_what_is_there_instead() {
        let mut out = Vec::new();
        tell(&inventory(), &mut out).unwrap();
        let screen = String::from_utf8(out).unwrap();
        for line in [
            "0 of 1 devices answer, 1 ports unassigned",
            "missing   scale-1 (scale) at /dev/serial/by-id/usb-x",
            "    nobody's, perhaps this: /dev/serial/by-path/pci-1",
            "    free, no device of the configuration",
            "    held by process 77 (posd)",
        ] {
            assert!(screen.lines().any(|shown| shown == line), "{line:?} is not in\n{screen}");
        }
    }

    #[test]
    fn free_ports_are_asked_under_the_name_that_lasts() {
        assert_eq!(chosen(Vec::new(), &inventory()), ["/dev/serial/by-path/pci-1"]);
        assert_eq!(chosen(vec!["192.0.2.1".to_owned()], &inventory()), ["192.0.2.1"]);
    }
}
