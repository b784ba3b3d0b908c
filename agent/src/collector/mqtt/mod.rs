//! `mqtt`: a sensor behind an MQTT broker (MQTT 3.1.1), in the formats of zigbee2mqtt, Tasmota and Shelly, or in any JSON.
//!
//! The agent subscribes and never publishes. It subscribes anew on every connection, with a clean session: what was
//! published while it was away is gone, but for the one message that a broker retains. That one is history: it is taken with
//! the time that it gives itself, and left alone if it gives none. Brokers and bridges do not tell that a sensor has fallen
//! silent (zigbee2mqtt waits 25 hours for one with a battery), so the device has its own clock: `stale_after`.
//!
//! [`session`] is the connection, [`sensor`] what comes of messages; a format is a file. Each device has a connection of its
//! own: devices are started, stopped and failed apart, and a broker does not mind a few connections.

mod availability;
mod format;
mod json;
mod report;
mod sensor;
mod session;
mod shelly;
mod tasmota;
#[cfg(test)]
mod tests;
mod zigbee2mqtt;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use storepulse_shared::batch::Lane;
use storepulse_shared::series;
use time::UtcOffset;

use self::format::Format;
use self::json::Field;
use super::defaults;
use super::secret::Secret;
use super::{About, Collector, Context, Subject};

/// Longest topic that is subscribed to.
const TOPIC_BYTES_MAX: usize = 200;

/// `mqtt:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host`, or `host:port`.
    broker: String,
    /// Who we are to the broker; without it, nobody in particular.
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    /// `storepulse-<device>`.
    #[serde(default)]
    client_id: Option<String>,
    format: Format,
    /// What the sensor publishes under, see [`Format::topics`].
    topic: String,
    /// Where it is said whether the sensor is there, instead of what is usual for the format.
    #[serde(default)]
    availability: Option<Vec<String>>,
    /// What is in a message of format `json`.
    #[serde(default)]
    values: Vec<Field>,
    /// Where in a message of format `json` its time stands.
    #[serde(default)]
    time: Option<String>,
    /// The zone of times that do not say theirs.
    #[serde(default, deserialize_with = "utc_offset")]
    utc_offset: Option<UtcOffset>,
    /// No measurement for this long: the device is stale.
    #[serde(default = "defaults::hours::<2>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    /// For a connection, and for each answer of the broker.
    #[serde(default = "defaults::seconds::<10>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    /// How often a broker that says nothing is asked whether it is there.
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    keep_alive: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

/// `+01:00` or `-05:30`.
fn utc_offset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UtcOffset>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let whole = format!("2000-01-01T00:00:00{text}");
    match time::OffsetDateTime::parse(&whole, &time::format_description::well_known::Rfc3339) {
        Ok(time) => Ok(Some(time.offset())),
        Err(_) => Err(serde::de::Error::custom(format_args!("{text:?} is no offset such as \"-05:00\""))),
    }
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A sensor behind an MQTT broker: zigbee2mqtt, Tasmota, Shelly, or any JSON. The agent subscribes, and never publishes.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.battery.charge",
            "hw.humidity",
            "hw.network.link_quality",
            "hw.network.signal",
            "hw.pressure",
            "hw.temperature",
            "hw.voltage",
            "retail.cabinet.door.open",
        ],
        events: &[],
        limits: &[
            "No TLS to the broker: the MQTT library would bring an outdated certificate verifier with it. Use a broker of the shop's own network.",
            "A retained message is history. It is taken with its own time (`last_seen`, `Time`, `ts`), from 7 days ago to a minute ahead; without a time it gives no sample and no state.",
            "Tasmota says its time without a zone, which is not a time unless `utc_offset` is set. A zone with summer time is better told to the device (`SetOption52 1`).",
            "Values of one series and one time are one sample, however often they are delivered. Without a time of its own, a message that is delivered twice is two samples.",
            "What a battery or a radio says is kept, but does not show that the sensor measures: the state follows measurements.",
            "zigbee2mqtt repeats old values in new messages. Only `last_seen` (`advanced: last_seen: ISO_8601`) tells how old they are at most.",
            "A message of more than 256 KiB ends the connection (`too_large`); the broker is left alone for longer and longer, up to 60 s, while it goes on so.",
            "Topics have no wildcards: a device is one sensor. Each device has its own connection.",
            "Temperature, humidity, pressure, contact, battery and radio are read from the known formats; all else needs format `json`.",
        ],
        untested: &["the messages of real sensors: shapes are those of the projects' documentation"],
    };

    const SUBJECTS: &'static [Subject] =
        &[availability::SUBJECT, json::SUBJECT, shelly::SUBJECT, tasmota::SUBJECT, zigbee2mqtt::SUBJECT];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.broker.clone())
    }

    fn check(&self) -> Result<(), String> {
        session::host_and_port(&self.broker)?;
        for topic in self.availability.iter().flatten().chain([&self.topic]) {
            if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.contains(['+', '#', '\0']) {
                return Err(format!("topic {topic:?}: 1 to {TOPIC_BYTES_MAX} bytes without + and #"));
            }
        }
        if self.password.is_some() && self.username.is_none() {
            return Err("password: there is no username".to_owned());
        }
        if self.timeout < Duration::from_secs(1) || self.keep_alive < Duration::from_secs(1) {
            return Err("timeout and keep_alive: at least 1s".to_owned());
        }
        match (self.format, self.values.is_empty()) {
            (Format::Json, true) => return Err("values: format json needs them".to_owned()),
            (Format::Json, false) | (_, true) => {}
            (_, false) => return Err("values: only format json has them".to_owned()),
        }
        if self.time.is_some() && self.format != Format::Json {
            return Err("time: only format json has it".to_owned());
        }
        for pointer in self.values.iter().map(|value| &value.pointer).chain(&self.time) {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!("pointer {pointer:?} does not begin with /"));
            }
        }
        self.values.iter().try_for_each(|value| series::check(&value.metric).map_err(|e| e.to_string()))
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.password.iter_mut().filter_map(Secret::path_mut).collect()
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        session::run(self, ctx).await;
    }
}
