//! `stores`.

use storepulse_shared::ids::{StoreId, TenantId};
use time::OffsetDateTime;

use super::{StoreChange, StoreStatus};
use crate::db::ControlTx;

#[derive(Debug)]
pub(super) struct StoreRow {
    pub store_id: String,
    pub name: String,
    pub status: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub rotation_open_until: Option<OffsetDateTime>,
}

/// How many stores there are, and how many there may be.
#[derive(Debug)]
pub(super) struct Room {
    pub stores: i64,
    pub max: Option<i32>,
}

/// Counts. Nobody adds one meanwhile who has not the tenant's row.
pub(super) async fn room(tx: &mut ControlTx, tenant: &TenantId) -> Result<Room, sqlx::Error> {
    sqlx::query_as!(
        Room,
        r#"select coalesce(t.max_stores, p.max_stores) as max,
            (select count(*) from stores s where s.tenant_id = $1) as "stores!"
        from tenants t left join plans p on p.plan = t.plan where t.tenant_id = $1"#,
        tenant.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

pub(super) async fn insert(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into stores (tenant_id, store_id, name) values ($1, $2, $3)",
        tenant.as_str(),
        store.as_str(),
        name,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn find(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Option<StoreRow>, sqlx::Error> {
    sqlx::query_as!(
        StoreRow,
        r#"select store_id, name, status, created_at, updated_at,
            case when key_window_closes_at > now() then key_window_closes_at end as rotation_open_until
        from stores where tenant_id = $1 and store_id = $2"#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// The id of the store that has this one in other letters, or in the same.
pub(super) async fn find_ignoring_case(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select store_id from stores where tenant_id = $1 and lower(store_id) = lower($2)",
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// Holds the row until the transaction ends; `false` if there is none.
pub(super) async fn lock(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select store_id from stores where tenant_id = $1 and store_id = $2 for no key update",
        tenant.as_str(),
        store.as_str(),
    );
    Ok(found.fetch_optional(tx.connection()).await?.is_some())
}

pub(super) async fn update(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    change: &StoreChange,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update stores set name = coalesce($3, name), status = coalesce($4, status), updated_at = now()
        where tenant_id = $1 and store_id = $2"#,
        tenant.as_str(),
        store.as_str(),
        change.name.as_deref(),
        change.status.map(StoreStatus::as_str),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
