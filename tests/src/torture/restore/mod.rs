//! `cargo torture restore`: the whole database is lost, and what is restored is an hour old. The agents notice by `through`,
//! send the hour again from what they have kept, and nothing is missing.
//!
//! ```text
//! load ─▶ base backup, WAL archived, both taken elsewhere ─▶ an hour of load ─▶ SIGKILL of cloud and server, folders gone
//!      ─▶ load goes on, into the spools ─▶ restore ─▶ the cloud serves ─▶ the hour is there again ─▶ verify
//! ```
//!
//! The hour is one of the shops' time: 240 ticks of 15 s, whose samples are dated so, pushed within `--hour` of real time. So
//! the bytes, batches' contents and times are an hour's; the number of batches is that of the real time (an agent seals by its own
//! clock), and with `--hour 1h` nothing is compressed. In that hour an agent is killed and started again: an epoch begins
//! that the backup has never heard of.
//!
//! In the end, with nobody there any more, a restore to a moment is tried, and one of a backup that was made after it ([`moment`]).

mod moment;
mod server;
mod shop;

use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use serde::Serialize;
use storepulse_agent::time::now_ms;
use storepulse_cloud::commands::verify;
use storepulse_cloud::db::Db;
use tokio_util::sync::CancellationToken;

use self::server::Server;
use self::shop::{Shop, TICK_MS, WIDTH};
use crate::cloud::CloudProcess;
use crate::cluster::TestDb;
use crate::oracle::{self, Verdict};
use crate::run_dir::RunDir;
use crate::store;
use crate::wait;

const TENANT: &str = "la-villa";
/// Ticks of an hour, and before the backup.
const HOUR: u64 = 240;
const BEFORE: u64 = 40;
/// The most that the spools take during loss and restore.
const MEANWHILE: u64 = 2 * HOUR;
/// Ticks after the cloud serves again.
const AFTER: u64 = 10;
/// How long the agents may take to fill the hour again.
const FILL_LIMIT: Duration = Duration::from_secs(600);

/// How much.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// How much real time the hour takes
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    hour: Duration,
    /// How many agents at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    agents: u16,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Batches missing and things wrong, as `storepulse-cloud verify` says.
    missing: u64,
    wrong: u64,
    agents: u16,
    /// Samples that were stored when the database was lost, and that the backup held.
    samples_at_loss: i64,
    samples_restored: i64,
    /// Samples in the end.
    samples: i64,
    /// Agents that have noticed.
    noticed: usize,
    /// From the backup until the loss, in the shops' time and in real time.
    backup_age_shop_s: i64,
    backup_age_s: f64,
    /// From the loss until the cloud answers again, and from then until all that was lost is there.
    restored_in_s: f64,
    filled_in_s: f64,
    /// Whether a restore to a moment brings what it should, and one of a backup after it; and what they bring.
    moment_holds: bool,
    moment: String,
    seconds: f64,
}

