//! `tenant_settings`, `store_settings`, and what the plan says of features.

use serde_json::{Map, Value};
use storepulse_shared::ids::{StoreId, TenantId};

use crate::db::ControlTx;

#[derive(Debug)]
pub(super) struct TenantSettingRow {
    pub r#type: String,
    pub name: String,
    pub value: Value,
}

#[derive(Debug)]
pub(super) struct StoreSettingRow {
    pub name: String,
    pub value: Value,
}

/// What the tenant's plan says of features; `None` if there is no such tenant.
pub(super) async fn features_of_plan(
    tx: &mut ControlTx,
    tenant: &TenantId,
) -> Result<Option<Map<String, Value>>, sqlx::Error> {
    let features = sqlx::query_scalar!(
        r#"select coalesce(p.features, '{}') as "features!" from tenants t left join plans p on p.plan = t.plan
        where t.tenant_id = $1"#,
        tenant.as_str(),
    );
    let features = features.fetch_optional(tx.connection()).await?;
    Ok(features.map(|features| match features {
        Value::Object(features) => features,
        _ => Map::new(),
    }))
}

pub(super) async fn of_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
) -> Result<Vec<TenantSettingRow>, sqlx::Error> {
    sqlx::query_as!(
        TenantSettingRow,
        "select type, name, value from tenant_settings where tenant_id = $1",
        tenant.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}

pub(super) async fn of_store(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Vec<StoreSettingRow>, sqlx::Error> {
    sqlx::query_as!(
        StoreSettingRow,
        "select name, value from store_settings where tenant_id = $1 and store_id = $2",
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}

/// Tells the other processes, too, that what they remember of this tenant is old; `false` if there is none.
pub(super) async fn lock_tenant(tx: &mut ControlTx, tenant: &TenantId) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("update tenants set updated_at = now() where tenant_id = $1", tenant.as_str());
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

pub(super) async fn store_exists(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from stores where tenant_id = $1 and store_id = $2) as "exists!""#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if it was that already.
pub(super) async fn set_for_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
    kind: &str,
    name: &str,
    value: &Value,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into tenant_settings (tenant_id, type, name, value) values ($1, $2, $3, $4)
        on conflict (tenant_id, type, name) do update set value = excluded.value, updated_at = now()
        where tenant_settings.value <> excluded.value"#,
        tenant.as_str(),
        kind,
        name,
        value,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// `false` if there was none.
pub(super) async fn unset_for_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
    kind: &str,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from tenant_settings where tenant_id = $1 and type = $2 and name = $3",
        tenant.as_str(),
        kind,
        name,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// `false` if it was that already.
pub(super) async fn set_for_store(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    name: &str,
    value: &Value,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into store_settings (tenant_id, store_id, name, value) values ($1, $2, $3, $4)
        on conflict (tenant_id, store_id, name) do update set value = excluded.value, updated_at = now()
        where store_settings.value <> excluded.value"#,
        tenant.as_str(),
        store.as_str(),
        name,
        value,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// `false` if there was none.
pub(super) async fn unset_for_store(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "delete from store_settings where tenant_id = $1 and store_id = $2 and name = $3",
        tenant.as_str(),
        store.as_str(),
        name,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// As the server's own list of time zones has it.
pub(super) async fn time_zone_exists(tx: &mut ControlTx, zone: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from pg_timezone_names where name = $1 and name !~ '^(posix|right)/') as "exists!""#,
        zone,
    )
    .fetch_one(tx.connection())
    .await
}
