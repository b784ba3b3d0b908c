//! The agent's own health, as samples of the reserved device `agent`: what it uses, what waits in the spool, and how its
//! devices do. They go into the spool like any other, so that after an outage it can be seen how the agent was in it.
//!
//! It reads the board, the spool and the clock, and changes none of them. Series of single devices end at [`DEVICES_MAX`], since
//! a device has a limited number of them; the sums count all.

use std::sync::Arc;

use storepulse_shared::batch::Lane;
use storepulse_shared::ids::{AGENT_DEVICE, DeviceId, IdError};
use storepulse_shared::series;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, DeviceState, DeviceStatus};
use crate::collector::{Sink, Tick};
use crate::config::HealthConfig;
use crate::spool::{Spool, SpoolStatus, TICK_WAIT_MAX};
use crate::time::{BoxClock, stamp};

/// Devices that have series of their own here; two each.
const DEVICES_MAX: usize = 60;
/// What `/proc` is asked for the memory in use.
const STATUS: &str = "/proc/self/status";

/// Looks at the agent.
pub(crate) struct Health {
    settings: HealthConfig,
    sink: Sink,
    spool: Spool,
    board: Arc<Board>,
    clock: BoxClock,
    started_boot_ms: i64,
    lost: Rising,
}

/// Counts on where what is counted can fall: records of losses are deleted once they are delivered.
#[derive(Debug, Default)]
struct Rising {
    last: u64,
    sum: u64,
}

impl Rising {
    fn count(&mut self, now: u64) -> u64 {
        self.sum += now.saturating_sub(self.last);
        self.last = now;
        self.sum
    }
}

impl Health {
    /// Begins to show the device `agent`.
    pub(crate) fn new(
        settings: HealthConfig,
        spool: Spool,
        board: Arc<Board>,
        clock: BoxClock,
        stop: CancellationToken,
    ) -> Result<Self, IdError> {
        let device: DeviceId = AGENT_DEVICE.parse()?;
        let sink = Sink::new(
            device,
            AGENT_DEVICE,
            Lane::Normal,
            spool.clone(),
            Arc::clone(&board),
            clock.clone(),
            stop,
        );
        let started_boot_ms = clock.read().boot_ms;
        Ok(Self { settings, sink, spool, board, clock, started_boot_ms, lost: Rising::default() })
    }

    /// Looks until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticker = self.sink.ticker(self.settings.interval);
        loop {
            let tick = tokio::select! {
                () = stop.cancelled() => return,
                tick = ticker.tick() => tick,
            };
            let values = self.look().await;
            let time_ms = stamp(tick, self.sink.now_ms());
            self.sink.accept(vec![Tick { time_ms, values }], TICK_WAIT_MAX).await;
        }
    }

    async fn look(&mut self) -> Vec<(String, f64)> {
        let now = self.clock.read();
        let mut values = Values(Vec::new());
        values.add("agent.uptime", seconds(now.boot_ms - self.started_boot_ms));
        let memory = std::fs::read_to_string(STATUS).ok().and_then(|text| resident(&text));
        values.add_some("agent.memory.usage", memory.map(whole));
        values.add_some("agent.cpu.time", processor_time());
        values.add_some("agent.clock.offset", self.clock.status().offset_ms.map(seconds));
        match self.spool.status().await {
            Ok(status) => {
                let lost = self.lost.count(status.lost_samples);
                values.spool(&status, now.wall_ms, lost);
            }
            Err(error) => tracing::warn!(%error, "the spool does not tell how it is"),
        }
        let devices = self.board.snapshot();
        let others: Vec<_> = devices.iter().filter(|(id, _)| id.as_str() != AGENT_DEVICE).collect();
        values.devices(&others, now.wall_ms);
        values.0
    }
}

struct Values(Vec<(String, f64)>);

impl Values {
    fn add(&mut self, series: impl Into<String>, value: f64) {
        self.0.push((series.into(), value));
    }

    fn add_some(&mut self, series: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(series, value);
        }
    }

    fn add_of(&mut self, metric: &str, label: (&str, &str), value: f64) {
        match series::compose(metric, &[label]) {
            Ok(series) => self.add(series, value),
            Err(error) => tracing::error!(%error, "a series of the agent's own health"),
        }
    }

    fn spool(&mut self, status: &SpoolStatus, now_ms: i64, lost: u64) {
        self.add("agent.spool.bytes", whole(status.bytes));
        self.add("agent.spool.lost", whole(lost));
        for lane in &status.lanes {
            self.add_of("agent.spool.waiting", ("lane", lane.lane), whole(lane.waiting_samples));
        }
        let oldest = status.lanes.iter().filter_map(|lane| lane.oldest_ms).min();
        // Nothing waits: the oldest is of now.
        self.add("agent.spool.oldest.age", oldest.map_or(0.0, |oldest| seconds(now_ms - oldest).max(0.0)));
    }

    fn devices(&mut self, devices: &[(&DeviceId, &DeviceStatus)], now_ms: i64) {
        for (name, state) in [
            ("ok", DeviceState::Ok),
            ("stale", DeviceState::Stale),
            ("fault", DeviceState::Fault),
            ("unreachable", DeviceState::Unreachable),
        ] {
            let count = devices.iter().filter(|(_, device)| device.state == Some(state)).count();
            self.add_of("agent.devices", ("state", name), whole(count as u64));
        }
        let errors = |device: &DeviceStatus| device.errors.values().sum::<u64>();
        let all = devices.iter().map(|(_, device)| errors(device)).sum::<u64>();
        self.add("agent.collector.errors", whole(all));
        for (id, device) in devices.iter().take(DEVICES_MAX) {
            let of = ("device", id.as_str());
            self.add_of("agent.collector.errors", of, whole(errors(device)));
            // Before its first good reading a device has no age.
            if let Some(last) = device.last_good_ms {
                self.add_of("agent.device.age", of, seconds(now_ms - last).max(0.0));
            }
        }
    }
}