pub(super) async fn run(args: RestoreArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    writeln!(stderr(), "torture: an hour in {:?}, {} agents", args.hour, args.agents)?;
    let run_dir = RunDir::create("torture")?;
    let mut server = Server::make(&run_dir).await?;
    let db = server.db()?;
    let mut cloud = CloudProcess::start(testbed, &db, &run_dir.part("cloud")?).await?;
    let names: Vec<String> = (1..=args.agents).map(|n| format!("T{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let out_dir = run_dir.part("stores")?;
    let stores = store::onboard(&db, TENANT, &names, &cloud.url(), Some(&cloud.ca()), &out_dir).await?;
    // All of it is past, also what comes during backup and restore.
    let begin_ms = now_ms() - i64::try_from(BEFORE + 4 * HOUR)? * TICK_MS;
    let shops = try_join_all(stores.iter().map(|store| Shop::open(testbed, store, begin_ms))).await?;

    let mut outcome = Outcome { agents: args.agents, ..Outcome::default() };
    let pace = args.hour.div_f64(f64::from(u32::try_from(HOUR)?));
    let (mut shops, backup) = back_up_under_load(shops, pace, &server).await?;
    let backed_up = Instant::now();
    live_an_hour(&mut shops, pace).await?;
    outcome.samples_at_loss = samples(&db, &names).await?;
    outcome.backup_age_s = backed_up.elapsed().as_secs_f64();
    outcome.backup_age_shop_s = i64::try_from(HOUR)? * TICK_MS / 1_000;

    let lost = Instant::now();
    let calm = CancellationToken::new();
    let working = try_join_all(shops.iter_mut().map(|shop| shop.work(MEANWHILE, pace, &calm)));
    let (restored, worked) = tokio::join!(
        async {
            let restored = lose_and_restore(&mut server, &mut cloud, &backup, &names).await;
            calm.cancel();
            restored
        },
        working
    );
    let (db, samples_restored) = restored?;
    worked?;
    outcome.samples_restored = samples_restored;
    outcome.restored_in_s = lost.elapsed().as_secs_f64();
    let serving = Instant::now();
    let never = CancellationToken::new();
    try_join_all(shops.iter_mut().map(|shop| shop.work(AFTER, pace, &never))).await?;
    outcome.fill(&shops, &db, &names, serving).await?;
    for shop in &mut shops {
        shop.agent.stop().await?;
        outcome.verdict += shop.judge(&db).await?;
    }
    outcome.ask_verify(&db).await?;
    cloud.stop().await?;
    (outcome.moment_holds, outcome.moment) = server.go_through_moments().await?;
    server.stop().await?;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude(&outcome, args.json, out)
}

/// The load begins, and while it goes on the backup is made.
async fn back_up_under_load(
    mut shops: Vec<Shop>,
    pace: Duration,
    server: &Server,
) -> anyhow::Result<(Vec<Shop>, String)> {
    let never = CancellationToken::new();
    try_join_all(shops.iter_mut().map(|shop| shop.work(BEFORE, pace, &never))).await?;
    let calm = CancellationToken::new();
    let working = try_join_all(shops.iter_mut().map(|shop| shop.work(HOUR, pace, &calm)));
    let (backup, worked) = tokio::join!(
        async {
            let backup = server.back_up().await;
            calm.cancel();
            backup
        },
        working
    );
    worked?;
    let backup = backup?;
    writeln!(stderr(), "  backup {backup} is elsewhere; the hour begins")?;
    Ok((shops, backup))
}

/// In its middle an agent is killed, and begins an epoch that the backup does not know.
async fn live_an_hour(shops: &mut [Shop], pace: Duration) -> anyhow::Result<()> {
    let never = CancellationToken::new();
    try_join_all(shops.iter_mut().map(|shop| shop.work(HOUR / 2, pace, &never))).await?;
    if let Some(first) = shops.first_mut() {
        first.restart().await?;
    }
    try_join_all(shops.iter_mut().map(|shop| shop.work(HOUR / 2, pace, &never))).await?;
    Ok(())
}

async fn lose_and_restore(
    server: &mut Server,
    cloud: &mut CloudProcess,
    backup: &str,
    stores: &[&str],
) -> anyhow::Result<(TestDb, i64)> {
    cloud.kill()?;
    server.lose().await?;
    writeln!(stderr(), "  the database is lost; the backup is restored")?;
    server.restore(backup).await?;
    let db = server.db()?;
    let held = samples(&db, stores).await?;
    cloud.use_database(&db);
    cloud.restart().await?;
    writeln!(stderr(), "  the cloud serves again, with {held} samples")?;
    Ok((db, held))
}

async fn samples(db: &TestDb, stores: &[&str]) -> anyhow::Result<i64> {
    let mut sum = 0;
    for store in stores {
        sum += oracle::totals(db, TENANT, store).await?.samples;
    }
    Ok(sum)
}

impl Outcome {
    /// Waits until all that the agents have ever accepted is there.
    async fn fill(
        &mut self,
        shops: &[Shop],
        db: &TestDb,
        stores: &[&str],
        since: Instant,
    ) -> anyhow::Result<()> {
        let ticks: u64 = shops.iter().map(Shop::ticks).sum();
        let all = i64::try_from(ticks * WIDTH)?;
        let filled = async || Ok((samples(db, stores).await? >= all).then_some(()));
        wait::until("the hour to be there again", FILL_LIMIT, filled).await?;
        self.filled_in_s = since.elapsed().as_secs_f64();
        try_join_all(shops.iter().map(|shop| shop.agent.until_drained(FILL_LIMIT))).await?;
        self.samples = samples(db, stores).await?;
        for store in stores {
            let events = oracle::events(db, TENANT, store, "agent.cloud_restored").await?;
            self.noticed += usize::from(!events.is_empty());
        }
        Ok(())
    }

    async fn ask_verify(&mut self, db: &TestDb) -> anyhow::Result<()> {
        let door = Db::connect(&db.config()).await?;
        let request = verify::Request { json: true, ..verify::Request::default() };
        let mut said = Vec::new();
        let verified = verify::run(&door, &request, &mut said, &mut std::io::sink()).await;
        door.close().await;
        let said = String::from_utf8(said)?;
        if let Err(error) = verified {
            writeln!(stderr(), "  verify: {error:#}\n{said}")?;
        }
        let totals: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
        self.missing = totals["missing"].as_u64().unwrap_or(u64::MAX);
        self.wrong = totals["wrong"].as_u64().unwrap_or(u64::MAX);
        Ok(())
    }
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let Outcome { verdict, missing, wrong, agents, samples_at_loss, samples_restored, .. } = outcome;
    writeln!(
        out,
        "the backup was {} s old in the shops' time ({:.0} s in real time): {samples_restored} of {samples_at_loss} samples\n\
         the cloud served again {:.1} s after the loss; {:.1} s later all was there again, {} samples; {} of {agents} agents had noticed\n\
         lost {}   duplicate {}   invented {}   verify: missing {missing}, wrong {wrong}\n\
         restored again: {}",
        outcome.backup_age_shop_s,
        outcome.backup_age_s,
        outcome.restored_in_s,
        outcome.filled_in_s,
        outcome.samples,
        outcome.noticed,
        verdict.lost,
        verdict.duplicate,
        verdict.invented,
        outcome.moment,
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(verdict.is_clean()
        && outcome.moment_holds
        && *missing == 0
        && *wrong == 0
        && outcome.noticed == usize::from(*agents)
        && samples_restored < samples_at_loss)
}
