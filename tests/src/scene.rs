//! A store at work for an end-to-end test or a torture: agent and cloud as processes, a link with faults between them, a
//! device on a serial port and one that pushes, and the verdict over what they sent.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cloud::CloudProcess;
use crate::cluster::TestDb;
use storepulse_agent::time::now_ms;

use crate::devices::{COUNTER, DeviceLog, LinePrinter, PUSHED_COUNTER, Pusher, Sent};
use crate::oracle::{self, Excuses, Totals, Verdict};
use crate::proxy::Proxy;
use crate::roles::PowerCut;
use crate::store::{self, Agent, AgentSetup, Store};

/// How long an agent may take to reach the step at which the power of its disk goes.
const CUT_LIMIT: Duration = Duration::from_secs(60);
/// The device on the serial port.
pub const PRINTING: &str = "pos-01";
/// The device that pushes.
pub const PUSHING: &str = "pos-02";

/// One store with its devices.
#[derive(Debug)]
pub struct Shop {
    /// Its agent.
    pub agent: Agent,
    printer: LinePrinter,
    pusher: Pusher,
    kills: Vec<Instant>,
    spools_refused: u32,
}

impl Shop {
    /// Opens the store: devices print and push once in `pace`.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn open(testbed: &Path, store: &Store, link: &Proxy, pace: Duration) -> anyhow::Result<Self> {
        let mut shop = Self::furnish(testbed, store, link, pace)?;
        shop.agent.restart().await?;
        Ok(shop)
    }

    /// As [`Self::open`], with an agent that has not been started.
    ///
    /// # Errors
    /// Something does not start.
    pub fn furnish(testbed: &Path, store: &Store, link: &Proxy, pace: Duration) -> anyhow::Result<Self> {
        let printer = LinePrinter::start(&store.dir, "ttyPOS", pace)?;
        let devices = format!(
            "  {PRINTING}:\n    serial_lines:\n      port: {}\n      patterns:\n        \
             - {{ match: 'SALE no=(?<no>\\d+) ms=.*', metrics: {{ no: {COUNTER} }} }}\n",
            printer.port.display()
        );
        let cloud_url = Some(format!("https://{}", link.address));
        let setup = AgentSetup { cloud_url, devices, push: true, ..AgentSetup::default() };
        let agent = Agent::install(testbed, store, &setup)?;
        let pusher = Pusher::start(&store.dir, PUSHING, agent.push, pace)?;
        Ok(Self { agent, printer, pusher, kills: Vec::new(), spools_refused: 0 })
    }

    /// SIGKILL of the agent, and its restart.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.agent.restart().await
    }

    /// SIGKILL of the agent.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.agent.kill()?;
        self.kills.push(Instant::now());
        Ok(())
    }

    /// Stops the agent in order, and starts another program, another version perhaps, on the same files.
    ///
    /// # Errors
    /// It does not stop, or the other one does not start.
    pub async fn exchange_agent(&mut self, testbed: &Path) -> anyhow::Result<()> {
        self.agent.stop().await?;
        self.kills.push(Instant::now());
        self.agent.become_program(testbed);
        self.agent.restart().await
    }

    /// Starts the agent on a disk and waits until the power of both goes, or the agent refuses its spool.
    ///
    /// # Errors
    /// The power does not go in time, or the agent ends for another reason.
    pub async fn lose_power(&mut self, cut: PowerCut) -> anyhow::Result<()> {
        self.agent.start_on_fault_disk(cut)?;
        let status = self.agent.until_it_ends(CUT_LIMIT).await?;
        self.kills.push(Instant::now());
        if status.signal().is_some() {
            return Ok(());
        }
        self.put_refused_spool_aside()
    }

    /// Starts the agent after its last blow.
    ///
    /// # Errors
    /// It does not come back, for another reason than its spool.
    pub async fn recover(&mut self) -> anyhow::Result<()> {
        if self.agent.restart().await.is_err() {
            self.put_refused_spool_aside()?;
            self.agent.restart().await?;
        }
        Ok(())
    }

    /// An agent that refuses to open what a blow has left is a failure: that spool is counted and put aside, so that the verdict
    /// can say what was in it.
    fn put_refused_spool_aside(&mut self) -> anyhow::Result<()> {
        let said = self.agent.said();
        let refused = said.lines().last().is_some_and(|line| line.starts_with("storepulse-agent: spool"));
        anyhow::ensure!(refused, "the agent ended, and not because of its spool\n{said}");
        self.spools_refused += 1;
        let aside = format!("spool.refused-{}", self.spools_refused);
        std::fs::rename(self.agent.spool_dir(), self.agent.store.dir.join(aside))?;
        Ok(())
    }

    /// Starts the agent on a disk, stops it in order after a while, and then the power of the disk goes.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn lose_power_after_stop(&mut self, running: Duration, seed: u64) -> anyhow::Result<()> {
        self.agent.start_on_fault_disk(PowerCut { at_step: u64::MAX, at_checkpoint: false, seed })?;
        tokio::time::sleep(running).await;
        self.kills.push(Instant::now());
        self.agent.stop().await?;
        self.kills.push(Instant::now());
        Ok(())
    }

    /// Waits until the agent answers a push with 2xx; it has been told to start at `since`.
    ///
    /// # Errors
    /// It does not within half a minute.
    pub async fn until_a_push_is_answered(&self, since: Instant) -> anyhow::Result<Duration> {
        let before = self.answered();
        let limit = Duration::from_secs(30);
        let answered = async || Ok((self.answered() > before).then(|| since.elapsed()));
        crate::wait::until("a push to be answered", limit, answered).await
    }

    fn answered(&self) -> usize {
        self.pusher.log.all().iter().filter(|sent| sent.owed).count()
    }

    /// Pulls the plug of the serial device.
    pub fn unplug(&self) {
        self.printer.unplug();
    }

    /// Plugs it in again, on another pseudo-terminal.
    pub fn plug(&self) {
        self.printer.plug();
    }

    /// How much the devices have sent.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.printer.log.count() + self.pusher.log.count()
    }

    /// Waits until the devices have sent this much more.
    ///
    /// # Errors
    /// They have not within half a minute.
    pub async fn until_more_is_sent(&self, more: usize) -> anyhow::Result<()> {
        let goal = self.sent() + more;
        let limit = Duration::from_secs(30);
        crate::wait::until(
            "the devices to send more",
            limit,
            async || Ok((self.sent() >= goal).then_some(())),
        )
        .await
    }

    /// Quiets the devices, waits until the agent has delivered everything, stops it, and judges.
    ///
    /// # Errors
    /// It is not drained within `limit`.
    pub async fn close(self, db: &TestDb, limit: Duration) -> anyhow::Result<Closing> {
        let Self { mut agent, printer, pusher, kills, spools_refused } = self;
        let pushed = pusher.stop().await?;
        let printed = printer.stop().await?;
        agent.until_drained(limit).await?;
        agent.stop().await?;
        let (tenant, store) = (agent.store.tenant.to_string(), agent.store.id.to_string());
        let told = oracle::loss_ranges(db, &tenant, &store).await?;
        let answered = pushed.all().iter().filter(|push| push.owed).map(|push| push.at).collect();
        let excuses = Excuses { blows: kills, answered };
        let judge = async |log: &DeviceLog, device: &str, metric: &str, excuses: &Excuses| {
            let stored = oracle::stored(db, &tenant, &store, metric).await?;
            let stored = stored.get(device).cloned().unwrap_or_default();
            // What is told was in a damaged spool: no blow took it.
            let mut taken = oracle::absent(&log.all(), &stored, &Excuses::default());
            taken.retain(|sent| !is_told(&told, sent));
            let (told, lost): (Vec<_>, Vec<_>) = oracle::absent(&log.all(), &stored, excuses)
                .into_iter()
                .partition(|sent| is_told(&told, sent));
            anyhow::Ok((oracle::judge(log, &stored, excuses), told.len() as u64, lost, taken))
        };
        let (mut verdict, told_lines, lost_lines, taken) =
            judge(&printed.log, PRINTING, COUNTER, &excuses).await?;
        let (of_pushed, told_pushes, lost_pushes, _) =
            judge(&pushed, PUSHING, PUSHED_COUNTER, &Excuses::default()).await?;
        verdict += of_pushed;
        let until_a_blow =
            |sent: &Sent| excuses.blows.iter().filter_map(|blow| blow.checked_duration_since(sent.at)).min();
        let lost = lost_lines.iter().map(|line| (PRINTING, line));
        let lost = lost.chain(lost_pushes.iter().map(|push| (PUSHING, push)));
        let lost = lost.map(|(device, sent)| {
            format!("{device} counter {}, time until the next blow: {:?}", sent.n, until_a_blow(sent))
        });
        let lost = lost.collect();
        let oldest_taken = taken.iter().filter_map(until_a_blow).max();
        let reported_lost = told_lines + told_pushes;
        let sent = printed.log.count() + pushed.count();
        let totals = oracle::totals(db, &tenant, &store).await?;
        Ok(Closing { verdict, lost, oldest_taken, reported_lost, totals, sent, spools_refused, agent })
    }
}

