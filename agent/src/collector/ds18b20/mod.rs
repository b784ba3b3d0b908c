//! `ds18b20`: a thermometer on the kernel's 1-wire bus, read through sysfs. Nothing is written; the kernel asks the sensor.
//!
//! [`scratchpad`] knows the text. Reading it takes up to 750 ms, in which the kernel waits for the sensor to measure, so it is
//! done on a thread of its own. If that thread hangs, the next reading waits for it and starts no second one.

mod scratchpad;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::series;
use tokio::task::JoinHandle;

use self::scratchpad::TEXT_BYTES_MAX;
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::parse::{Subject, Unread};
use super::poll::{self, Probe, Reading, Schedule};
use super::tape::Tape;
use super::{About, Collector, Context};

/// The family of the sensor, a minus, and its number.
const FAMILY: &str = "28-";
const NUMBER_DIGITS: usize = 12;
/// The label that says where a sensor is.
const LOCATION: &str = "hw.sensor_location";

/// `ds18b20:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(deserialize_with = "sensor")]
    id: String,
    #[serde(default = "root")]
    root: PathBuf,
    #[serde(default = "metric")]
    metric: String,
    location: Option<String>,
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    #[serde(default = "defaults::seconds::<10>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

fn root() -> PathBuf {
    "/sys/bus/w1/devices".into()
}

fn metric() -> String {
    "hw.temperature".to_owned()
}

/// Sensors of one bus measure one after the other.
/// It becomes part of a path.
fn sensor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let number = id.strip_prefix(FAMILY).unwrap_or_default();
    if number.len() == NUMBER_DIGITS && number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(id);
    }
    let text = format!("{id:?} is no DS18B20 such as 28-0316a2794bff; ls /sys/bus/w1/devices shows them");
    Err(serde::de::Error::custom(text))
}

impl Settings {
    fn series(&self) -> Result<String, String> {
        let known = series::parse(&self.metric).map_err(|error| format!("metric: {error}"))?;
        let mut labels: Vec<(&str, &str)> =
            known.labels.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        labels.extend(self.location.as_deref().map(|location| (LOCATION, location)));
        series::compose(known.metric, &labels).map_err(|error| format!("metric and location: {error}"))
    }
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A DS18B20 thermometer on the kernel's 1-wire bus (`dtoverlay=w1-gpio`), read through sysfs. Nothing is written.",
        example: include_str!("example.yaml"),
        metrics: &["hw.temperature"],
        events: &["device.plugged", "device.unplugged"],
        limits: &[
            "85 °C of a sensor that has just got power and has not measured, nine zeros of a shorted line, and what lies outside of -55 to 125 °C are errors, no readings.",
            "Only the family 28.",
        ],
        untested: &["the kernel's own driver: the tests write its files"],
    };
    const SUBJECTS: &'static [Subject] = scratchpad::SUBJECTS;
    const SHOWS_BYTES: bool = true;

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(format!("1-wire {}", self.id))
    }

    fn check(&self) -> Result<(), String> {
        self.series().map(|_| ())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.root]
    }

    async fn run(&self, ctx: &Context) {
        let series = match self.series() {
            Ok(series) => series,
            Err(why) => return ctx.sink.error(FaultKind::Internal, why),
        };
        let folder = self.root.join(&self.id);
        let tape = ctx.sink.tape().clone();
        let mut sensor = Sensor { folder, series, timeout: self.timeout, tape, running: None };
        // The sensor's own limit comes first: it keeps the thread that hangs.
        let timeout = self.timeout.saturating_add(Duration::from_secs(1));
        let schedule = Schedule { interval: self.interval, timeout, jitter: self.jitter };
        poll::run(schedule, ctx, &mut sensor).await;
    }
}

struct Sensor {
    folder: PathBuf,
    series: String,
    timeout: Duration,
    /// The kernel's text is what is said on its line.
    tape: Tape,
    /// What took too long, and still goes on.
    running: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Probe for Sensor {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let file = self.folder.join("w1_slave");
        // What has ended in the meantime was measured at another time: it is forgotten.
        let mut text = match self.running.take().filter(|running| !running.is_finished()) {
            Some(running) => running,
            None => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || read(&file))
            }
        };
        let Ok(ended) = tokio::time::timeout(self.timeout, &mut text).await else {
            self.running = Some(text);
            let timeout = humantime::format_duration(self.timeout);
            return Err(Fault::new(
                FaultKind::Timeout,
                format!("{}: not read within {timeout}", file.display()),
            ));
        };
        let text = ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let text = text.map_err(|error| unreadable(&file, &error))?;
        self.tape.hears(&text);
        let (celsius, _) =
            scratchpad::parse(&text).map_err(|unread| not_understood(&file, text.len(), unread))?;
        let mut reading = Reading::default();
        reading.value(self.series.clone(), celsius);
        Ok(reading)
    }

    fn is_gone(&mut self) -> bool {
        !self.folder.exists()
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(file)?.take(TEXT_BYTES_MAX as u64).read_to_end(&mut text)?;
    Ok(text)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Fault {
    let (kind, way_out) = match error.kind() {
        std::io::ErrorKind::NotFound => {
            (FaultKind::MissingPort, "; is the sensor connected, and the bus on?")
        }
        std::io::ErrorKind::PermissionDenied => (FaultKind::Denied, ""),
        // The kernel asked the sensor, and has no answer.
        _ => (FaultKind::Timeout, "; the sensor does not answer the kernel"),
    };
    Fault::new(kind, format!("{}: {error}{way_out}", file.display()))
}

fn not_understood(file: &Path, length: usize, unread: Unread) -> Fault {
    let (kind, why) = match unread {
        Unread::Need(_) => {
            (FaultKind::ShortFrame, "it ends too early; the sensor does not answer the kernel")
        }
        Unread::Bad(FaultKind::Checksum) => (FaultKind::Checksum, "the checksum is wrong; look at the wires"),
        Unread::Bad(FaultKind::Parse) => (
            FaultKind::Parse,
            "no temperature: the sensor has just got power, or says what it cannot measure",
        ),
        Unread::Bad(kind) => (kind, "not what the kernel writes for a DS18B20, or the line is shorted"),
    };
    Fault::new(kind, format!("{}, {length} bytes: {why}", file.display()))
}

#[cfg(test)]
mod tests;
