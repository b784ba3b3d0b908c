//! `cargo torture replug`: devices on pseudo-terminals are pulled and plugged in again, half of them under another name.
//!
//! Each must be read again within two seconds of the plug, its events must have arrived in the cloud with the length of the
//! gap, and in the end the agent has as many descriptors and tasks as in the beginning, and spends next to nothing while
//! everything is unplugged: no loop spins.

mod leftovers;
mod socket;

use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::leftovers::Leftovers;
use self::socket::{Known, Round, Socket, Way};
use super::TortureArgs;
use crate::cloud::Cloud;
use crate::cluster::{Cluster, TestDb};
use crate::isolation::session::Session;
use crate::run_dir::RunDir;
use crate::store::{self, Agent, AgentSetup};

const TENANT: &str = "la-villa";
/// Sockets of the box.
const SOCKETS: u32 = 16;
/// From plug to reading.
const RECOVERY_MAX: Duration = Duration::from_secs(2);
/// How often the agent is asked what it knows.
const LOOK: Duration = Duration::from_millis(40);
/// How long processor time is measured with everything unplugged.
const SILENCE: Duration = Duration::from_secs(10);
/// Most of a core that the agent may take then.
const SILENT_CPU_MAX: f64 = 0.03;
/// The agent looks at an idle port each second, and hears of a lost one at once where it listens.
const NOTICED_WITHIN: Duration = Duration::from_millis(1_500);
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// What it came to.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    rounds: usize,
    renamed: usize,
    /// Recovered later than promised.
    late: usize,
    recovery_max_ms: u128,
    recovery_median_ms: u128,
    /// Events that are not in the cloud, or tell a gap that was not.
    events_missing: usize,
    gaps_wrong: usize,
    descriptors_leaked: i64,
    tasks_leaked: i64,
    /// Share of a core while everything was unplugged.
    silent_cpu: f64,
    seed: u64,
    seconds: f64,
}

pub(super) async fn run(args: TortureArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} times unplugged, {SOCKETS} devices, --seed {seed}", args.rounds)?;
    let run_dir = RunDir::create("torture")?;
    let cluster = Cluster::start(&run_dir, false).await?;
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, None).await?;
    let folder = run_dir.part("stores")?;
    let store = store::onboard(&db, TENANT, &["T01"], &cloud.url(), None, &folder).await?.remove(0);
    let mut sockets = sockets(&store.dir, &mut StdRng::seed_from_u64(seed))?;
    let devices = sockets.iter().map(Socket::block).collect();
    let mut agent = Agent::start(testbed, &store, &AgentSetup { devices, ..AgentSetup::default() }).await?;

    let (tell, known) = watch::channel(None);
    let stop = CancellationToken::new();
    let looking = look(&agent, &tell, &stop);
    let blows = async {
        let struck = strike(&mut sockets, args.rounds, &agent, known).await;
        stop.cancel();
        struck
    };
    let (looked, struck) = tokio::join!(looking, blows);
    looked?;
    let (rounds, before) = struck?;
    let mut outcome = leave(&mut sockets, &agent, &before).await?;
    agent.until_drained_once(DRAIN_LIMIT).await?;
    judge(&rounds, &db, &mut outcome).await?;
    agent.stop().await?;
    cloud.stop().await?;
    cluster.stop().await;
    outcome.seed = seed;
    outcome.seconds = begun.elapsed().as_secs_f64();
    conclude(&outcome, args.json, out)
}

fn sockets(dir: &Path, rng: &mut StdRng) -> anyhow::Result<Vec<Socket>> {
    let one = |n: u32| {
        let (way, kind) = if n.is_multiple_of(2) { (Way::Talks, "lines") } else { (Way::Answers, "printer") };
        let name = format!("{kind}-{n:02}");
        Socket::new(name.clone(), way, dir.join(format!("tty-{name}")), StdRng::seed_from_u64(rng.random()))
    };
    (0..SOCKETS).map(one).collect()
}

