//! A tenant and its stores, as it sees them itself.

use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

/// Every store of the tenant.
pub(super) async fn stores(tx: &mut TenantTx) -> Result<Vec<StoreId>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let ids = sqlx::query_scalar!(
        r#"select store_id from stores where tenant_id = $1 order by store_id collate "C""#,
        tenant
    )
    .fetch_all(tx.connection())
    .await?;
    let parsed = ids.iter().map(|id| id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e))));
    parsed.collect()
}

/// Whether the tenant has this store.
pub(super) async fn has_store(tx: &mut TenantTx, store: &StoreId) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select exists (select from stores where tenant_id = $1 and store_id = $2) as "is_there!""#,
        tenant,
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}
