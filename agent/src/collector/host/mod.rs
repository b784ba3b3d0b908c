//! `host`: the box that the agent runs on, through sysinfo, and through files of the kernel that it leaves out ([`kernel`]).
//!
//! Names are OpenTelemetry's `system.*`, which it reserves for the machine that is measured from within. Ratios are
//! rounded to a thousandth: more digits would be noise, and noise does not compress.

mod kernel;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use sysinfo::{Components, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Networks, System};

use super::defaults;
use super::fault::{Fault, FaultKind};
use super::poll::{self, Probe, Reading, Schedule};
use super::{About, Collector, Context};

/// sysinfo reads files of the kernel.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `host:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How often the box is looked at.
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    pub interval: Duration,
    /// Where `proc` and `sys` of the box are, in a container that has them elsewhere.
    #[serde(default = "root")]
    pub root: PathBuf,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    pub lane: Lane,
}

fn root() -> PathBuf {
    PathBuf::from("/")
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "The box that the agent runs on: processors, memory, disk and its wear, network, temperature, supply.",
        example: include_str!("example.yaml"),
        metrics: &[
            "system.cpu.load_average.1m",
            "system.cpu.throttled",
            "system.cpu.utilization",
            "system.disk.io.read",
            "system.disk.io.write",
            "system.disk.wear",
            "system.filesystem.limit",
            "system.filesystem.usage",
            "system.memory.limit",
            "system.memory.usage",
            "system.network.io.receive",
            "system.network.io.transmit",
            "system.paging.usage",
            "system.power.undervoltage",
            "system.power.undervoltage.seen",
            "system.temperature",
            "system.uptime",
        ],
        events: &[],
        limits: &[
            "What the box does not tell is left out: no answer is not zero.",
            "The use of the processors is a mean since the reading before: the first reading has none.",
            "Wear is that of eMMC, in tenths; NVMe and SATA disks tell theirs to root alone, and are left out.",
        ],
        untested: &["the supply and throttling of a Raspberry Pi, and a worn eMMC"],
    };

    fn lane(&self) -> Lane {
        self.lane
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.root]
    }

    async fn run(&self, ctx: &Context) {
        let mut probe = match Looker::new(self.root.clone()) {
            Ok(looker) => looker,
            Err(error) => {
                ctx.sink.error(FaultKind::Unsupported, format!("the system cannot be looked at: {error}"));
                return;
            }
        };
        // It is our own box: nothing that could be silent.
        let schedule = Schedule { interval: self.interval, timeout: TIMEOUT, jitter: Duration::ZERO };
        poll::run(schedule, ctx, &mut probe).await;
    }
}

impl Probe for Looker {
    async fn read(&mut self) -> Result<Reading, Fault> {
        Ok(Reading { values: self.look(), ..Reading::default() })
    }
}

/// What cannot be looked at on this box is left out: no answer is not zero.
struct Looker {
    root: PathBuf,
    system: System,
    networks: Option<Networks>,
    components: Option<Components>,
    /// Since when the use of the processors is measured.
    began: Instant,
}

impl Looker {
    fn new(root: PathBuf) -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        // The first look is only the base of the next.
        system.refresh_cpu_usage();
        Ok(Self {
            root,
            system,
            networks: Networks::new().ok(),
            components: Components::new_with_refreshed_list().ok(),
            began: Instant::now(),
        })
    }

    fn look(&mut self) -> Vec<(String, f64)> {
        // It is a mean over a while, and of the first look there is none yet.
        let is_cpu_known = self.began.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL;
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let mut values = vec![
            ("system.memory.limit", whole(self.system.total_memory())),
            ("system.memory.usage", whole(self.system.used_memory())),
        ];
        if is_cpu_known {
            let used = f64::from(self.system.global_cpu_usage()) / 100.0;
            values.push(("system.cpu.utilization", thousandth(used)));
        }
        values.extend(System::uptime().ok().map(|s| ("system.uptime", whole(s))));
        if let Some(networks) = &mut self.networks {
            networks.refresh(true);
            let outside = networks.iter().filter(|(name, _)| *name != "lo");
            let (received, sent) = outside.fold((0, 0), |(received, sent), (_, data)| {
                (received + data.total_received(), sent + data.total_transmitted())
            });
            values.push(("system.network.io.receive", whole(received)));
            values.push(("system.network.io.transmit", whole(sent)));
        }
        if let Some((limit, used)) = root_disk() {
            values.push(("system.filesystem.limit", whole(limit)));
            values.push(("system.filesystem.usage", whole(used)));
        }
        if let Some(components) = &mut self.components {
            components.refresh(false);
            let hottest = components.iter().filter_map(sysinfo::Component::temperature).reduce(f32::max);
            values.extend(hottest.map(|celsius| ("system.temperature", thousandth(f64::from(celsius)))));
        }
        values.extend(kernel::look(&self.root));
        values.into_iter().map(|(series, value)| (series.to_owned(), value)).collect()
    }
}

/// Size and used bytes of the root file system.
fn root_disk() -> Option<(u64, u64)> {
    let disks =
        Disks::new_with_refreshed_list_specifics(sysinfo::DiskRefreshKind::nothing().with_storage()).ok()?;
    let root = disks.iter().find(|disk| disk.mount_point() == Path::new("/"))?;
    Some((root.total_space(), root.total_space().saturating_sub(root.available_space())))
}

fn thousandth(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "samples are doubles; 2^53 bytes are 8 PiB")]
fn whole(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use storepulse_shared::catalogue;

    use super::*;

    #[test]
    fn the_box_tells_what_the_catalogue_knows() {
        let mut looker = Looker::new(root()).unwrap();
        let values = looker.look();
        for (series, value) in &values {
            assert!(catalogue::find(series).is_some(), "{series} is not in the catalogue");
            assert!(value.is_finite() && *value >= 0.0, "{series} = {value}");
        }
        let memory = values.iter().find(|(series, _)| series == "system.memory.limit").unwrap().1;
        assert!(memory > 1e6);
        let has_cpu = |values: &[(String, f64)]| values.iter().any(|(s, _)| s == "system.cpu.utilization");
        assert!(!has_cpu(&values), "nothing was measured yet");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !has_cpu(&looker.look()) {
            assert!(Instant::now() < deadline, "the use of the processors is never told");
        }
    }
}
