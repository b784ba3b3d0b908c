//! `/health` and `/status`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use storepulse_shared::ids::DeviceId;

use crate::board::{Board, DeviceStatus};
use crate::config::KeySource;
use crate::spool::{Spool, SpoolStatus};
use crate::time::{BoxClock, ClockStatus};
use crate::uplink::{UplinkBoard, UplinkStatus};

/// What the status is made of.
pub(crate) struct StatusState {
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
    pub(super) async fn read(&self) -> Result<AgentStatus, crate::spool::SpoolError> {
        let now = self.clock.read();
        Ok(AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            now_ms: now.wall_ms,
            started_ms: now.base_ms() + self.started_boot_ms,
            clock: self.clock.status(),
            identity: Identity::of(&self.key),
            uplink: self.uplink.get(),
            spool: self.spool.status().await?,
            devices: self.board.snapshot(),
        })
    }
}

/// Healthy is whoever can still accept and keep samples. That the cloud is away is no illness of the box, and must not
/// make a container runtime restart it.
pub(super) async fn show_health(
    State(state): State<Arc<StatusState>>,
) -> (StatusCode, Json<serde_json::Value>) {
    match state.spool.probe().await {
        Ok(()) => (StatusCode::OK, Json(serde_json::json!({ "status": "ok" }))),
        Err(error) => {
            let body = serde_json::json!({ "status": "failing", "reason": error.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

pub(super) async fn show_status(
    State(state): State<Arc<StatusState>>,
) -> Result<Json<AgentStatus>, (StatusCode, String)> {
    state.read().await.map(Json).map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, e.to_string()))
}
