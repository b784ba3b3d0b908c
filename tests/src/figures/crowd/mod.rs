//! A store with sixty devices of mixed kinds, half of them broken in as many ways: what the broken ones cost the others.
//!
//! The agent is the shipped binary. Each device that is asked notes when: a tick is kept if the device was asked within a
//! second of it. The agent's own word is not asked for.

mod devices;

use std::time::{Duration, Instant};

use storepulse_agent::time::now_ms;

use self::devices::Crowd;
use super::bench::Bench;
use super::figure::Figure;
use super::footprint::{self, Memory};
use super::progress;
use super::shipped::Shipped;
use crate::cpu;

/// After the start, until all have been asked and those that are broken are asked less often.
const SETTLE: Duration = Duration::from_secs(20);
/// How long is measured.
const TIME: Duration = Duration::from_secs(120);
const SPOOL_MAX_SIZE: &str = "256MiB";
/// The store of the bench that this agent has.
const STORE: usize = 7;

/// What was measured at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Ticks of healthy devices that were kept, of all.
    kept: f64,
    /// Share of a core.
    cpu: f64,
    memory: Memory,
}

impl Measured {
    /// Ticks that the healthy half kept, in percent.
    pub(super) fn schedule(self) -> Figure {
        Figure::new(self.kept * 100.0).at_least(99.0, "99 %").binding()
    }

    /// Processor time in percent of a core.
    pub(super) fn cpu(self) -> Figure {
        Figure::new(self.cpu * 100.0).at_most(2.0).binding()
    }

    /// Resident memory at its peak, in MiB.
    pub(super) fn memory(self) -> Figure {
        Figure::new(self.memory.rss_peak_mib()).at_most(24.0).binding()
    }
}

/// Opens the store, and looks.
pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<Measured> {
    let dir = bench.part("crowd")?;
    let rig = bench.rig().await?;
    let mut crowd = Crowd::gather(&dir).await?;
    let mut agent =
        Shipped::install_with(&rig.stores[STORE], &rig.cloud_url(), SPOOL_MAX_SIZE, &crowd.blocks())?;
    agent.start()?;
    footprint::settle(&agent).await?;
    let looked = async {
        tokio::time::sleep(SETTLE).await;
        let (pid, from_ms, begun) = (agent.pid()?, now_ms(), Instant::now());
        let before = cpu::of_process(pid)?;
        let memory = footprint::watch(pid, TIME).await?;
        let spent = (cpu::of_process(pid)? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        anyhow::Ok((from_ms, now_ms(), spent, memory, agent.read_status().await?))
    };
    let (from_ms, to_ms, cpu, memory, status) = tokio::select! {
        looked = looked => looked?,
        served = crowd.serve() => { served?; anyhow::bail!("the devices ended") }
    };
    agent.stop().await?;
    crowd.check(&status)?;
    let ticks = crowd.ticks(from_ms, to_ms);
    progress::say(&format!("    {} of {} ticks of the healthy half kept; {memory}", ticks.kept, ticks.due))?;
    Ok(Measured { kept: ticks.share(), cpu, memory })
}
