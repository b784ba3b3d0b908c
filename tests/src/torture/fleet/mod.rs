//! `cargo torture fleet`: a fleet of agents whose links come back all at once.
//!
//! Each agent is a task with the gate of the real one ([`storepulse_agent::uplink::Gate`]): what is fresh goes first and at
//! once, the backlog at the pace that the cloud gives. It reads its devices on time, seals five seconds later, and has what an
//! agent has after the outage: a batch for every ten minutes. The cloud is a process of its own over a durable PostgreSQL.
//!
//! ```text
//! arrival ─▶ sustained: the fleet at work, and senders without a pace ─▶ outage ─▶ return: all connect anew ─▶ drained
//! ```
//!
//! The outage itself takes no time: nothing would happen in it. All begin to connect within [`RETURN_WITHIN`], which is harder
//! than reality, where agents spread over a minute. What they read is spread evenly over the interval.

mod account;
mod agent;
mod bodies;

use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures_util::future::try_join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::RngExt as _;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::account::{Account, Received};
use self::agent::{Agent, Phase, Unpaced};
use self::bodies::Bodies;
use super::wire::{self, Http, Wire};
use crate::cloud::CloudProcess;
use crate::cluster::{Cluster, TestDb};
use crate::run_dir::RunDir;
use crate::store::{self, Store};

/// Stores of one tenant.
const TENANT_STORES: usize = 1_000;
/// Within which time all begin to connect.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
/// What an agent seals while it is offline, by default.
const OFFLINE_BATCH: Duration = Duration::from_secs(600);
/// Senders without a pace, for the sustained rate.
const SENDERS: usize = 32;
/// Live values go on for at least so long after the return.
const LIVE_AFTER: Duration = Duration::from_secs(20);
/// Most a return may take.
const DRAIN_MAX: Duration = Duration::from_secs(1_800);
/// A live value may take this long from its reading to its commit, once its agent is admitted.
const LIVE_MAX: Duration = Duration::from_secs(10);
/// The backlog must be taken at this part of the sustained rate.
const RATE_MIN: f64 = 0.8;
/// What the cloud's memory may come to: this, and so much for each connection.
const RSS_BYTES: u64 = 320 << 20;
const CONNECTION_BYTES: u64 = 128 << 10;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How many, and how long they were away.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// How many agents
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=18_000))]
    agents: u32,
    /// How long they were away (simulated); so long that few agents have as much as 10,000 after half an hour
    #[arg(long, default_value = "12h", value_parser = humantime::parse_duration)]
    outage: Duration,
    /// How often each reads its devices
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    tick: Duration,
    /// How long the sustained rate is measured
    #[arg(long, default_value = "8s", value_parser = humantime::parse_duration)]
    sustain: Duration,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Outcome {
    /// Batches that were answered 200 and are not stored, or that were never answered.
    lost: u64,
    /// Batches that are stored more often than they were made.
    duplicate: u64,
    agents: u32,
    backlog_batches: u64,
    /// Bytes of backlog a second: without a pace while the fleet is at work, and admitted after the return.
    sustained_bytes_per_s: f64,
    admitted_bytes_per_s: f64,
    ratio: f64,
    /// From the return until the last backlog batch was taken.
    drained_s: f64,
    live_values: u64,
    /// From the reading of a live value to the ack of its batch, in milliseconds.
    live_p50_ms: u64,
    live_p99_ms: u64,
    live_max_ms: u64,
    /// Answers 503, and requests without an answer.
    refused: u64,
    unanswered: u64,
    /// Of the cloud's process, in MiB: before the return, its peak, and what it may be.
    rss_before_mib: u64,
    rss_peak_mib: u64,
    rss_max_mib: u64,
    seconds: f64,
}

