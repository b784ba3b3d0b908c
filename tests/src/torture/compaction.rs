//! Upkeep under SIGKILL: what is being compacted is read all the while, and must be there, once, with the last value received.
//!
//! Writers send blocks of samples of their own store, new ones and ones that replace others, and after each few compare all
//! that the API shows with all that was acknowledged. Meanwhile a child process does upkeep again and again, what was received
//! today included, and is killed at random moments. In the end the view and the ledger have to agree as well.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use storepulse_cloud::app::now_ms;
use storepulse_cloud::embedded::Embedded;
use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::ids::Epoch;
use tokio_util::sync::CancellationToken;

use super::TortureArgs;
use crate::by_hand::{ByHand, HandBatch};
use crate::children::Role;
use crate::cloud::Cloud;
use crate::cluster::{Cluster, TestDb};
use crate::oracle::Verdict;
use crate::run_dir::RunDir;
use crate::store::{self, Store};
use crate::{upkeep, wait};

const TENANT: &str = "la-villa";
/// Series of each store.
const SERIES: [&str; 3] = ["counter", "tenths", "odd"];
/// Samples of a block, one a minute, and how many blocks there are: two weeks.
const BLOCK: i64 = 50;
const BLOCKS: i64 = 400;
const MINUTE_MS: i64 = 60_000;
/// Batches between two looks.
const BETWEEN_LOOKS: u64 = 4;
/// How long an upkeep process lives, in milliseconds: its start takes some of it.
const LIFE_MS: std::ops::Range<u64> = 30..300;
/// How long the first one may take until it has moved something.
const FIRST_LIMIT: Duration = Duration::from_secs(60);

/// What it came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Upkeep processes killed.
    rounds: u32,
    /// How often everything was read and compared meanwhile.
    looks: u64,
    /// Samples acknowledged, and how many of them replaced another one.
    samples: u64,
    replaced: u64,
    /// Whether received = hot + compacted + replaced + expired, of every store.
    balances: bool,
    seed: u64,
    seconds: f64,
}

