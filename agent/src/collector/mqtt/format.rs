//! Which topics a format has, and which parser.

use serde::Deserialize;

use super::super::parse::Parsed;
use super::report::Report;
use super::{Settings, json, shelly, tasmota, zigbee2mqtt};

/// `format:` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Zigbee2mqtt,
    Tasmota,
    Shelly,
    Json,
}

/// What is subscribed to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topics {
    pub reports: Vec<String>,
    pub availability: Vec<String>,
}

impl Format {
    /// The topics of `topic`: `zigbee2mqtt/<friendly name>`, `tele/<topic>`, `<shelly id>`, or the one of format `json`.
    pub(super) fn topics(self, settings: &Settings) -> Topics {
        let topic = settings.topic.trim_end_matches('/');
        let (reports, usual) = match self {
            Self::Zigbee2mqtt => {
                let base = topic.split('/').next().unwrap_or_default();
                (
                    vec![topic.to_owned()],
                    vec![format!("{topic}/availability"), format!("{base}/bridge/state")],
                )
            }
            Self::Tasmota => {
                (vec![format!("{topic}/SENSOR"), format!("{topic}/STATE")], vec![format!("{topic}/LWT")])
            }
            Self::Shelly => (vec![format!("{topic}/events/rpc")], vec![format!("{topic}/online")]),
            Self::Json => (vec![settings.topic.clone()], Vec::new()),
        };
        Topics { reports, availability: settings.availability.clone().unwrap_or(usual) }
    }

    pub(super) fn parse(self, settings: &Settings, payload: &[u8]) -> Parsed<Report> {
        match self {
            Self::Zigbee2mqtt => zigbee2mqtt::parse(payload),
            Self::Tasmota => tasmota::parse(payload),
            Self::Shelly => shelly::parse(payload),
            Self::Json => json::parse(payload, &settings.values, settings.time.as_deref()),
        }
    }
}
