//! The rounds that all tortures share: agents at work behind a link that cuts, delays and swallows answers, to a cloud that is
//! killed too, while a [`Blow`] strikes the agents down again and again.
//!
//! The oracle is outside: push clients write down each value with its 2xx, devices on serial ports a strictly increasing
//! counter. A pushed value that was answered is lost if it is absent. A line is lost if it is absent although the agent
//! held the port and was not struck within a second of it.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::TortureArgs;
use crate::cloud::CloudProcess;
use crate::cluster::{Cluster, TestDb};
use crate::oracle::Verdict;
use crate::proxy::{Fault, Proxy};
use crate::run_dir::RunDir;
use crate::scene::{Scene, Shop};

/// What strikes the agents.
pub(super) trait Blow: Copy {
    /// For people.
    const NAME: &str;

    /// What is absent is not lost where the agent has told of it.
    const LOSSES_ARE_TOLD: bool = false;

    /// Starts a shop's agent, which is down, and strikes it down. Returns how long it took to be back, where that counts.
    async fn strike(self, shop: &mut Shop, rng: &mut StdRng) -> anyhow::Result<Option<Duration>>;

    /// Whether that took too long.
    fn is_late(_back: Duration) -> bool {
        false
    }

    /// What the blows struck, as far as an agent's log tells.
    fn struck(_log: &str) -> BTreeMap<&'static str, u32> {
        BTreeMap::new()
    }
}

/// How fast each device sends.
const PACE: Duration = Duration::from_millis(20);
/// Time between two changes of the link, in milliseconds.
const BETWEEN_FAULTS_MS: std::ops::Range<u64> = 100..1_000;
/// Time between two blows to the cloud, in milliseconds, and until the first: also a short run on a fast machine has one.
const BETWEEN_CLOUD_BLOWS_MS: std::ops::Range<u64> = 2_000..6_000;
const FIRST_CLOUD_BLOW_MS: std::ops::Range<u64> = 200..1_000;
/// How long the agents may take to deliver everything afterwards.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);

/// What it came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Absent, and told by the agent to have been in a damaged spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_lost: Option<u64>,
    /// The longest that an agent took to be back, in milliseconds, and how often that was too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    back_ms_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    back_late: Option<u32>,
    /// Batches that the cloud still waits for.
    missing: i64,
    /// Blows to agents.
    rounds: u32,
    /// Blows by what they struck.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    struck: BTreeMap<&'static str, u32>,
    /// Spools that an agent would not open any more.
    spools_refused: u32,
    cloud_kills: u32,
    swallowed_answers: usize,
    agents: u16,
    /// Of the lines that a blow has taken, how long before it the oldest was sent; they may be a second old.
    oldest_taken_ms: Option<u128>,
    /// Counter values that the devices sent.
    sent: usize,
    samples: i64,
    seed: u64,
    seconds: f64,
}

pub(super) async fn run<B: Blow>(
    blow: B,
    args: TortureArgs,
    testbed: &Path,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} {}, {} agents, --seed {seed}", args.rounds, B::NAME, args.agents)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let scene = Scene::set(testbed, cluster.database().await?, &run_dir.part("scene")?, args.agents).await?;
    let Scene { db, cloud, link, stores } = scene;
    let link = Arc::new(link);
    let shops = stores.iter().map(|store| Shop::furnish(testbed, store, &link, PACE));
    let shops = shops.collect::<anyhow::Result<Vec<_>>>()?;

    let calm = CancellationToken::new();
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = trouble_link(Arc::clone(&link), StdRng::seed_from_u64(rng.random()), calm.clone());
    let cloud_blows = strike_cloud(cloud, StdRng::seed_from_u64(rng.random()), calm.clone());
    let agent_blows = strike_agents(blow, shops, args.rounds, &mut rng);
    let (_, struck_cloud, struck) = tokio::join!(faults, cloud_blows, async {
        let struck = agent_blows.await;
        calm.cancel();
        struck
    });
    let ((mut cloud, cloud_kills), (shops, backs)) = (struck_cloud?, struck?);

    link.set(Fault::None);
    writeln!(stderr(), "  calm again; the agents deliver what is left …")?;
    let swallowed_answers = link.swallowed();
    let (rounds, agents) = (args.rounds, args.agents);
    let mut outcome = Outcome { rounds, agents, cloud_kills, swallowed_answers, seed, ..Outcome::default() };
    if B::LOSSES_ARE_TOLD {
        outcome.reported_lost = Some(0);
        outcome.back_ms_max = backs.iter().max().and_then(|back| u64::try_from(back.as_millis()).ok());
        outcome.back_late = u32::try_from(backs.iter().filter(|back| B::is_late(**back)).count()).ok();
    }
    for shop in shops {
        outcome.add::<B>(shop, &db).await?;
    }
    cloud.stop().await?;
    cluster.stop().await;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude::<B>(&outcome, args.json, out)
}

