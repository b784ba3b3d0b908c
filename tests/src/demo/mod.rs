//! `cargo demo`: the product at work, checking itself.
//!
//! A durable private PostgreSQL, the cloud with TLS, a tenant onboarded, simulated devices on pseudo-terminals and a push
//! client for each store, real agent processes that read them, and a proxy between agents and cloud that cuts the link for
//! a while. The verdict comes from the devices' own logs, never from the agents.

mod install;
mod screen;
mod shop;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use storepulse_cloud::embedded::Binaries;

use self::screen::{Numbers, Screen};
use self::shop::Shop;
use crate::cloud::Cloud;
use crate::cluster::{Cluster, TestDb};
use crate::oracle::{self, Verdict};
use crate::proxy::{Fault, Proxy};
use crate::run_dir::RunDir;
use crate::store;

/// The tenant of the demo.
const TENANT: &str = "la-villa";
/// How long the agents have to deliver what is left once the devices are quiet.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);

/// What to show.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Install PostgreSQL with the system's package manager first, if there is none
    #[arg(long)]
    install: bool,
    /// End by itself after this time; otherwise Ctrl-C ends it
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Cut the link between the agents and the cloud for this long
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    outage: Duration,
    /// How many stores
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=50))]
    stores: u16,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What the demo came to, as its last line.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Counter values that the devices sent.
    sent: u64,
    /// Samples in the cloud, counters and all else.
    samples: i64,
    batches: i64,
    /// Batches that the cloud still waits for.
    missing: i64,
    wire_bytes: i64,
    stores: u16,
    devices: usize,
    pty_devices: usize,
    outage_s: f64,
    seconds: f64,
}

/// Runs the demo; `true` if nothing was lost, doubled or invented.
///
/// # Errors
/// Something could not be started, or did not drain in time.
pub async fn run(args: DemoArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    if args.install && Binaries::find().is_err() {
        install::postgresql().await?;
    }
    let begun = Instant::now();
    let run_dir = RunDir::create("demo")?;
    let mut screen = Screen::new();
    screen.say("starting PostgreSQL (private, durable), the cloud (TLS) and the agents …")?;
    let cluster = Cluster::start(&run_dir, true).await?;
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, Some(&run_dir.part("tls")?)).await?;
    let link = Proxy::start(cloud.address).await?;

    let names: Vec<String> = (1..=args.stores).map(|n| format!("T{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let url = format!("https://{}", link.address);
    let stores =
        store::onboard(&db, TENANT, &names, &url, cloud.ca.as_deref(), &run_dir.part("stores")?).await?;
    let mut shops = Vec::new();
    for store in &stores {
        shops.push(Shop::open(testbed, store).await?);
    }
    screen.introduce(&shops, &cloud, &write_database_url(&run_dir, &db)?)?;
    play(&args, &shops, &link, &db, &mut screen).await?;

    screen.say("the devices are quiet now; the agents deliver what is left …")?;
    let mut verdict = Verdict::default();
    let mut outcome = Outcome {
        verdict,
        sent: 0,
        samples: 0,
        batches: 0,
        missing: 0,
        wire_bytes: 0,
        stores: args.stores,
        devices: shops.len() * shop::DEVICES,
        pty_devices: shops.len() * shop::PTY_DEVICES,
        outage_s: args.outage.as_secs_f64(),
        seconds: 0.0,
    };
    for shop in shops {
        let closed = shop.close(DRAIN_LIMIT).await?;
        verdict += closed.judge(&db).await?;
        outcome.sent += closed.sent();
        let totals = oracle::totals(&db, TENANT, closed.store.as_str()).await?;
        outcome.samples += totals.samples;
        outcome.batches += totals.batches;
        outcome.missing += totals.missing;
        outcome.wire_bytes += totals.wire_bytes;
    }
    link.stop().await;
    cloud.stop().await?;
    cluster.stop().await;
    outcome.verdict = verdict;
    outcome.seconds = begun.elapsed().as_secs_f64();
    screen.conclude(&outcome)?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
    }
    Ok(verdict.is_clean() && outcome.missing == 0 && outcome.sent > 0)
}

/// Lets it run, with the outage in the middle third, until the time is up or somebody has seen enough.
async fn play(
    args: &DemoArgs,
    shops: &[Shop],
    link: &Proxy,
    db: &TestDb,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let cut_at =
        args.time.map_or(Duration::from_secs(15), |time| (time / 3).min(time.saturating_sub(args.outage)));
    let back_at = cut_at + args.outage;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = &mut interrupt => break,
            _ = tick.tick() => {}
        }
        let elapsed = begun.elapsed();
        let is_cut = (cut_at..back_at).contains(&elapsed) && !args.outage.is_zero();
        link.set(if is_cut { Fault::Cut } else { Fault::None });
        let mut numbers = Numbers { elapsed, is_cut, ..Numbers::default() };
        for shop in shops {
            numbers.sent += shop.sent();
            numbers.waiting += shop.waiting_samples().await;
            numbers.in_cloud += oracle::totals(db, TENANT, shop.store().as_str()).await?.samples;
        }
        screen.progress(&numbers)?;
        if args.time.is_some_and(|time| elapsed >= time) {
            break;
        }
    }
    link.set(Fault::None);
    Ok(())
}

/// For psql, in a file, since it holds a password.
fn write_database_url(run_dir: &RunDir, db: &TestDb) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = run_dir.path().join("database.url");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    write!(file, "{}", storepulse_cloud::embedded::Embedded::url(&db.app))?;
    Ok(path)
}
