//! Stores at a glance: what has arrived of each, what is missing, what is lost. `GET /v1/overview` shows those that the caller sees.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::sql::overview as sql;
use crate::agent_settings::{self, AgentSettingsState};
use crate::app::{App, rfc3339};
use crate::db::TenantTx;
use crate::people::answers::ReadRefusals;
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::Reader;

/// Longest that one statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Losses and rejections older than this are history, and not in the overview.
pub(crate) const LOSS_DAYS: i32 = 30;

/// A store in the overview.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoreOverview {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// When the last batch was committed, RFC 3339; null if none ever was.
    pub last_received: Option<String>,
    /// Of the opening of the spool that was heard of last.
    pub agent_version: Option<String>,
    /// What is set for its agent, and how far that has come.
    pub agent_settings: AgentSettingsState,
    /// Openings of the spool.
    pub epochs: i64,
    /// Batches that were sealed and have neither arrived nor been closed.
    pub missing: i64,
    /// Samples stored.
    pub samples: i64,
    /// Of these, since midnight UTC.
    pub samples_today: i64,
    /// Bytes of bodies received since midnight UTC.
    pub bytes_today: i64,
    /// The spool was restored from a copy, or cloned, at least once.
    pub forked: bool,
    /// Records of losses of the last 30 days that nothing has made good.
    pub open_losses: i64,
    /// Samples that these speak of.
    pub lost_samples: i64,
    /// Samples that were rejected in the last 30 days.
    pub rejected_samples: i64,
}

/// All stores that the caller sees at a glance, with what they come to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Whose they are.
    pub tenant_id: String,
    /// Batches that were sealed and have neither arrived nor been closed.
    pub missing: i64,
    /// Samples stored.
    pub samples: i64,
    /// Of these, since midnight UTC.
    pub samples_today: i64,
    /// Samples that losses of the last 30 days speak of.
    pub lost_samples: i64,
    /// Stores of which nothing was ever received.
    pub stores_silent: usize,
    /// By id.
    pub stores: Vec<StoreOverview>,
}

/// Show all stores that one sees at a glance, with what they come to
#[utoipa::path(
    get,
    path = "/v1/overview",
    tag = "stores",
    security(("store_key" = []), ("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 200, description = "all of them", body = Overview), ReadRefusals)
)]
pub(crate) async fn show_overview(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadStores>,
) -> Result<Json<Overview>, ApiError> {
    let mut tx = app.db.read(&scope.tenant, STATEMENT_MAX).await?;
    let mut stores = overview(&mut tx).await?.ok_or(ApiError::NotFound)?;
    tx.rollback().await?;
    stores.retain(|store| scope.sees(&store.id));
    let sum = |of: fn(&StoreOverview) -> i64| stores.iter().map(of).sum();
    Ok(Json(Overview {
        tenant_id: scope.tenant.to_string(),
        missing: sum(|store| store.missing),
        samples: sum(|store| store.samples),
        samples_today: sum(|store| store.samples_today),
        lost_samples: sum(|store| store.lost_samples),
        stores_silent: stores.iter().filter(|store| store.last_received.is_none()).count(),
        stores,
    }))
}

/// Every store of the transaction's tenant, by its id; `None` if there is no such tenant.
pub(crate) async fn overview(tx: &mut TenantTx) -> Result<Option<Vec<StoreOverview>>, sqlx::Error> {
    if !sql::tenant_exists(tx).await? {
        return Ok(None);
    }
    let rows = sql::overview(tx, LOSS_DAYS).await?;
    let mut settings: BTreeMap<String, AgentSettingsState> =
        agent_settings::states(tx).await?.into_iter().collect();
    let with_settings = |row: sql::OverviewRow| {
        let settings = settings.remove(&row.store_id);
        StoreOverview::of(row, settings.unwrap_or_else(AgentSettingsState::none))
    };
    Ok(Some(rows.into_iter().map(with_settings).collect()))
}

impl StoreOverview {
    fn of(row: sql::OverviewRow, agent_settings: AgentSettingsState) -> Self {
        Self {
            id: row.store_id,
            name: row.name,
            status: row.status,
            last_received: row.last_received_at.map(rfc3339),
            agent_version: row.agent_version,
            agent_settings,
            epochs: row.epochs,
            missing: row.missing,
            samples: row.samples,
            samples_today: row.samples_today,
            bytes_today: row.bytes_today,
            forked: row.forked,
            open_losses: row.open_losses,
            lost_samples: row.lost_samples,
            rejected_samples: row.rejected_samples,
        }
    }
}
