//! `cargo torture rolling`: two instances of the cloud on one database behind a balancer, each restarted by SIGTERM in turn,
//! again and again, under load. No request may fail and no sample be lost.
//!
//! The load is agents (with their devices' own logs as the judge) and senders that keep their connections and take every
//! answer but 200 for a failure: HTTP/1 and HTTP/2, some of them busy, some idle for longer than an instance drains.

mod sender;

use std::io::{Write, stderr};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::sender::{Sender, Sendings};
use super::wire::{self, Http, Wire};
use crate::cloud::CloudProcess;
use crate::cluster::Cluster;
use crate::oracle::{self, Verdict};
use crate::proxy::Proxy;
use crate::proxy::balancer::Balancer;
use crate::run_dir::RunDir;
use crate::scene::Shop;
use crate::store::{self, Store};
use crate::wait;

const TENANT: &str = "la-villa";
/// The store of the senders.
const SENDERS: &str = "S01";
/// How fast each device of an agent sends.
const PACE: Duration = Duration::from_millis(50);
/// Pauses of the senders between two batches: busy, now and then, and idle for longer than the drain.
const PAUSES_MS: [u64; 4] = [5, 60, 400, 1_700];
/// How long an instance may take to stop, start and be ready.
const RESTART_LIMIT: Duration = Duration::from_secs(60);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// What an agent's log says when an attempt was not answered as it should be.
const AGENT_FAILED: &str = "the cloud does not take batches";

/// How much.
#[derive(Debug, Clone, Args)]
pub struct RollingArgs {
    /// How many restarts
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// How many agents at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    agents: u16,
    /// How many senders at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    senders: u16,
    /// Serve on for so long after SIGTERM; 0s shows what happens without
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    drain_delay: Duration,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Requests of senders that were not answered with 200, and attempts of agents.
    failed: usize,
    /// Batches that the cloud waits for.
    missing: i64,
    /// How often an agent believed that the cloud had lost something.
    believed_restored: usize,
    rounds: u32,
    batches: u64,
    /// Connections that each instance was given.
    connections: Vec<usize>,
    /// From SIGTERM until the instance took connections again, the longest.
    restart_ms_max: u128,
    seconds: f64,
}

