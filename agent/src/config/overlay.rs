//! What the cloud has set for this store, over what `agent.yaml` says.
//!
//! The whole configuration is read and checked again, as if it had stood in the file: so a setting means and allows the same
//! there and here. What it may speak of at all is in [`storepulse_shared::settings`]; here are the limits of what is set from
//! afar, where nobody sees what comes of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use storepulse_shared::ids::DeviceId;
use storepulse_shared::settings::{DEVICES, ENABLED, Overlay};

use super::{Config, ConfigError, yaml};

/// How often something may be read, from afar.
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3_600));
/// How long a batch may wait.
const AGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// The fields that are a pace.
const PACES: [&str; 4] = ["interval", "poll", "every", "flush"];

/// The text of a configuration. It may hold secrets, so it is never shown.
#[derive(Clone, Default)]
pub(super) struct Source(pub(super) String);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(redacted)")
    }
}

impl Config {
    /// The same file with this over it, read and checked as a whole.
    ///
    /// # Errors
    /// What does not fit: with its line where it stands in the file, otherwise with its path in the overlay.
    pub(crate) fn with(&self, overlay: &Overlay) -> Result<Self, ConfigError> {
        let invalid = |why| ConfigError::Invalid { path: self.path.clone(), why };
        overlay.check().map_err(invalid)?;
        check_limits(overlay).map_err(invalid)?;
        let off = self.switched_off(overlay).map_err(invalid)?;
        let entries = without_enabled(overlay);
        let read = yaml::parse_over(&self.source.0, &entries);
        let mut config = Self::finish(read, self.source.clone(), &self.path)?;
        config.off = off;
        Ok(config)
    }

