//! `idempotency_keys`: what was answered to a flat body that carried one.

use storepulse_shared::answer::Ack;
use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

/// A remembered answer.
#[derive(Debug)]
pub(in crate::ingest) struct Remembered {
    pub body_sha256: Vec<u8>,
    pub verdict: Ack,
}

/// The answer that this key had, if any.
pub(in crate::ingest) async fn find(
    tx: &mut TenantTx,
    store: &StoreId,
    key: &str,
) -> Result<Option<Remembered>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let row = sqlx::query!(
        "select body_sha256, verdict from idempotency_keys where tenant_id = $1 and store_id = $2 and key = $3",
        tenant,
        store.as_str(),
        key,
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let verdict = serde_json::from_value(row.verdict).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    Ok(Some(Remembered { body_sha256: row.body_sha256, verdict }))
}

/// Remembers an answer in the transaction of its samples. `false`: somebody else was first with this key, and this
/// transaction must be given up.
pub(in crate::ingest) async fn remember(
    tx: &mut TenantTx,
    store: &StoreId,
    key: &str,
    body_sha256: &[u8],
    verdict: &Ack,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let verdict = serde_json::to_value(verdict).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let done = sqlx::query!(
        r#"insert into idempotency_keys (tenant_id, store_id, key, body_sha256, verdict) values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, store_id, key) do nothing"#,
        tenant,
        store.as_str(),
        key,
        body_sha256,
        verdict,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
