//! What the shipped agent takes of its box: memory, the size of its binary, and the time to its first sample.
//!
//! The agent is a process of the release profile with the product's defaults, in front of a real cloud over TLS; its memory
//! is `VmRSS`, every 50 ms. *Idle* is the box's own collector and nothing else. *Steady* is the reference store at sixty
//! times its pace, so that a minute is an hour of it; kinds of devices that have no collector yet push over loopback.
//! That is the dearer way, and a batch holds sixty times as much as in a shop. *Drain* and *start* have a backlog of 256 MiB.

mod backlog;
mod feed;
mod memory;

use std::time::{Duration, Instant};

use anyhow::Context as _;

pub(super) use self::backlog::fill as fill_backlog;
use self::backlog::{BACKLOG_BYTES, forget_pages};
use self::feed::Feed;
pub(super) use self::feed::push_one;
pub(super) use self::memory::{Memory, watch};
use super::bench::Bench;
use super::figure::Figure;
use super::shipped::{self, Build, Shipped, bytes_of};
use super::{progress, report};
use crate::wait;

const MIB: f64 = 1_048_576.0;
/// Room for the backlog, for what is acknowledged and kept, and for the tables.
const SPOOL_MAX_SIZE: &str = "768MiB";
/// How long an agent may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(30);
/// After the start, before memory is looked at.
const SETTLE: Duration = Duration::from_secs(10);
const IDLE_TIME: Duration = Duration::from_secs(35);
const STEADY_TIME: Duration = Duration::from_secs(90);
/// Of the drain, from the start on: what it takes does not grow after the first seconds, and all of it would take minutes.
const DRAIN_TIME: Duration = Duration::from_secs(60);
const STARTS: usize = 5;

/// Peak of an agent that has little to do, in MiB.
pub(super) async fn idle(bench: &mut Bench) -> anyhow::Result<Figure> {
    let mut agent = install(bench, 0, "256MiB").await?;
    agent.start()?;
    settle(&agent).await?;
    let memory = watch(agent.pid()?, IDLE_TIME).await?;
    agent.stop().await?;
    tell(memory, 12.0)
}

/// Peak of an agent of the reference store at work, in MiB.
pub(super) async fn steady(bench: &mut Bench) -> anyhow::Result<Figure> {
    let mut agent = install(bench, 1, "256MiB").await?;
    agent.start()?;
    settle(&agent).await?;
    let feed = Feed::start(agent.push)?;
    // What is monitored in a shop is asked for here too.
    let memory = tokio::select! {
        memory = watch(agent.pid()?, STEADY_TIME) => memory?,
        error = ask_for_ever(&agent) => return Err(error),
    };
    let pushed = feed.stop().await?;
    progress::say(&format!("    {pushed} samples pushed"))?;
    agent.stop().await?;
    tell(memory, 24.0)
}

/// Peak of an agent from its start on that finds a large backlog and delivers it, in MiB.
pub(super) async fn drain(bench: &mut Bench) -> anyhow::Result<Figure> {
    let spool = bench.backlog().await?;
    let mut agent = install(bench, 2, SPOOL_MAX_SIZE).await?;
    // Nobody needs it any more afterwards.
    std::fs::rename(spool, agent.spool_dir())?;
    agent.start()?;
    let feed = Feed::start(agent.push)?;
    let memory = watch(agent.pid()?, DRAIN_TIME).await?;
    let pushed = feed.stop().await?;
    let status = agent.read_status().await?;
    let acked = status["uplink"]["acked_batches"].as_u64().unwrap_or_default();
    progress::say(&format!("    {acked} batches delivered, {pushed} samples pushed meanwhile"))?;
    agent.kill()?;
    anyhow::ensure!(acked > 1_000, "hardly anything was delivered\n{}", agent.said());
    tell(memory, 32.0)
}

/// From the start of the process to the first sample that is durable, in milliseconds, with a large backlog whose pages are
/// not in memory: the slowest of some starts after a kill.
pub(super) async fn start(bench: &mut Bench) -> anyhow::Result<Figure> {
    let spool = bench.backlog().await?;
    let mut agent = install(bench, 3, SPOOL_MAX_SIZE).await?;
    std::fs::rename(&spool, agent.spool_dir())?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        forget_pages(&agent.spool_dir())?;
        let begun = agent.start()?;
        let stored = push_one(agent.push, "pos-01", Instant::now() + START_LIMIT).await;
        let stored = stored.with_context(|| agent.said())?;
        times.push((stored - begun).as_secs_f64() * 1e3);
        agent.kill()?;
    }
    std::fs::rename(agent.spool_dir(), &spool)?;
    let list: Vec<String> = times.iter().map(|ms| report::number(*ms)).collect();
    progress::say(&format!("    {} MiB waiting; ms: {}", BACKLOG_BYTES >> 20, list.join(" ")))?;
    Ok(Figure::new(times.into_iter().fold(0.0, f64::max)).at_most(300.0).binding())
}

/// The size of the shipped binary, in MiB.
pub(super) fn binary(build: Build) -> anyhow::Result<Figure> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = bytes_of(&shipped::binary(build)?)? as f64;
    let most = match build {
        Build::Whole => 14.0,
        Build::Lean => 8.0,
    };
    Ok(Figure::new(bytes / MIB).at_most(most).binding())
}

async fn install(bench: &mut Bench, store: usize, spool_max_size: &str) -> anyhow::Result<Shipped> {
    let rig = bench.rig().await?;
    Shipped::install(&rig.stores[store], &rig.cloud_url(), spool_max_size)
}

/// Waits until it answers and has settled.
pub(super) async fn settle(agent: &Shipped) -> anyhow::Result<()> {
    wait::until("the shipped agent to answer", START_LIMIT, async || {
        Ok(Some(agent.read_status().await.with_context(|| agent.said())?))
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// `/health` as a container's check does, `/metrics` and `/status` as monitoring does.
async fn ask_for_ever(agent: &Shipped) -> anyhow::Error {
    loop {
        for path in ["health", "metrics", "status"] {
            if let Err(error) = reqwest::get(format!("http://{}/{path}", agent.status)).await {
                return error.into();
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn tell(memory: Memory, most: f64) -> anyhow::Result<Figure> {
    progress::say(&format!("    {memory}"))?;
    Ok(Figure::new(memory.rss_peak_mib()).at_most(most).binding())
}
