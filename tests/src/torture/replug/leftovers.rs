//! What an agent holds: descriptors by the kernel's account, tasks by its own, and the processor time that it takes.

use std::time::Duration;

use anyhow::Context as _;

use crate::store::Agent;

/// Looks at what it holds: the least of them counts, since who asks has a connection, and its task, for a moment.
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// At one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftovers {
    pub descriptors: i64,
    pub tasks: i64,
}

impl Leftovers {
    pub(super) async fn of(agent: &Agent) -> anyhow::Result<Self> {
        let mut least = Self::now(agent).await?;
        for _ in 1..LOOKS {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let now = Self::now(agent).await?;
            least.descriptors = least.descriptors.min(now.descriptors);
            least.tasks = least.tasks.min(now.tasks);
        }
        Ok(least)
    }

    async fn now(agent: &Agent) -> anyhow::Result<Self> {
        let pid = agent.pid().context("the agent does not run")?;
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        let page = agent.read_metrics().await?;
        let tasks = page.lines().find_map(|line| line.strip_prefix("storepulse_agent_tasks "));
        let tasks = tasks.context("the agent does not tell its tasks")?.parse()?;
        Ok(Self { descriptors: i64::try_from(descriptors)?, tasks })
    }
}

/// The share of a core that it takes in this time.
pub(super) async fn cpu(agent: &Agent, time: Duration) -> anyhow::Result<f64> {
    let pid = agent.pid().context("the agent does not run")?;
    let before = crate::cpu::of_process(pid)?;
    tokio::time::sleep(time).await;
    Ok((crate::cpu::of_process(pid)? - before).as_secs_f64() / time.as_secs_f64())
}
