//! Keys, looked up before there is a tenant: on the control tables.

use std::sync::Arc;

use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::Origin;

use super::OperatorRow;
use crate::db::{ControlLook, ControlTx};

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
    /// The version of the store's agent settings.
    pub settings: Option<u64>,
    /// As its tenant has them, if it has any of its own.
    pub tenant_limits: Option<Value>,
    /// As its tenant's plan has them.
    pub plan_limits: Option<Value>,
}

/// A key that somebody asks for. The tenant in the key's text only says where to look.
#[derive(Debug)]
pub(super) struct Sought {
    pub tenant: TenantId,
    pub hash: [u8; 32],
    pub origin: Origin,
}

/// The rows of these keys: in their order, `None` for what opens nothing.
pub(super) async fn find_keys(
    look: &mut ControlLook,
    sought: &[Sought],
) -> Result<Vec<Option<Found>>, sqlx::Error> {
    let tenants: Vec<String> = sought.iter().map(|key| key.tenant.to_string()).collect();
    let hashes: Vec<Vec<u8>> = sought.iter().map(|key| key.hash.to_vec()).collect();
    let foreign: Vec<bool> = sought.iter().map(|key| key.origin == Origin::Foreign).collect();
    let rows = sqlx::query!(
        r#"select a.place as "place!", f.tenant_id, f.store_id, f.key_id, f.tenant_status, f.store_status,
            f.retention_days, f.rotate_key as "rotate_key!", f.settings as "settings?", f.tenant_limits, f.plan_limits as "plan_limits?"
        from unnest($1::text[], $2::bytea[], $3::boolean[]) with ordinality
            as a (tenant_id, key_hash, is_foreign, place)
        -- One look into the primary key for each, however many are asked for and whatever is known of the tables: the limit
        -- keeps it one look for each, and the condition outside keeps it off the index of active keys, which has no hashes.
        cross join lateral (
            select k.tenant_id, k.store_id, k.key_id, t.status as tenant_status, s.status as store_status,
                t.retention_days, coalesce(s.key_window_closes_at > now(), false) as rotate_key,
                g.version as settings, t.limits as tenant_limits, p.limits as plan_limits, k.revoked_at
            from store_keys k
            join stores s on s.tenant_id = k.tenant_id and s.store_id = k.store_id
            join tenants t on t.tenant_id = k.tenant_id
            left join plans p on p.plan = t.plan
            left join agent_settings g on g.tenant_id = k.tenant_id and g.store_id = k.store_id
            where k.tenant_id = a.tenant_id and k.key_hash = a.key_hash
              and (not a.is_foreign or (t.accept_imported_keys and k.origin = 'imported'))
            limit 1
        ) f
        where f.revoked_at is null"#,
        &tenants,
        &hashes,
        &foreign,
    )
    .fetch_all(look.connection())
    .await?;
    let mut found: Vec<Option<Found>> = sought.iter().map(|_| None).collect();
    let unreadable = |e| sqlx::Error::Decode(Box::new(e));
    for row in rows {
        // Ordinality counts from 1.
        let place = usize::try_from(row.place - 1).ok().and_then(|at| found.get_mut(at));
        let Some(place) = place else { return Err(sqlx::Error::RowNotFound) };
        *place = Some(Found {
            tenant: row.tenant_id.parse().map_err(unreadable)?,
            store: row.store_id.parse().map_err(unreadable)?,
            key_id: Arc::from(row.key_id),
            tenant_status: row.tenant_status,
            store_status: row.store_status,
            retention_days: row.retention_days,
            rotate_key: row.rotate_key,
            settings: row.settings.and_then(|version| u64::try_from(version).ok()),
            tenant_limits: row.tenant_limits,
            plan_limits: row.plan_limits,
        });
    }
    Ok(found)
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
