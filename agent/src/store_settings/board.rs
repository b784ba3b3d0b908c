//! How the settings of the store do, for the status page and monitoring.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use storepulse_shared::ids::DeviceId;
use storepulse_shared::settings::SettingsState;

/// The settings that the cloud has set over `agent.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct SettingsStatus {
    /// The version that was heard of last; 0: none.
    pub version: u64,
    /// What became of it.
    pub state: Option<SettingsState>,
    /// Why it is not in use.
    pub why: Option<String>,
    /// The version that the agent runs by; 0: `agent.yaml` alone.
    pub in_use: u64,
    /// When the trial of `version` began, Unix milliseconds UTC.
    pub applied_ms: Option<i64>,
    /// When it ended, and what was to be restarted had been.
    pub decided_ms: Option<i64>,
    /// The devices that are not read because it says so.
    pub off: BTreeSet<DeviceId>,
}

/// The shared cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingsBoard(Arc<Mutex<SettingsStatus>>);

impl SettingsBoard {
    /// A copy of it.
    pub(crate) fn get(&self) -> SettingsStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut SettingsStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
