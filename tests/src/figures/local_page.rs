//! The page in the shop while the agent collects a thousand samples a second: how fast it answers, and what it costs to have
//! it watched.
//!
//! The agent is the shipped binary; ten devices with a hundred values each are scraped every second. The page is left alone,
//! then watched as its script does, then left alone again: what the watched part takes more than the quiet ones is the
//! watcher's. Times of answers come last, since asking a thousand times in a row would leave traces in the memory. Their limit
//! is what `/health` of the same server takes, asked in turns with the pages.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::bench::Bench;
use super::figure::Figure;
use super::footprint::{self, Memory};
use super::shipped::Shipped;
use super::{progress, report};
use crate::cpu;
use crate::devices::{Asked, Manner, answers};

/// Which store of the bench the agent has.
const STORE: usize = 6;
const SPOOL_MAX_SIZE: &str = "256MiB";
const DEVICES: usize = 10;
/// What is collected at least; an agent that falls behind makes the page look better than it is.
const SAMPLES_PER_S_MIN: f64 = 950.0;
/// After the start, beside what every agent gets: buffers and caches grow to their size.
const WARM_UP: Duration = Duration::from_secs(20);
/// How often the script asks.
const LOOK: Duration = Duration::from_secs(5);
/// How long the page is left alone at most, before and after.
const QUIET_MAX: Duration = Duration::from_secs(60);
const PATHS: [&str; 3] = ["/health", "/", "/fragment"];
const ROUNDS: usize = 500;
/// Between two rounds, so that they are spread over seconds.
const PAUSE: Duration = Duration::from_millis(20);

/// What was measured at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The slowest but one of a hundred answers, in ms, by [`PATHS`].
    p99_ms: [f64; 3],
    /// Shares of a core, quiet and watched.
    cpu: (f64, f64),
    /// Peaks in MiB, quiet before and watched.
    memory: (f64, f64),
}

impl Measured {
    /// The slower of the page and its inside, beside `/health`.
    pub(super) fn answer(self) -> Figure {
        let [health, home, fragment] = self.p99_ms;
        Figure::new(home.max(fragment)).beside(health).at_most(50.0).binding()
    }

    /// What a watcher takes of a core, in percent.
    pub(super) fn cpu(self) -> Figure {
        let (quiet, watched) = self.cpu;
        Figure::new((watched - quiet) * 100.0).at_most(1.0).binding()
    }

    /// What a watcher takes of memory, in MiB.
    pub(super) fn memory(self) -> Figure {
        let (quiet, watched) = self.memory;
        Figure::new(watched - quiet).at_most(2.0).binding()
    }
}

/// Processor time and memory of a part.
struct Part {
    cpu: f64,
    memory: Memory,
}

impl Part {
    async fn measure(pid: u32, time: Duration) -> anyhow::Result<Self> {
        let (before, begun) = (cpu::of_process(pid)?, Instant::now());
        let memory = footprint::watch(pid, time).await?;
        let spent = cpu::of_process(pid)?.saturating_sub(before);
        Ok(Self { cpu: spent.as_secs_f64() / begun.elapsed().as_secs_f64(), memory })
    }

    fn tell(&self, what: &str) -> std::io::Result<()> {
        progress::say(&format!(
            "    {what}: {} % of a core; {}",
            report::number(self.cpu * 100.0),
            self.memory
        ))
    }
}

/// Starts agent and devices, and measures; the page is watched for so long.
pub(super) async fn measure(bench: &mut Bench, watch: Duration) -> anyhow::Result<Measured> {
    let rig = bench.rig().await?;
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(Asked::start(Manner::Well, answers::exporter).await?);
    }
    let mut agent =
        Shipped::install_with(&rig.stores[STORE], &rig.cloud_url(), SPOOL_MAX_SIZE, &blocks(&devices))?;
    agent.start()?;
    footprint::settle(&agent).await?;
    tokio::time::sleep(WARM_UP).await;
    let pid = agent.pid()?;
    let (begun, collected) = (Instant::now(), samples(&agent).await?);
    let quiet = Part::measure(pid, watch.min(QUIET_MAX)).await?;
    quiet.tell("left alone")?;
    let watched = tokio::select! {
        part = Part::measure(pid, watch) => part?,
        error = look_for_ever(agent.status) => return Err(error),
    };
    watched.tell("watched")?;
    let after = Part::measure(pid, watch.min(QUIET_MAX)).await?;
    after.tell("left alone again")?;
    #[expect(clippy::cast_precision_loss, reason = "some millions")]
    let rate = (samples(&agent).await? - collected) as f64 / begun.elapsed().as_secs_f64();
    let p99_ms = answer_times(agent.status).await?;
    progress::say(&format!(
        "    {} samples/s collected; 99 of 100 answers in ms: {PATHS:?} {p99_ms:.2?}",
        report::number(rate)
    ))?;
    agent.stop().await?;
    anyhow::ensure!(rate >= SAMPLES_PER_S_MIN, "only {rate:.0} samples/s were collected");
    Ok(Measured {
        p99_ms,
        cpu: (f64::midpoint(quiet.cpu, after.cpu), watched.cpu),
        memory: (quiet.memory.rss_peak_mib(), watched.memory.rss_peak_mib()),
    })
}

fn blocks(devices: &[Asked]) -> String {
    let block = |(n, device): (usize, &Asked)| {
        let at = device.address;
        format!(
            "  box-{n}: {{ prometheus: {{ url: 'http://{at}/metrics', metrics: ['box_*'], interval: 1s }} }}\n"
        )
    };
    devices.iter().enumerate().map(block).collect()
}

/// What has been collected since the start.
async fn samples(agent: &Shipped) -> anyhow::Result<u64> {
    let status = agent.read_status().await?;
    let devices = status["devices"].as_object().context("no devices in the status")?;
    Ok(devices.values().filter_map(|device| device["samples"].as_u64()).sum())
}

/// One connection that is kept, as a browser has it.
fn browser() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build()?)
}

async fn ask(browser: &reqwest::Client, address: SocketAddr, path: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let answer =
        browser.get(format!("http://{address}{path}")).header("Accept-Language", "es").send().await?;
    answer.error_for_status()?.bytes().await?;
    Ok(begun.elapsed())
}

/// Looks at the page as its script does; ends only if that fails.
async fn look_for_ever(address: SocketAddr) -> anyhow::Error {
    let look = async || -> anyhow::Result<std::convert::Infallible> {
        let (browser, mut pace) = (browser()?, tokio::time::interval(LOOK));
        ask(&browser, address, "/").await?;
        loop {
            pace.tick().await;
            ask(&browser, address, "/fragment").await?;
        }
    };
    let Err(error) = look().await;
    error
}

/// 99 of 100 answers take no longer, in ms, by [`PATHS`].
async fn answer_times(address: SocketAddr) -> anyhow::Result<[f64; 3]> {
    let browser = browser()?;
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for (path, times) in PATHS.iter().zip(&mut times) {
            let time = ask(&browser, address, path).await?;
            // The first of each warms up.
            if round > 0 {
                times.push(time.as_secs_f64() * 1e3);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS - 1 - ROUNDS / 100]
    }))
}
