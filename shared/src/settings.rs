//! What the cloud may change of a store's `agent.yaml`: the settings of a store, fetched by its agent and tried by it.
//!
//! An [`Overlay`] lies over what `agent.yaml` says. It speaks of devices that `agent.yaml` names, and of what [`ALLOWED`]
//! lists; it can neither add a device nor change where anything is, what is sent to it, or who is trusted. Both sides check it
//! here: the cloud before it keeps one, the agent before it tries one.
//!
//! `GET` [`PATH`] answers [`StoreSettings`] with its version as `ETag`; `PUT` [`REPORT_PATH`] tells what became of a version.
//! An ack names the version that is set, so that an agent asks at once.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::DeviceId;

/// Where an agent asks for the settings of its store.
pub const PATH: &str = "/v1/store/settings";
/// Where it tells what became of them.
pub const REPORT_PATH: &str = "/v1/store/settings/report";
/// Most bytes of an overlay as JSON. Beyond: refused.
pub const OVERLAY_BYTES_MAX: usize = 32 << 10;
/// Most characters of a reason. Beyond: cut.
pub const WHY_CHARS_MAX: usize = 500;

/// The blocks that an overlay may have, and what it may change in each. That of `devices` is of every device; which of it a
/// device has, its kind knows.
pub const ALLOWED: [(&str, &[&str]); 3] = [
    (
        DEVICES,
        &[
            ENABLED,
            "interval",
            "timeout",
            "jitter",
            "stale_after",
            "poll",
            "every",
            "flush",
            "idle_below_kg",
            "interfaces_max",
        ],
    ),
    ("batches", &["max_age", "bulk_max_age", "offline_max_age"]),
    ("health", &[ENABLED, "interval"]),
];

/// The block of devices.
pub const DEVICES: &str = "devices";
/// Whether something is read at all. Of a device, `true` says no more than `agent.yaml` does.
pub const ENABLED: &str = "enabled";

/// The settings of a store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoreSettings {
    /// Counts per store from 1; 0: none were ever set.
    pub version: u64,
    /// What lies over `agent.yaml`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub settings: Overlay,
}

impl StoreSettings {
    /// The version as `ETag` and `If-None-Match` have it.
    #[must_use]
    pub fn etag(version: u64) -> String {
        format!("\"{version}\"")
    }
}

/// What lies over `agent.yaml`, by block. Nothing is said of its content until it was checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overlay(pub Map<String, Value>);

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SettingsState {
    /// The agent runs by it, to see how that goes.
    Trying,
    /// That went well; it stays.
    Confirmed,
    /// It did not; the agent runs by what it had before.
    Reverted,
    /// Nothing of it was tried.
    Refused,
}

impl SettingsState {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Refused => "refused",
        }
    }
}

/// What an agent tells of a version. Unknown fields are ignored, so that a newer agent can say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsReport {
    /// Of which.
    pub version: u64,
    /// What became of it.
    pub state: SettingsState,
    /// Why, if it is not in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Overlay {
    /// Whether it says only what an overlay may.
    ///
    /// # Errors
    /// What it may not, with what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let bytes = serde_json::to_string(&self.0).map_or(usize::MAX, |text| text.len());
        if bytes > OVERLAY_BYTES_MAX {
            return Err(format!("{bytes} bytes of settings, at most {OVERLAY_BYTES_MAX}"));
        }
        for (name, block) in &self.0 {
            let allowed = ALLOWED.iter().find(|(block, _)| block == name);
            let Some((_, fields)) = allowed else {
                return Err(format!("{name:.60?} cannot be set from the cloud; {}", allowed_blocks()));
            };
            let block = object(name, block)?;
            if name != DEVICES {
                check_fields(name, block, fields)?;
                continue;
            }
            for (device, settings) in block {
                device.parse::<DeviceId>().map_err(|e| format!("{DEVICES}: {e}"))?;
                let path = format!("{DEVICES}.{device}");
                check_fields(&path, object(&path, settings)?, fields)?;
            }
        }
        Ok(())
    }

    /// What it says of each device.
    pub fn devices(&self) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
        let devices = self.0.get(DEVICES).and_then(Value::as_object);
        devices.into_iter().flatten().filter_map(|(device, block)| Some((device, block.as_object()?)))
    }
}

