//! Expected against found: every configured device with its place and what became of it there, and every serial port of the
//! box with who it is for. The setup page and `devices` show the same.
//!
//! [`join()`] compares and looks at nothing itself; [`look`] asks the system, which takes some milliseconds of file reading.

mod join;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

use self::join::{Wanted, join};
use crate::board::{DeviceState, DeviceStatus};
use crate::collector::{Kind, PROBE_DEVICE, PortEntry, Ports};

/// How a holder ends that is an agent: `devices` is asked beside a running one, which has its own ports open.
const AN_AGENT: &str = "(storepulse-agent)";

/// What should be there, and what is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Inventory {
    /// The configured devices, by id.
    pub devices: Vec<Expected>,
    /// The serial ports of the box, by name.
    pub ports: Vec<SeenPort>,
}

/// A device of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Expected {
    pub id: DeviceId,
    pub kind: &'static str,
    /// As the configuration names it: a path, `usb vendor:product`, `host:port`; `None` is the box itself.
    pub place: Option<String>,
    /// Whether that names a serial port.
    pub is_on_a_port: bool,
    /// The port behind that name, if it is one and is there.
    pub port: Option<PathBuf>,
    /// The adapter of that port: what it calls itself, and `vendor:product[:serial]`.
    pub adapter: Option<String>,
    /// The socket that the adapter is plugged into, by its path.
    pub socket: Option<PathBuf>,
    pub standing: Standing,
    #[serde(flatten)]
    pub known: Known,
    /// What was found in its place.
    pub instead: Option<Instead>,
}

/// What became of an expected device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It answers.
    Answers,
    /// It answered, and not lately.
    Stale,
    /// It, or something else in its place, answers wrongly.
    Fault,
    /// Its place is there, and nobody answers.
    Silent,
    /// Its port is not there.
    Missing,
    /// Another program has its port.
    Held,
    /// Nobody has asked yet, or nobody knows here.
    Unknown,
}

impl Standing {
    /// As a word of the DOM and of the words' files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Stale => "stale",
            Self::Fault => "fault",
            Self::Silent => "silent",
            Self::Missing => "missing",
            Self::Held => "held",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found in the place of a device that was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Instead {
    /// Another program, `process 77 (posd)`.
    Holder(String),
    /// An adapter of the same make elsewhere, and nobody's: its name for the configuration.
    SameMake { name: PathBuf, usb: String },
    /// Ports that are nobody's: it may have been plugged in there.
    FreePorts(Vec<PathBuf>),
    /// No port that is nobody's: it is not plugged in.
    Nothing,
    /// Bytes or an answer that are wrong, or why the name has no port: in the words of the collector.
    Error(String),
}

/// What a running agent knows of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    pub state: Option<DeviceState>,
    /// Unix milliseconds UTC.
    pub last_good_ms: Option<i64>,
    /// The last failed reading.
    pub last_error: Option<String>,
}

impl Known {
    /// From the board.
    pub(crate) fn of(status: &DeviceStatus) -> Self {
        Self {
            state: status.state,
            last_good_ms: status.last_good_ms,
            last_error: status.last_error.as_ref().map(|error| error.text.clone()),
        }
    }

    /// From what `/status` answers of a device.
    pub(crate) fn of_json(device: &serde_json::Value) -> Self {
        let state = match device["state"].as_str() {
            Some("ok") => Some(DeviceState::Ok),
            Some("stale") => Some(DeviceState::Stale),
            Some("fault") => Some(DeviceState::Fault),
            Some("unreachable") => Some(DeviceState::Unreachable),
            _ => None,
        };
        Self {
            state,
            last_good_ms: device["last_good_ms"].as_i64(),
            last_error: device["last_error"]["text"].as_str().map(str::to_owned),
        }
    }
}

/// A port of the box, and who it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SeenPort {
    #[serde(flatten)]
    pub entry: PortEntry,
    /// The devices of the configuration that are read there; several on a bus.
    pub devices: Vec<DeviceId>,
    /// The device of this process that has it open just now.
    pub reader: Option<DeviceId>,
}

impl SeenPort {
    /// Whether nobody has it open.
    pub(crate) const fn is_free(&self) -> bool {
        self.entry.holder.is_none() && self.reader.is_none()
    }

    /// Whether it is nobody's: of no device, and in no other program's hands.
    pub(crate) fn is_unassigned(&self) -> bool {
        self.devices.is_empty() && self.entry.holder.is_none()
    }

    /// Who has it open that is no agent.
    pub(crate) fn stranger(&self) -> Option<&str> {
        self.entry.holder.as_deref().filter(|holder| !holder.ends_with(AN_AGENT))
    }

    /// Whether somebody is asking strangers there.
    pub(crate) fn is_probed(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.as_str() == PROBE_DEVICE)
    }

    /// What its adapter says of itself: its product and `vendor:product[:serial]`.
    pub(crate) fn adapter(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.entry.product, &self.entry.usb].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// The count at the top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub expected: usize,
    pub answering: usize,
    pub unassigned: usize,
    /// Ports in the hands of other programs.
    pub held: usize,
}

impl Inventory {
    /// How many of what.
    pub(crate) fn count(&self) -> Count {
        let answers = |device: &&Expected| device.standing == Standing::Answers;
        Count {
            expected: self.devices.len(),
            answering: self.devices.iter().filter(answers).count(),
            unassigned: self.ports.iter().filter(|port| port.is_unassigned()).count(),
            held: self.ports.iter().filter(|port| port.stranger().is_some()).count(),
        }
    }

    /// The port behind a name, by its path, or by one of its links.
    pub(crate) fn port(&self, name: &Path) -> Option<&SeenPort> {
        self.ports
            .iter()
            .find(|port| port.entry.path == name || port.entry.links.iter().any(|link| link == name))
    }
}

/// Asks the system for its ports, and compares.
pub(crate) fn look(
    devices: &BTreeMap<DeviceId, Kind>,
    ports: &Ports,
    known: &BTreeMap<DeviceId, Known>,
) -> Inventory {
    let wanted = devices.iter().map(|(id, kind)| Wanted {
        id: id.clone(),
        kind: kind.name(),
        place: kind.place(ports),
        holder: None,
        known: known.get(id).cloned().unwrap_or_default(),
    });
    let mut wanted: Vec<Wanted> = wanted.collect();
    let entries = ports.list();
    for device in &mut wanted {
        device.find_holder(&entries, |path| ports.holder_of(path));
    }
    join(wanted, entries, |path| ports.reader_of(path))
}
