//! `tenants`, `plans`, `tenant_settings`, `stores`, `store_keys`, many rows a statement.

use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;
use time::OffsetDateTime;

use crate::db::{ControlTx, TenantTx};

/// A tenant as it stands; nobody else changes it or counts its stores until the transaction ends.
#[derive(Debug)]
pub(super) struct TenantRow {
    pub company: String,
    pub plan: String,
    pub status: String,
    /// Its own limit, or its plan's; `None` is no limit.
    pub max_stores: Option<i32>,
}

pub(super) async fn lock_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
) -> Result<Option<TenantRow>, sqlx::Error> {
    sqlx::query_as!(
        TenantRow,
        r#"select t.company, t.plan, t.status, coalesce(t.max_stores, p.max_stores) as max_stores
        from tenants t left join plans p on p.plan = t.plan
        where t.tenant_id = $1 for no key update of t"#,
        tenant.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// The plans there are.
pub(super) async fn plans(tx: &mut ControlTx) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("select plan from plans order by plan").fetch_all(tx.connection()).await
}

/// Makes a tenant that is not open yet; `false` if it is there already.
pub(super) async fn create_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
    company: &str,
    plan: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into tenants (tenant_id, company, plan, status) values ($1, $2, $3, 'pending')
        on conflict (tenant_id) do nothing"#,
        tenant.as_str(),
        company,
        plan,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Writes the contacts unless there are some.
pub(super) async fn add_contacts(
    tx: &mut ControlTx,
    tenant: &TenantId,
    contacts: &Value,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into tenant_settings (tenant_id, type, name, value) values ($1, 'general', 'contacts', $2)
        on conflict (tenant_id, type, name) do nothing"#,
        tenant.as_str(),
        contacts,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Moves a tenant from one state to another; `false` if it is not in that one.
pub(super) async fn move_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
    from: &str,
    to: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"update tenants set status = $3, status_changed_at = now(), updated_at = now()
        where tenant_id = $1 and status = $2"#,
        tenant.as_str(),
        from,
        to,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// How many stores the tenant has beside these.
pub(super) async fn count_other_stores(
    tx: &mut ControlTx,
    tenant: &TenantId,
    stores: &[String],
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from stores where tenant_id = $1 and store_id <> all($2)"#,
        tenant.as_str(),
        stores,
    )
    .fetch_one(tx.connection())
    .await
}

/// Makes the stores that are missing; returns them.
pub(super) async fn create_stores(
    tx: &mut ControlTx,
    tenant: &TenantId,
    stores: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"insert into stores (tenant_id, store_id, name)
        select $1, wanted.store_id, wanted.store_id from unnest($2::text[]) as wanted (store_id)
        on conflict (tenant_id, store_id) do nothing
        returning store_id"#,
        tenant.as_str(),
        stores,
    )
    .fetch_all(tx.connection())
    .await
}

/// Which of these stores are suspended.
pub(super) async fn suspended_stores(
    tx: &mut ControlTx,
    tenant: &TenantId,
    stores: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select store_id from stores where tenant_id = $1 and store_id = any($2) and status <> 'active'",
        tenant.as_str(),
        stores,
    )
    .fetch_all(tx.connection())
    .await
}

/// A key as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct KeyRow {
    pub store_id: String,
    pub key_hash: Vec<u8>,
    pub key_id: String,
    pub slot: i16,
    pub is_active: bool,
    pub created_at: OffsetDateTime,
    /// It has opened something, or an agent has made it itself.
    pub is_used: bool,
}

/// All keys of these stores, revoked ones too.
pub(super) async fn keys(
    tx: &mut ControlTx,
    tenant: &TenantId,
    stores: &[String],
) -> Result<Vec<KeyRow>, sqlx::Error> {
    sqlx::query_as!(
        KeyRow,
        r#"select store_id, key_hash, key_id, slot, revoked_at is null as "is_active!", created_at,
            (last_used_at is not null or replaces is not null) as "is_used!"
        from store_keys where tenant_id = $1 and store_id = any($2)"#,
        tenant.as_str(),
        stores,
    )
    .fetch_all(tx.connection())
    .await
}

/// When each of these stores last sent anything; one that never did is not among them.
pub(super) async fn last_received(
    tx: &mut TenantTx,
    stores: &[String],
) -> Result<Vec<(String, OffsetDateTime)>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        r#"select store_id, max(last_received_at) as "at!" from streams
        where tenant_id = $1 and store_id = any($2) group by store_id"#,
        tenant,
        stores,
    );
    let rows = rows.fetch_all(tx.connection()).await?;
    Ok(rows.into_iter().map(|row| (row.store_id, row.at)).collect())
}

/// Revokes active keys by their hashes.
pub(super) async fn revoke_keys(
    tx: &mut ControlTx,
    tenant: &TenantId,
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"update store_keys set revoked_at = now(), revoked_as = 'revoked'
        where tenant_id = $1 and key_hash = any($2) and revoked_at is null"#,
        tenant.as_str(),
        hashes,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Adds keys that we have issued, each in the slot that was found free.
pub(super) async fn add_keys(
    tx: &mut ControlTx,
    tenant: &TenantId,
    keys: &[(&StoreKey, i16)],
) -> Result<(), sqlx::Error> {
    let hashes: Vec<Vec<u8>> = keys.iter().map(|(key, _)| key.hash().to_vec()).collect();
    let stores: Vec<String> = keys.iter().map(|(key, _)| key.store().to_string()).collect();
    let ids: Vec<String> = keys.iter().map(|(key, _)| key.label()).collect();
    let slots: Vec<i16> = keys.iter().map(|(_, slot)| *slot).collect();
    sqlx::query!(
        r#"insert into store_keys (tenant_id, key_hash, store_id, key_id, origin, slot)
        select $1, new.key_hash, new.store_id, new.key_id, 'issued', new.slot
        from unnest($2::bytea[], $3::text[], $4::text[], $5::smallint[]) as new (key_hash, store_id, key_id, slot)"#,
        tenant.as_str(),
        &hashes,
        &stores,
        &ids,
        &slots,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The ids as text, for `any($n)`.
pub(super) fn texts(stores: &[StoreId]) -> Vec<String> {
    stores.iter().map(ToString::to_string).collect()
}
