//! The whole kind, on files that are written as the kernel writes them.

use std::io::Write as _;

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::Rig;

const ID: &str = "28-0316a2794bff";
const COLD: &str = "d8 fe 4b 46 7f ff 08 10 6d : crc=6d YES\nd8 fe 4b 46 7f ff 08 10 6d t=-18500\n";
const STARTED: &str = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n";
const NO: &str = "d8 fe 4b 46 7f ff 08 10 6e : crc=6d NO\nd8 fe 4b 46 7f ff 08 10 6d t=-18500\n";

/// The kernel's folder of a sensor.
struct Bus(tempfile::TempDir);

impl Bus {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(ID).join("w1_slave")
    }

    fn says(&self, text: &str) {
        std::fs::create_dir_all(self.0.path().join(ID)).unwrap();
        // In one step, as the kernel does: never half a text.
        let draft = self.0.path().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.file()).unwrap();
    }

    fn kind(&self, more: &str) -> String {
        let root = self.0.path().display();
        format!("ds18b20: {{ id: {ID}, root: {root}, interval: 50ms, jitter: 1ms, {more} }}")
    }
}

#[tokio::test]
async fn a_temperature_arrives_with_its_place() {
    let (bus, rig) = (Bus::new(), Rig::new());
    bus.says(COLD);
    let _running = rig.start(&bus.kind("location: freezer-1"));
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["hw.temperature{hw.sensor_location=\"freezer-1\"}"], -18.5);
}

#[tokio::test]
async fn what_is_no_temperature_is_an_error_and_never_a_value() {
    let (bus, rig) = (Bus::new(), Rig::new());
    bus.says(STARTED);
    let _running = rig.start(&bus.kind(""));
    rig.until_error(FaultKind::Parse).await;
    for (text, kind) in
        [(NO, FaultKind::Checksum), ("", FaultKind::ShortFrame), ("garbage\nand more\n", FaultKind::Framing)]
    {
        bus.says(text);
        rig.until_error(kind).await;
    }
    assert_eq!(rig.status().state, Some(DeviceState::Fault));
    assert!(rig.values().is_empty());
    bus.says(COLD);
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["hw.temperature"], -18.5);
}

#[tokio::test]
async fn a_sensor_that_is_taken_away_is_missing_until_it_is_back() {
    let (bus, rig) = (Bus::new(), Rig::new());
    let _running = rig.start(&bus.kind(""));
    rig.until_error(FaultKind::MissingPort).await;
    bus.says(COLD);
    rig.until_state(DeviceState::Ok).await;
    std::fs::remove_dir_all(bus.0.path().join(ID)).unwrap();
    rig.until_state(DeviceState::Unreachable).await;
    bus.says(COLD);
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn a_reading_that_hangs_is_a_timeout_and_costs_one_thread() {
    let (bus, rig) = (Bus::new(), Rig::new());
    std::fs::create_dir_all(bus.0.path().join(ID)).unwrap();
    // Opening it for reading waits until somebody opens it for writing.
    nix::unistd::mkfifo(&bus.file(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _running = rig.start(&bus.kind("timeout: 100ms"));
    let status = rig.until("two timeouts", |status| status.errors.get("timeout") >= Some(&2)).await;
    assert_eq!(status.state, Some(DeviceState::Unreachable));
    // One reader waits: it takes this, and the name is a file when the next one comes.
    let mut hanging = std::fs::OpenOptions::new().write(true).open(bus.file()).unwrap();
    bus.says(COLD);
    hanging.write_all(COLD.as_bytes()).unwrap();
    drop(hanging);
    rig.until_state(DeviceState::Ok).await;
}

#[test]
fn a_mistake_is_named() {
    let settings = |yaml: &str| serde_yaml::from_str::<Settings>(yaml).map_err(|error| error.to_string());
    for id in ["10-0316a2794bff", "28-0316a2794bf", "28-../../../etc", "28-0316a2794bfg"] {
        let error = settings(&format!("{{ id: '{id}' }}")).unwrap_err();
        assert!(error.contains("is no DS18B20"), "{error}");
    }
    for (more, why) in [
        ("metric: 'a b'", "not a metric name"),
        ("location: ''", "labels"),
        ("metric: 'm{hw.sensor_location=\"a\"}', location: b", "labels"),
    ] {
        let error = settings(&format!("{{ id: {ID}, {more} }}")).unwrap().check().unwrap_err();
        assert!(error.contains(why), "{more}: {error}");
    }
}
