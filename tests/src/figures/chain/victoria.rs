//! VictoriaMetrics, the fastest database for such samples that we know, as its Debian package has it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use storepulse_shared::batch::Batch;
use storepulse_shared::gzip;

use crate::cloud::http_client;
use crate::cpu;
use crate::wait;

const PROGRAM: &str = "victoria-metrics";
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running one, with an empty folder of its own.
pub(super) struct Victoria {
    child: Child,
    dir: PathBuf,
    url: String,
    client: reqwest::Client,
}

impl Victoria {
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(dir.join("victoria.log"))?;
        let child = Command::new(PROGRAM)
            .arg(format!("-storageDataPath={}", dir.join("data").display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-search.disableCache"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("{PROGRAM}: install the Debian package victoria-metrics (tests/peers.sh does)")
            })?;
        let client = http_client(None)?;
        let one = Self { child, dir: dir.to_owned(), url: format!("http://{address}"), client };
        wait::until("VictoriaMetrics to answer", START_LIMIT, async || {
            Ok(one.client.get(format!("{}/health", one.url)).send().await.is_ok().then_some(()))
        })
        .await?;
        Ok(one)
    }

    /// Takes a batch of a store in its own import format, compressed.
    pub(super) async fn import(&self, body: Vec<u8>) -> anyhow::Result<()> {
        let request =
            self.client.post(format!("{}/api/v1/import", self.url)).header("Content-Encoding", "gzip");
        request.body(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Has it write out what it holds in memory, and merge it as it would in time.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        for path in ["/internal/force_flush", "/internal/force_merge"] {
            self.client.get(format!("{}{path}", self.url)).send().await?.error_for_status()?;
        }
        // It merges in the background and says when it is done only in its own metrics.
        wait::until("VictoriaMetrics to finish merging", Duration::from_secs(120), async || {
            let text = self.client.get(format!("{}/metrics", self.url)).send().await?.text().await?;
            let active = text.lines().filter(|line| line.starts_with("vm_active_merges"));
            Ok(active.into_iter().all(|line| line.ends_with(" 0")).then_some(()))
        })
        .await
    }

    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_process(self.child.id())
    }

    /// Bytes of its folder.
    pub(super) fn bytes(&self) -> anyhow::Result<u64> {
        fn of(dir: &Path) -> std::io::Result<u64> {
            let mut sum = 0;
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let meta = entry.metadata()?;
                sum += if meta.is_dir() { of(&entry.path())? } else { meta.len() };
            }
            Ok(sum)
        }
        Ok(of(&self.dir.join("data"))?)
    }

    /// A query, as its API of Prometheus' kind answers it.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<String> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query)?;
        let response = self.client.get(url).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// SIGKILL, and a new start on the same folder.
    pub(super) async fn kill_and_restart(mut self) -> anyhow::Result<Self> {
        self.child.kill()?;
        self.child.wait()?;
        let dir = self.dir.clone();
        drop(self);
        Self::start(&dir).await
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A batch of a store as lines of JSON, one a series.
pub(super) fn lines(store: &str, batch: &Batch<'_>) -> Vec<u8> {
    let mut lines = String::new();
    for frame in &batch.frames {
        for column in &frame.columns {
            let line = serde_json::json!({
                "metric": {"__name__": column.series.replace('.', "_"), "store": store, "device": frame.device},
                "values": column.values,
                "timestamps": frame.times,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    gzip::compress(lines.as_bytes())
}
