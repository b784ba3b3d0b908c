//! `store_keys`, and a store's window for a new one.

use std::time::Duration;

use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::rotation::KeyHash;
use time::OffsetDateTime;

use crate::db::ControlTx;

/// A key as it is listed; the key itself is nowhere.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub key_id: String,
    pub origin: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    pub revoked_as: Option<String>,
}

/// The keys of a store, newest first.
pub(super) async fn list(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Vec<KeyRow>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        r#"select key_id, origin, created_at, last_used_at, revoked_at, revoked_as from store_keys
        where tenant_id = $1 and store_id = $2 order by created_at desc, key_id"#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}

/// How many open.
pub(super) async fn active(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "active!" from store_keys
        where tenant_id = $1 and store_id = $2 and revoked_at is null"#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

/// The slot that no active key has, if there is one.
pub(super) async fn free_slot(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Option<i16>, sqlx::Error> {
    let taken = sqlx::query_scalar!(
        "select slot from store_keys where tenant_id = $1 and store_id = $2 and revoked_at is null",
        tenant.as_str(),
        store.as_str(),
    );
    let taken = taken.fetch_all(tx.connection()).await?;
    Ok([1, 2].into_iter().find(|slot| !taken.contains(slot)))
}

/// Whose key has this hash, revoked ones included.
pub(super) async fn store_of_hash(
    tx: &mut ControlTx,
    tenant: &TenantId,
    hash: KeyHash,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select store_id from store_keys where tenant_id = $1 and key_hash = $2",
        tenant.as_str(),
        hash.0.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn insert_imported(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    key_id: &str,
    hash: KeyHash,
    slot: i16,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into store_keys (tenant_id, key_hash, store_id, key_id, origin, slot)
        values ($1, $2, $3, $4, 'imported', $5)"#,
        tenant.as_str(),
        hash.0.as_slice(),
        store.as_str(),
        key_id,
        slot,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether imported keys open.
pub(super) async fn accepts_imported(tx: &mut ControlTx, tenant: &TenantId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!("select accept_imported_keys from tenants where tenant_id = $1", tenant.as_str())
        .fetch_one(tx.connection())
        .await
}

/// Revokes the active keys with this public part; returns how many there were.
pub(super) async fn revoke(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    key_id: &str,
    how: &str,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"update store_keys set revoked_at = now(), revoked_as = $4
        where tenant_id = $1 and store_id = $2 and key_id = $3 and revoked_at is null"#,
        tenant.as_str(),
        store.as_str(),
        key_id,
        how,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected())
}

/// Opens a window for one new key; returns when it closes.
pub(super) async fn open_window(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    window: Duration,
) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(
        r#"update stores set key_window_opened_at = now(), key_window_closes_at = now() + make_interval(secs => $3)
        where tenant_id = $1 and store_id = $2
        returning key_window_closes_at as "closes_at!""#,
        tenant.as_str(),
        store.as_str(),
        window.as_secs_f64(),
    )
    .fetch_one(tx.connection())
    .await
}

/// Closes the window for a new key; `false` if there was none.
pub(super) async fn close_window(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"update stores set key_window_opened_at = null, key_window_closes_at = null
        where tenant_id = $1 and store_id = $2 and key_window_closes_at is not null"#,
        tenant.as_str(),
        store.as_str(),
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Active keys that were registered over the keys with this public part.
pub(super) async fn active_followers(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    key_id: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select new.key_id from store_keys new
        join store_keys old on old.tenant_id = new.tenant_id and old.key_hash = new.replaces
        where new.tenant_id = $1 and new.store_id = $2 and new.revoked_at is null
          and old.store_id = $2 and old.key_id = $3
        order by new.key_id"#,
        tenant.as_str(),
        store.as_str(),
        key_id,
    )
    .fetch_all(tx.connection())
    .await
}
