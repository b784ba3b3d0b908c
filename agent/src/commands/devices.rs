//! `devices`: which serial ports there are, what is behind them and who has them; and, on request, what answers there.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::say;
use crate::collector::{Found, PortEntry, Ports, probe_host, probe_port};
use crate::config::Config;

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

/// A port, and what is known of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: PortEntry,
    /// The device that it is in the configuration.
    device: Option<String>,
}

#[derive(Serialize)]
struct Probed {
    place: String,
    found: Vec<Found>,
    /// Why it could not be asked.
    problem: Option<String>,
}

/// Without a configuration it says less, and works: this is where a shop begins.
pub(super) async fn run(
    config: Option<&Config>,
    command: DevicesCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let ports = Ports::default();
    let entries = ports.list();
    let shown: Vec<Shown> =
        entries.into_iter().map(|entry| Shown { device: device_of(config, &entry.path), entry }).collect();
    let mut probed = Vec::new();
    if let Some(places) = command.probe {
        for place in chosen(places, &shown) {
            probed.push(probe(&ports, place).await);
        }
    }
    if command.json {
        writeln!(out, "{}", serde_json::json!({ "ports": shown, "probed": probed }))?;
    } else {
        tell(&shown, out)?;
        probed.iter().try_for_each(|probed| tell_probed(probed, out))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All free ports, if nothing was named.
fn chosen(places: Vec<String>, shown: &[Shown]) -> Vec<String> {
    if !places.is_empty() {
        return places;
    }
    let free = shown.iter().filter(|port| port.entry.holder.is_none());
    free.map(|port| port.entry.path.display().to_string()).collect()
}

async fn probe(ports: &Ports, place: String) -> Probed {
    let mut tell = |what: &str| say(&format!("asking {what}"));
    if !place.starts_with('/') {
        let found = probe_host(&place, &mut tell).await;
        return Probed { place, found, problem: None };
    }
    match probe_port(ports, &place, &mut tell).await {
        Ok(found) => Probed { place, found: found.into_iter().collect(), problem: None },
        Err(problem) => Probed { place, found: Vec::new(), problem: Some(problem) },
    }
}

/// The device that reads this port, by its path or by a link to it.
fn device_of(config: Option<&Config>, path: &Path) -> Option<String> {
    let reads = |kind: &crate::collector::Kind| {
        kind.port()
            .is_some_and(|port| Ports::default().path_of(&port.name).is_some_and(|found| found == path))
    };
    config?.devices.iter().find(|(_, kind)| reads(kind)).map(|(id, _)| id.to_string())
}

fn tell(shown: &[Shown], out: &mut impl Write) -> std::io::Result<()> {
    if shown.is_empty() {
        writeln!(out, "no serial port with hardware behind it; is /dev passed into the container?")?;
    }
    for Shown { entry, device } in shown {
        let usb = entry.usb.iter().map(|usb| format!("usb {usb}"));
        let product = entry.product.iter().map(|product| format!("{product:?}"));
        let about: Vec<String> = usb.chain(product).collect();
        writeln!(out, "{}  {}", entry.path.display(), about.join(" "))?;
        let state = match (device, &entry.holder) {
            (Some(device), Some(holder)) => format!("configured as {device}, held by {holder}"),
            (Some(device), None) => format!("configured as {device}, free"),
            (None, Some(holder)) => format!("held by {holder}"),
            (None, None) => "free".to_owned(),
        };
        writeln!(out, "    {state}")?;
        entry.links.iter().try_for_each(|link| writeln!(out, "    {}", link.display()))?;
    }
    Ok(())
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