/// Whether a record of a loss speaks of the time when this was sent.
fn is_told(ranges: &[(i64, i64)], sent: &Sent) -> bool {
    let ago = i64::try_from(sent.at.elapsed().as_millis()).unwrap_or(i64::MAX);
    let at_ms = now_ms() - ago;
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&at_ms))
}

/// What a store came to.
#[derive(Debug)]
pub struct Closing {
    /// Over both devices.
    pub verdict: Verdict,
    /// What is lost and was not told: device, counter, and the time from sending to the next blow.
    pub lost: Vec<String>,
    /// Of the lines that a blow has taken, how long before it the oldest was sent.
    pub oldest_taken: Option<Duration>,
    /// Of what is lost: told by the agent to have been in a damaged spool.
    pub reported_lost: u64,
    /// What the cloud holds.
    pub totals: Totals,
    /// Counter values sent.
    pub sent: usize,
    /// Spools that an agent refused to open after a power cut.
    pub spools_refused: u32,
    /// The stopped agent.
    pub agent: Agent,
}

/// A cloud process, a link with faults, and stores.
#[derive(Debug)]
pub struct Scene {
    /// Its database.
    pub db: TestDb,
    /// The cloud.
    pub cloud: CloudProcess,
    /// The link.
    pub link: Proxy,
    /// The onboarded stores.
    pub stores: Vec<Store>,
}

impl Scene {
    /// Sets it up with this many stores of one tenant.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn set(testbed: &Path, db: TestDb, dir: &Path, stores: u16) -> anyhow::Result<Self> {
        let cloud = CloudProcess::start(testbed, &db, dir).await?;
        let link = Proxy::start(cloud.address).await?;
        let names: Vec<String> = (1..=stores).map(|n| format!("T{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let url = format!("https://{}", link.address);
        let stores =
            store::onboard(&db, "la-villa", &names, &url, Some(&cloud.ca()), &dir.join("stores")).await?;
        Ok(Self { db, cloud, link, stores })
    }
}