/// Asks the agent what it knows until everything is over.
async fn look(
    agent: &Agent,
    tell: &watch::Sender<Option<serde_json::Value>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        tell.send_replace(Some(agent.read_status().await?));
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn strike(
    sockets: &mut [Socket],
    rounds: u32,
    agent: &Agent,
    known: Known,
) -> anyhow::Result<(Vec<Round>, Leftovers)> {
    try_join_all(sockets.iter_mut().map(|socket| {
        let mut known = known.clone();
        async move { socket.serve_until_read(0, &mut known).await }
    }))
    .await?;
    // What the agent opens once, to the cloud, is open after the first absence of each.
    let mut all = go_on(sockets, 1, &known).await?;
    let before = Leftovers::of(agent).await?;
    all.extend(go_on(sockets, rounds.div_ceil(SOCKETS).saturating_sub(1), &known).await?);
    Ok((all, before))
}

/// So many absences of each socket, all at the same time.
async fn go_on(sockets: &mut [Socket], each: u32, known: &Known) -> anyhow::Result<Vec<Round>> {
    let all = try_join_all(sockets.iter_mut().map(|socket| {
        let mut known = known.clone();
        async move {
            let mut rounds = Vec::new();
            for n in 0..each {
                let rename = socket.is_renamed_next();
                rounds.push(socket.round(rename, &mut known).await?);
                if (n + 1) % 10 == 0 && socket.device.ends_with("00") {
                    writeln!(stderr(), "  {:>5} to go", (each - n - 1) * SOCKETS)?;
                }
            }
            anyhow::Ok(rounds)
        }
    }))
    .await?;
    Ok(all.into_iter().flatten().collect())
}

/// Pulls everything, and looks at what the agent still holds and does. Nobody asks it anything meanwhile.
async fn leave(sockets: &mut [Socket], agent: &Agent, before: &Leftovers) -> anyhow::Result<Outcome> {
    let after = Leftovers::of(agent).await?;
    for socket in sockets.iter_mut() {
        socket.unplug()?;
    }
    tokio::time::sleep(NOTICED_WITHIN).await;
    Ok(Outcome {
        descriptors_leaked: after.descriptors - before.descriptors,
        tasks_leaked: after.tasks - before.tasks,
        silent_cpu: leftovers::cpu(agent, SILENCE).await?,
        ..Outcome::default()
    })
}

async fn judge(rounds: &[Round], db: &TestDb, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut times: Vec<u128> = rounds.iter().map(|round| round.recovered.as_millis()).collect();
    times.sort_unstable();
    outcome.rounds = rounds.len();
    outcome.renamed = rounds.iter().filter(|round| round.renamed).count();
    outcome.late = rounds.iter().filter(|round| round.recovered > RECOVERY_MAX).count();
    outcome.recovery_max_ms = times.last().copied().unwrap_or_default();
    outcome.recovery_median_ms = times.get(times.len() / 2).copied().unwrap_or_default();
    let mut admin = Session::open(&db.admin).await?;
    let ask = "select device_id, kind, text from events where kind in ('device.plugged', 'device.unplugged') order by t, seq, no";
    let events = admin.run(ask).await?.rows;
    admin.close().await?;
    let mut devices: Vec<&str> = rounds.iter().map(|round| round.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    for device in devices {
        let of = |kind: &str| -> Vec<&str> {
            let rows = events
                .iter()
                .filter(|row| row[0].as_deref() == Some(device) && row[1].as_deref() == Some(kind));
            rows.filter_map(|row| row[2].as_deref()).collect()
        };
        let rounds: Vec<&Round> = rounds.iter().filter(|round| round.device == device).collect();
        let plugged = of("device.plugged");
        // The last one is the end, when everything was pulled.
        outcome.events_missing += rounds.len().abs_diff(plugged.len());
        outcome.events_missing += (rounds.len() + 1).abs_diff(of("device.unplugged").len());
        outcome.gaps_wrong += rounds.iter().zip(plugged).filter(|(round, text)| !tells(text, round)).count();
    }
    Ok(())
}

/// Whether an event tells the gap of its round, `… after 1s 204ms`: not longer than from pulling to reading, and shorter
/// only by the time that the agent took to notice.
fn tells(text: &str, round: &Round) -> bool {
    let told = text.rsplit_once(" after ").and_then(|(_, told)| humantime::parse_duration(told).ok());
    let longest = round.absent + round.recovered + Duration::from_millis(100);
    told.is_some_and(|told| told <= longest && told + NOTICED_WITHIN >= round.absent)
}

fn conclude(outcome: &Outcome, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    let holds = outcome.late == 0
        && outcome.events_missing == 0
        && outcome.gaps_wrong == 0
        && outcome.descriptors_leaked <= 0
        && outcome.tasks_leaked <= 0
        && outcome.silent_cpu <= SILENT_CPU_MAX;
    writeln!(
        out,
        "{} times unplugged, {} of them renamed: recovered within {} ms, half of them within {} ms, {} late; \
         {} events missing, {} gaps wrong; {} descriptors and {} tasks leaked; {:.1} % of a core with all of them \
         unplugged: {}",
        outcome.rounds,
        outcome.renamed,
        outcome.recovery_max_ms,
        outcome.recovery_median_ms,
        outcome.late,
        outcome.events_missing,
        outcome.gaps_wrong,
        outcome.descriptors_leaked,
        outcome.tasks_leaked,
        outcome.silent_cpu * 100.0,
        if holds { "holds" } else { "BROKEN" },
    )?;
    if json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(holds)
}