/// Memory of this process in bytes, as `/proc/self/status` tells it.
fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1_024))
}

/// What this process has had of the processors, in seconds.
fn processor_time() -> Option<f64> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    let spent = std::time::Duration::from(time);
    Some((spent.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of today are below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "samples are doubles; 2^53 bytes are 8 PiB")]
fn whole(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use storepulse_shared::catalogue;
    use storepulse_shared::limits::DEVICE_SERIES_MAX;

    use super::*;
    use crate::spool::Limits;
    use crate::time::SystemClock;

    struct Scene {
        health: Health,
        board: Arc<Board>,
        stop: CancellationToken,
        _dir: tempfile::TempDir,
    }

    fn scene(interval: std::time::Duration) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
        let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
        let (spool, _writer) = Spool::open_dated(dir.path(), limits, clock.clone()).unwrap();
        let board = Arc::new(Board::default());
        let stop = CancellationToken::new();
        let settings = HealthConfig { enabled: true, interval };
        let health = Health::new(settings, spool, Arc::clone(&board), clock, stop.clone()).unwrap();
        Scene { health, board, stop, _dir: dir }
    }

    fn device(board: &Board, id: &str, state: Option<DeviceState>, errors: usize) {
        let id = id.parse().unwrap();
        board.add(&id, "host");
        for _ in 0..errors {
            board.bad(&id, 0, "timeout", "no answer".to_owned());
        }
        if let Some(state) = state {
            board.state(&id, state);
        }
        if state == Some(DeviceState::Ok) {
            board.good(&id, crate::time::now_ms() - 30_000, &[("a", 1.0)]);
        }
    }

    #[tokio::test]
    async fn the_agent_tells_how_it_and_its_devices_are() {
        let mut scene = scene(std::time::Duration::from_secs(60));
        device(&scene.board, "scale-1", Some(DeviceState::Ok), 2);
        device(&scene.board, "scale-2", Some(DeviceState::Unreachable), 5);
        device(&scene.board, "scale-3", None, 0);
        let values: BTreeMap<String, f64> = scene.health.look().await.into_iter().collect();
        for series in values.keys() {
            let name = series::parse(series).unwrap().metric.to_owned();
            assert!(catalogue::find(&name).is_some(), "{series} is not in the catalogue");
        }
        assert_eq!(values["agent.devices{state=\"ok\"}"], 1.0);
        assert_eq!(values["agent.devices{state=\"stale\"}"], 0.0);
        assert_eq!(values["agent.devices{state=\"unreachable\"}"], 1.0);
        assert_eq!(values["agent.collector.errors"], 7.0);
        assert_eq!(values["agent.collector.errors{device=\"scale-2\"}"], 5.0);
        assert!((29.0..40.0).contains(&values["agent.device.age{device=\"scale-1\"}"]), "{values:?}");
        assert!(!values.contains_key("agent.device.age{device=\"scale-2\"}"));
        assert!(values["agent.memory.usage"] > 1e6 && values["agent.spool.bytes"] > 0.0, "{values:?}");
        assert!(values["agent.cpu.time"] > 0.0 && values["agent.uptime"] >= 0.0);
        assert_eq!(values["agent.spool.waiting{lane=\"normal\"}"], 0.0);
        assert_eq!(values["agent.spool.oldest.age"], 0.0);
    }

    #[tokio::test]
    async fn its_samples_go_into_the_spool_under_its_own_name() {
        let scene = scene(std::time::Duration::from_millis(50));
        let (board, stop, spool) = (Arc::clone(&scene.board), scene.stop.clone(), scene.health.spool.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(scene.health.run(stop.clone()));
        let agent: DeviceId = AGENT_DEVICE.parse().unwrap();
        while board.snapshot()[&agent].samples < 30 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
        let status = board.snapshot().remove(&agent).unwrap();
        assert_eq!((status.state, status.errors.len()), (Some(DeviceState::Ok), 0));
        let waits = spool.status().await.unwrap().lanes;
        assert!(waits.iter().any(|lane| lane.open_rows > 0), "{waits:?}");
        // It does not count itself.
        assert_eq!(status.values["agent.devices{state=\"ok\"}"].value, 0.0);
    }

    #[tokio::test]
    async fn with_many_devices_the_sums_count_all_and_the_series_end() {
        let mut scene = scene(std::time::Duration::from_secs(60));
        for no in 0..150 {
            device(&scene.board, &format!("scale-{no:03}"), Some(DeviceState::Ok), 1);
        }
        let values = scene.health.look().await;
        assert!(values.len() < DEVICE_SERIES_MAX, "{}", values.len());
        let values: BTreeMap<String, f64> = values.into_iter().collect();
        assert_eq!(values["agent.collector.errors"], 150.0);
        assert_eq!(values["agent.devices{state=\"ok\"}"], 150.0);
        assert!(values.contains_key("agent.device.age{device=\"scale-059\"}"));
        assert!(!values.contains_key("agent.device.age{device=\"scale-060\"}"));
    }

    #[test]
    fn losses_are_counted_on_when_their_records_are_deleted() {
        let mut lost = Rising::default();
        assert_eq!([0, 300, 500, 200, 250].map(|now| lost.count(now)), [0, 300, 500, 500, 550]);
    }

    #[test]
    fn memory_is_that_of_the_kernel_or_none() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12340 kB\nThreads: 4\n"), Some(12_340 * 1_024));
        assert_eq!((resident(""), resident("VmRSS: 1 MB"), resident("VmRSS: x kB")), (None, None, None));
    }
}
