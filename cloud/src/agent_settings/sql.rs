//! `agent_settings`.

use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use time::OffsetDateTime;

use crate::db::{ControlTx, TenantTx};

#[derive(Debug)]
pub(super) struct Row {
    pub store_id: String,
    pub version: i64,
    pub settings: Value,
    pub set_at: OffsetDateTime,
    pub reported_version: Option<i64>,
    pub reported_state: Option<String>,
    pub reported_why: Option<String>,
    pub reported_at: Option<OffsetDateTime>,
}

pub(super) async fn find_for_operator(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select store_id, version, settings, set_at, reported_version, reported_state, reported_why, reported_at
        from agent_settings where tenant_id = $1 and store_id = $2"#,
        tenant.as_str(),
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn find(tx: &mut TenantTx, store: &StoreId) -> Result<Option<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Row,
        r#"select store_id, version, settings, set_at, reported_version, reported_state, reported_why, reported_at
        from agent_settings where tenant_id = $1 and store_id = $2"#,
        tenant,
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// Of every store of the tenant; what is set is left out, it may be long.
pub(super) async fn all(tx: &mut TenantTx) -> Result<Vec<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Row,
        r#"select store_id, version, '{}'::jsonb as "settings!", set_at, reported_version, reported_state, reported_why, reported_at
        from agent_settings where tenant_id = $1"#,
        tenant,
    )
    .fetch_all(tx.connection())
    .await
}

/// Sets the next version and returns it: above the one that is set, and above any that the agent has spoken of.
pub(super) async fn set(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
    settings: &Value,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"insert into agent_settings (tenant_id, store_id, version, settings) values ($1, $2, 1, $3)
        on conflict (tenant_id, store_id) do update set
            version = greatest(agent_settings.version, agent_settings.reported_version) + 1,
            settings = excluded.settings, set_at = now()
        returning version"#,
        tenant.as_str(),
        store.as_str(),
        settings,
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if there is nothing to speak of.
pub(super) async fn note(
    tx: &mut TenantTx,
    store: &StoreId,
    version: i64,
    state: &str,
    why: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        r#"update agent_settings set reported_version = $3, reported_state = $4, reported_why = $5, reported_at = now()
        where tenant_id = $1 and store_id = $2"#,
        tenant,
        store.as_str(),
        version,
        state,
        why,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}
