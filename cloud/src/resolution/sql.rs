//! `tenants.custom_domain`.

use super::Domains;
use crate::db::ControlTx;

/// All of them.
pub(super) async fn domains(tx: &mut ControlTx) -> Result<Domains, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select tenant_id, custom_domain as "domain!" from tenants where custom_domain is not null"#
    )
    .fetch_all(tx.connection())
    .await?;
    let read = |tenant: String| tenant.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)));
    rows.into_iter().map(|row| Ok((row.domain, read(row.tenant_id)?))).collect()
}
