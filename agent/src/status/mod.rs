//! How the whole agent is, in one look: what `/status` answers, the page shows and the verdict is about.

mod machine;
mod network;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

pub(crate) use self::machine::Machine;
pub(crate) use self::network::{Interface, Network};
pub(crate) use self::verdict::{Level, Verdict};
use crate::board::{Board, DeviceStatus};
use crate::config::KeySource;
use crate::spool::{Spool, SpoolStatus};
use crate::time::{BoxClock, ClockStatus};
use crate::uplink::{UplinkBoard, UplinkStatus};

/// What the status is made of.
pub(crate) struct StatusState {
    /// The folder of the spool.
    pub(crate) state_dir: PathBuf,
    pub(crate) spool: Spool,
    pub(crate) board: Arc<Board>,
    pub(crate) uplink: UplinkBoard,
    pub(crate) key: KeySource,
    pub(crate) clock: BoxClock,
    /// By the clock that nobody sets.
    pub(crate) started_boot_ms: i64,
}

/// The whole agent, as people see it.
#[derive(Debug, Serialize)]
pub(crate) struct AgentStatus {
    /// Of the agent.
    pub version: &'static str,
    /// The one line that matters, and why.
    pub verdict: Verdict,
    /// The clock of the box, Unix milliseconds UTC.
    pub now_ms: i64,
    /// When the agent started, by the present clock.
    pub started_ms: i64,
    /// What is known of that clock.
    pub clock: ClockStatus,
    /// Whose key it has.
    pub identity: Identity,
    /// The way to the cloud.
    pub uplink: UplinkStatus,
    /// What waits.
    pub spool: SpoolStatus,
    /// The box.
    pub machine: Machine,
    /// The box's way out.
    pub network: Network,
    /// Until when somebody works here and the alerts wait, Unix milliseconds UTC.
    pub maintenance_until_ms: Option<i64>,
    /// What is read.
    pub devices: BTreeMap<DeviceId, DeviceStatus>,
}

/// Whose key the agent has; never the key.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    /// The tenant it names.
    pub tenant: Option<String>,
    /// The store it names.
    pub store: Option<String>,
    /// Its public part.
    pub key_id: Option<String>,
    /// Why there is no usable key.
    pub problem: Option<String>,
}

impl Identity {
    fn of(source: &KeySource) -> Self {
        match source.read() {
            Ok(key) => Self {
                tenant: Some(key.tenant().to_string()),
                store: Some(key.store().to_string()),
                key_id: key.id().map(str::to_owned),
                problem: None,
            },
            Err(error) => Self { tenant: None, store: None, key_id: None, problem: Some(error.to_string()) },
        }
    }
}

impl StatusState {
    pub(crate) async fn read(&self) -> Result<AgentStatus, crate::spool::SpoolError> {
        let now = self.clock.read();
        let mut status = AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            verdict: Verdict::default(),
            now_ms: now.wall_ms,
            started_ms: now.base_ms() + self.started_boot_ms,
            clock: self.clock.status(),
            identity: Identity::of(&self.key),
            uplink: self.uplink.get(),
            spool: self.spool.status().await?,
            machine: Machine::read(&self.state_dir),
            network: Network::read(),
            maintenance_until_ms: None,
            devices: self.board.snapshot(),
        };
        status.verdict = Verdict::of(&status);
        Ok(status)
    }
}
