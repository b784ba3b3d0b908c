//! A store whose agent is given the ticks of a shop's hour, faster than they would come: each tick is 15 s of the shop's time
//! after the one before, and brings all its series, as a POS terminal would push them. The value of a sample is the number of
//! its tick, and what was answered 2xx is written down.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cluster::TestDb;
use crate::devices::{DeviceLog, Sent};
use crate::oracle::{self, Excuses, Verdict};
use crate::store::{Agent, AgentSetup, Store};

/// Between two ticks, in the shop's time.
pub(super) const TICK_MS: i64 = 15_000;
/// Devices of a store, and series of each.
const DEVICES: usize = 10;
const SERIES: usize = 10;
/// Samples of a tick.
pub(super) const WIDTH: u64 = (DEVICES * SERIES) as u64;
const PUSH_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);

/// One store at work.
pub(super) struct Shop {
    pub(super) agent: Agent,
    log: DeviceLog,
    http: reqwest::Client,
    /// The shop's time of tick 0, Unix milliseconds.
    begin_ms: i64,
    /// The last tick.
    tick: u64,
}

impl Shop {
    pub(super) async fn open(testbed: &Path, store: &Store, begin_ms: i64) -> anyhow::Result<Self> {
        let setup = AgentSetup { push: true, ..AgentSetup::default() };
        let agent = Agent::start(testbed, store, &setup).await?;
        let log = DeviceLog::create(&store.dir.join("ticks.log"))?;
        let http = reqwest::Client::builder().no_proxy().timeout(PUSH_TIMEOUT).build()?;
        Ok(Self { agent, log, http, begin_ms, tick: 0 })
    }

    /// So many ticks, `pace` apart, or until it is calm; how many there were.
    pub(super) async fn work(
        &mut self,
        ticks: u64,
        pace: Duration,
        calm: &CancellationToken,
    ) -> anyhow::Result<u64> {
        let mut tick = tokio::time::interval(pace);
        for done in 0..ticks {
            tokio::select! {
                () = calm.cancelled() => return Ok(done),
                _ = tick.tick() => {}
            }
            self.push_tick().await?;
        }
        Ok(ticks)
    }

    /// SIGKILL and a new start, which begins another epoch.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.agent.kill()?;
        self.agent.restart().await
    }

    async fn push_tick(&mut self) -> anyhow::Result<()> {
        self.tick += 1;
        let (n, time) = (self.tick, self.begin_ms + self.tick.cast_signed() * TICK_MS);
        let sample = |at: usize| {
            let (device, metric) = (device(at / SERIES), metric(at % SERIES));
            json!({ "device_id": device, "metric": metric, "value": n, "timestamp": time })
        };
        let body = json!({ "metrics": (0..DEVICES * SERIES).map(sample).collect::<Vec<_>>() }).to_string();
        let url = format!("http://{}/v1/metrics/batch", self.agent.push);
        loop {
            let request = self.http.post(&url).header("Content-Type", "application/json");
            let request = request.header("Idempotency-Key", format!("tick-{n}")).body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                    anyhow::bail!("tick {n}: {} {}", answer.status(), answer.text().await?)
                }
                Ok(_) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
        self.log.note(Sent { n, at: Instant::now(), owed: true })
    }

    /// How many ticks were answered.
    pub(super) const fn ticks(&self) -> u64 {
        self.tick
    }

    /// Every sample of every tick, against what is stored.
    pub(super) async fn judge(&self, db: &TestDb) -> anyhow::Result<Verdict> {
        let (tenant, store) = (self.agent.store.tenant.as_str(), self.agent.store.id.as_str());
        let mut verdict = Verdict::default();
        for at in 0..SERIES {
            let stored = oracle::stored(db, tenant, store, &metric(at)).await?;
            for at in 0..DEVICES {
                let held = stored.get(&device(at)).cloned().unwrap_or_default();
                verdict += oracle::judge(&self.log, &held, &Excuses::default());
            }
        }
        Ok(verdict)
    }
}

fn device(at: usize) -> String {
    format!("till-{at}")
}

fn metric(at: usize) -> String {
    format!("torture.value_{at}")
}