/// Lets the fleet return; `true` if nothing is lost and all limits hold.
///
/// # Errors
/// Something could not be started, or an answer is one that a good batch must not get.
pub(super) async fn run(args: FleetArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    writeln!(
        stderr(),
        "torture: {} agents return after {}",
        args.agents,
        humantime::format_duration(args.outage)
    )?;
    raise_open_files(u64::from(args.agents) + 1_000)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let db = cluster.database().await?;
    let mut cloud = CloudProcess::start(testbed, &db, &run_dir.part("cloud")?).await?;
    let stores = onboard(&args, &db, &cloud, &run_dir).await?;
    let mut fleet = Fleet::start(&args, &cloud, &stores)?;

    fleet.until("arrived", |account| account.arrived() == u64::from(args.agents)).await?;
    let sustained = fleet.sustain(&args, &cloud, &stores).await?;
    writeln!(stderr(), "  sustained {:.0} kB/s of backlog beside the fleet at work", sustained / 1e3)?;

    let rss_before = memory(&cloud)?.0;
    fleet.lose_links().await?;
    let returned = fleet.return_at_once();
    fleet.until("drained", |account| account.is_drained()).await?;
    let drained = returned.elapsed();
    tokio::time::sleep(LIVE_AFTER.saturating_sub(drained).max(args.tick)).await;
    let made = fleet.stop().await?;
    let rss_peak = memory(&cloud)?.1;

    let (lost, duplicate) = judge(&db, &made).await?;
    cloud.stop().await?;
    cluster.stop().await;
    let account = &fleet.account;
    let Received { backlog_batches, live, refused, unanswered, .. } = account.received();
    let admitted = account.admitted_bytes_per_s();
    let quantile = |q: f64| account::quantile_ms(&live, q);
    let rss_max = RSS_BYTES + u64::from(args.agents) * CONNECTION_BYTES;
    let outcome = Outcome {
        lost,
        duplicate,
        agents: args.agents,
        backlog_batches,
        sustained_bytes_per_s: sustained,
        admitted_bytes_per_s: admitted,
        ratio: admitted / sustained,
        drained_s: drained.as_secs_f64(),
        live_values: live.len() as u64,
        live_p50_ms: quantile(0.5),
        live_p99_ms: quantile(0.99),
        live_max_ms: quantile(1.0),
        refused,
        unanswered,
        rss_before_mib: rss_before >> 20,
        rss_peak_mib: rss_peak >> 20,
        rss_max_mib: rss_max >> 20,
        seconds: begun.elapsed().as_secs_f64(),
    };
    conclude(&outcome, args.json, out)
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    writeln!(
        out,
        "{} agents, {} batches of backlog drained in {:.0} s: lost {}   duplicate {}\n\
         admitted {:.0} kB/s of sustained {:.0} kB/s: {:.2}   refused {}   unanswered {}\n\
         {} live values committed after {} ms (half), {} ms (99 of 100), {} ms (all)\n\
         memory of the cloud {} MiB before, {} MiB at most, {} MiB allowed",
        outcome.agents,
        outcome.backlog_batches,
        outcome.drained_s,
        outcome.lost,
        outcome.duplicate,
        outcome.admitted_bytes_per_s / 1e3,
        outcome.sustained_bytes_per_s / 1e3,
        outcome.ratio,
        outcome.refused,
        outcome.unanswered,
        outcome.live_values,
        outcome.live_p50_ms,
        outcome.live_p99_ms,
        outcome.live_max_ms,
        outcome.rss_before_mib,
        outcome.rss_peak_mib,
        outcome.rss_max_mib,
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(outcome.lost == 0
        && outcome.duplicate == 0
        && outcome.ratio >= RATE_MIN
        && outcome.live_values > 0
        && u128::from(outcome.live_max_ms) <= LIVE_MAX.as_millis()
        && outcome.rss_peak_mib <= outcome.rss_max_mib)
}

/// The agents at work.
struct Fleet {
    phase: watch::Sender<Phase>,
    account: Arc<Account>,
    tasks: JoinSet<anyhow::Result<Agent>>,
    bodies: Arc<Bodies>,
}

impl Fleet {
    fn start(args: &FleetArgs, cloud: &CloudProcess, stores: &[Store]) -> anyhow::Result<Self> {
        let ticks = u32::try_from(OFFLINE_BATCH.as_millis() / args.tick.as_millis().max(1))?;
        let bodies = Arc::new(Bodies::make(args.outage, args.tick, ticks.max(1))?);
        let tls = wire::tls(&cloud.ca(), Http::Two)?;
        let (phase, _) = watch::channel(Phase::Arriving);
        let account = Arc::new(Account::new(stores.len(), bodies.backlog()));
        let mut tasks = JoinSet::new();
        for store in stores {
            let url = cloud.url();
            let agent = Agent::new(args.tick, &tls, &url, store, Arc::clone(&bodies), Arc::clone(&account));
            tasks.spawn(agent.run(phase.subscribe()));
        }
        Ok(Self { phase, account, tasks, bodies })
    }

    /// Senders that know no pace, beside the fleet at work and for all of its stores in turn: bytes of backlog a second that the
    /// service takes then.
    async fn sustain(&self, args: &FleetArgs, cloud: &CloudProcess, stores: &[Store]) -> anyhow::Result<f64> {
        let tls = wire::tls(&cloud.ca(), Http::Two)?;
        let senders = (0..SENDERS.min(stores.len())).map(|no| {
            let wire = Wire::new(&tls, &cloud.url(), String::new())?;
            let own = stores.iter().skip(no).step_by(SENDERS).cloned();
            anyhow::Ok(Unpaced::new(&wire, own, Arc::clone(&self.bodies)).begin())
        });
        let senders = try_join_all(senders.collect::<anyhow::Result<Vec<_>>>()?).await?;
        let until = Instant::now() + args.sustain;
        let sent = try_join_all(senders.into_iter().map(|sender| sender.send(until))).await?;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        Ok(sent.iter().sum::<usize>() as f64 / args.sustain.as_secs_f64())
    }

    async fn lose_links(&mut self) -> anyhow::Result<()> {
        self.phase.send_replace(Phase::Away);
        self.until("away", |account| account.away() == account.agents()).await
    }

    fn return_at_once(&self) -> Instant {
        self.account.begin_return();
        self.phase.send_replace(Phase::Back(Instant::now()));
        Instant::now()
    }

    /// Waits for the account, telling progress; fails as soon as an agent does.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Account) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut told = begun;
        while !is_so(&self.account) {
            anyhow::ensure!(
                begun.elapsed() < DRAIN_MAX,
                "the fleet is not {what} after {DRAIN_MAX:?}: {}",
                self.account
            );
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    ended??;
                    anyhow::bail!("an agent ended before the fleet was {what}");
                }
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                writeln!(
                    stderr(),
                    "  {:>4.0} s, not {what}: {}",
                    begun.elapsed().as_secs_f64(),
                    self.account
                )?;
            }
        }
        Ok(())
    }

    /// Lets all send what they have, and end. Returns how many batches each epoch has.
    async fn stop(&mut self) -> anyhow::Result<Vec<(uuid::Uuid, u64)>> {
        self.phase.send_replace(Phase::Ending);
        let mut made = Vec::new();
        while let Some(agent) = self.tasks.join_next().await {
            made.push(agent??.made());
        }
        Ok(made)
    }
}