impl Outcome {
    /// Lets a shop deliver what is left, and judges it.
    async fn add<B: Blow>(&mut self, mut shop: Shop, db: &TestDb) -> anyhow::Result<()> {
        shop.recover().await?;
        let mut closing = shop.close(db, DRAIN_LIMIT).await?;
        if let Some(reported) = &mut self.reported_lost {
            *reported += closing.reported_lost;
            closing.verdict.lost -= closing.reported_lost;
        }
        let said = closing.agent.said();
        if !closing.verdict.is_clean() {
            writeln!(stderr(), "{said}\n  {}: {:?}", closing.agent.store.id, closing.verdict)?;
            for lost in &closing.lost {
                writeln!(stderr(), "  lost: {lost}")?;
            }
        }
        self.verdict += closing.verdict;
        self.missing += closing.totals.missing;
        self.sent += closing.sent;
        self.samples += closing.totals.samples;
        self.spools_refused += closing.spools_refused;
        self.oldest_taken_ms = self.oldest_taken_ms.max(closing.oldest_taken.map(|taken| taken.as_millis()));
        for (place, times) in B::struck(&said) {
            *self.struck.entry(place).or_default() += times;
        }
        Ok(())
    }
}

fn conclude<B: Blow>(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let Outcome { verdict, missing, rounds, spools_refused, cloud_kills, swallowed_answers, sent, .. } =
        outcome;
    let struck: Vec<_> = outcome.struck.iter().map(|(place, times)| format!("{times} {place}")).collect();
    let struck = if struck.is_empty() { String::new() } else { format!(" ({})", struck.join(", ")) };
    writeln!(
        out,
        "{rounds} {} of agents{struck}, {cloud_kills} kills of the cloud, {swallowed_answers} answers swallowed; \
         {sent} values sent\n\
         lost {}   duplicate {}   invented {}   batches missing {missing}   spools refused {spools_refused}",
        B::NAME,
        verdict.lost,
        verdict.duplicate,
        verdict.invented
    )?;
    if let (Some(reported), Some(back_ms), Some(late)) =
        (outcome.reported_lost, outcome.back_ms_max, outcome.back_late)
    {
        writeln!(out, "told as lost {reported}   back after {back_ms} ms at most, {late} times too late")?;
    }
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(verdict.is_clean()
        && outcome.back_late.is_none_or(|late| late == 0)
        && *missing == 0
        && *spools_refused == 0
        && *sent > 0)
}

/// A random time.
pub(super) fn wait_ms(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

async fn trouble_link(link: Arc<Proxy>, mut rng: StdRng, calm: CancellationToken) {
    loop {
        link.set(match rng.random_range(0..6) {
            0 | 1 => Fault::None,
            2 => Fault::Delay(wait_ms(&mut rng, 5..120)),
            3 => Fault::Cut,
            _ => Fault::SwallowAnswers,
        });
        let wait = wait_ms(&mut rng, BETWEEN_FAULTS_MS);
        tokio::select! {
            () = calm.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Kills the cloud at random moments until it is calm.
pub(super) async fn strike_cloud(
    mut cloud: CloudProcess,
    mut rng: StdRng,
    calm: CancellationToken,
) -> anyhow::Result<(CloudProcess, u32)> {
    let mut kills = 0;
    let mut wait = wait_ms(&mut rng, FIRST_CLOUD_BLOW_MS);
    loop {
        tokio::select! {
            () = calm.cancelled() => return Ok((cloud, kills)),
            () = tokio::time::sleep(wait) => {}
        }
        cloud.kill()?;
        kills += 1;
        cloud.restart().await?;
        wait = wait_ms(&mut rng, BETWEEN_CLOUD_BLOWS_MS);
    }
}

/// Strikes all agents at once, each at its own random moments, until all rounds are done.
async fn strike_agents<B: Blow>(
    blow: B,
    shops: Vec<Shop>,
    rounds: u32,
    rng: &mut StdRng,
) -> anyhow::Result<(Vec<Shop>, Vec<Duration>)> {
    let left = AtomicU32::new(rounds);
    let striking = shops.into_iter().map(|mut shop| {
        let (left, mut rng) = (&left, StdRng::seed_from_u64(rng.random()));
        async move {
            let mut backs = Vec::new();
            while let Ok(before) =
                left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1))
            {
                backs.extend(blow.strike(&mut shop, &mut rng).await?);
                if before % 10 == 0 {
                    writeln!(stderr(), "  {before:>5} {} to go", B::NAME)?;
                }
            }
            anyhow::Ok((shop, backs))
        }
    });
    let struck = try_join_all(striking.collect::<Vec<_>>()).await?;
    let (shops, backs): (Vec<_>, Vec<_>) = struck.into_iter().unzip();
    Ok((shops, backs.into_iter().flatten().collect()))
}
