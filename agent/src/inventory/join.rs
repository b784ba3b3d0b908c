//! The comparison of what is expected with what is found.

use std::path::{Path, PathBuf};

use storepulse_shared::ids::DeviceId;

use super::{AN_AGENT, Expected, Instead, Inventory, Known, SeenPort, Standing};
use crate::board::DeviceState;
use crate::collector::{FaultKind, Place, PortEntry};

/// A device, where it should be, and who has its port.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub id: DeviceId,
    pub kind: &'static str,
    pub place: Place,
    pub holder: Option<String>,
    pub known: Known,
}

impl Wanted {
    fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Port { found: Ok(path), .. } => Some(path),
            _ => None,
        }
    }

    /// Notes who has its port. One that is not among those with hardware, a pseudo-terminal, is looked up on its own.
    pub(super) fn find_holder(
        &mut self,
        entries: &[PortEntry],
        holder_of: impl FnOnce(&Path) -> Option<String>,
    ) {
        let Some(path) = self.path() else { return };
        let listed = entries.iter().find(|entry| is_at(entry, path));
        let holder = listed.map_or_else(|| holder_of(path), |entry| entry.holder.clone());
        self.holder = holder.filter(|holder| !holder.ends_with(AN_AGENT));
    }
}

/// A path behind a name has no links in it; that of a listed port may.
fn is_at(entry: &PortEntry, path: &Path) -> bool {
    entry.path == path || std::fs::canonicalize(&entry.path).is_ok_and(|real| real == path)
}

/// Puts both together. `reader_of` tells which device of this process has a port open.
pub(super) fn join(
    wanted: Vec<Wanted>,
    entries: Vec<PortEntry>,
    reader_of: impl Fn(&Path) -> Option<DeviceId>,
) -> Inventory {
    let ports = entries.into_iter().map(|entry| {
        let reads_it = |device: &&Wanted| device.path().is_some_and(|path| is_at(&entry, path));
        let real = std::fs::canonicalize(&entry.path).unwrap_or_else(|_| entry.path.clone());
        SeenPort {
            devices: wanted.iter().filter(reads_it).map(|device| device.id.clone()).collect(),
            reader: reader_of(&real),
            entry,
        }
    });
    let ports: Vec<SeenPort> = ports.collect();
    let devices = wanted.into_iter().map(|device| compare(device, &ports)).collect();
    Inventory { devices, ports }
}

fn compare(device: Wanted, ports: &[SeenPort]) -> Expected {
    let port = device.path().and_then(|path| ports.iter().find(|port| is_at(&port.entry, path)));
    let standing = standing(&device);
    let place = match &device.place {
        Place::Port { name, .. } => Some(name.clone()),
        Place::Target(target) => Some(target.clone()),
        Place::Box => None,
    };
    Expected {
        instead: instead(&device, standing, ports),
        is_on_a_port: matches!(device.place, Place::Port { .. }),
        port: device.path().map(Path::to_owned),
        adapter: port.and_then(SeenPort::adapter),
        socket: port.and_then(|port| port.entry.socket()).map(Path::to_owned),
        standing,
        place,
        id: device.id,
        kind: device.kind,
        known: device.known,
    }
}

fn standing(device: &Wanted) -> Standing {
    match (&device.place, device.known.state) {
        (Place::Port { found: Err((FaultKind::MissingPort, _)), .. }, _) => Standing::Missing,
        (Place::Port { found: Err(_), .. }, _) => Standing::Fault,
        (_, Some(DeviceState::Ok)) => Standing::Answers,
        _ if device.holder.is_some() => Standing::Held,
        (_, Some(DeviceState::Stale)) => Standing::Stale,
        (_, Some(DeviceState::Fault)) => Standing::Fault,
        (_, Some(DeviceState::Unreachable)) => Standing::Silent,
        (_, None) => Standing::Unknown,
    }
}

fn instead(device: &Wanted, standing: Standing, ports: &[SeenPort]) -> Option<Instead> {
    match standing {
        Standing::Answers | Standing::Unknown => None,
        Standing::Held => device.holder.clone().map(Instead::Holder),
        Standing::Missing => Some(in_place_of_a_port(device, ports)),
        Standing::Stale | Standing::Fault | Standing::Silent => match &device.place {
            Place::Port { found: Err((_, why)), .. } => Some(Instead::Error(why.clone())),
            _ => device.known.last_error.clone().map(Instead::Error),
        },
    }
}

