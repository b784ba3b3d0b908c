//! What the measurements of one run share: a folder, and a cloud that is started when the first of them needs it.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::chain::{self, Beside, Chain};
use super::ingest::Rig;
use super::outage::{self, Outcome, Size};
use super::{crowd, footprint, local_page, progress};
use crate::cluster::Cluster;
use crate::run_dir::RunDir;

/// Dropped in this order: the cloud, its PostgreSQL, the folder of both.
pub(super) struct Bench {
    rig: Option<Rig>,
    cluster: Option<Cluster>,
    run_dir: RunDir,
    parts: usize,
    backlog: Option<PathBuf>,
    outages: Vec<(Size, Outcome)>,
    chain: Option<Chain>,
    beside: Option<Beside>,
    crowd: Option<crowd::Measured>,
    local_page: Option<local_page::Measured>,
    watch: Duration,
}

impl Bench {
    /// `watch`: how long the local page is watched.
    pub(super) fn create(watch: Duration) -> anyhow::Result<Self> {
        let run_dir = RunDir::create("figures")?;
        if statfs(run_dir.path())?.filesystem_type() == TMPFS_MAGIC {
            progress::say(
                "the folder for temporary files is in memory, where syncing costs nothing: set TMPDIR",
            )?;
        }
        Ok(Self {
            rig: None,
            cluster: None,
            run_dir,
            parts: 0,
            backlog: None,
            outages: Vec::new(),
            chain: None,
            beside: None,
            crowd: None,
            local_page: None,
            watch,
        })
    }

    /// An empty folder.
    pub(super) fn part(&mut self, name: &str) -> anyhow::Result<PathBuf> {
        self.parts += 1;
        self.run_dir.part(&format!("{name}-{}", self.parts))
    }

    /// The cloud over a durable PostgreSQL, with stores.
    pub(super) async fn rig(&mut self) -> anyhow::Result<&Rig> {
        if self.rig.is_none() {
            progress::say("  starting PostgreSQL (durable) and the cloud (TLS) …")?;
            let dir = self.part("cloud")?;
            let cluster = match self.cluster.take() {
                Some(cluster) => cluster,
                None => Cluster::start(&self.run_dir, true).await?,
            };
            let cluster = self.cluster.insert(cluster);
            self.rig = Some(Rig::start(cluster, &dir).await?);
        }
        anyhow::Context::context(self.rig.as_ref(), "the cloud was started")
    }

    /// A spool with a large backlog; whoever takes it away has it to himself.
    pub(super) async fn backlog(&mut self) -> anyhow::Result<PathBuf> {
        match &self.backlog {
            Some(dir) if dir.exists() => Ok(dir.clone()),
            _ => {
                let dir = self.part("backlog")?;
                footprint::fill_backlog(&dir).await?;
                Ok(self.backlog.insert(dir).clone())
            }
        }
    }

    /// An outage and its end: several figures are of the same one.
    pub(super) async fn outage(&mut self, size: Size) -> anyhow::Result<Outcome> {
        if let Some((_, outcome)) = self.outages.iter().find(|(of, _)| *of == size) {
            return Ok(*outcome);
        }
        let outcome = outage::run(self.rig().await?, size).await?;
        self.outages.push((size, outcome));
        Ok(outcome)
    }

    /// A chain with a month of samples: filled once, for all that read it.
    pub(super) async fn chain(&mut self) -> anyhow::Result<&Chain> {
        if self.chain.is_none() {
            let dir = self.part("chain")?;
            self.chain = Some(Chain::fill(self.rig().await?, chain::WHOLE, &dir).await?);
        }
        anyhow::Context::context(self.chain.as_ref(), "the chain was filled")
    }

    /// Ours and VictoriaMetrics with the same samples.
    pub(super) async fn beside(&mut self) -> anyhow::Result<Beside> {
        if let Some(beside) = self.beside {
            return Ok(beside);
        }
        let dir = self.part("beside")?;
        let beside = Beside::measure(self.rig().await?, &dir).await?;
        Ok(*self.beside.insert(beside))
    }

    /// A store with sixty devices, half of them broken: several figures are of the same one.
    pub(super) async fn crowd(&mut self) -> anyhow::Result<crowd::Measured> {
        if let Some(crowd) = self.crowd {
            return Ok(crowd);
        }
        let measured = crowd::measure(self).await?;
        Ok(*self.crowd.insert(measured))
    }

    /// The page in the shop, with and without somebody who watches it: several figures are of the same run.
    pub(super) async fn local_page(&mut self) -> anyhow::Result<local_page::Measured> {
        if let Some(measured) = self.local_page {
            return Ok(measured);
        }
        let measured = local_page::measure(self, self.watch).await?;
        Ok(*self.local_page.insert(measured))
    }

    /// Stops in order what was started.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if let Some(rig) = self.rig {
            rig.stop().await?;
        }
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
        Ok(())
    }
}
