//! `cargo torture cloud`: many streams straight over HTTPS into a cloud that is killed at random moments.
//!
//! Batches come in any order, a third of them again, some twice at once; answers are cut off. Some numbers are closed before,
//! after or while their batch is sent, by a request or by a loss. Every sender asks until it has an answer about each
//! number, and writes it down; then the database must hold exactly what was answered 200, once, and nothing of what was
//! answered 410, and the rows of `streams` must say the same to the last sample and byte.

mod judge;
mod stream;

use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::judge::Verdict;
use self::stream::{Account, Stream};
use super::rounds::strike_cloud;
use super::wire::{self, Http, Wire};
use crate::cloud::CloudProcess;
use crate::cluster::Cluster;
use crate::run_dir::RunDir;
use crate::store::{self, Store};

const TENANTS: [&str; 2] = ["torture-a", "torture-b"];
const STORES: [&str; 4] = ["T01", "T02", "T03", "T04"];
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How much.
#[derive(Debug, Clone, Args)]
pub struct CloudArgs {
    /// How many batches
    #[arg(long, visible_alias = "rounds", default_value_t = 20_000)]
    batches: u64,
    /// How many streams send them, at once
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=256))]
    streams: u32,
    /// The seed of all randomness; a run prints its own
    #[arg(long)]
    seed: Option<u64>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Answers about one number that contradict each other.
    contradictions: u64,
    batches: u64,
    /// Requests, with all repetitions.
    requests: u64,
    /// Of these, given up before the answer was read.
    cut: u64,
    /// Of these, answered with 503.
    refused: u64,
    stored: u64,
    closed: u64,
    streams: u32,
    cloud_kills: u32,
    seed: u64,
    batches_per_s: f64,
    seconds: f64,
}

/// Sends, kills and judges; `true` if the cloud holds what it has answered, once.
///
/// # Errors
/// Something could not be started, or an answer never came.
pub(super) async fn run(args: CloudArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} batches in {} streams, --seed {seed}", args.batches, args.streams)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let db = cluster.database().await?;
    let cloud = CloudProcess::start(testbed, &db, &run_dir.part("cloud")?).await?;
    let mut stores: Vec<Store> = Vec::new();
    for tenant in TENANTS {
        let out = run_dir.part(tenant)?;
        stores.extend(store::onboard(&db, tenant, &STORES, &cloud.url(), Some(&cloud.ca()), &out).await?);
    }

    let mut rng = StdRng::seed_from_u64(seed);
    let calm = CancellationToken::new();
    let streams = open_streams(&args, &stores, &cloud, &mut rng)?;
    let sending = Instant::now();
    let blows = strike_cloud(cloud, StdRng::seed_from_u64(rng.random()), calm.clone());
    let (struck, accounts) = tokio::join!(blows, async {
        let accounts = send(streams, &args).await;
        calm.cancel();
        accounts
    });
    let ((mut cloud, cloud_kills), accounts) = (struck?, accounts?);
    let sent_in = sending.elapsed().as_secs_f64();

    writeln!(stderr(), "  all is answered after {sent_in:.0} s; now what is stored …")?;
    let verdict = judge::judge(&db, &cloud, &stores, &accounts).await?;
    cloud.stop().await?;
    cluster.stop().await;
    let sum = |of: fn(&Account) -> u64| accounts.iter().map(of).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let batches_per_s = args.batches as f64 / sent_in;
    let outcome = Outcome {
        verdict,
        contradictions: sum(|a| a.contradictions),
        batches: args.batches,
        requests: sum(|a| a.requests),
        cut: sum(|a| a.cut),
        refused: sum(|a| a.refused),
        stored: sum(Account::stored),
        closed: sum(Account::closed),
        streams: args.streams,
        cloud_kills,
        seed,
        batches_per_s,
        seconds: begun.elapsed().as_secs_f64(),
    };
    conclude(&outcome, args.json, out)
}

fn open_streams(
    args: &CloudArgs,
    stores: &[Store],
    cloud: &CloudProcess,
    rng: &mut StdRng,
) -> anyhow::Result<Vec<Stream>> {
    let tls = [wire::tls(&cloud.ca(), Http::One)?, wire::tls(&cloud.ca(), Http::Two)?];
    let streams = (0..args.streams as usize).map(|no| {
        let store = &stores[no % stores.len()];
        let wire = Wire::new(&tls[no / stores.len() % 2], &cloud.url(), store.bearer())?;
        let share = args.batches / u64::from(args.streams);
        let more = u64::from((no as u64) < args.batches % u64::from(args.streams));
        Ok(Stream::open(no, store, wire, share + more, rng.random()))
    });
    streams.collect()
}

async fn send(streams: Vec<Stream>, args: &CloudArgs) -> anyhow::Result<Vec<Account>> {
    let done = Arc::new(AtomicU64::new(0));
    let mut sending = JoinSet::new();
    for stream in streams {
        sending.spawn(stream.send(Arc::clone(&done)));
    }
    let (mut accounts, begun) = (Vec::new(), Instant::now());
    let mut tell = tokio::time::interval(TELL_EVERY);
    loop {
        tokio::select! {
            sent = sending.join_next() => match sent {
                Some(account) => accounts.push(account??),
                None => break,
            },
            _ = tell.tick() => {
                let done = done.load(Ordering::Relaxed);
                writeln!(stderr(), "  {done:>8} of {} batches after {:.0} s", args.batches, begun.elapsed().as_secs_f64())?;
            }
        }
    }
    accounts.sort_by_key(|account| account.no);
    Ok(accounts)
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let Outcome {
        verdict, contradictions, batches, requests, cut, refused, stored, closed, cloud_kills, ..
    } = outcome;
    writeln!(
        out,
        "{batches} batches in {:.0} s: {requests} requests, {cut} cut, {refused} refused for a while, {cloud_kills} kills of \
         the cloud; {stored} stored, {closed} closed\n\
         lost {}   duplicate {}   invented {}   contradictions {contradictions}   streams miscounted {}   missing {}",
        outcome.seconds,
        verdict.lost,
        verdict.duplicate,
        verdict.invented,
        verdict.miscounted,
        verdict.missing,
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(verdict.is_clean() && *contradictions == 0 && stored + closed == *batches && *cloud_kills > 0)
}