pub(super) async fn run(args: TortureArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} kills of upkeep, {} stores, --seed {seed}", args.rounds, args.agents)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, None).await?;
    let names: Vec<String> = (1..=args.agents).map(|n| format!("T{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stores = store::onboard(&db, TENANT, &names, &cloud.url(), None, &run_dir.part("stores")?).await?;

    let mut rng = StdRng::seed_from_u64(seed);
    let calm = CancellationToken::new();
    let writers = stores.iter().map(|store| {
        let writer = Writer::new(&cloud, store, StdRng::seed_from_u64(rng.random()))?;
        Ok(writer.write(calm.clone()))
    });
    let writers = writers.collect::<anyhow::Result<Vec<_>>>()?;
    let log = run_dir.part("upkeep")?.join("upkeep.log");
    let blows = async {
        let struck = strike(args.rounds, &db, testbed, &log, &mut rng).await;
        calm.cancel();
        struck
    };
    let (writers, struck) = tokio::join!(try_join_all(writers), blows);
    struck?;
    let mut outcome = Outcome { rounds: args.rounds, seed, balances: true, ..Outcome::default() };
    upkeep::run(&db).await?;
    for writer in writers? {
        outcome.add(writer, &db).await?;
    }
    cloud.stop().await?;
    cluster.stop().await;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude(&outcome, args.json, out)
}

/// Starts upkeep and kills it, so many times.
async fn strike(
    rounds: u32,
    db: &TestDb,
    testbed: &Path,
    log: &Path,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let (app, control) = (Embedded::url(&db.app), Embedded::url(&db.control));
    let args = ["upkeep-role", "--app-url", &app, "--control-url", &control];
    for round in 0..rounds {
        let mut role = Role::start(testbed, &args, log)?;
        if round == 0 {
            let moved = wait::until("upkeep to move something", FIRST_LIMIT, async || {
                anyhow::ensure!(role.ended()?.is_none(), "upkeep ended by itself\n{}", role.said());
                Ok(role.said().contains("compacted").then_some(()))
            });
            moved.await?;
        }
        tokio::time::sleep(super::rounds::wait_ms(rng, LIFE_MS)).await;
        anyhow::ensure!(role.ended()?.is_none(), "upkeep ended by itself\n{}", role.said());
        role.kill()?;
        if (round + 1) % 20 == 0 {
            writeln!(stderr(), "  {:>5} kills to go", rounds - round - 1)?;
        }
    }
    Ok(())
}

/// Sends, and looks.
struct Writer {
    hand: ByHand,
    store: String,
    rng: StdRng,
    start_ms: i64,
    expected: BTreeMap<(String, i64), u64>,
    samples: u64,
    replaced: u64,
    looks: u64,
    verdict: Verdict,
}

impl Writer {
    fn new(cloud: &Cloud, store: &Store, rng: StdRng) -> anyhow::Result<Self> {
        Ok(Self {
            hand: ByHand::new(&cloud.url(), None, Some(store.bearer()))?,
            store: store.id.to_string(),
            rng,
            start_ms: (now_ms() / MINUTE_MS - BLOCK * BLOCKS - 60) * MINUTE_MS,
            expected: BTreeMap::new(),
            samples: 0,
            replaced: 0,
            looks: 0,
            verdict: Verdict::default(),
        })
    }

    async fn write(mut self, calm: CancellationToken) -> anyhow::Result<Self> {
        let epoch = Epoch::random();
        for seq in 1.. {
            self.send(epoch, seq).await?;
            if seq % BETWEEN_LOOKS == 0 {
                self.look().await?;
            }
            if calm.is_cancelled() {
                break;
            }
        }
        Ok(self)
    }

    /// One block: often where none was, sometimes over another one.
    async fn send(&mut self, epoch: Epoch, seq: u64) -> anyhow::Result<()> {
        let first = self.start_ms + self.rng.random_range(0..BLOCKS) * BLOCK * MINUTE_MS;
        let times: Vec<i64> = (0..BLOCK).map(|n| first + n * MINUTE_MS).collect();
        let columns = SERIES.map(|series| {
            let values = times.iter().map(|t| self.value(series, *t, seq)).collect();
            Column { series: series.into(), values }
        });
        for (column, time) in columns.iter().flat_map(|c| std::iter::repeat(c).zip(times.iter().enumerate()))
        {
            let (at, time) = time;
            let bits = column.values[at].to_bits();
            if self.expected.insert((column.series.to_string(), *time), bits).is_some() {
                self.replaced += 1;
            }
            self.samples += 1;
        }
        let frame = Frame { device: "d".into(), kind: "host".into(), times, columns: columns.into() };
        let batch = HandBatch::of(epoch, seq, &Batch { frames: vec![frame], ..Batch::default() });
        let answer = self.hand.send(&batch).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn value(&mut self, series: &str, time: i64, seq: u64) -> f64 {
        match series {
            "counter" => (time / MINUTE_MS) as f64 * 3.0 + seq as f64,
            "tenths" => f64::from(self.rng.random_range(35..60)) / 10.0,
            _ => self.rng.random_range(-1.0..1.0),
        }
    }

    /// Everything that the API shows, against everything that was acknowledged.
    async fn look(&mut self) -> anyhow::Result<()> {
        let path = format!("/v1/stores/{}/metrics?from=0&to={}", self.store, i64::MAX);
        let answer = self.hand.get(&path).await?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.detail());
        let mut seen = Vec::new();
        for series in answer.json["series"].as_array().into_iter().flatten() {
            let name = series["name"].as_str().unwrap_or_default();
            for sample in series["samples"].as_array().into_iter().flatten() {
                let value = sample[1].as_f64().unwrap_or(f64::NAN);
                seen.push((name.to_owned(), sample[0].as_i64().unwrap_or_default(), value.to_bits()));
            }
        }
        self.looks += 1;
        self.compare(seen);
        Ok(())
    }

    fn compare(&mut self, seen: Vec<upkeep::Seen>) {
        let mut found: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (name, time, bits) in seen {
            let key = (name, time);
            // Not the last received counts as invented: that sample must not be seen any more.
            if self.expected.get(&key) != Some(&bits) {
                self.verdict.invented += 1;
            }
            if found.insert(key, bits).is_some() {
                self.verdict.duplicate += 1;
            }
        }
        self.verdict.lost += self.expected.keys().filter(|key| !found.contains_key(*key)).count() as u64;
    }
}

impl Outcome {
    /// Looks once more, in both ways, after the last upkeep was left in peace.
    async fn add(&mut self, mut writer: Writer, db: &TestDb) -> anyhow::Result<()> {
        writer.look().await?;
        let seen = upkeep::view(db, TENANT, &writer.store).await?;
        writer.compare(seen);
        let ledger = upkeep::ledger(db, TENANT, &writer.store).await?;
        let is_whole = ledger.balances()
            && u64::try_from(ledger.received) == Ok(writer.samples)
            && u64::try_from(ledger.replaced) == Ok(writer.replaced)
            && ledger.hot == 0;
        if !is_whole || !writer.verdict.is_clean() {
            writeln!(stderr(), "  {}: {:?} {ledger:?}", writer.store, writer.verdict)?;
        }
        self.balances &= is_whole;
        self.verdict += writer.verdict;
        self.looks += writer.looks;
        self.samples += writer.samples;
        self.replaced += writer.replaced;
        Ok(())
    }
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let Outcome { verdict, rounds, looks, samples, replaced, balances, .. } = outcome;
    writeln!(
        out,
        "{rounds} kills of upkeep; {samples} samples acknowledged, {replaced} of them over others; everything read {looks} times\n\
         lost or invisible {}   duplicate {}   invented or outdated {}   every sample accounted for: {}",
        verdict.lost,
        verdict.duplicate,
        verdict.invented,
        if *balances { "yes" } else { "NO" }
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(verdict.is_clean() && *balances && *samples > 0)
}