async fn onboard(
    args: &FleetArgs,
    db: &TestDb,
    cloud: &CloudProcess,
    run_dir: &RunDir,
) -> anyhow::Result<Vec<Store>> {
    let agents = args.agents as usize;
    let tenants = (0..agents.div_ceil(TENANT_STORES)).map(|no| {
        let count = TENANT_STORES.min(agents - no * TENANT_STORES);
        let names: Vec<String> = (1..=count).map(|n| format!("T{n:04}")).collect();
        let tenant = format!("fleet-{no}");
        async move {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let out = run_dir.part(&tenant)?;
            store::onboard(db, &tenant, &names, &cloud.url(), None, &out).await
        }
    });
    let stores = try_join_all(tenants.collect::<Vec<_>>()).await?;
    writeln!(stderr(), "  {agents} stores onboarded")?;
    Ok(stores.into_iter().flatten().collect())
}

/// Each batch that an agent has made is stored once: its stream has received all numbers from the first to the last, closed
/// none, and counted as many batches.
#[expect(clippy::disallowed_methods, reason = "the judge must not share the service's queries")]
async fn judge(db: &TestDb, made: &[(uuid::Uuid, u64)]) -> anyhow::Result<(u64, u64)> {
    use sqlx::{Connection as _, Row as _};
    let mut admin = sqlx::postgres::PgConnection::connect_with(&db.admin).await?;
    let rows = sqlx::query(
        "select epoch, batches, (select coalesce(sum(upper(r) - lower(r)), 0)::bigint from unnest(received) r)
        from streams where epoch = any ($1)",
    );
    let epochs: Vec<uuid::Uuid> = made.iter().map(|(epoch, _)| *epoch).collect();
    let mut found = std::collections::BTreeMap::new();
    for row in rows.bind(&epochs).fetch_all(&mut admin).await? {
        let count = |at: usize| anyhow::Ok(u64::try_from(row.try_get::<i64, _>(at)?)?);
        found.insert(row.try_get::<uuid::Uuid, _>(0)?, (count(1)?, count(2)?));
    }
    let inbox = sqlx::query("select epoch, count(*) from sample_batches where epoch = any ($1) group by 1");
    for row in inbox.bind(&epochs).fetch_all(&mut admin).await? {
        // Compacted rows have left the inbox; more than were received can never be there.
        let (epoch, rows): (uuid::Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
        let received = found.entry(epoch).or_default();
        received.0 = received.0.max(u64::try_from(rows)?);
    }
    admin.close().await?;
    let (mut lost, mut duplicate) = (0, 0);
    for (epoch, made) in made {
        let (batches, received) = found.get(epoch).copied().unwrap_or_default();
        lost += made.saturating_sub(received.min(batches));
        duplicate += batches.saturating_sub(*made);
    }
    Ok((lost, duplicate))
}

/// Resident bytes of the cloud's process: now, and at most so far.
fn memory(cloud: &CloudProcess) -> anyhow::Result<(u64, u64)> {
    let pid = cloud.pid().context("the cloud process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        kib.map(|kib| kib << 10).with_context(|| format!("{field} in /proc/{pid}/status"))
    };
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}

/// A descriptor for each agent of this process.
fn raise_open_files(needed: u64) -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    anyhow::ensure!(needed <= hard, "{needed} open files are needed, {hard} are allowed (ulimit -Hn)");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard)?)
}

/// A random part of a time.
fn part_of(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.0..1.0))
}
