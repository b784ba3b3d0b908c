//! A shop: devices, an agent as a process of its own, and a link to the cloud that can be cut. What is known of the agent is
//! what its `/status` says from outside.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value;
use storepulse_agent::time::now_ms;

use super::sorts::{Sort, invalid};
use super::spool::Contents;
use crate::by_hand::ByHand;
use crate::devices::{COUNTER, Late, LinePrinter};
use crate::proxy::{Fault, Proxy};
use crate::store::{Agent, AgentSetup, Store};

/// The device that takes its time to answer.
pub(super) const FRIDGE: &str = "fridge";
/// The device that speaks now and then.
pub(super) const TILL: &str = "till";
/// How long the fridge takes.
const LATE: Duration = Duration::from_millis(400);
/// How often the till speaks.
const PACE: Duration = Duration::from_secs(2);
/// How often the agent is asked.
const LOOK: Duration = Duration::from_millis(250);
/// What takes no trial may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// A trial with all around it.
const TRIAL: Duration = Duration::from_secs(120);
/// A killed agent dies up to so long after its trial began.
const KILLED_WITHIN_MS: u64 = 45_000;

/// What a try came to.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) sort: Sort,
    /// From applied to the old settings at work.
    pub(super) back_ms: i64,
    /// Sealed batches and open values that were compared.
    pub(super) compared: (usize, usize),
    /// What the spool had lost or changed.
    pub(super) faults: Vec<String>,
}

/// A running shop.
#[derive(Debug)]
pub(super) struct Shop {
    agent: Agent,
    link: Proxy,
    operator: ByHand,
    http: reqwest::Client,
    rng: StdRng,
    in_use: u64,
    fridge: Late,
    till: LinePrinter,
}

impl Shop {
    /// Opens, with an agent whose devices are all well.
    pub(super) async fn open(
        testbed: &Path,
        store: &Store,
        cloud: std::net::SocketAddr,
        operator: ByHand,
        rng: StdRng,
    ) -> anyhow::Result<Self> {
        let link = Proxy::start(cloud).await?;
        let fridge = Late::start(LATE).await?;
        let till = LinePrinter::start(&store.dir, "tty-till", PACE)?;
        let devices = format!(
            "  gateway:\n    host: {{ interval: 5s }}\n  {FRIDGE}:\n    http_json:\n      url: http://{}/\n      interval: 1s\n      \
             jitter: 100ms\n      timeout: 5s\n      values:\n        - {{ pointer: /t, metric: hw.temperature }}\n  {TILL}:\n    \
             serial_lines:\n      port: {}\n      stale_after: 30s\n      lane: bulk\n      patterns:\n        \
             - {{ match: 'SALE no=(?<no>\\d+) ms=.*', metrics: {{ no: {COUNTER} }} }}\n",
            fridge.address,
            till.port.display()
        );
        let cloud_url = Some(format!("http://{}", link.address));
        let setup = AgentSetup { cloud_url, devices, ..AgentSetup::default() };
        let agent = Agent::start(testbed, store, &setup).await?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let shop = Self { agent, link, operator, http, rng, in_use: 0, fridge, till };
        shop.until_well().await?;
        Ok(shop)
    }