fn check_fields(path: &str, block: &Map<String, Value>, allowed: &[&str]) -> Result<(), String> {
    for (field, value) in block {
        if !allowed.contains(&field.as_str()) {
            let allowed = allowed.join(", ");
            return Err(format!(
                "{path}.{field:.60} cannot be set from the cloud; what can be is {allowed}; the rest is set in agent.yaml"
            ));
        }
        let fits = match value {
            Value::Bool(_) => true,
            Value::String(_) | Value::Number(_) => field != ENABLED,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        if !fits {
            let form = if field == ENABLED { "true or false" } else { "one value, such as \"30s\"" };
            let value: String = value.to_string().chars().take(60).collect();
            return Err(format!("{path}.{field}: {value} is not {form}"));
        }
    }
    Ok(())
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{path}: an object is expected, such as {{\"interval\":\"30s\"}}"))
}

fn allowed_blocks() -> String {
    let mut text = "what can be is".to_owned();
    for (block, fields) in ALLOWED {
        let under = if block == DEVICES { "devices.<device>" } else { block };
        // Writing into a text cannot fail.
        let _ = write!(text, " {under} ({}),", fields.join(", "));
    }
    format!("{} and nothing else", text.trim_end_matches(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(text: &str) -> Overlay {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_frozen_settings_and_reports_are_read_and_written_back() {
        let [settings, confirmed, refused] =
            include_str!("../testdata/settings.txt").lines().collect::<Vec<_>>().try_into().unwrap();
        let read: StoreSettings = serde_json::from_str(settings).unwrap();
        assert_eq!(read.settings.check(), Ok(()));
        assert_eq!(serde_json::to_string(&read).unwrap(), settings);
        assert_eq!(StoreSettings::etag(read.version), "\"12\"");
        for report in [confirmed, refused] {
            let read: SettingsReport = serde_json::from_str(report).unwrap();
            assert!(report.contains(read.state.as_str()));
            assert_eq!(serde_json::to_string(&read).unwrap(), report);
        }
        assert!(serde_json::from_str::<SettingsReport>(&refused.replacen('{', r#"{"news":1,"#, 1)).is_ok());
    }

    #[test]
    fn only_what_is_allowed_can_be_set() {
        for good in [
            "{}",
            r#"{"devices":{}}"#,
            r#"{"devices":{"scale-1":{"enabled":false,"interval":"30s","idle_below_kg":0.02}}}"#,
            r#"{"batches":{"max_age":"30s"},"health":{"enabled":true,"interval":"5m"}}"#,
        ] {
            assert_eq!(overlay(good).check(), Ok(()), "{good}");
        }
        for (bad, named) in [
            (r#"{"cloud":{"url":"https://evil.example"}}"#, "\"cloud\" cannot be set from the cloud"),
            (r#"{"state_dir":"/tmp"}"#, "devices.<device> (enabled, interval"),
            (r#"{"spool":{"max_size":"8MiB"}}"#, "\"spool\""),
            (r#"{"local":{"listen":"0.0.0.0:80"}}"#, "\"local\""),
            (r#"{"push":{"listen":"0.0.0.0:80"}}"#, "\"push\""),
            (r#"{"batches":{"max_samples":1}}"#, "batches.max_samples"),
            (r#"{"devices":{"scale-1":{"port":"/dev/sda"}}}"#, "devices.scale-1.port cannot be set"),
            (r#"{"devices":{"till":{"queries":[]}}}"#, "devices.till.queries"),
            (r#"{"devices":{"till":{"password":{"file":"/etc/shadow"}}}}"#, "devices.till.password"),
            (r#"{"devices":{"scale-1":{"interval":{"x":1}}}}"#, "is not one value"),
            (r#"{"devices":{"scale-1":{"interval":null}}}"#, "null is not one value"),
            (r#"{"devices":{"scale-1":{"enabled":"no"}}}"#, "is not true or false"),
            (r#"{"devices":{"scale-1":false}}"#, "devices.scale-1: an object is expected"),
            (r#"{"devices":{"../etc":{}}}"#, "devices: "),
            (r#"{"devices":[]}"#, "devices: an object is expected"),
        ] {
            let why = overlay(bad).check().unwrap_err();
            assert!(why.contains(named), "{bad}: {why}");
        }
        let long = format!(r#"{{"devices":{{"a":{{"interval":"{}"}}}}}}"#, "x".repeat(OVERLAY_BYTES_MAX));
        assert!(overlay(&long).check().unwrap_err().contains("at most 32768"));
    }
}
