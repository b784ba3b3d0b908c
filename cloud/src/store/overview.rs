//! All stores of a tenant at a glance: what has arrived of each, what is missing, what is lost.

use serde::Serialize;
use utoipa::ToSchema;

use super::sql::overview as sql;
use crate::app::rfc3339;
use crate::db::TenantTx;

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

/// Every store of the transaction's tenant, by its id; `None` if there is no such tenant.
pub(crate) async fn overview(tx: &mut TenantTx) -> Result<Option<Vec<StoreOverview>>, sqlx::Error> {
    if !sql::tenant_exists(tx).await? {
        return Ok(None);
    }
    let rows = sql::overview(tx, LOSS_DAYS).await?;
    Ok(Some(rows.into_iter().map(StoreOverview::from).collect()))
}

impl From<sql::OverviewRow> for StoreOverview {
    fn from(row: sql::OverviewRow) -> Self {
        Self {
            id: row.store_id,
            name: row.name,
            status: row.status,
            last_received: row.last_received_at.map(rfc3339),
            agent_version: row.agent_version,
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
