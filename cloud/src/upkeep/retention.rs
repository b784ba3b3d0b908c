//! What is older than its tenant keeps it, and what nobody uses any more.
//!
//! A series without samples is first retired, and removed two days later if it still has none: ingest forgets within a day
//! which numbers it remembered, and what it looks up after that revives the series. So no sample ever loses its series.

use time::{Date, Duration};

use super::sql::jobs::Tenant;
use super::sql::retention as sql;
use crate::db::Db;

/// What was removed of one tenant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Removed {
    pub expired_samples: u64,
    pub series_removed: u64,
}

pub(super) async fn of_tenant(db: &Db, tenant: &Tenant, today: Date) -> Result<Removed, sqlx::Error> {
    let mut removed = Removed::default();
    // Whole days: the day on which the oldest kept second lies stays.
    let first_kept = today - Duration::days(i64::from(tenant.retention_days));
    loop {
        let mut tx = db.tenant(&tenant.id).await?;
        let Some(day) = sql::oldest_day(&mut tx, first_kept).await? else { break };
        removed.expired_samples += sql::expire_day(&mut tx, day).await?;
        tx.commit().await?;
    }
    let mut tx = db.tenant(&tenant.id).await?;
    sql::expire_records(&mut tx, tenant.retention_days).await?;
    sql::expire_idempotency_keys(&mut tx).await?;
    removed.series_removed = sql::remove_retired(&mut tx).await?;
    sql::retire_silent(&mut tx).await?;
    tx.commit().await?;
    Ok(removed)
}