pub(super) async fn run(args: RollingArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    writeln!(
        stderr(),
        "torture: {} restarts, {} agents, {} senders",
        args.rounds,
        args.agents,
        args.senders
    )?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let db = cluster.database().await?;
    let first = CloudProcess::start_draining(testbed, &db, &run_dir.part("cloud")?, args.drain_delay).await?;
    let second = first.start_beside("cloud-2").await?;
    let mut instances = [first, second];
    let addresses: Vec<SocketAddr> = instances.iter().map(|one| one.address).collect();
    let ca = instances[0].ca();
    let balancer = Balancer::start(&addresses, &ca).await?;
    until_ready(&balancer, &[0, 1]).await?;
    let url = format!("https://{}", balancer.address);
    let mut names: Vec<String> = (1..=args.agents).map(|n| format!("T{n:02}")).collect();
    names.push(SENDERS.to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stores = store::onboard(&db, TENANT, &names, &url, Some(&ca), &run_dir.part("stores")?).await?;
    let Some((of_senders, of_agents)) = stores.split_last() else { anyhow::bail!("no stores") };

    let link = Proxy::start(balancer.address).await?;
    let shops = of_agents.iter().map(|store| Shop::open(testbed, store, &link, PACE));
    let shops = try_join_all(shops.collect::<Vec<_>>()).await?;
    let calm = CancellationToken::new();
    let senders = open_senders(&args, &url, &ca, of_senders, &run_dir.part("senders")?)?;
    let sending = try_join_all(senders.into_iter().map(|sender| sender.send(calm.clone())));
    let (struck, sent) = tokio::join!(
        async {
            let struck = restart_in_turn(args.rounds, &mut instances, &balancer).await;
            calm.cancel();
            struck
        },
        sending
    );
    let (longest, sent) = (struck?, sent?);

    let mut outcome = Outcome {
        verdict: sender::judge(&db, of_senders, &sent).await?,
        failed: 0,
        missing: oracle::totals(&db, TENANT, SENDERS).await?.missing,
        believed_restored: 0,
        rounds: args.rounds,
        batches: sent.iter().map(|one| one.batches).sum(),
        connections: balancer.connections(),
        restart_ms_max: longest.as_millis(),
        seconds: 0.0,
    };
    outcome.tell_failures(&sent)?;
    for shop in shops {
        outcome.add(shop, &db).await?;
    }
    link.stop().await;
    balancer.stop().await;
    for mut instance in instances {
        instance.stop().await?;
    }
    cluster.stop().await;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude(&outcome, args.json, out)
}

fn open_senders(
    args: &RollingArgs,
    url: &str,
    ca: &Path,
    store: &Store,
    dir: &Path,
) -> anyhow::Result<Vec<Sender>> {
    let tls = [wire::tls(ca, Http::One)?, wire::tls(ca, Http::Two)?];
    let senders = (0..usize::from(args.senders)).map(|no| {
        let wire = Wire::new(&tls[no % 2], url, store.bearer())?;
        let every = Duration::from_millis(PAUSES_MS[no / 2 % PAUSES_MS.len()]);
        Sender::new(format!("sender-{no}-http{}", no % 2 + 1), wire, every, dir)
    });
    senders.collect()
}

async fn until_ready(balancer: &Balancer, instances: &[usize]) -> anyhow::Result<()> {
    let ready = async || Ok(instances.iter().all(|at| balancer.is_ready(*at)).then_some(()));
    wait::until("the balancer to use the instance", RESTART_LIMIT, ready).await
}

/// SIGTERM to one and the other, each time until it is back. Returns the longest time that this took.
async fn restart_in_turn(
    rounds: u32,
    instances: &mut [CloudProcess; 2],
    balancer: &Balancer,
) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let at = round as usize % instances.len();
        let begun = Instant::now();
        instances[at].stop().await?;
        instances[at].restart().await?;
        until_ready(balancer, &[at]).await?;
        longest = longest.max(begun.elapsed());
        if (rounds - round).is_multiple_of(10) {
            writeln!(stderr(), "  {:>5} restarts to go", rounds - round)?;
        }
    }
    Ok(longest)
}

impl Outcome {
    fn tell_failures(&mut self, sent: &[Sendings]) -> anyhow::Result<()> {
        for failed in sent.iter().flat_map(|one| &one.failed) {
            writeln!(stderr(), "  failed: {failed}")?;
            self.failed += 1;
        }
        Ok(())
    }

    /// Lets an agent deliver what is left, and judges it.
    async fn add(&mut self, shop: Shop, db: &crate::cluster::TestDb) -> anyhow::Result<()> {
        let closing = shop.close(db, DRAIN_LIMIT).await?;
        let (said, store) = (closing.agent.said(), &closing.agent.store);
        for failed in said.lines().filter(|line| line.contains(AGENT_FAILED)) {
            writeln!(stderr(), "  failed: {}: {failed}", store.id)?;
            self.failed += 1;
        }
        let events = oracle::events(db, TENANT, store.id.as_str(), "agent.cloud_restored").await?;
        self.believed_restored += events.len();
        self.verdict += closing.verdict;
        self.missing += closing.totals.missing;
        Ok(())
    }
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let Outcome { verdict, failed, missing, believed_restored, rounds, batches, connections, .. } = outcome;
    writeln!(
        out,
        "{rounds} restarts in {:.0} s, each back after {} ms at most; {batches} batches of senders over {connections:?} connections\n\
         failed {failed}   lost {}   duplicate {}   invented {}   missing {missing}   believed the cloud restored {believed_restored}",
        outcome.seconds, outcome.restart_ms_max, verdict.lost, verdict.duplicate, verdict.invented,
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(verdict.is_clean()
        && *failed == 0
        && *missing == 0
        && *believed_restored == 0
        && *batches > 0
        && connections.iter().all(|given| *given > 0))
}
