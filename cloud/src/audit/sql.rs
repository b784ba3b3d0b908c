//! `audit_entries`, `operator_audit_entries`: inserts only.

use storepulse_shared::ids::TenantId;

use super::Deed;
use crate::db::ControlTx;

pub(super) async fn insert(
    tx: &mut ControlTx,
    tenant: &TenantId,
    actor: &str,
    deed: Deed<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit_entries (tenant_id, actor, action, subject, detail) values ($1, $2, $3, $4, $5)",
        tenant.as_str(),
        actor,
        deed.action,
        deed.subject,
        deed.detail,
    )
    .execute(tx.connection())
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
