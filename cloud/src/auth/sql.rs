//! Keys, looked up before there is a tenant: on the control tables.

use std::sync::Arc;

use storepulse_shared::ids::TenantId;
use storepulse_shared::key::Origin;

use super::{OperatorRow, StoreAuth};
use crate::db::ControlTx;

/// An active key with what decides whether it opens.
#[derive(Debug)]
pub(crate) struct KeyRow {
    pub(super) auth: StoreAuth,
    pub(super) tenant_status: String,
    pub(super) store_status: String,
}

/// The row of this hash. The tenant in the key's text only says where to look.
pub(super) async fn find_key(
    tx: &mut ControlTx,
    tenant: &TenantId,
    hash: &[u8; 32],
    origin: Origin,
) -> Result<Option<KeyRow>, sqlx::Error> {
    let foreign = origin == Origin::Foreign;
    let row = sqlx::query!(
        r#"select k.tenant_id, k.store_id, k.key_id, t.status as tenant_status, s.status as store_status, t.retention_days,
            coalesce(s.key_window_closes_at > now(), false) as "rotate_key!"
        from store_keys k
        join stores s on s.tenant_id = k.tenant_id and s.store_id = k.store_id
        join tenants t on t.tenant_id = k.tenant_id
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
    Ok(Some(KeyRow {
        auth: StoreAuth {
            tenant: row.tenant_id.parse().map_err(unreadable)?,
            store: row.store_id.parse().map_err(unreadable)?,
            key_id: Arc::from(row.key_id),
            retention_days: row.retention_days,
            key_hash: *hash,
            rotate_key: row.rotate_key,
        },
        tenant_status: row.tenant_status,
        store_status: row.store_status,
    }))
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

/// These keys opened just now. Each hash belongs to the tenant of the same place.
pub(super) async fn note_uses(
    tx: &mut ControlTx,
    tenants: &[String],
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update store_keys k set last_used_at = now()
        from unnest($1::text[], $2::bytea[]) as used (tenant_id, key_hash)
        where k.tenant_id = used.tenant_id and k.key_hash = used.key_hash"#,
        tenants,
        hashes,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
