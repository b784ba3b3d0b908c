//! Prometheus itself, over a block of its own storage that was made of a text.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::children::Role;
use crate::wait;

/// How long its start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running one.
pub(super) struct Prometheus {
    role: Role,
    port: u16,
}

impl Prometheus {
    /// Starts it in a folder with these samples, and waits until it answers.
    pub(super) async fn start(dir: &Path, open_metrics: &str) -> anyhow::Result<Self> {
        let (input, blocks, config) =
            (dir.join("samples.om"), dir.join("blocks"), dir.join("prometheus.yml"));
        std::fs::create_dir_all(&blocks)?;
        std::fs::write(&input, open_metrics)?;
        std::fs::write(&config, "global: {}\n")?;
        let mut make = tokio::process::Command::new("promtool");
        make.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&input).arg(&blocks).kill_on_drop(true);
        let made = make.output().await.context("promtool (Debian package prometheus)")?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", blocks.display()),
            "--storage.tsdb.retention.time=100y".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let role = Role::start(Path::new("prometheus"), &args, &dir.join("prometheus.log"))?;
        let mut prometheus = Self { role, port };
        let url = format!("{}/-/ready", prometheus.url());
        let client = crate::cloud::http_client(None)?;
        wait::until("Prometheus to be ready", START_LIMIT, async || {
            if let Some(status) = prometheus.role.ended()? {
                anyhow::bail!("it ended with {status}: {}", prometheus.role.said());
            }
            let ready = client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            Ok(ready.then_some(()))
        })
        .await?;
        Ok(prometheus)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.role.stop().await.map(|_| ())
    }
}
