//! One store of the demo: an agent process and the devices around it.

use std::path::Path;
use std::time::Duration;

use storepulse_shared::ids::StoreId;

use crate::cluster::TestDb;
use crate::devices::{COUNTER, DeviceLog, LinePrinter, PUSHED_COUNTER, Pusher, Stopped};
use crate::oracle::{self, Verdict};
use crate::store::{Agent, AgentSetup, Store};

/// Devices of one store: the box, two on serial ports, one that pushes.
pub(super) const DEVICES: usize = 4;
/// Those on pseudo-terminals.
pub(super) const PTY_DEVICES: usize = 2;
/// The device that pushes.
const PUSHING: &str = "pos-03";

pub(super) struct Shop {
    agent: Agent,
    printers: Vec<(&'static str, LinePrinter)>,
    pusher: Pusher,
}

/// A store whose devices are quiet and whose agent has delivered everything.
pub(super) struct Closed {
    pub(super) store: StoreId,
    tenant: String,
    printers: Vec<(&'static str, Stopped)>,
    pushed: DeviceLog,
}

impl Shop {
    pub(super) async fn open(testbed: &Path, store: &Store) -> anyhow::Result<Self> {
        let port = |name: &str, every| LinePrinter::start(&store.dir, name, every);
        let printers = vec![
            ("pos-01", port("ttyPOS1", Duration::from_millis(200))?),
            ("pos-02", port("ttyPOS2", Duration::from_millis(500))?),
        ];
        let serial = |id: &str, port: &Path| {
            format!(
                "  {id}:\n    serial_lines:\n      port: {}\n      patterns:\n        \
                 - match: 'SALE no=(?<no>\\d+) ms=(?<ms>[\\d.]+)'\n          \
                 metrics: {{ no: {COUNTER}, ms: 'retail.pos.tender.duration{{unit=\"ms\"}}' }}\n",
                port.display()
            )
        };
        let mut devices = "  gateway:\n    host: { interval: 1s }\n".to_owned();
        for (id, printer) in &printers {
            devices.push_str(&serial(id, &printer.port));
        }
        let setup = AgentSetup { devices, push: true, retry_max: Some("2s"), ..AgentSetup::default() };
        let agent = Agent::start(testbed, store, &setup).await?;
        let pusher = Pusher::start(&store.dir, PUSHING, agent.push, Duration::from_millis(250))?;
        Ok(Self { agent, printers, pusher })
    }

    pub(super) fn store(&self) -> &StoreId {
        &self.agent.store.id
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Counter values sent so far.
    pub(super) fn sent(&self) -> u64 {
        let printed: usize = self.printers.iter().map(|(_, printer)| printer.log.count()).sum();
        (printed + self.pusher.log.count()) as u64
    }

    /// Samples in sealed batches that the cloud does not have; 0 while the agent does not answer.
    pub(super) async fn waiting_samples(&self) -> u64 {
        let Ok(status) = self.agent.read_status().await else { return 0 };
        let lanes = status["spool"]["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
        lanes
            .iter()
            .filter_map(|lane| Some(lane["waiting_samples"].as_u64()? + lane["open_rows"].as_u64()?))
            .sum()
    }

    /// Quiets the devices, lets the agent deliver, and stops it.
    pub(super) async fn close(mut self, limit: Duration) -> anyhow::Result<Closed> {
        let pushed = self.pusher.stop().await?;
        let mut printers = Vec::new();
        for (id, printer) in self.printers {
            printers.push((id, printer.stop().await?));
        }
        // The box itself goes on being measured, so the agent is stopped rather than waited for to be idle: stopping
        // takes nothing more in, and delivers what is there.
        self.agent.until_drained_once(limit).await?;
        self.agent.stop().await?;
        Ok(Closed {
            store: self.agent.store.id,
            tenant: self.agent.store.tenant.to_string(),
            printers,
            pushed,
        })
    }
}

impl Closed {
    pub(super) fn sent(&self) -> u64 {
        let printed: usize = self.printers.iter().map(|(_, stopped)| stopped.log.count()).sum();
        (printed + self.pushed.count()) as u64
    }

    pub(super) async fn judge(&self, db: &TestDb) -> anyhow::Result<Verdict> {
        let nothing = Default::default();
        let printed = oracle::stored(db, &self.tenant, self.store.as_str(), COUNTER).await?;
        let pushed = oracle::stored(db, &self.tenant, self.store.as_str(), PUSHED_COUNTER).await?;
        let mut verdict = Verdict::default();
        for (id, stopped) in &self.printers {
            let stored = printed.get(*id).unwrap_or(&nothing);
            verdict += oracle::judge(&stopped.log, stored, &oracle::Excuses::default());
        }
        verdict +=
            oracle::judge(&self.pushed, pushed.get(PUSHING).unwrap_or(&nothing), &oracle::Excuses::default());
        Ok(verdict)
    }
}
