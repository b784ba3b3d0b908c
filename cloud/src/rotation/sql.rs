//! `stores` and `store_keys`, as the agent of one store may change them.

use storepulse_shared::rotation::NewKey;

use crate::auth::StoreAuth;
use crate::db::ControlTx;

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registration {
    /// It is registered now.
    Done,
    /// It was before.
    WasDone,
    /// The key that asks has been revoked meanwhile.
    OldIsGone,
    /// No operator has opened a window, or it has closed.
    NoWindow,
    /// There is no slot for it.
    TwoActive,
    /// It was revoked, or is somebody else's.
    NotToBeTaken,
}

/// Registers a key of the store of `auth`, and closes the window.
pub(super) async fn register(
    tx: &mut ControlTx,
    auth: &StoreAuth,
    new: &NewKey,
) -> Result<Registration, sqlx::Error> {
    let (tenant, store) = (auth.tenant.as_str(), auth.store.as_str());
    // Whoever has the store's row is alone with its keys and window.
    let window_is_open = sqlx::query_scalar!(
        r#"select coalesce(key_window_closes_at > now(), false) as "open!" from stores
        where tenant_id = $1 and store_id = $2 for update"#,
        tenant,
        store,
    )
    .fetch_one(tx.connection())
    .await?;
    let keys = sqlx::query!(
        r#"select key_hash, slot, store_id = $2 as "ours!", revoked_at is null as "active!" from store_keys
        where tenant_id = $1 and (store_id = $2 or key_hash = $3)"#,
        tenant,
        store,
        new.sha256.0.as_slice(),
    )
    .fetch_all(tx.connection())
    .await?;
    if !keys.iter().any(|key| key.ours && key.active && key.key_hash == auth.key_hash) {
        return Ok(Registration::OldIsGone);
    }
    let known = keys.iter().find(|key| key.key_hash == new.sha256.0);
    match known {
        Some(known) if known.ours && known.active => return Ok(Registration::WasDone),
        // Without a window nobody learns from us what there is.
        _ if !window_is_open => return Ok(Registration::NoWindow),
        Some(_) => return Ok(Registration::NotToBeTaken),
        None => {}
    }
    let is_free = |slot: &i16| !keys.iter().any(|key| key.ours && key.active && key.slot == *slot);
    let Some(slot) = [1, 2].into_iter().find(is_free) else { return Ok(Registration::TwoActive) };
    sqlx::query!(
        r#"insert into store_keys (tenant_id, key_hash, store_id, key_id, origin, slot, replaces)
        values ($1, $2, $3, $4, 'issued', $5, $6)"#,
        tenant,
        new.sha256.0.as_slice(),
        store,
        new.key_id,
        slot,
        auth.key_hash.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        r#"update stores set key_window_opened_at = null, key_window_closes_at = null
        where tenant_id = $1 and store_id = $2"#,
        tenant,
        store,
    )
    .execute(tx.connection())
    .await?;
    Ok(Registration::Done)
}

/// Revokes the key over which that of `auth` was registered; returns its public part if it was active.
pub(super) async fn retire_before(
    tx: &mut ControlTx,
    auth: &StoreAuth,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"update store_keys old set revoked_at = now(), revoked_as = 'retired'
        from store_keys new
        where new.tenant_id = $1 and new.key_hash = $2 and new.revoked_at is null
          and old.tenant_id = $1 and old.store_id = new.store_id and old.key_hash = new.replaces
          and old.revoked_at is null
        returning old.key_id"#,
        auth.tenant.as_str(),
        auth.key_hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}
