//! `tenants`, with what the plan says.

use serde_json::Value;
use storepulse_shared::ids::TenantId;
use time::OffsetDateTime;

use super::TenantChange;
use crate::db::ControlTx;

#[derive(Debug)]
pub(super) struct TenantRow {
    pub tenant_id: String,
    pub company: String,
    pub status: String,
    pub status_changed_at: OffsetDateTime,
    pub plan: String,
    pub max_stores: Option<i32>,
    pub plans_max_stores: Option<i32>,
    pub stores: i64,
    pub limits: Option<Value>,
    pub retention_days: i32,
    pub accept_imported_keys: bool,
    pub custom_domain: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Creates it, pending; `false` if it is there already.
pub(super) async fn insert(
    tx: &mut ControlTx,
    tenant: &TenantId,
    company: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into tenants (tenant_id, company, status) values ($1, $2, 'pending')
        on conflict (tenant_id) do nothing"#,
        tenant.as_str(),
        company,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

pub(super) async fn find(tx: &mut ControlTx, tenant: &TenantId) -> Result<Option<TenantRow>, sqlx::Error> {
    sqlx::query_as!(
        TenantRow,
        r#"select t.tenant_id, t.company, t.status, t.status_changed_at, t.plan, t.max_stores,
            p.max_stores as "plans_max_stores?",
            (select count(*) from stores s where s.tenant_id = t.tenant_id) as "stores!", t.limits,
            t.retention_days, t.accept_imported_keys, t.custom_domain, t.created_at, t.updated_at
        from tenants t left join plans p on p.plan = t.plan
        where t.tenant_id = $1"#,
        tenant.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn list(
    tx: &mut ControlTx,
    after: &str,
    status: Option<&str>,
    limit: i64,
) -> Result<Vec<TenantRow>, sqlx::Error> {
    sqlx::query_as!(
        TenantRow,
        r#"select t.tenant_id, t.company, t.status, t.status_changed_at, t.plan, t.max_stores,
            p.max_stores as "plans_max_stores?",
            (select count(*) from stores s where s.tenant_id = t.tenant_id) as "stores!", t.limits,
            t.retention_days, t.accept_imported_keys, t.custom_domain, t.created_at, t.updated_at
        from tenants t left join plans p on p.plan = t.plan
        where t.tenant_id collate "C" > $1 and ($2::text is null or t.status = $2)
        order by t.tenant_id collate "C" limit $3"#,
        after,
        status,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

/// Holds the row until the transaction ends; its status, or `None` if there is none. Rows that name the tenant may still
/// be inserted elsewhere.
pub(super) async fn lock(tx: &mut ControlTx, tenant: &TenantId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("select status from tenants where tenant_id = $1 for no key update", tenant.as_str(),)
        .fetch_optional(tx.connection())
        .await
}

pub(super) async fn set_status(
    tx: &mut ControlTx,
    tenant: &TenantId,
    status: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update tenants set status = $2, status_changed_at = now(), updated_at = now() where tenant_id = $1",
        tenant.as_str(),
        status,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn update(
    tx: &mut ControlTx,
    tenant: &TenantId,
    change: &TenantChange,
) -> Result<(), sqlx::Error> {
    let limits = change.limits.clone().flatten().map(Value::Object);
    sqlx::query!(
        r#"update tenants set company = coalesce($2, company), plan = coalesce($3, plan),
            max_stores = case when $4 then $5 else max_stores end,
            retention_days = coalesce($6, retention_days),
            custom_domain = case when $7 then $8 else custom_domain end,
            accept_imported_keys = coalesce($9, accept_imported_keys),
            limits = case when $10 then $11 else limits end, updated_at = now()
        where tenant_id = $1"#,
        tenant.as_str(),
        change.company.as_deref(),
        change.plan.as_deref(),
        change.max_stores.is_some(),
        change.max_stores.flatten(),
        change.retention_days,
        change.custom_domain.is_some(),
        change.custom_domain.as_ref().and_then(Option::as_deref),
        change.accept_imported_keys,
        change.limits.is_some(),
        limits,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The plans that there are, by id.
pub(super) async fn plans(tx: &mut ControlTx) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("select plan from plans order by plan").fetch_all(tx.connection()).await
}

/// Whoever sets a domain is alone with that until the transaction ends.
pub(crate) async fn lock_domains(tx: &mut ControlTx) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('storepulse domains', 0))::text as "locked""#
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn domain_is_anothers(
    tx: &mut ControlTx,
    tenant: &TenantId,
    domain: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from tenants where custom_domain = $2 and tenant_id <> $1) as "taken!""#,
        tenant.as_str(),
        domain,
    )
    .fetch_one(tx.connection())
    .await
}
