//! A restore to a moment, and afterwards one of a backup that was made after it: what the first one had set must not be obeyed by
//! the second.

use std::time::Duration;

use anyhow::Context as _;
use storepulse_cloud::embedded::{Embedded, Options};

use super::server::Server;
use crate::isolation::session::Session;

/// What has been written when; the third is beyond the moment.
const AT_THE_MOMENT: &str = "{1,2}";
const AT_THE_END: &str = "{1,2,4,5}";
/// Longer than a name of a base backup stays the same, and than clocks differ.
const APART: Duration = Duration::from_millis(1_100);

impl Server {
    /// Whether both restores bring what they should; says what they bring.
    pub(super) async fn go_through_moments(&mut self) -> anyhow::Result<(bool, String)> {
        let backup = self.backup.display().to_string();
        self.ask("create table marks (n bigint)").await?;
        self.mark(1).await?;
        let first = self.pg(&["base", &backup]).await?;
        self.mark(2).await?;
        tokio::time::sleep(APART).await;
        let moment = self.ask("select now()").await?;
        tokio::time::sleep(APART).await;
        self.mark(3).await?;
        self.archive_all().await?;
        self.go_back(first.trim(), &moment).await?;
        let at_the_moment = self.marks().await?;

        self.mark(4).await?;
        let second = self.pg(&["base", &backup]).await?;
        self.mark(5).await?;
        self.archive_all().await?;
        self.go_back(second.trim(), "latest").await?;
        let at_the_end = self.marks().await?;
        let told =
            format!("{at_the_moment} at a moment, {at_the_end} at the end of a backup made after that");
        Ok((at_the_moment == AT_THE_MOMENT && at_the_end == AT_THE_END, told))
    }

    async fn mark(&self, n: u8) -> anyhow::Result<()> {
        self.ask(&format!("insert into marks values ({n}) returning n")).await.map(drop)
    }

    async fn marks(&self) -> anyhow::Result<String> {
        self.ask("select array_agg(n order by n) from marks").await
    }

    /// The first column of the first row, if there is one.
    async fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let mut admin = Session::open(&self.running()?.admin("postgres")).await?;
        let answer = admin.run(sql).await?;
        admin.close().await?;
        let first = answer.rows.first().and_then(|row| row.first().cloned().flatten());
        Ok(first.unwrap_or_default())
    }

    /// As `restore.sh` does it.
    async fn go_back(&mut self, name: &str, until: &str) -> anyhow::Result<()> {
        self.running.take().context("the server is not running")?.stop().await;
        let (data, backup) = (self.dir.join("data").display().to_string(), self.backup.display().to_string());
        self.pg(&["restore", name, &data, until, &backup]).await?;
        self.running = Some(Embedded::start(Options::durable(&self.dir)).await?);
        Ok(())
    }
}
