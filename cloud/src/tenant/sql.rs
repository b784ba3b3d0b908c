//! `tenants`, `stores`, `store_keys`: what imports and the issuing of keys need of them, each step by itself.

use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{Origin, StoreKey};

use crate::db::ControlTx;

/// Why a key could not be added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddKeyError {
    #[error("store {0} of tenant {1} does not exist")]
    NoStore(StoreId, TenantId),
    #[error("store {0} of tenant {1} has two active keys already: revoke one first")]
    TwoActive(StoreId, TenantId),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

/// Stores the hash of a key, in the free one of the store's two slots.
pub(crate) async fn add_key(tx: &mut ControlTx, key: &StoreKey) -> Result<(), AddKeyError> {
    let (tenant, store) = (key.tenant(), key.store());
    let taken = sqlx::query_scalar!(
        "select slot from store_keys where tenant_id = $1 and store_id = $2 and revoked_at is null",
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await?;
    let two_active = || AddKeyError::TwoActive(store.clone(), tenant.clone());
    let slot = [1, 2].into_iter().find(|slot| !taken.contains(slot)).ok_or_else(two_active)?;
    let hash = key.hash();
    let origin = if key.origin() == Origin::Issued { "issued" } else { "imported" };
    let done = sqlx::query!(
        "insert into store_keys (tenant_id, key_hash, store_id, key_id, origin, slot) values ($1, $2, $3, $4, $5, $6)",
        tenant.as_str(),
        hash.as_slice(),
        store.as_str(),
        key.label(),
        origin,
        slot,
    )
    .execute(tx.connection())
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(e)) if e.is_foreign_key_violation() => {
            Err(AddKeyError::NoStore(store.clone(), tenant.clone()))
        }
        Err(sqlx::Error::Database(e)) if e.constraint() == Some("store_keys_two_active") => Err(two_active()),
        Err(error) => Err(error.into()),
    }
}

/// A store as far as it can seal a file: with its active keys.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub tenant_status: String,
    pub store_status: String,
    pub retention_days: i32,
    pub keys: Vec<SealingKey>,
}

/// An active key, without the key.
#[derive(Debug)]
pub(crate) struct SealingKey {
    pub id: String,
    pub hash: [u8; 32],
}

/// The store with its active keys; `None` if there is no such store.
pub(crate) async fn sealer(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Option<Sealer>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select t.status as tenant_status, s.status as store_status, t.retention_days
        from stores s join tenants t on t.tenant_id = s.tenant_id
        where s.tenant_id = $1 and s.store_id = $2"#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(found) = found else { return Ok(None) };
    let keys = sqlx::query!(
        "select key_id, key_hash from store_keys where tenant_id = $1 and store_id = $2 and revoked_at is null",
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await?;
    // The schema holds the length of a hash.
    let keys = keys
        .into_iter()
        .filter_map(|key| Some(SealingKey { id: key.key_id, hash: key.key_hash.try_into().ok()? }));
    Ok(Some(Sealer {
        tenant_status: found.tenant_status,
        store_status: found.store_status,
        retention_days: found.retention_days,
        keys: keys.collect(),
    }))
}