    /// The devices that are not to be read. Only such as the file names can be spoken of.
    fn switched_off(&self, overlay: &Overlay) -> Result<BTreeSet<DeviceId>, String> {
        let mut off = BTreeSet::new();
        for (name, settings) in overlay.devices() {
            let found = self.devices.keys().find(|id| id.as_str() == name);
            let Some(device) = found else {
                let known: Vec<&str> = self.devices.keys().map(DeviceId::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(format!(
                    "{DEVICES}.{name}: agent.yaml names no such device, and none can be added from the cloud; it names {known}"
                ));
            };
            if settings.get(ENABLED) == Some(&Value::Bool(false)) {
                off.insert(device.clone());
            }
        }
        Ok(off)
    }
}

/// Whether a device is read is no field of its kind.
fn without_enabled(overlay: &Overlay) -> Map<String, Value> {
    let mut entries = overlay.0.clone();
    if let Some(devices) = entries.get_mut(DEVICES).and_then(Value::as_object_mut) {
        devices.values_mut().filter_map(Value::as_object_mut).for_each(|settings| {
            settings.remove(ENABLED);
        });
        devices.retain(|_, settings| settings.as_object().is_some_and(|settings| !settings.is_empty()));
    }
    entries.retain(|_, block| block.as_object().is_some_and(|block| !block.is_empty()));
    entries
}

fn check_limits(overlay: &Overlay) -> Result<(), String> {
    for (device, settings) in overlay.devices() {
        for field in PACES {
            check_limit(&format!("{DEVICES}.{device}.{field}"), settings.get(field), PACE)?;
        }
    }
    for (block, limit) in [("batches", AGE), ("health", AGE)] {
        let fields = overlay.0.get(block).and_then(Value::as_object);
        for (field, value) in fields.into_iter().flatten() {
            check_limit(&format!("{block}.{field}"), Some(value), limit)?;
        }
    }
    Ok(())
}

/// What is no duration at all is found where it is read.
fn check_limit(path: &str, value: Option<&Value>, (least, most): (Duration, Duration)) -> Result<(), String> {
    let Some(text) = value.and_then(Value::as_str) else { return Ok(()) };
    match humantime::parse_duration(text) {
        Ok(duration) if duration < least || duration > most => {
            let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
            Err(format!("{path}: {text:?} is set from the cloud to {least} at least and {most} at most"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const YAML: &str = "\
cloud:
  url: https://cloud.example
  key_file: store.key
state_dir: state
batches:
  max_age: 20s
devices:
  box:
    host:
      interval: 45s
      root: rooted
  ups-1:
    nut:
      target: 127.0.0.1
      ups: 0042
  fridge:
    modbus:
      tcp: 127.0.0.1:1502
      registers:
        - {metric: hw.temperature, table: holding, address: 1, type: i16}
";

    fn base() -> Config {
        Config::parse(YAML, Path::new("/etc/storepulse/agent.yaml")).unwrap()
    }

    fn with(overlay: &str) -> Result<Config, String> {
        base().with(&serde_json::from_str(overlay).unwrap()).map_err(|error| error.to_string())
    }

    fn kind(config: &Config, device: &str) -> String {
        let (_, kind) = config.devices.iter().find(|(id, _)| id.as_str() == device).unwrap();
        format!("{kind:?}")
    }

    #[test]
    fn what_is_set_takes_the_place_and_all_else_stays() {
        let config = with(
            r#"{"devices":{"box":{"interval":"10s"},"ups-1":{"timeout":"7s"},"fridge":{"enabled":false,"interval":"90s"}},
                "batches":{"max_age":"30s","offline_max_age":"20m"},"health":{"interval":"5m"}}"#,
        )
        .unwrap();
        assert!(
            kind(&config, "box").contains("interval: 10s, root: \"/etc/storepulse/rooted\""),
            "{}",
            kind(&config, "box")
        );
        // Without an overlay it is read as a text, and so it is with one.
        let ups = kind(&config, "ups-1");
        assert!(ups.contains("timeout: 7s") && ups.contains("ups: \"0042\""), "{ups}");
        assert!(kind(&config, "fridge").contains("interval: 90s"));
        assert_eq!(config.off.iter().map(DeviceId::as_str).collect::<Vec<_>>(), ["fridge"]);
        let seconds = |n| Duration::from_secs(n);
        assert_eq!((config.batches.max_age, config.batches.offline_max_age), (seconds(30), seconds(1_200)));
        assert_eq!((config.batches.bulk_max_age, config.health.interval), (seconds(300), seconds(300)));
        assert_eq!(config.cloud.url, "https://cloud.example");
    }

    #[test]
    fn nothing_over_it_changes_nothing() {
        for nothing in [
            "{}",
            r#"{"devices":{}}"#,
            r#"{"devices":{"box":{}},"health":{}}"#,
            r#"{"devices":{"box":{"enabled":true}}}"#,
        ] {
            assert_eq!(format!("{:?}", with(nothing).unwrap()), format!("{:?}", base()), "{nothing}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place_and_the_way_out() {
        for (bad, named) in [
            (
                r#"{"devices":{"box":{"interval":"soon"}}}"#,
                "devices.box.interval: \"soon\" is not a duration",
            ),
            (r#"{"devices":{"box":{"interval":30}}}"#, "devices.box.interval: invalid type"),
            (r#"{"devices":{"box":{"stale_after":"1m"}}}"#, "devices.box: unknown field `stale_after`"),
            (r#"{"devices":{"scale-9":{"enabled":true}}}"#, "it names box, fridge, ups-1"),
            (r#"{"devices":{"box":{"interval":"10ms"}}}"#, "1s at least and 1day at most"),
            (r#"{"devices":{"box":{"interval":"2days"}}}"#, "1s at least and 1day at most"),
            (
                r#"{"batches":{"max_age":"5h"}}"#,
                "batches.max_age: \"5h\" is set from the cloud to 1s at least and 1h at most",
            ),
            (r#"{"cloud":{"url":"https://evil.example"}}"#, "\"cloud\" cannot be set from the cloud"),
        ] {
            let why = with(bad).err().unwrap_or_else(|| panic!("{bad} was taken"));
            assert!(why.contains(named) && why.contains("agent.yaml"), "{bad}: {why}");
        }
        let why = with(r#"{"devices":{"box":{"interval":"soon"}}}"#).err().unwrap();
        assert!(why.contains("agent.yaml:10:"), "the line of the device's interval: {why}");
    }
}