    /// One try; returns once all is as it was.
    pub(super) async fn strike(&mut self, sort: Sort) -> anyhow::Result<Try> {
        let before = Contents::read(&self.agent.spool_dir())?;
        let version = self.set(&sort.settings()).await?;
        let applied_ms = self.until_applied(version).await?;
        match sort {
            Sort::Unreached => self.link.set(Fault::Cut),
            Sort::Killed | Sort::Stopped => {
                tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..KILLED_WITHIN_MS))).await;
                let status = self.status().await?;
                anyhow::ensure!(
                    status["settings"]["state"] == "trying",
                    "the trial was over before: {status}"
                );
                if sort == Sort::Killed {
                    self.agent.kill()?
                } else {
                    self.agent.stop().await?
                }
                self.agent.restart().await?;
            }
            _ => {}
        }
        let back = self.until(TRIAL, "the old settings", |settings| {
            settings["version"] == version
                && settings["state"] == "reverted"
                && settings["in_use"] == self.in_use
        });
        back.await?;
        let back_ms = now_ms() - applied_ms;
        self.link.set(Fault::None);
        let after = Contents::read(&self.agent.spool_dir())?;
        let faults = before.missing_from(&after, sort.restarts())?;
        self.until_well().await?;
        self.until_cloud_says(version, "reverted").await?;
        Ok(Try { sort, back_ms, compared: before.size(), faults })
    }

    /// What does not fit is refused at once, and nothing is started anew for it. Returns how long that took at most.
    pub(super) async fn refuse(&mut self) -> anyhow::Result<Duration> {
        let mut longest = Duration::ZERO;
        for (settings, named) in invalid() {
            let begun = Instant::now();
            let version = self.set(&settings).await?;
            let refused = |settings: &Value| settings["version"] == version && settings["state"] == "refused";
            let status = self.until(SOON, "a refusal", refused).await?;
            longest = longest.max(begun.elapsed());
            let (why, in_use) = (status["why"].as_str().unwrap_or_default(), &status["in_use"]);
            anyhow::ensure!(
                why.contains(named) && *in_use == self.in_use,
                "not the refusal of {settings}: {status}"
            );
            self.until_cloud_says(version, "refused").await?;
        }
        Ok(longest)
    }

    /// A good setting is confirmed, so that going back leads to it from now on.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        let version = self.set(&serde_json::json!({ "devices": { FRIDGE: { "interval": "2s" } } })).await?;
        let confirmed = |settings: &Value| settings["in_use"] == version && settings["state"] == "confirmed";
        self.until(TRIAL, "a good setting to be confirmed", confirmed).await?;
        self.in_use = version;
        self.until_cloud_says(version, "confirmed").await
    }

    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.agent.stop().await?;
        self.till.stop().await?;
        drop(self.fridge);
        self.link.stop().await;
        Ok(())
    }

    fn path(&self) -> String {
        let store = &self.agent.store;
        format!("/v1/tenants/{}/stores/{}/agent-settings", store.tenant, store.id)
    }

    async fn set(&self, settings: &Value) -> anyhow::Result<u64> {
        let request = self.operator.request(reqwest::Method::PUT, &self.path()).json(settings);
        let answer = ByHand::answer(request).await?;
        anyhow::ensure!(answer.status == 200, "{settings} was not set: {answer:?}");
        answer.json["version"].as_u64().context("no version")
    }

    async fn status(&self) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("http://{}/status", self.agent.status)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Waits until the settings are so, and returns how they are.
    async fn until(&self, limit: Duration, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.status().await;
            if let Ok(status) = &status
                && is(&status["settings"])
            {
                return Ok(status["settings"].clone());
            }
            let store = &self.agent.store.id;
            let settings = status.map(|status| status["settings"].clone());
            anyhow::ensure!(
                Instant::now() < deadline,
                "{store}: waited in vain for {what}: {settings:?}\n{}",
                self.agent.said()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When it was applied, by the clock that both share.
    async fn until_applied(&self, version: u64) -> anyhow::Result<i64> {
        let is = |settings: &Value| settings["version"] == version && settings["state"] == "trying";
        let settings = self.until(SOON, "a trial", is).await?;
        settings["applied_ms"].as_i64().context("a trial without its beginning")
    }

    async fn until_well(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let status = self.status().await;
            let well = status.as_ref().is_ok_and(|status| {
                let all = ["gateway", FRIDGE, TILL]
                    .iter()
                    .all(|device| status["devices"][*device]["state"] == "ok");
                all && status["uplink"]["state"] == "connected"
            });
            if well {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{}: not all is well: {status:?}",
                self.agent.store.id
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn until_cloud_says(&self, version: u64, state: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let told = self.operator.get(&self.path()).await?;
            if told.json["reported_version"] == version && told.json["state"] == state {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the cloud does not know that {version} is {state}: {told:?}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}
