//! What an agent holds: descriptors by the kernel's account, tasks by its own, and the processor time that it takes.
//!
//! Connections come and go with the uplink and with whoever asks: each is a socket and a task, and neither counts here.

use std::time::Duration;

use anyhow::Context as _;

use crate::store::Agent;

/// Looks at what it holds; the one in the middle counts, since both accounts are not of the same moment.
const LOOKS: usize = 21;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// At one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftovers {
    /// That are no sockets: ports, files.
    pub descriptors: i64,
    /// More than sockets.
    pub tasks: i64,
}

impl Leftovers {
    pub(super) async fn of(agent: &Agent) -> anyhow::Result<Self> {
        let (mut descriptors, mut tasks) = (Vec::new(), Vec::new());
        for _ in 0..LOOKS {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let now = Self::now(agent).await?;
            descriptors.push(now.descriptors);
            tasks.push(now.tasks);
        }
        descriptors.sort_unstable();
        tasks.sort_unstable();
        Ok(Self { descriptors: descriptors[LOOKS / 2], tasks: tasks[LOOKS / 2] })
    }

    async fn now(agent: &Agent) -> anyhow::Result<Self> {
        let pid = agent.pid().context("the agent does not run")?;
        let page = agent.read_metrics().await?;
        let tasks = page.lines().find_map(|line| line.strip_prefix("storepulse_agent_tasks "));
        let tasks: i64 = tasks.context("the agent does not tell its tasks")?.parse()?;
        let (mut sockets, mut others) = (0, 0);
        for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
            // One that was closed meanwhile is none.
            let Ok(target) = std::fs::read_link(descriptor?.path()) else { continue };
            if target.to_string_lossy().starts_with("socket:") { sockets += 1 } else { others += 1 }
        }
        Ok(Self { descriptors: others, tasks: tasks - sockets })
    }
}

/// The share of a core that it takes in this time.
pub(super) async fn cpu(agent: &Agent, time: Duration) -> anyhow::Result<f64> {
    let pid = agent.pid().context("the agent does not run")?;
    let before = crate::cpu::of_process(pid)?;
    tokio::time::sleep(time).await;
    Ok((crate::cpu::of_process(pid)? - before).as_secs_f64() / time.as_secs_f64())
}
