//! Another shop, in which nothing is the matter: what a technician sees on most days.

use std::time::Duration;

use anyhow::ensure;

use crate::devices::answers::probe;
use crate::devices::{Asked, EscposPrinter, Manner};
use crate::store::{Agent, AgentSetup, Store};
use crate::wait;

/// How long all may take to be well.
const PATIENCE: Duration = Duration::from_secs(60);
/// Its devices.
pub(super) const DEVICES: [&str; 3] = ["gateway", "fridge", "printer-1"];

/// Its agent, and the devices around it.
pub(super) struct QuietShop {
    agent: Agent,
    _devices: (Asked, EscposPrinter),
}

impl QuietShop {
    /// Opens it, and waits until all is well.
    pub(super) async fn open(testbed: &std::path::Path, store: &Store) -> anyhow::Result<Self> {
        let fridge = Asked::start(Manner::Well, probe).await?;
        let mut printer = EscposPrinter::default();
        let port = store.dir.join("ttyPRINTER");
        printer.plug_in(&port)?;
        let devices = format!(
            "  gateway: {{ host: {{ interval: 1s }} }}\n  \
             fridge: {{ modbus: {{ tcp: '{}', unit: 1, preset: xy-md02, interval: 1s }} }}\n  \
             printer-1: {{ escpos: {{ port: '{}', interval: 1s }} }}\n",
            fridge.address,
            port.display()
        );
        let setup = AgentSetup { devices, retry_max: Some("2s"), ..AgentSetup::default() };
        let agent = Agent::start(testbed, store, &setup).await?;
        wait::until("all to be well", PATIENCE, async || {
            let status = agent.read_status().await?;
            ensure!(status["verdict"]["level"] == "ok", "{}", status["verdict"]);
            ensure!(DEVICES.iter().all(|id| status["devices"][id]["state"] == "ok"), "{}", status["devices"]);
            Ok(Some(()))
        })
        .await?;
        agent.until_drained_once(PATIENCE).await?;
        Ok(Self { agent, _devices: (fridge, printer) })
    }

    /// Where its page is.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.agent.status)
    }

    /// Ends the agent.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.agent.stop().await
    }
}
