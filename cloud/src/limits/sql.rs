//! `streams`: what a tenant has sent today.

use crate::db::TenantTx;

/// Samples and bytes of the running UTC day, of all stores.
pub(super) async fn sent_today(tx: &mut TenantTx) -> Result<(u64, u64), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let row = sqlx::query!(
        r#"select coalesce(sum(day_samples), 0)::bigint as "samples!", coalesce(sum(day_bytes), 0)::bigint as "bytes!"
        from streams where tenant_id = $1 and day = timezone('utc', now())::date"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok((row.samples.unsigned_abs(), row.bytes.unsigned_abs()))
}
