//! Whether a trial went well: no device that was well is worse, and what was started anew has been read.
//!
//! A device that was ill before proves nothing, and one that is switched off has been asked to be silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use storepulse_shared::ids::{AGENT_DEVICE, DeviceId};

use crate::board::{Board, DeviceState};
use crate::config::Config;
use crate::intake::Changes;

/// The devices that were well when the trial began, and how many good readings each had given.
pub(super) struct Before {
    board: Arc<Board>,
    well: BTreeMap<DeviceId, u64>,
}

impl Before {
    pub(super) fn look(board: &Arc<Board>) -> Self {
        let known = board.snapshot();
        let well = known.iter().filter(|(device, status)| {
            device.as_str() != AGENT_DEVICE && status.state == Some(DeviceState::Ok)
        });
        let well = well.map(|(device, _)| (device.clone(), board.goods(device))).collect();
        Self { board: Arc::clone(board), well }
    }

    /// Whether all of them are still well.
    ///
    /// # Errors
    /// Which is not, and how it is.
    pub(super) fn are_well(&self, config: &Config) -> Result<(), String> {
        for device in self.well.keys().filter(|device| !config.off.contains(*device)) {
            let status = self.board.get(device);
            let state = status.as_ref().and_then(|status| status.state);
            if state != Some(DeviceState::Ok) {
                let error =
                    status.and_then(|status| status.last_error).map(|error| format!(": {}", error.text));
                let state =
                    state.map_or_else(|| "not read".to_owned(), |state| format!("{state:?}").to_lowercase());
                return Err(format!("{device} was ok and is {state}{}", error.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Whether those that were started anew have been read since, unless they talk by themselves.
    ///
    /// # Errors
    /// Which has not.
    pub(super) fn were_read(&self, config: &Config, changes: &Changes) -> Result<(), String> {
        for (device, goods) in self.well.iter().filter(|(device, _)| !config.off.contains(*device)) {
            let is_asked = config.devices.get(device).is_some_and(|kind| !kind.talks_by_itself());
            if changes.devices.contains(device) && is_asked && self.board.goods(device) == *goods {
                return Err(format!("{device} was ok and has not been read since"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const YAML: &str = "cloud: {url: 'https://cloud.example', key_file: store.key}\nstate_dir: state\ndevices:\n  a: {host: {}}\n  b: {host: {}}\n";

    #[test]
    fn a_device_that_was_well_must_be_well_and_read() {
        let config = Config::parse(YAML, Path::new("agent.yaml")).unwrap();
        let (board, [a, b]) =
            (Arc::new(Board::default()), ["a", "b"].map(|id| id.parse::<DeviceId>().unwrap()));
        for device in [&a, &b] {
            board.add(device, "host");
        }
        board.state(&a, DeviceState::Ok);
        let before = Before::look(&board);
        let changes = Changes { devices: [a.clone()].into(), health: false };
        assert_eq!(before.were_read(&config, &changes).unwrap_err(), "a was ok and has not been read since");
        assert_eq!(before.were_read(&config, &Changes::default()), Ok(()), "nobody started it anew");
        board.ended(&a, 1, 0, None);
        assert_eq!(before.were_read(&config, &changes), Ok(()));
        board.state(&b, DeviceState::Fault);
        assert_eq!(before.are_well(&config), Ok(()), "it was not well before");
        board.bad(&a, 1, "timeout", "no answer".to_owned());
        board.state(&a, DeviceState::Unreachable);
        assert_eq!(before.are_well(&config).unwrap_err(), "a was ok and is unreachable: no answer");
        let off =
            config.with(&serde_json::from_str(r#"{"devices":{"a":{"enabled":false}}}"#).unwrap()).unwrap();
        assert_eq!(before.are_well(&off), Ok(()), "it is meant to be silent");
    }
}
