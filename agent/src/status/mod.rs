//! How the whole agent is, in one look: what `/status` answers, the page shows and the verdict is about.

mod looks;
mod machine;
mod network;
mod places;
pub(crate) mod units;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

pub(crate) use self::looks::Looks;
pub(crate) use self::machine::Machine;
pub(crate) use self::network::{Interface, Network};
pub(crate) use self::places::Places;
pub(crate) use self::verdict::{Level, Verdict, of_machine, what_it_says};
use crate::board::{Board, DeviceStatus};
use crate::config::{KeyError, KeySource};
use crate::finding::{Finding, Problem};
use crate::language::Language;
use crate::maintenance::Maintenance;
use crate::spool::{LaneStatus, Spool, SpoolError, SpoolStatus};
use crate::store_settings::{SettingsBoard, SettingsStatus};
use crate::time::{BoxClock, ClockStatus};
use crate::uplink::{UplinkBoard, UplinkState, UplinkStatus};

/// What the status is made of.
pub(crate) struct StatusState {
    /// The folder of the spool.
    pub(crate) state_dir: PathBuf,
    pub(crate) spool: Spool,
    pub(crate) board: Arc<Board>,
    pub(crate) uplink: UplinkBoard,
    pub(crate) settings: SettingsBoard,
    pub(crate) key: KeySource,
    pub(crate) clock: BoxClock,
    pub(crate) maintenance: Maintenance,
    /// By the clock that nobody sets.
    pub(crate) started_boot_ms: i64,
    /// By the configuration.
    pub(crate) places: Places,
    pub(crate) looks: Looks,
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
    /// What the cloud has set over `agent.yaml`.
    pub settings: SettingsStatus,
    /// Where the cloud and the devices are.
    pub places: Places,
    /// What waits.
    pub spool: SpoolStatus,
    /// Why the spool does not tell; then nothing is known of what waits.
    pub spool_problem: Option<String>,
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
    /// The same as a finding.
    #[serde(skip)]
    pub finding: Option<Finding>,
}

impl Identity {
    pub(crate) fn of(source: &KeySource) -> Self {
        match source.read() {
            Ok(key) => Self {
                tenant: Some(key.tenant().to_string()),
                store: Some(key.store().to_string()),
                key_id: key.id().map(str::to_owned),
                problem: None,
                finding: None,
            },
            Err(error) => Self {
                tenant: None,
                store: None,
                key_id: None,
                problem: Some(error.to_string()),
                finding: Some(no_key(&error)),
            },
        }
    }
}

fn no_key(error: &KeyError) -> Finding {
    let finding = match error {
        KeyError::Read { path, .. } => {
            Finding::new(Problem::KeyUnreadable).with("path", path.display().to_string())
        }
        KeyError::Form { .. } => Finding::new(Problem::KeyMistyped),
        KeyError::Own(_) => Finding::new(Problem::KeyUnreadable),
    };
    finding.shown_by(error.to_string())
}

impl StatusState {
    /// All of it, or why the spool does not tell: for monitoring, to which no answer is not zero.
    pub(crate) async fn read(&self) -> Result<AgentStatus, SpoolError> {
        Ok(self.with(self.spool.status().await?, None))
    }

    /// All that can be known, whatever is broken: for people.
    pub(crate) async fn look(&self) -> AgentStatus {
        match self.spool.status().await {
            Ok(spool) => self.with(spool, None),
            Err(error) => self.with(SpoolStatus::default(), Some(error.to_string())),
        }
    }

    fn with(&self, spool: SpoolStatus, spool_problem: Option<String>) -> AgentStatus {
        let now = self.clock.read();
        let (machine, network) = self.looks.look(&self.state_dir);
        let mut status = AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            verdict: Verdict::default(),
            now_ms: now.wall_ms,
            started_ms: now.base_ms() + self.started_boot_ms,
            clock: self.clock.status(),
            identity: Identity::of(&self.key),
            uplink: self.uplink.get(),
            settings: self.settings.get(),
            places: self.places.clone(),
            spool,
            spool_problem,
            machine,
            network,
            maintenance_until_ms: self.maintenance.under_way().map(|now| now.until_ms),
            devices: self.board.snapshot(),
        };
        status.verdict = Verdict::of(&status);
        status
    }
}

impl AgentStatus {
    /// How long it takes until the spool is empty, if it is being emptied: in milliseconds.
    pub(crate) fn drain_ms(&self) -> Option<i64> {
        let sum = |of: fn(&LaneStatus) -> u64| self.spool.lanes.iter().map(of).sum::<u64>();
        // A batch or two are always on their way.
        let is_backlog = sum(|lane| lane.waiting_batches) > 2;
        let per_s =
            self.uplink.bytes_per_s.filter(|_| self.uplink.state == UplinkState::Connected && is_backlog)?;
        i64::try_from(sum(|lane| lane.waiting_bytes).saturating_mul(1_000) / per_s.max(1)).ok()
    }

    /// As JSON, with the words of the findings in this language.
    pub(crate) fn to_json(&self, language: Language) -> serde_json::Value {
        let mut json = serde_json::json!(self);
        json["spool"]["drain_ms"] = self.drain_ms().into();
        json["verdict"] = self.verdict.to_json(language);
        json["language"] = language.code().into();
        json
    }
}

#[cfg(test)]
impl AgentStatus {
    /// One at this time in which all is well and nothing is known of the box: for tests, which then break something.
    pub(crate) fn well(now_ms: i64) -> Self {
        let uplink = UplinkStatus {
            state: UplinkState::Connected,
            last_ack_ms: Some(now_ms - 1_000),
            ..UplinkBoard::default().get()
        };
        let clock = ClockStatus {
            trusted: true,
            authority: Some(crate::time::Authority::Ntp),
            trusted_since_ms: Some(now_ms - 3_600_000),
            offset_ms: Some(3),
            repairing: false,
            steps: 0,
        };
        let identity = Identity {
            tenant: Some("la-villa".to_owned()),
            store: Some("T01".to_owned()),
            key_id: Some("AbCd1234".to_owned()),
            problem: None,
            finding: None,
        };
        let places = Places { cloud: Some("cloud.example".to_owned()), ..Places::default() };
        let board = Board::default();
        if let Ok(device) = "fridge-dairy".parse() {
            board.add(&device, "modbus");
            board.state(&device, crate::board::DeviceState::Ok);
            board.good(&device, now_ms - 5_000, &[("hw.temperature", 4.2)]);
        }
        Self {
            version: "0.0.0",
            verdict: Verdict::default(),
            now_ms,
            started_ms: now_ms - 3_600_000,
            clock,
            identity,
            uplink,
            settings: SettingsStatus::default(),
            places,
            spool: SpoolStatus::default(),
            spool_problem: None,
            machine: Machine::default(),
            network: Network::default(),
            maintenance_until_ms: None,
            devices: board.snapshot(),
        }
    }
}
