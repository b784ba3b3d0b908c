//! A cloud process over a durable PostgreSQL, with stores that may send to it, and the clocks of all of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::cloud::CloudProcess;
use crate::cluster::{Cluster, TestDb};
use crate::cpu;
use crate::store::{self, Store};

const TENANT: &str = "figures";
const STORES: [&str; 8] = ["T01", "T02", "T03", "T04", "T05", "T06", "T07", "T08"];

/// The cloud at work.
pub(in crate::figures) struct Rig {
    cloud: CloudProcess,
    pub(in crate::figures) db: TestDb,
    pub(in crate::figures) stores: Vec<Store>,
    postmaster: u32,
}

/// Processor time so far: of the cloud process, of this one, of PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(in crate::figures) struct Clocks {
    pub(in crate::figures) service: Duration,
    pub(in crate::figures) client: Duration,
    pub(in crate::figures) server: Duration,
}

impl Clocks {
    /// Of all together, since then.
    pub(super) fn since(self, begun: Self) -> Duration {
        let all = |clocks: Self| clocks.service + clocks.client + clocks.server;
        all(self).saturating_sub(all(begun))
    }
}

impl Rig {
    pub(in crate::figures) async fn start(cluster: &Cluster, dir: &Path) -> anyhow::Result<Self> {
        let db = cluster.database().await?;
        let postmaster = cluster.pid().context("the server's process id")?;
        // A process of its own, so that its time can be told from ours; a release build of ours is one of its.
        let cloud = CloudProcess::start(&std::env::current_exe()?, &db, dir).await?;
        let out = dir.join("stores");
        let stores = store::onboard(&db, TENANT, &STORES, &cloud.url(), Some(&cloud.ca()), &out).await?;
        Ok(Self { cloud, db, stores, postmaster })
    }

    /// What an agent is configured with.
    pub(in crate::figures) fn cloud_url(&self) -> String {
        self.cloud.url()
    }

    pub(in crate::figures) const fn address(&self) -> SocketAddr {
        self.cloud.address
    }

    pub(super) fn url(&self) -> String {
        format!("{}/v1/metrics/batch", self.cloud.url())
    }

    pub(in crate::figures) fn ca(&self) -> PathBuf {
        self.cloud.ca()
    }

    /// The clocks of all who take part.
    pub(in crate::figures) fn clocks(&self) -> anyhow::Result<Clocks> {
        let service = self.cloud.pid().context("the cloud process has ended")?;
        Ok(Clocks {
            service: cpu::of_process(service)?,
            client: cpu::own()?,
            server: cpu::of_server(self.postmaster)?,
        })
    }

    /// Has the server write everything out, so that it does so between turns and not within one.
    pub(in crate::figures) async fn checkpoint(&self) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect_with(&self.db.admin).await?;
        sqlx::raw_sql("checkpoint").execute(&mut admin).await?;
        Ok(admin.close().await?)
    }

    pub(in crate::figures) async fn stop(mut self) -> anyhow::Result<()> {
        self.cloud.stop().await
    }
}
