//! `tenant_settings`, as the tenant reads its own.

use serde_json::Value;

use crate::db::TenantTx;

/// Those of the type `auth` that differ from their default.
pub(super) async fn of_auth(tx: &mut TenantTx) -> Result<Vec<(String, Value)>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        "select name, value from tenant_settings where tenant_id = $1 and type = 'auth'",
        tenant
    );
    let rows = rows.fetch_all(tx.connection()).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}
