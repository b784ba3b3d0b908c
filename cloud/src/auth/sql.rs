//! Keys, looked up before there is a tenant: on the control tables.

use std::sync::Arc;

use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::Origin;

use super::OperatorRow;
use crate::db::ControlTx;

/// An active key as it is stored, with what decides what it opens.
#[derive(Debug)]
pub(super) struct Found {
    pub tenant: TenantId,
    pub store: StoreId,
    pub key_id: Arc<str>,
    pub tenant_status: String,
    pub store_status: String,
    pub retention_days: i32,
    pub rotate_key: bool,
    /// As its tenant has them, if it has any of its own.
    pub tenant_limits: Option<Value>,
    /// As its tenant's plan has them.
    pub plan_limits: Option<Value>,
}

/// The row of this hash. The tenant in the key's text only says where to look.
pub(super) async fn find_key(
    tx: &mut ControlTx,
    tenant: &TenantId,
    hash: &[u8; 32],
    origin: Origin,
) -> Result<Option<Found>, sqlx::Error> {
    let foreign = origin == Origin::Foreign;
    let row = sqlx::query!(
        r#"select k.tenant_id, k.store_id, k.key_id, t.status as tenant_status, s.status as store_status, t.retention_days,
            coalesce(s.key_window_closes_at > now(), false) as "rotate_key!",
            t.limits as tenant_limits, p.limits as "plan_limits?"
        from store_keys k
        join stores s on s.tenant_id = k.tenant_id and s.store_id = k.store_id
        join tenants t on t.tenant_id = k.tenant_id
        left join plans p on p.plan = t.plan
        where k.tenant_id = $1 and k.key_hash = $2 and k.revoked_at is null
          and (not $3 or (t.accept_imported_keys and k.origin = 'imported'))"#,
        tenant.as_str(),
        hash.as_slice(),
        foreign,
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let unreadable = |e| sqlx::Error::Decode(Box::new(e));
    Ok(Some(Found {
        tenant: row.tenant_id.parse().map_err(unreadable)?,
        store: row.store_id.parse().map_err(unreadable)?,
        key_id: Arc::from(row.key_id),
        tenant_status: row.tenant_status,
        store_status: row.store_status,
        retention_days: row.retention_days,
        rotate_key: row.rotate_key,
        tenant_limits: row.tenant_limits,
        plan_limits: row.plan_limits,
    }))
}

/// Notes when keys last opened something: each with its tenant, and Unix milliseconds. What another process has noted within the
/// last minute stays.
pub(super) async fn note_uses(
    tx: &mut ControlTx,
    uses: &[([u8; 32], TenantId, i64)],
) -> Result<(), sqlx::Error> {
    let hashes: Vec<Vec<u8>> = uses.iter().map(|(hash, ..)| hash.to_vec()).collect();
    let tenants: Vec<String> = uses.iter().map(|(_, tenant, _)| tenant.to_string()).collect();
    let times: Vec<i64> = uses.iter().map(|(.., at)| *at).collect();
    sqlx::query!(
        "update store_keys k set last_used_at = to_timestamp(u.at_ms / 1000.0)
        from unnest($1::text[], $2::bytea[], $3::bigint[]) as u (tenant_id, key_hash, at_ms)
        where k.tenant_id = u.tenant_id and k.key_hash = u.key_hash
          and (k.last_used_at is null or k.last_used_at < to_timestamp(u.at_ms / 1000.0) - interval '59 seconds')",
        &tenants,
        &hashes,
        &times,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The operator whose active key has this hash.
pub(super) async fn find_operator(
    tx: &mut ControlTx,
    hash: &[u8; 32],
) -> Result<Option<OperatorRow>, sqlx::Error> {
    sqlx::query_as!(
        OperatorRow,
        "select credential_id, name from operators where hash = $1 and revoked_at is null",
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}
