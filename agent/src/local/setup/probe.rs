//! Asking strangers from the page: which places a form means, which of them may be asked, and the asking.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use storepulse_shared::ids::DeviceId;

use super::outcome::{Answered, Known};
use super::words::Words;
use crate::collector::{Found, Kind, Plan, Ports, Tell, probe_host, probe_port};
use crate::inventory::Inventory;

/// Longest name of a host, by RFC 1035.
const HOST_BYTES_MAX: usize = 253;

/// A place to ask at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A serial port of this box, by the name to be written into the configuration.
    Port(PathBuf),
    /// A host.
    Host(String),
}

impl Place {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Port(path) => path.display().to_string(),
            Self::Host(host) => host.clone(),
        }
    }

    fn plan(&self) -> Plan {
        match self {
            Self::Port(_) => Plan::of_port(),
            Self::Host(_) => Plan::of_host(),
        }
    }
}

/// The places that a form means: nothing typed are all ports that are free and nobody's. A path must be that of a port of
/// this box or of a configured device: other files are none of anybody's business here.
pub(super) fn places(typed: &str, inventory: &Inventory) -> Option<Vec<Place>> {
    let typed = typed.trim();
    if typed.is_empty() {
        let free = inventory.ports.iter().filter(|port| port.is_free() && port.is_unassigned());
        return Some(free.map(|port| Place::Port(port.entry.stable_name().to_owned())).collect());
    }
    if typed.starts_with('/') {
        let path = Path::new(typed);
        let is_configured = || {
            inventory
                .devices
                .iter()
                .any(|device| device.is_on_a_port && device.place.as_deref() == Some(typed))
        };
        let is_port = inventory.port(path).is_some() || is_configured();
        return is_port.then(|| vec![Place::Port(path.to_owned())]);
    }
    let bare = typed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(typed);
    let is_name = typed.len() <= HOST_BYTES_MAX
        && typed.starts_with(|c: char| c.is_ascii_alphanumeric())
        && typed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let host = if bare.parse::<IpAddr>().is_ok() { bare } else { typed };
    (is_name || bare.parse::<IpAddr>().is_ok()).then(|| vec![Place::Host(host.to_owned())])
}

/// How much there is to ask at all of them.
pub(super) fn plan(places: &[Place]) -> Plan {
    places.iter().fold(Plan::default(), |plan, place| plan.and(place.plan()))
}

