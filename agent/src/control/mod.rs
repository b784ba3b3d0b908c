//! The control socket: what commands ask of the agent that runs.
//!
//! A running agent holds its spool, so whatever changes it goes through the agent: HTTP with JSON over a unix domain
//! socket in the state folder, a route a command. Only the agent's user and root can reach it (0600): whoever may ask here
//! could as well change the files. It is there as long as the agent runs; one that a killed agent left behind is
//! replaced. That it cannot be made is no reason not to collect. Nothing of it is a promise to other programs: command
//! and agent are of one version.

mod client;
mod maintenance;
mod server;

use serde::{Deserialize, Serialize};
use storepulse_shared::ids::BatchId;

pub(crate) use self::client::{ControlError, ask};
pub(crate) use self::server::{ControlState, serve};
use crate::maintenance::UnderWay;

/// The socket in the state folder.
pub(crate) const FILE: &str = "control.sock";
/// Items of one request.
pub(crate) const ITEMS_MAX: usize = 200;

/// Sends batches in quarantine once more.
pub(crate) const REPLAY: &str = "/quarantine/replay";
/// Discards batches in quarantine.
pub(crate) const DISCARD: &str = "/quarantine/discard";
/// Tells what a support bundle needs; answers with a [`crate::bundle::Heard`].
pub(crate) const SUPPORT: &str = "/support";

/// Begins maintenance.
pub(crate) const MAINTENANCE_BEGIN: &str = "/maintenance/begin";
/// Ends it.
pub(crate) const MAINTENANCE_END: &str = "/maintenance/end";
/// Tells of it.
pub(crate) const MAINTENANCE_SHOW: &str = "/maintenance/show";

/// Maintenance to begin.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaintenanceWish {
    pub minutes: u64,
    pub note: String,
}

/// Maintenance as it is now.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MaintenanceTold {
    /// Whether the request changed something.
    pub changed: bool,
    pub under_way: Option<UnderWay>,
}

/// Which items of the quarantine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Items {
    pub items: Vec<BatchId>,
}

/// What became of each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub done: Vec<ItemDone>,
}

/// What became of one item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ItemDone {
    pub item: BatchId,
    /// Of a replay: the number under which its content goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_as: Option<BatchId>,
    /// Why nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
