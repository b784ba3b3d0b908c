//! The keys of a store, as its operator manages them: issued and shown once, taken over from an older system by their hash,
//! followed by one that the agent makes, revoked.

pub(crate) mod http;
mod sql;

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::KeyHash;
use utoipa::ToSchema;

use self::sql::KeyRow;
use super::sql::AddKeyError;
use super::stores;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::operator::Refusal;

/// Longest window for a rotation.
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

/// A key of a store; the key itself is nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    /// Its public part; of an imported one the first 8 hex digits of its hash.
    pub key_id: String,
    /// `issued` or `imported`.
    pub origin: String,
    /// RFC 3339.
    pub created_at: String,
    /// When it last opened, RFC 3339, to about a minute; null if it never did, or before this was written down.
    pub last_used_at: Option<String>,
    /// RFC 3339; null while it opens.
    pub revoked_at: Option<String>,
    /// Why: `revoked`, `compromised`, `retired` (its agent has another one).
    pub revoked_as: Option<String>,
}

/// A hash that was taken over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedKey {
    /// By which people speak of it.
    pub key_id: String,
    /// Whether the tenant lets imported keys open (`accept_imported_keys`).
    pub opens: bool,
}

/// A key that was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKey {
    /// It opens nothing within five seconds.
    pub revoked: String,
    /// Keys that were registered over it and still open: revoke those too that are not the box's own.
    pub followers: Vec<String>,
}

/// Makes a key. It is in the answer, and nowhere else.
pub(crate) async fn issue(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<StoreKey, Refusal> {
    stores::lock(tx, tenant, store).await?;
    let key = StoreKey::issue(tenant, store);
    super::sql::add_key(tx, &key).await?;
    record(tx, tenant, store, actor, "key.issued", json!({ "key_id": key.label() })).await?;
    Ok(key)
}

/// All that the store ever had, newest first.
pub(crate) async fn list(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Vec<Key>, Refusal> {
    stores::show(tx, tenant, store).await?;
    Ok(sql::list(tx, tenant, store).await?.into_iter().map(Key::from).collect())
}

/// Takes over the hash of a key of an older system.
pub(crate) async fn import(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    hash: KeyHash,
) -> Result<ImportedKey, Refusal> {
    stores::lock(tx, tenant, store).await?;
    let key_id: String = hash.0[..4].iter().map(|b| format!("{b:02x}")).collect();
    let known = sql::store_of_hash(tx, tenant, hash).await?;
    if known.is_some() {
        let detail = format!("tenant {tenant} has a key with this hash already");
        return Err(Refusal::conflict("key_exists", detail));
    }
    let slot = sql::free_slot(tx, tenant, store).await?;
    let slot = slot.ok_or_else(|| AddKeyError::TwoActive(store.clone(), tenant.clone()))?;
    sql::insert_imported(tx, tenant, store, &key_id, hash, slot).await?;
    record(tx, tenant, store, actor, "key.imported", json!({ "key_id": key_id })).await?;
    let opens = sql::accepts_imported(tx, tenant).await?;
    Ok(ImportedKey { key_id, opens })
}

/// Opens a window in which the store's agent registers one new key; returns when it closes, RFC 3339.
pub(crate) async fn open_window(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    window: Duration,
) -> Result<time::OffsetDateTime, Refusal> {
    if !(Duration::from_secs(1)..=WINDOW_MAX).contains(&window) {
        return Err(Refusal::Value(format!(
            "a window of {} s: 1 to {} s",
            window.as_secs(),
            WINDOW_MAX.as_secs()
        )));
    }
    stores::lock(tx, tenant, store).await?;
    match sql::active(tx, tenant, store).await? {
        0 => {
            let detail = format!(
                "store {store} of tenant {tenant} has no active key that another could follow: issue one"
            );
            return Err(Refusal::conflict("no_active_key", detail));
        }
        1 => {}
        _ => {
            let detail = format!(
                "store {store} of tenant {tenant} has two active keys already: revoke the one that its box does not use"
            );
            return Err(Refusal::conflict("two_active_keys", detail));
        }
    }
    let closes_at = sql::open_window(tx, tenant, store, window).await?;
    let detail = json!({ "window_s": window.as_secs() });
    record(tx, tenant, store, actor, "key.rotation_opened", detail).await?;
    Ok(closes_at)
}

/// Closes the window, if one is open; nobody is registering a key when this returns.
pub(crate) async fn close_window(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<(), Refusal> {
    stores::lock(tx, tenant, store).await?;
    if sql::close_window(tx, tenant, store).await? {
        record(tx, tenant, store, actor, "key.rotation_closed", json!({})).await?;
    }
    Ok(())
}

/// Revokes a key; a compromised one also loses the window in which it could register another.
pub(crate) async fn revoke(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    key_id: &str,
    compromised: bool,
) -> Result<RevokedKey, Refusal> {
    stores::lock(tx, tenant, store).await?;
    if compromised {
        close_window(tx, actor, tenant, store).await?;
    }
    let how = if compromised { "compromised" } else { "revoked" };
    if sql::revoke(tx, tenant, store, key_id, how).await? == 0 {
        return Err(Refusal::NotThere(format!(
            "store {store} of tenant {tenant} has no active key {key_id:.60?}; `key list` shows what it has"
        )));
    }
    let followers = sql::active_followers(tx, tenant, store, key_id).await?;
    let action = if compromised { "key.revoked_as_compromised" } else { "key.revoked" };
    record(tx, tenant, store, actor, action, json!({ "key_id": key_id })).await?;
    Ok(RevokedKey { revoked: key_id.to_owned(), followers })
}

async fn record(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    actor: &Actor,
    action: &str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    audit::record(tx, tenant, actor, Deed { action, subject: &stores::subject(store), detail }).await
}

impl From<AddKeyError> for Refusal {
    fn from(error: AddKeyError) -> Self {
        let detail = error.to_string();
        match error {
            AddKeyError::NoStore(store, tenant) => Self::NoStore(store, tenant),
            AddKeyError::TwoActive(..) => Self::conflict("two_active_keys", detail),
            AddKeyError::Sqlx(error) => error.into(),
        }
    }
}

impl From<KeyRow> for Key {
    fn from(row: KeyRow) -> Self {
        Self {
            key_id: row.key_id,
            origin: row.origin,
            created_at: rfc3339(row.created_at),
            last_used_at: row.last_used_at.map(rfc3339),
            revoked_at: row.revoked_at.map(rfc3339),
            revoked_as: row.revoked_as,
        }
    }
}
