//! `audit_entries`, `operator_audit_entries`: inserted and read.

use sqlx::PgConnection;
use storepulse_shared::ids::TenantId;
use time::OffsetDateTime;

use super::Deed;
use crate::db::ControlTx;

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant: &str,
    actor: &str,
    deed: Deed<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_entries (tenant_id, actor, action, subject, detail) values ($1, $2, $3, $4, $5)",
        tenant,
        actor,
        deed.action,
        deed.subject,
        deed.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_of_operators(
    tx: &mut ControlTx,
    actor: &str,
    deed: Deed<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into operator_audit_entries (actor, action, subject, detail) values ($1, $2, $3, $4)",
        actor,
        deed.action,
        deed.subject,
        deed.detail,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An entry, with what its hash is made of.
#[derive(Debug)]
pub(super) struct EntryRow {
    pub no: i64,
    pub at: OffsetDateTime,
    pub at_us: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    /// JSON, as the database writes it: these bytes are hashed.
    pub detail: String,
    pub previous: Vec<u8>,
    pub hash: Vec<u8>,
}

/// Entries of a tenant's chain after this number, in their order.
pub(super) async fn entries(
    tx: &mut ControlTx,
    tenant: &TenantId,
    after: i64,
    limit: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as!(
        EntryRow,
        r#"select no, at, (extract(epoch from at) * 1000000)::bigint as "at_us!", actor, action, subject,
            detail::text as "detail!", previous, hash
        from audit_entries where tenant_id = $1 and no > $2 order by no limit $3"#,
        tenant.as_str(),
        after,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

/// Entries of the operators' chain after this number, in their order.
pub(super) async fn entries_of_operators(
    tx: &mut ControlTx,
    after: i64,
    limit: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as!(
        EntryRow,
        r#"select no, at, (extract(epoch from at) * 1000000)::bigint as "at_us!", actor, action, subject,
            detail::text as "detail!", previous, hash
        from operator_audit_entries where no > $1 order by no limit $2"#,
        after,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

/// Whether there is such a tenant.
pub(super) async fn tenant_exists(tx: &mut ControlTx, tenant: &TenantId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from tenants where tenant_id = $1) as "exists!""#,
        tenant.as_str()
    )
    .fetch_one(tx.connection())
    .await
}

/// Every tenant, by id.
pub(super) async fn tenants(tx: &mut ControlTx) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(r#"select tenant_id from tenants order by tenant_id collate "C""#)
        .fetch_all(tx.connection())
        .await
}
