//! Samples that were acknowledged and are gone after SIGKILL of everything: of ours, and of VictoriaMetrics.

#![expect(clippy::disallowed_methods, reason = "what is there is counted from outside")]

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use storepulse_agent::time::now_ms;
use storepulse_cloud::commands::prepare_embedded;
use storepulse_cloud::embedded::{DATABASE, Embedded, Options};
use storepulse_shared::ids::Epoch;

use super::super::figure::Figure;
use super::super::progress;
use super::super::reference::ReferenceStore;
use super::victoria::{Victoria, lines};
use crate::by_hand::{ByHand, HandBatch};
use crate::cloud::CloudProcess;
use crate::cluster::TestDb;
use crate::run_dir::RunDir;
use crate::store;

/// Batches before the kill, and samples of each: a million samples.
const BATCHES: u64 = 1_000;
const SIZE: usize = 1_000;
const DAY_MS: i64 = 86_400_000;

pub(in crate::figures) async fn samples_lost(testbed: &Path, dir: &Path) -> anyhow::Result<Figure> {
    let ours = of_ours(testbed, dir).await?;
    progress::say("    the same with VictoriaMetrics …")?;
    Ok(Figure::new(ours).beside(of_theirs(dir).await?).at_most(0.0).binding())
}

async fn of_ours(testbed: &Path, dir: &Path) -> anyhow::Result<f64> {
    let run_dir = RunDir::create("crash")?;
    let server = Embedded::start(Options::durable(run_dir.pg())).await?;
    prepare_embedded(&server, 8).await?;
    let db = TestDb::durable(&server, DATABASE);
    let mut cloud = CloudProcess::start(testbed, &db, dir).await?;
    let store =
        store::onboard(&db, "crash", &["T01"], &cloud.url(), Some(&cloud.ca()), &dir.join("crash")).await?;
    let hand = ByHand::new(&cloud.url(), Some(&cloud.ca()), Some(store[0].bearer()))?;
    let (epoch, mut acknowledged) = (Epoch::random(), 0_u64);
    let mut reference = ReferenceStore::open(now_ms() - 20 * DAY_MS);
    for seq in 1..=BATCHES {
        let batch = reference.batch(SIZE);
        let answer = hand.send(&HandBatch::of(epoch, seq, &batch)).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        acknowledged += batch.samples() as u64;
    }
    cloud.kill()?;
    kill_server(server.server_pid())?;
    drop(server);
    let server = Embedded::start(Options::durable(run_dir.pg())).await?;
    let mut admin = PgConnection::connect_with(&server.admin(DATABASE)).await?;
    let there: i64 =
        sqlx::query_scalar("select coalesce(sum(cardinality(vals)), 0)::bigint from sample_batches")
            .fetch_one(&mut admin)
            .await?;
    admin.close().await?;
    server.stop().await;
    Ok(lost(acknowledged, u64::try_from(there)?))
}

async fn of_theirs(dir: &Path) -> anyhow::Result<f64> {
    let dir = dir.join("victoria");
    std::fs::create_dir(&dir)?;
    let theirs = Victoria::start(&dir).await?;
    let mut reference = ReferenceStore::open(now_ms() - 20 * DAY_MS);
    let mut acknowledged = 0_u64;
    for _ in 0..BATCHES {
        let batch = reference.batch(SIZE);
        theirs.import(lines("T01", &batch)).await?;
        acknowledged += batch.samples() as u64;
    }
    let theirs = theirs.kill_and_restart().await?;
    let query = [("query", "sum(count_over_time({store=\"T01\"}[40d]))".to_owned())];
    let answer: serde_json::Value = serde_json::from_str(&theirs.get("/api/v1/query", &query).await?)?;
    let there = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0").parse::<f64>()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    Ok(lost(acknowledged, there as u64))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn lost(acknowledged: u64, there: u64) -> f64 {
    acknowledged.saturating_sub(there) as f64
}

/// The postmaster and every process of it, without a word.
fn kill_server(postmaster: Option<u32>) -> anyhow::Result<()> {
    let postmaster = postmaster.ok_or_else(|| anyhow::anyhow!("the server has no process"))?;
    let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
    kill(Pid::from_raw(i32::try_from(postmaster)?), Signal::SIGKILL)?;
    for child in children.split_whitespace() {
        // It may have noticed already that the postmaster is gone.
        let _ = kill(Pid::from_raw(child.parse()?), Signal::SIGKILL);
    }
    Ok(())
}
