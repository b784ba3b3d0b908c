//! `cargo torture settings`: settings that pass every check and are bad all the same are sent to many stores at once.
//!
//! Each agent is a process with the trial that every agent has, a minute. It must be back to its old settings at most
//! [`BACK_MAX_MS`] after it had applied the new ones, by itself, also when it is killed in between, and its spool must hold
//! what it held: the same file, the same epochs, the same bytes. In the first half of the tries the old settings are
//! `agent.yaml` alone, in the second half a version that was confirmed.

mod shop;
mod sorts;
mod spool;

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

use self::shop::{Shop, Try};
use self::sorts::Sort;
use crate::by_hand::ByHand;
use crate::cloud::Cloud;
use crate::cluster::Cluster;
use crate::run_dir::RunDir;
use crate::store;

const TENANT: &str = "la-villa";
/// From applied to the old settings.
const BACK_MAX_MS: i64 = 65_000;

/// How many, and which.
#[derive(Debug, Clone, Args)]
pub struct SettingsArgs {
    /// How many bad settings
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// The seed of all randomness; a run prints its own
    #[arg(long)]
    seed: Option<u64>,
    /// How many agents at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=64))]
    agents: u16,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    tries: usize,
    /// Back in time.
    back: usize,
    /// Of each sort: how many, and the longest from applied to back.
    sorts: BTreeMap<&'static str, (usize, i64)>,
    back_max_ms: i64,
    back_median_ms: i64,
    /// Refused before anything was tried, and the longest that took.
    refused: usize,
    refused_max_ms: u128,
    /// Sealed batches and open values that were there before and compared after.
    batches_compared: usize,
    values_compared: usize,
    /// What a spool had lost or changed.
    spool_faults: usize,
    seed: u64,
    seconds: f64,
}

pub(super) async fn run(args: SettingsArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} bad settings to {} agents, --seed {seed}", args.rounds, args.agents)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, false).await?;
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, None).await?;
    let door = Db::connect(&db.config()).await?;
    let key = commands::operator::issue(&door, "torture").await?;
    door.close().await;
    let operator = ByHand::new(&cloud.url(), None, Some(format!("Bearer {}", key.expose())))?;
    let names: Vec<String> = (1..=args.agents).map(|n| format!("T{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stores = store::onboard(&db, TENANT, &names, &cloud.url(), None, &run_dir.part("stores")?).await?;

    let opened = stores.iter().enumerate().map(|(n, store)| {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(n as u64));
        Shop::open(testbed, store, cloud.address, operator.clone(), rng)
    });
    let shops = try_join_all(opened).await?;
    let each = args.rounds.div_ceil(u32::from(args.agents));
    let worked = shops.into_iter().enumerate().map(|(n, shop)| {
        let tries = rounds_of(args.rounds, args.agents, n);
        work(shop, n, tries, each)
    });
    let results = try_join_all(worked).await?;
    cloud.stop().await?;
    cluster.stop().await;
    let mut outcome = judge(&results)?;
    outcome.seed = seed;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude(&outcome, args.json, out)
}

/// How many of all tries are this shop's.
fn rounds_of(rounds: u32, agents: u16, n: usize) -> u32 {
    let (each, more) = (rounds / u32::from(agents), rounds % u32::from(agents));
    each + u32::from(u32::try_from(n).is_ok_and(|n| n < more))
}

/// All tries of one shop, and the longest refusal.
async fn work(mut shop: Shop, n: usize, tries: u32, each: u32) -> anyhow::Result<(Vec<Try>, Duration)> {
    let mut done = Vec::new();
    for round in 0..tries {
        if round == tries / 2 {
            shop.settle().await?;
        }
        let sort = Sort::ALL[(n + round as usize) % Sort::ALL.len()];
        done.push(shop.strike(sort).await?);
        if n == 0 {
            writeln!(stderr(), "  {:>3} of {each} for each agent", round + 1)?;
        }
    }
    let refused = shop.refuse().await?;
    shop.close().await?;
    Ok((done, refused))
}

fn judge(results: &[(Vec<Try>, Duration)]) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut times = Vec::new();
    for (tries, refused) in results {
        outcome.refused += sorts::invalid().len();
        outcome.refused_max_ms = outcome.refused_max_ms.max(refused.as_millis());
        for one in tries {
            times.push(one.back_ms);
            let (count, longest) = outcome.sorts.entry(one.sort.name()).or_default();
            *count += 1;
            *longest = one.back_ms.max(*longest);
            outcome.batches_compared += one.compared.0;
            outcome.values_compared += one.compared.1;
            outcome.spool_faults += one.faults.len();
            for fault in one.faults.iter().take(3) {
                writeln!(stderr(), "  {}: {fault}", one.sort.name())?;
            }
        }
    }
    times.sort_unstable();
    outcome.tries = times.len();
    outcome.back = times.iter().filter(|ms| **ms <= BACK_MAX_MS).count();
    outcome.back_max_ms = times.last().copied().unwrap_or_default();
    outcome.back_median_ms = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(outcome)
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let holds = outcome.back == outcome.tries && outcome.spool_faults == 0 && outcome.batches_compared > 0;
    for (sort, (count, longest)) in &outcome.sorts {
        writeln!(out, "  {sort:<10} {count:>4} tries, back after at most {longest} ms")?;
    }
    writeln!(
        out,
        "{} of {} bad settings were back within {BACK_MAX_MS} ms of being applied: at most {} ms, half of them within {} ms; \
         {} invalid ones refused within {} ms; {} sealed batches and {} open values compared, {} faults in spools: {}",
        outcome.back,
        outcome.tries,
        outcome.back_max_ms,
        outcome.back_median_ms,
        outcome.refused,
        outcome.refused_max_ms,
        outcome.batches_compared,
        outcome.values_compared,
        outcome.spool_faults,
        if holds { "holds" } else { "BROKEN" },
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(holds)
}
