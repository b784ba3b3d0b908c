//! What differs between two overlays, as far as somebody has to be started anew for it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use storepulse_shared::ids::DeviceId;
use storepulse_shared::settings::{ENABLED, Overlay};

/// Who has other settings now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// These devices.
    pub(crate) devices: BTreeSet<DeviceId>,
    /// The agent's own health.
    pub(crate) health: bool,
}

impl Changes {
    /// From the one to the other.
    pub(crate) fn between(before: &Overlay, after: &Overlay) -> Self {
        let all = before.devices().chain(after.devices()).map(|(device, _)| device);
        let changed = all.filter(|device| of_device(before, device) != of_device(after, device));
        Self {
            devices: changed.filter_map(|device| device.parse().ok()).collect(),
            health: block(before, "health") != block(after, "health"),
        }
    }
}

/// A device that is switched on is as one of which nothing is said.
fn of_device(overlay: &Overlay, device: &str) -> Map<String, Value> {
    let found = overlay.devices().find(|(name, _)| *name == device).map(|(_, settings)| settings.clone());
    let mut settings = found.unwrap_or_default();
    if settings.get(ENABLED) == Some(&Value::Bool(true)) {
        settings.remove(ENABLED);
    }
    settings
}

fn block<'a>(overlay: &'a Overlay, name: &str) -> Option<&'a Map<String, Value>> {
    overlay.0.get(name).and_then(Value::as_object).filter(|block| !block.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: &str, after: &str) -> (Vec<String>, bool) {
        let read = |text| serde_json::from_str::<Overlay>(text).unwrap();
        let changes = Changes::between(&read(before), &read(after));
        (changes.devices.iter().map(DeviceId::to_string).collect(), changes.health)
    }

    #[test]
    fn only_who_has_other_settings_is_started_anew() {
        let one = r#"{"devices":{"a":{"interval":"30s"},"b":{"enabled":false}},"health":{"interval":"5m"}}"#;
        assert_eq!(between(one, one), (vec![], false));
        assert_eq!(between("{}", one), (vec!["a".to_owned(), "b".to_owned()], true));
        assert_eq!(
            between(one, r#"{"devices":{"a":{"interval":"30s"}},"health":{"interval":"5m"}}"#),
            (vec!["b".to_owned()], false)
        );
        assert_eq!(
            between(one, r#"{"devices":{"a":{"interval":"31s"},"b":{"enabled":false}}}"#),
            (vec!["a".to_owned()], true)
        );
        assert_eq!(
            between(
                "{}",
                r#"{"devices":{"a":{"enabled":true},"b":{}},"health":{},"batches":{"max_age":"1m"}}"#
            ),
            (vec![], false)
        );
    }
}
