//! What a tenant has sent and holds, for its operator: read as the tenant itself, so that row-level security holds here, too.

pub(crate) mod http;
mod sql;

use std::time::Duration;

use serde::Serialize;
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;

use crate::app::rfc3339;
use crate::db::{Db, TenantTx};
use crate::operator::Refusal;

/// Longest that a statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// A tenant in numbers. Days are of UTC.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantStats {
    /// Its id.
    pub tenant_id: String,
    /// Stores that it has.
    pub stores: i64,
    /// Of these, stores that may send.
    pub stores_active: i64,
    /// Of these, stores of which something was received in the last hour.
    pub stores_heard: i64,
    /// Series that it has.
    pub series: i64,
    /// Batches received since the beginning.
    pub batches: i64,
    /// Samples received since the beginning.
    pub samples: i64,
    /// Of these, since midnight.
    pub samples_today: i64,
    /// Bytes of bodies received since the beginning.
    pub bytes: i64,
    /// Of these, since midnight.
    pub bytes_today: i64,
    /// Bytes that its samples take in the database, as they are stored there, without indexes.
    pub storage_bytes: i64,
    /// When the last batch was committed, RFC 3339; null if none ever was.
    pub last_received: Option<String>,
}

/// A tenant in numbers.
pub(crate) async fn stats(db: &Db, tenant: &TenantId) -> Result<TenantStats, Refusal> {
    let mut tx = db.read(tenant, STATEMENT_MAX).await?;
    let counted = count(&mut tx, tenant).await;
    tx.rollback().await?;
    counted
}

async fn count(tx: &mut TenantTx, tenant: &TenantId) -> Result<TenantStats, Refusal> {
    let stores = sql::stores(tx).await?.ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
    let received = sql::received(tx).await?;
    Ok(TenantStats {
        tenant_id: tenant.to_string(),
        stores: stores.stores,
        stores_active: stores.active,
        stores_heard: received.stores_heard,
        series: sql::series(tx).await?,
        batches: received.batches,
        samples: received.samples,
        samples_today: received.samples_today,
        bytes: received.bytes,
        bytes_today: received.bytes_today,
        storage_bytes: sql::inbox_bytes(tx).await? + sql::series_days_bytes(tx).await?,
        last_received: received.last_received_at.map(rfc3339),
    })
}