/// Where an adapter may have gone that is not where it should be.
fn in_place_of_a_port(device: &Wanted, ports: &[SeenPort]) -> Instead {
    let free: Vec<&SeenPort> = ports.iter().filter(|port| port.is_unassigned()).collect();
    if let Place::Port { make: Some(make), .. } = &device.place {
        let is_same = |usb: &String| usb == make || usb.starts_with(&format!("{make}:"));
        let same =
            free.iter().find_map(|port| Some((port, port.entry.usb.as_ref().filter(|usb| is_same(usb))?)));
        if let Some((port, usb)) = same {
            return Instead::SameMake { name: port.entry.stable_name().to_owned(), usb: usb.clone() };
        }
    }
    // A socket on the board is always there: only an adapter can have been plugged in.
    let adapters = free.iter().filter(|port| port.entry.usb.is_some());
    let names: Vec<PathBuf> = adapters.map(|port| port.entry.stable_name().to_owned()).collect();
    if names.is_empty() { Instead::Nothing } else { Instead::FreePorts(names) }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    fn id(text: &str) -> DeviceId {
        text.parse().unwrap()
    }

    fn known(state: Option<DeviceState>, error: Option<&str>) -> Known {
        Known { state, last_good_ms: None, last_error: error.map(str::to_owned) }
    }

    fn on_port(name: &str, found: Option<&str>, make: Option<&str>) -> Place {
        let missing = || (FaultKind::MissingPort, format!("{name}: no such file"));
        let found = found.map(PathBuf::from).ok_or_else(missing);
        Place::Port { name: name.to_owned(), make: make.map(str::to_owned), found }
    }

    fn wanted(name: &str, place: Place, known: Known) -> Wanted {
        Wanted { id: id(name), kind: "scale", place, holder: None, known }
    }

    fn port(path: &str, usb: Option<&str>, holder: Option<&str>) -> PortEntry {
        PortEntry {
            path: path.into(),
            links: vec![format!("/dev/serial/by-path/{}", path.trim_start_matches("/dev/")).into()],
            usb: usb.map(str::to_owned),
            product: usb.map(|_| "FT232R".to_owned()),
            holder: holder.map(str::to_owned),
        }
    }

    fn look(mut wanted: Vec<Wanted>, entries: Vec<PortEntry>) -> Inventory {
        wanted.iter_mut().for_each(|device| device.find_holder(&entries, |_| None));
        join(wanted, entries, |path| (path == Path::new("/dev/nowhere-0")).then(|| id("scale-1")))
    }

    const OK: Option<DeviceState> = Some(DeviceState::Ok);
    const AWAY: Option<DeviceState> = Some(DeviceState::Unreachable);

    #[test]
    fn a_device_that_answers_is_found_with_its_adapter_and_socket() {
        let scale = on_port("/dev/serial/by-id/x", Some("/dev/nowhere-0"), None);
        let all = look(
            vec![wanted("scale-1", scale, known(OK, Some("old trouble")))],
            vec![port("/dev/nowhere-0", Some("0403:6001:A1"), None), port("/dev/nowhere-1", None, None)],
        );
        let device = &all.devices[0];
        assert_eq!((device.standing, &device.instead), (Standing::Answers, &None), "old errors are over");
        assert_eq!(device.adapter.as_deref(), Some("FT232R, 0403:6001:A1"));
        assert_eq!(device.socket.as_deref(), Some(Path::new("/dev/serial/by-path/nowhere-0")));
        assert_eq!((&all.ports[0].devices[..], all.ports[0].is_free()), (&[id("scale-1")][..], false));
        assert!(all.ports[1].is_unassigned() && all.ports[1].is_free());
        assert_eq!(all.count(), Count { expected: 1, answering: 1, unassigned: 1, held: 0 });
        let name = Path::new("/dev/serial/by-path/nowhere-1");
        assert_eq!(all.port(name).unwrap().entry.path, Path::new("/dev/nowhere-1"));
    }

    #[test]
    fn an_adapter_of_the_same_make_is_offered_for_one_that_is_missing() {
        let missing = on_port("usb 0403:6001:A1", None, Some("0403:6001"));
        let entries = vec![
            port("/dev/nowhere-1", Some("1a86:7523"), None),
            port("/dev/nowhere-2", Some("0403:6001:B2"), None),
            port("/dev/nowhere-3", Some("0403:60019"), None),
        ];
        let all = look(vec![wanted("scale-1", missing.clone(), known(AWAY, None))], entries.clone());
        assert_eq!(all.devices[0].standing, Standing::Missing);
        let same =
            Instead::SameMake { name: entries[1].stable_name().to_owned(), usb: "0403:6001:B2".to_owned() };
        assert_eq!(all.devices[0].instead, Some(same));
        let others = vec![entries[0].clone(), entries[2].clone(), port("/dev/nowhere-4", None, None)];
        let all = look(vec![wanted("scale-1", missing, known(AWAY, None))], others);
        let free = [&entries[0], &entries[2]].map(|port| port.stable_name().to_owned());
        assert_eq!(
            all.devices[0].instead,
            Some(Instead::FreePorts(free.to_vec())),
            "a fixed socket is no adapter"
        );
    }

    #[test]
    fn what_is_another_devices_or_another_programs_is_not_offered() {
        let missing = on_port("/dev/serial/by-id/x", None, None);
        let other = on_port("/dev/nowhere-1", Some("/dev/nowhere-1"), None);
        let all = look(
            vec![wanted("scale-1", missing, known(AWAY, None)), wanted("scale-2", other, known(OK, None))],
            vec![
                port("/dev/nowhere-1", Some("1a86:7523"), None),
                port("/dev/nowhere-2", Some("1a86:7523"), Some("process 77 (posd)")),
            ],
        );
        assert_eq!(all.devices[0].instead, Some(Instead::Nothing));
        assert_eq!(all.count(), Count { expected: 2, answering: 1, unassigned: 0, held: 1 });
    }

    #[test]
    fn a_holder_is_named_and_an_agent_beside_us_is_none() {
        let at = || on_port("/dev/nowhere-1", Some("/dev/nowhere-1"), None);
        for (holder, standing) in
            [("process 77 (posd)", Standing::Held), ("process 8 (storepulse-agent)", Standing::Silent)]
        {
            let all = look(
                vec![wanted("scale-1", at(), known(AWAY, Some("no answer")))],
                vec![port("/dev/nowhere-1", None, Some(holder))],
            );
            assert_eq!(all.devices[0].standing, standing, "{holder}");
            let instead = match standing {
                Standing::Held => Instead::Holder(holder.to_owned()),
                _ => Instead::Error("no answer".to_owned()),
            };
            assert_eq!(all.devices[0].instead, Some(instead));
            assert_eq!(all.count().held, usize::from(standing == Standing::Held));
            assert!(!all.ports[0].is_free(), "whoever has it, it is not to be asked");
        }
    }

    #[test]
    fn hosts_stand_as_the_board_has_them() {
        for (state, standing) in [
            (OK, Standing::Answers),
            (Some(DeviceState::Stale), Standing::Stale),
            (Some(DeviceState::Fault), Standing::Fault),
            (AWAY, Standing::Silent),
            (None, Standing::Unknown),
        ] {
            let device = wanted("ups", Place::Target("192.0.2.1:3493".to_owned()), known(state, Some("why")));
            let all = look(vec![device], Vec::new());
            assert_eq!(all.devices[0].standing, standing);
            assert_eq!(all.devices[0].place.as_deref(), Some("192.0.2.1:3493"));
            let is_told = !matches!(standing, Standing::Answers | Standing::Unknown);
            assert_eq!(all.devices[0].instead.is_some(), is_told, "{standing:?}");
        }
    }

    #[test]
    fn a_name_that_several_adapters_have_is_a_fault_with_its_reason() {
        let many = Place::Port {
            name: "usb 1a86:7523".to_owned(),
            make: Some("1a86:7523".to_owned()),
            found: Err((FaultKind::WrongDevice, "ttyUSB0, ttyUSB1 are all 1a86:7523".to_owned())),
        };
        let all = look(vec![wanted("scale-1", many, Known::default())], Vec::new());
        assert_eq!(all.devices[0].standing, Standing::Fault);
        let Some(Instead::Error(why)) = &all.devices[0].instead else { panic!("no reason") };
        assert!(why.contains("ttyUSB0"));
    }

    #[test]
    fn what_a_running_agent_answers_is_understood() {
        let json =
            serde_json::json!({ "state": "fault", "last_good_ms": 5, "last_error": { "text": "bad" } });
        let told = Known { last_good_ms: Some(5), ..known(Some(DeviceState::Fault), Some("bad")) };
        assert_eq!(Known::of_json(&json), told);
        assert_eq!(Known::of_json(&serde_json::json!({ "state": null })), Known::default());
    }
}
