//! An agent in this process whose clock is wrong, by as much as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use storepulse_agent::app::{self, AgentError, Listeners};
use storepulse_agent::config::Config;
use storepulse_agent::time::{ClockSource, Reading, now_ms};
use storepulse_shared::ids::Epoch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::{Agent, AgentSetup, Store};
use crate::wait;

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A clock that runs as the system's does, but is off. Each one is a boot of its own.
#[derive(Debug)]
pub struct WrongClock {
    boot_id: String,
    booted: Instant,
    off_ms: AtomicI64,
    synchronised: AtomicBool,
}

impl WrongClock {
    /// Boots with a clock that is off by this much; nobody vouches for it.
    #[must_use]
    pub fn off_by(off_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            boot_id: Epoch::random().to_string(),
            booted: Instant::now(),
            off_ms: AtomicI64::new(off_ms),
            synchronised: AtomicBool::new(false),
        })
    }

    /// Sets it: off by this much from now on.
    pub fn step_to(&self, off_ms: i64) {
        self.off_ms.store(off_ms, Ordering::SeqCst);
    }

    /// NTP sets it right, and vouches for it.
    pub fn synchronise(&self) {
        self.step_to(0);
        self.synchronised.store(true, Ordering::SeqCst);
    }
}

impl ClockSource for WrongClock {
    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    fn read(&self) -> Reading {
        let boot_ms = i64::try_from(self.booted.elapsed().as_millis()).unwrap_or(i64::MAX);
        Reading { boot_ms, wall_ms: now_ms() + self.off_ms.load(Ordering::SeqCst) }
    }

    fn is_synchronised(&self) -> bool {
        self.synchronised.load(Ordering::SeqCst)
    }
}

/// A running agent by such a clock.
#[derive(Debug)]
pub struct MisdatedAgent {
    /// Its store and its status; not a process of its own.
    pub agent: Agent,
    /// Its clock.
    pub clock: Arc<WrongClock>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), AgentError>>,
}

impl MisdatedAgent {
    /// Writes the configuration and starts the agent.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(store: &Store, setup: &AgentSetup, clock: Arc<WrongClock>) -> anyhow::Result<Self> {
        let agent = Agent::install(std::path::Path::new(""), store, setup)?;
        let config = Config::load(&store.dir.join("agent.yaml"))?;
        let listeners = Listeners::bind(&config).await?;
        let stop = CancellationToken::new();
        let running = app::run_with_clock(config, listeners, Arc::clone(&clock) as _, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let mut task = tokio::spawn(running);
        wait::until("the agent to answer", START_LIMIT, async || {
            if task.is_finished() {
                anyhow::bail!("the agent ended: {:?}", (&mut task).await);
            }
            Ok(agent.read_status().await.is_ok().then_some(()))
        })
        .await?;
        Ok(Self { agent, clock, stop, task })
    }

    /// Waits until its status is as `condition` wants it, and returns that.
    ///
    /// # Errors
    /// It is not within `limit`; the error shows the status.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> anyhow::Result<serde_json::Value> {
        wait::until(what, limit, async || {
            let status = self.agent.read_status().await?;
            if condition(&status) { Ok(Some(status)) } else { anyhow::bail!("{status:#}") }
        })
        .await
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// It had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}
