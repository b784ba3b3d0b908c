//! An agent in this process, with devices and without a cloud: what it knows of a device is read from its status page.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use storepulse_agent::app::{self, AgentError, Listeners};
use storepulse_agent::config::Config;
use storepulse_shared::key::StoreKey;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a device may take to be as it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent.
pub(super) struct Shop {
    status: SocketAddr,
    stop: CancellationToken,
    agent: JoinSet<Result<(), AgentError>>,
}

impl Shop {
    /// Opens it with the blocks of `devices:`, indented by two.
    pub(super) async fn open(dir: &Path, devices: &str) -> anyhow::Result<Self> {
        // Both the agent and whoever asks it here speak by way of it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = StoreKey::issue(&"la-villa".parse()?, &"T01".parse()?);
        std::fs::write(dir.join("store.key"), key.expose())?;
        // Nobody answers on this port: what is read stays in the spool.
        let text = format!(
            "cloud:\n  url: http://127.0.0.1:1\n  key_file: store.key\nstate_dir: state\nlocal:\n  listen: 127.0.0.1:0\ndevices:\n{devices}"
        );
        let config = Config::parse(&text, &dir.join("agent.yaml"))?;
        let listeners = Listeners::bind(&config).await?;
        let status = SocketAddr::from((Ipv4Addr::LOCALHOST, listeners.status.local_addr()?.port()));
        let stop = CancellationToken::new();
        let mut agent = JoinSet::new();
        agent.spawn(app::run(config, listeners, stop.clone()));
        Ok(Self { status, stop, agent })
    }

    /// What is known of a device.
    pub(super) async fn device(&self, id: &str) -> anyhow::Result<Value> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("http://{}/status", self.status)).send().await?;
        let status: Value = answer.json().await?;
        status["devices"].get(id).cloned().with_context(|| format!("no device {id} in {status}"))
    }

    /// Waits until what is known of a device is as it should be.
    pub(super) async fn until(
        &self,
        id: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let device = self.device(id).await?;
            if is(&device) {
                return Ok(device);
            }
            if tokio::time::Instant::now() > deadline {
                bail!("waited in vain for {what}: {device:#}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a device is in this state (`ok`, `stale`, `fault`, `unreachable`).
    pub(super) async fn until_state(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        self.until(id, state, |device| device["state"] == state).await
    }

    /// Closes it.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.agent.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// The last values of a device, by series.
pub(super) fn values(device: &Value) -> BTreeMap<String, f64> {
    let values = device["values"].as_object().into_iter().flatten();
    values.filter_map(|(series, reading)| Some((series.clone(), reading["value"].as_f64()?))).collect()
}
