//! A shop and a cloud whose programs are exchanged while it works: each pair of versions has its time, its outage and its kills, on
//! one spool and one database whose schema is the new one from the beginning.

use std::path::PathBuf;
use std::time::Duration;

use storepulse_cloud::commands::verify::{self, Request};
use storepulse_cloud::db::Db;

use crate::cloud::CloudProcess;
use crate::cluster::{Cluster, TestDb};
use crate::proxy::{Fault, Proxy};
use crate::run_dir::RunDir;
use crate::scene::{Closing, Shop};
use crate::store;

/// How fast each device sends.
const PACE: Duration = Duration::from_millis(25);
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

/// Which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Old,
    New,
}

use Version::{New, Old};

/// Agent and cloud, in this order: the cloud is upgraded first, then the box; both roads back are taken, too.
pub(super) const COMBINATIONS: [(Version, Version); 6] =
    [(Old, Old), (Old, New), (New, New), (New, Old), (Old, Old), (New, New)];

/// The program of each version.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
}

impl Programs {
    fn of(&self, version: Version) -> &std::path::Path {
        match version {
            Old => &self.old,
            New => &self.new,
        }
    }
}

/// What it came to.
pub(super) struct Ended {
    pub(super) closing: Closing,
    pub(super) wrong: u64,
}

pub(super) async fn play(programs: &Programs, each: Duration, run_dir: &RunDir) -> anyhow::Result<Ended> {
    let cluster = Cluster::start(run_dir, true).await?;
    let (db, dir) = (cluster.database().await?, run_dir.part("scene")?);
    let mut cloud = CloudProcess::start(programs.of(Old), &db, &dir).await?;
    let link = Proxy::start(cloud.address).await?;
    let url = format!("https://{}", link.address);
    let stores =
        store::onboard(&db, "la-villa", &["T01"], &url, Some(&cloud.ca()), &dir.join("stores")).await?;
    let mut shop = Shop::open(programs.of(Old), &stores[0], &link, PACE).await?;
    let mut now = (Old, Old);
    for next in COMBINATIONS {
        exchange(programs, (now, next), &mut shop, &mut cloud).await?;
        now = next;
        tracing::info!(agent = ?now.0, cloud = ?now.1, "at work");
        work(each, &mut shop, &mut cloud, &link).await?;
    }
    let closing = shop.close(&db, DRAIN_LIMIT).await?;
    let wrong = verified(&db).await?;
    link.stop().await;
    cloud.stop().await?;
    cluster.stop().await;
    Ok(Ended { closing, wrong })
}

/// In order, as an upgrade does it: SIGTERM, and the other program on the same files.
async fn exchange(
    programs: &Programs,
    (now, next): ((Version, Version), (Version, Version)),
    shop: &mut Shop,
    cloud: &mut CloudProcess,
) -> anyhow::Result<()> {
    if now.1 != next.1 {
        cloud.stop().await?;
        cloud.become_program(programs.of(next.1));
        cloud.restart().await?;
    }
    if now.0 != next.0 {
        shop.exchange_agent(programs.of(next.0)).await?;
    }
    Ok(())
}

/// Some work, an outage in which the agent is killed, a kill of the cloud, and until all of it has arrived.
async fn work(each: Duration, shop: &mut Shop, cloud: &mut CloudProcess, link: &Proxy) -> anyhow::Result<()> {
    tokio::time::sleep(each).await;
    link.set(Fault::Cut);
    let in_outage = shop.sent() + 40;
    crate::wait::until("the outage to last", DRAIN_LIMIT, async || {
        Ok((shop.sent() >= in_outage).then_some(()))
    })
    .await?;
    shop.kill_and_restart().await?;
    cloud.kill()?;
    cloud.restart().await?;
    link.set(Fault::None);
    tokio::time::sleep(each).await;
    shop.agent.until_drained_once(DRAIN_LIMIT).await
}

/// How many things `verify` of this version finds wrong.
async fn verified(db: &TestDb) -> anyhow::Result<u64> {
    let door = Db::connect(&db.config()).await?;
    let (mut out, mut progress) = (Vec::new(), Vec::new());
    let request = Request { tenant: None, json: true };
    let ended = verify::run(&door, &request, &mut out, &mut progress).await;
    door.close().await;
    let findings = String::from_utf8(out)?.lines().count().saturating_sub(1) as u64;
    Ok(if ended.is_err() { findings.max(1) } else { findings })
}
