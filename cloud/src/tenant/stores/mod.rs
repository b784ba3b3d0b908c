//! The stores of a tenant, as its operator makes and suspends them. How many there may be holds under any number of
//! creations at once: each has the tenant's row while it counts and inserts.

pub(crate) mod http;
mod sql;

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use storepulse_shared::ids::{StoreId, TenantId};
use utoipa::ToSchema;

use self::sql::StoreRow;
use super::profile;
use super::status::Status;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::operator::{Refusal, text};

/// A store as its operator manages it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ManagedStore)]
pub(crate) struct Store {
    /// Its id.
    pub store_id: String,
    /// What people call it.
    pub name: String,
    /// Whether its agent may send.
    pub status: StoreStatus,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// Until when its agent may make a new key, RFC 3339; null if no window is open.
    pub rotation_open_until: Option<String>,
}

/// Whether its agent may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[schema(as = ManagedStoreStatus)]
pub(crate) enum StoreStatus {
    /// It may.
    Active,
    /// It holds what it has.
    Suspended,
}

/// A store to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStore {
    /// 1 to 50 of A-Z, a-z, 0-9 and '-'; unique in its tenant ignoring case.
    #[schema(value_type = String)]
    pub store_id: StoreId,
    /// What people call it, 1 to 200 characters of any script; its id if it is left out.
    pub name: Option<String>,
}

/// What is to change of a store; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreChange {
    /// What people call it, 1 to 200 characters of any script.
    pub name: Option<String>,
    /// Whether its agent may send.
    pub status: Option<StoreStatus>,
}

/// Creates a store, if the tenant may have another one.
pub(crate) async fn create(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    new: &NewStore,
) -> Result<Store, Refusal> {
    let store = &new.store_id;
    let name = new.name.as_deref().unwrap_or(store.as_str());
    text::check_name("name", name)?;
    if profile::lock(tx, tenant).await? == Status::Inactive {
        let detail = format!("tenant {tenant} is inactive and gets no more stores");
        return Err(Refusal::conflict("tenant_inactive", detail));
    }
    let room = sql::room(tx, tenant).await?;
    if let Some(known) = sql::find_ignoring_case(tx, tenant, store).await? {
        let detail = format!("tenant {tenant} has a store {known} already; ids differ in more than case");
        return Err(Refusal::conflict("store_exists", detail));
    }
    if let Some(max) = room.max.filter(|max| room.stores >= i64::from(*max)) {
        return Err(Refusal::StoreLimit { tenant: tenant.clone(), stores: room.stores, max });
    }
    sql::insert(tx, tenant, store, name).await?;
    record(tx, tenant, store, actor, "store.created", json!({})).await?;
    show(tx, tenant, store).await
}

/// One store.
pub(crate) async fn show(tx: &mut ControlTx, tenant: &TenantId, store: &StoreId) -> Result<Store, Refusal> {
    let row = sql::find(tx, tenant, store).await?;
    row.map(Store::from).ok_or_else(|| Refusal::NoStore(store.clone(), tenant.clone()))
}

/// Changes what is given.
pub(crate) async fn update(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    change: &StoreChange,
) -> Result<Store, Refusal> {
    lock(tx, tenant, store).await?;
    let before = show(tx, tenant, store).await?;
    if let Some(name) = &change.name {
        text::check_name("name", name)?;
    }
    sql::update(tx, tenant, store, change).await?;
    let after = show(tx, tenant, store).await?;
    if before.name != after.name {
        let told = Map::from_iter([("name".to_owned(), json!({}))]);
        record(tx, tenant, store, actor, "store.updated", told.into()).await?;
    }
    if before.status != after.status {
        let action = match after.status {
            StoreStatus::Active => "store.activated",
            StoreStatus::Suspended => "store.suspended",
        };
        record(tx, tenant, store, actor, action, json!({})).await?;
    }
    Ok(after)
}

/// Whoever has the store's row is alone with it and its keys.
pub(super) async fn lock(tx: &mut ControlTx, tenant: &TenantId, store: &StoreId) -> Result<(), Refusal> {
    let is_there = sql::lock(tx, tenant, store).await?;
    if is_there { Ok(()) } else { Err(Refusal::NoStore(store.clone(), tenant.clone())) }
}

/// As the audit names a store.
pub(crate) fn subject(store: &StoreId) -> String {
    format!("store:{store}")
}

async fn record(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    actor: &Actor,
    action: &str,
    detail: serde_json::Value,
) -> Result<(), sqlx::Error> {
    audit::record(tx, tenant, actor, Deed { action, subject: &subject(store), detail }).await
}

impl StoreStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

impl From<StoreRow> for Store {
    fn from(row: StoreRow) -> Self {
        Self {
            store_id: row.store_id,
            name: row.name,
            // The schema has these two words.
            status: if row.status == "active" { StoreStatus::Active } else { StoreStatus::Suspended },
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            rotation_open_until: row.rotation_open_until.map(rfc3339),
        }
    }
}
