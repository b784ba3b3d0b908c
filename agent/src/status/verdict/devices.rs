//! The devices: whether each answers, and if it does, what it says of itself.

use storepulse_shared::ids::{AGENT_DEVICE, DeviceId};

use super::said;
use crate::board::{DeviceState, DeviceStatus};
use crate::collector::FaultKind;
use crate::finding::{Finding, Place, Problem, of_fault};
use crate::status::AgentStatus;

pub(super) fn look(status: &AgentStatus, findings: &mut Vec<Finding>) {
    let mut devices = status.devices.iter().filter(|(id, _)| id.as_str() != AGENT_DEVICE).peekable();
    if devices.peek().is_none() {
        findings.push(Finding::new(Problem::NoDevices));
    }
    for (id, device) in devices {
        let port = status.places.ports.get(id).map(String::as_str);
        match device.state {
            Some(DeviceState::Ok) => {
                findings.extend(said::findings(id, device));
                findings.extend(left_out(id, device));
            }
            Some(DeviceState::Stale) => {
                findings.push(Finding::new(Problem::DeviceStale).of(id).since(device.last_good_ms));
            }
            Some(DeviceState::Fault | DeviceState::Unreachable) | None => {
                findings.extend(failed(id, device, port));
            }
        }
    }
}

/// What the last error was, if it is of after the last good reading; otherwise what the state says.
fn failed(id: &DeviceId, device: &DeviceStatus, port: Option<&str>) -> Option<Finding> {
    let error = device.last_error.as_ref();
    let finding = match error.filter(|error| device.last_good_ms.is_none_or(|good_ms| error.at_ms >= good_ms))
    {
        Some(error) => of_fault(error.kind, id, &Place::on(port), &error.text),
        None => match device.state? {
            DeviceState::Unreachable => Finding::new(Problem::DeviceSilent).of(id),
            _ => Finding::new(Problem::DeviceFault).of(id),
        },
    };
    // Who answers for a device that is away (a ping that nobody answers) goes on reading: then the change counts.
    Some(finding.since(device.last_good_ms.into_iter().chain(device.changed_ms).min()))
}

fn left_out(id: &DeviceId, device: &DeviceStatus) -> Option<Finding> {
    let kind = FaultKind::TooManySeries.name();
    let finding = device.errors.contains_key(kind).then(|| Finding::new(Problem::TooManyValues).of(id))?;
    Some(match device.last_error.as_ref().filter(|error| error.kind == kind) {
        Some(error) => finding.shown_by(&error.text),
        None => finding,
    })
}
