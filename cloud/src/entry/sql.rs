//! `operator_entries`, on the control tables: who enters is no user of the tenant.

use std::time::Duration;

use storepulse_shared::ids::TenantId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::ControlTx;

/// An entry to be.
pub(super) struct NewRow<'a> {
    pub entry_id: Uuid,
    pub hash: [u8; 32],
    pub operator: &'a str,
    pub credential_id: &'a str,
    pub reason: &'a str,
    pub good_for: Duration,
}

pub(super) async fn tenant_is_there(tx: &mut ControlTx, tenant: &TenantId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from tenants where tenant_id = $1) as "is_there!""#,
        tenant.as_str()
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if the operator's key was revoked. Otherwise it stays until this transaction ends.
pub(super) async fn lock_key(tx: &mut ControlTx, credential_id: &str) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select credential_id from operators where credential_id = $1 and revoked_at is null for share",
        credential_id,
    );
    Ok(found.fetch_optional(tx.connection()).await?.is_some())
}

/// Deletes what has been over for ninety days; the audit keeps it.
pub(super) async fn forget_old(tx: &mut ControlTx, tenant: &TenantId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from operator_entries where tenant_id = $1 and expires_at < now() - interval '90 days'",
        tenant.as_str(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// When it is over.
pub(super) async fn insert(
    tx: &mut ControlTx,
    tenant: &TenantId,
    new: &NewRow<'_>,
) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into operator_entries (tenant_id, entry_id, token_hash, operator, credential_id, reason, expires_at)
        values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) returning expires_at",
        tenant.as_str(),
        new.entry_id,
        new.hash.as_slice(),
        new.operator,
        new.credential_id,
        new.reason,
        new.good_for.as_secs_f64(),
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if it is not there, or over.
pub(super) async fn end(tx: &mut ControlTx, tenant: &TenantId, entry: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update operator_entries set ended_at = now()
        where tenant_id = $1 and entry_id = $2 and ended_at is null and expires_at > now()",
        tenant.as_str(),
        entry,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Ends every entry of an operator's key, in whichever tenant.
pub(crate) async fn end_all_of(tx: &mut ControlTx, credential_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update operator_entries set ended_at = now()
        where credential_id = $1 and ended_at is null and expires_at > now()",
        credential_id,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