/// Asks at one place after the other. Where one of our devices is read, or another program reads, nobody is asked: two who
/// ask at once get each other's answers.
pub(super) async fn ask(
    (ports, devices): (&Ports, &BTreeMap<DeviceId, Kind>),
    places: Vec<Place>,
    words: Words,
    tell: &mut Tell<'_>,
) -> Vec<Answered> {
    let all = plan(&places);
    let mut before = 0;
    let mut answered = Vec::new();
    for place in places {
        let name = place.name();
        let mut one = |done: usize, _: usize, what: &str| tell(before + done, all.questions, what);
        let outcome = match refusal((ports, devices), &place, words) {
            Some(why) => Err(why),
            None => match &place {
                Place::Port(_) => {
                    probe_port(ports, &name, &mut one).await.map(|found| found.into_iter().collect())
                }
                Place::Host(host) => Ok(probe_host(host, &mut one).await),
            },
        };
        before += place.plan().questions;
        let (found, problem) = match outcome {
            Ok(found) => (found, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        answered.push(Answered { place: name, found: found.into_iter().map(known).collect(), problem });
    }
    answered
}

fn known(found: Found) -> Known {
    Known { what: found.what.to_owned(), configuration: found.configuration }
}

/// Why nobody is asked there.
fn refusal(
    (ports, devices): (&Ports, &BTreeMap<DeviceId, Kind>),
    place: &Place,
    words: Words,
) -> Option<String> {
    match place {
        Place::Port(path) => {
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            match (ports.reader_of(&real), ports.holder_of(&real)) {
                (Some(reader), _) if reader.as_str() == crate::collector::PROBE_DEVICE => {
                    Some(words.say("not_asked_probed").to_owned())
                }
                (Some(reader), _) => Some(words.fill("not_asked_reader", &[("device", reader.as_str())])),
                (None, Some(holder)) => Some(words.fill("not_asked_holder", &[("holder", &holder)])),
                (None, None) => None,
            }
        }
        Place::Host(host) => {
            let is_there = |kind: &Kind| {
                let target = kind.target().unwrap_or_default();
                let (name, _) = target.rsplit_once(':').unwrap_or((&target, ""));
                name.trim_matches(['[', ']']).eq_ignore_ascii_case(host)
            };
            // Many printers take one connection at a time, and its till comes first.
            let asked = devices.iter().filter(|(_, kind)| matches!(kind.name(), "escpos" | "modbus"));
            let device = asked.into_iter().find(|(_, kind)| is_there(kind));
            device.map(|(id, _)| words.fill("not_asked_reader", &[("device", id.as_str())]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{PortEntry, Rig, plug};
    use crate::inventory::{Expected, SeenPort, Standing};
    use crate::language::Language;

    const EN: Words = Words(Language::En);

    fn port(path: &str, holder: Option<&str>, devices: &[&str]) -> SeenPort {
        let entry = PortEntry {
            path: path.into(),
            links: Vec::new(),
            usb: Some("1a86:7523".to_owned()),
            product: None,
            holder: holder.map(str::to_owned),
        };
        SeenPort { entry, devices: devices.iter().map(|id| id.parse().unwrap()).collect(), reader: None }
    }

    fn inventory() -> Inventory {
        let ports = vec![
            port("/dev/ttyUSB0", None, &[]),
            port("/dev/ttyUSB1", Some("process 77 (posd)"), &[]),
            port("/dev/ttyUSB2", None, &["scale-1"]),
        ];
        let place = Some("/run/pty/scale".to_owned());
        let device = Expected {
            id: "scale-2".parse().unwrap(),
            kind: "scale",
            place,
            is_on_a_port: true,
            port: None,
            adapter: None,
            socket: None,
            standing: Standing::Silent,
            known: crate::inventory::Known::default(),
            instead: None,
        };
        Inventory { devices: vec![device], ports }
    }

    #[test]
    fn all_means_what_is_free_and_nobodys() {
        let free = Place::Port("/dev/ttyUSB0".into());
        assert_eq!(places("  ", &inventory()), Some(vec![free.clone()]));
        assert_eq!(plan(&[free, Place::Host("x".to_owned())]), Plan::of_port().and(Plan::of_host()));
    }

    #[test]
    fn only_ports_of_this_box_and_hosts_are_places() {
        for path in ["/dev/ttyUSB1", "/run/pty/scale"] {
            assert_eq!(places(path, &inventory()), Some(vec![Place::Port(path.into())]));
        }
        for (typed, host) in [
            ("192.168.1.50", "192.168.1.50"),
            (" printer-1.lan ", "printer-1.lan"),
            ("fe80::1", "fe80::1"),
            ("[fd00::5]", "fd00::5"),
        ] {
            assert_eq!(places(typed, &inventory()), Some(vec![Place::Host(host.to_owned())]));
        }
        let long = "a".repeat(254);
        for bad in [
            "/etc/passwd",
            "/dev/mem",
            "/dev/../etc/passwd",
            "http://x/",
            "x:9100",
            "-x",
            "a b",
            "<b>",
            "[x]",
            &long,
        ] {
            assert_eq!(places(bad, &inventory()), None, "{bad}");
        }
    }

    #[test]
    fn who_reads_a_host_already_is_named() {
        let ports = Ports::default();
        let devices: BTreeMap<DeviceId, Kind> = serde_yaml::from_str(
            "p-1: { escpos: { tcp: 'Printer.lan:9100' } }\nu: { nut: { target: 'ups.lan' } }",
        )
        .unwrap();
        let why = |host: &str| refusal((&ports, &devices), &Place::Host(host.to_owned()), EN);
        assert_eq!(why("printer.lan").as_deref(), Some("Not asked: this agent reads p-1 there."));
        assert_eq!(why("ups.lan"), None, "nothing of ours is asked on the ports that a probe asks on");
    }

    #[tokio::test]
    async fn a_port_that_a_collector_of_ours_has_open_is_not_asked() {
        let rig = Rig::new();
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&asked);
        let device = plug(&rig.dir.path().join("tty"), move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            vec![0x12]
        });
        let path = device.path.clone();
        let held = rig.open(&path).await;
        let nobody = BTreeMap::new();
        let everything = (&rig.ctx.ports, &nobody);
        let places = || vec![Place::Port(path.clone())];
        let refused = ask(everything, places(), EN, &mut |_, _, _| {}).await;
        assert_eq!(refused[0].problem.as_deref(), Some("Not asked: this agent reads device-1 there."));
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 0, "not a byte was sent");
        drop(held);
        let mut told = Vec::new();
        let found = ask(everything, places(), EN, &mut |done, of, _| told.push((done, of))).await;
        assert_eq!(found[0].found[0].what, "an ESC/POS printer");
        assert_eq!(told, [(0, Plan::of_port().questions)], "the first question was answered");
    }
}
