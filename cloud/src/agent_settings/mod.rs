//! What an operator sets over a store's `agent.yaml`, and what its agent says became of it.
//!
//! These are the *agent's* settings: they leave the cloud, and the agent of the store tries them ([`storepulse_shared::settings`]).
//! What the cloud itself knows of tenants and stores is in [`crate::settings`]. A store has one version at a time, counted from
//! 1; what of it fits the store's `agent.yaml` only the agent can say, so here it is checked for what may be set at all.

pub(crate) mod http;
mod sql;

use serde::Serialize;
use serde_json::json;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::settings::{Overlay, SettingsReport, SettingsState, StoreSettings, WHY_CHARS_MAX};
use utoipa::ToSchema;

use self::sql::Row;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::{ControlTx, TenantTx};
use crate::operator::Refusal;
use crate::tenant::stores::{self, subject};

/// What is set for the agent of a store, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentSettings {
    #[serde(flatten)]
    state: AgentSettingsState,
    /// What lies over `agent.yaml`.
    #[schema(value_type = Object)]
    settings: Overlay,
}

/// How far the settings of an agent have come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AgentSettingsState {
    /// The version that is set; 0: none ever was.
    pub version: u64,
    /// When it was set, RFC 3339.
    pub set_at: Option<String>,
    /// `none`, or `waiting` until the agent has spoken of this version, then what it says: `trying`, `confirmed`, `reverted`, `refused`.
    pub state: String,
    /// Why the version is not in use.
    pub why: Option<String>,
    /// The version that the agent spoke of last.
    pub reported_version: Option<u64>,
    /// When it did, RFC 3339.
    pub reported_at: Option<String>,
}

impl AgentSettingsState {
    /// No version was ever set.
    pub(crate) fn none() -> Self {
        Self {
            version: 0,
            set_at: None,
            state: "none".to_owned(),
            why: None,
            reported_version: None,
            reported_at: None,
        }
    }
}

/// For a line of a table: `12 confirmed`.
impl std::fmt::Display for AgentSettingsState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.version == 0 { f.write_str("none") } else { write!(f, "{} {}", self.version, self.state) }
    }
}

impl From<&Row> for AgentSettingsState {
    fn from(row: &Row) -> Self {
        let is_of_this = row.reported_version == Some(row.version);
        let reported = row.reported_state.as_ref().filter(|_| is_of_this);
        Self {
            version: unsigned(row.version),
            set_at: Some(rfc3339(row.set_at)),
            state: reported.cloned().unwrap_or_else(|| "waiting".to_owned()),
            why: row.reported_why.clone().filter(|_| is_of_this),
            reported_version: row.reported_version.map(unsigned),
            reported_at: row.reported_at.map(rfc3339),
        }
    }
}

/// What is set for a store's agent.
pub(crate) async fn show(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<AgentSettings, Refusal> {
    stores::show(tx, tenant, store).await?;
    let row = sql::find_for_operator(tx, tenant, store).await?;
    let settings = row.as_ref().map(|row| overlay(row.settings.clone())).unwrap_or_default();
    let state = row.as_ref().map_or_else(AgentSettingsState::none, AgentSettingsState::from);
    Ok(AgentSettings { state, settings })
}

/// Sets what is to lie over the store's `agent.yaml` from now on, as its next version.
pub(crate) async fn set(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    settings: &Overlay,
) -> Result<AgentSettings, Refusal> {
    settings.check().map_err(Refusal::Value)?;
    // It is there, or nothing can be set for it.
    stores::show(tx, tenant, store).await?;
    let version = sql::set(tx, tenant, store, &settings.0.clone().into()).await?;
    let detail = json!({ "version": version });
    let deed = Deed { action: "agent_settings.set", subject: &subject(store), detail };
    audit::record(tx, tenant, actor, deed).await?;
    show(tx, tenant, store).await
}

/// What the agent of a store is to run by.
pub(crate) async fn of_agent(tx: &mut TenantTx, store: &StoreId) -> Result<StoreSettings, sqlx::Error> {
    let row = sql::find(tx, store).await?;
    Ok(row.map_or_else(StoreSettings::default, |row| StoreSettings {
        version: unsigned(row.version),
        settings: overlay(row.settings),
    }))
}

/// How far the settings of a store's agent have come.
pub(crate) async fn state_of(tx: &mut TenantTx, store: &StoreId) -> Result<AgentSettingsState, sqlx::Error> {
    let row = sql::find(tx, store).await?;
    Ok(row.as_ref().map_or_else(AgentSettingsState::none, AgentSettingsState::from))
}

/// The same of every store of the tenant that has any, by its id.
pub(crate) async fn states(tx: &mut TenantTx) -> Result<Vec<(String, AgentSettingsState)>, sqlx::Error> {
    let rows = sql::all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.store_id.clone(), AgentSettingsState::from(&row))).collect())
}

/// Notes what an agent says; `false` if no version was ever set. A version that is not known here was set before the database was
/// restored: the next one is counted from there.
pub(crate) async fn note(
    tx: &mut TenantTx,
    store: &StoreId,
    report: &SettingsReport,
) -> Result<bool, sqlx::Error> {
    let why = report.why.as_deref().map(said);
    let is_kept = |why: &String| !matches!(report.state, SettingsState::Confirmed) && !why.is_empty();
    let why = why.filter(is_kept);
    sql::note(tx, store, signed(report.version), report.state.as_str(), why.as_deref()).await
}

/// What an agent says, without what would move a cursor.
fn said(why: &str) -> String {
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS_MAX).collect()
}

fn overlay(settings: serde_json::Value) -> Overlay {
    match settings {
        serde_json::Value::Object(settings) => Overlay(settings),
        // The schema has objects only.
        _ => Overlay::default(),
    }
}

fn unsigned(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
