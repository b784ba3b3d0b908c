//! `plans`.

use serde_json::Value;
use time::OffsetDateTime;

use super::NewPlan;
use crate::db::ControlTx;

#[derive(Debug)]
pub(super) struct PlanRow {
    pub plan: String,
    pub name: String,
    pub max_stores: Option<i32>,
    pub limits: Value,
    pub features: Value,
    pub updated_at: OffsetDateTime,
}

pub(super) async fn list(tx: &mut ControlTx) -> Result<Vec<PlanRow>, sqlx::Error> {
    sqlx::query_as!(
        PlanRow,
        r#"select plan, name, max_stores, limits, features, updated_at from plans order by plan collate "C""#,
    )
    .fetch_all(tx.connection())
    .await
}

pub(super) async fn find(tx: &mut ControlTx, plan: &str) -> Result<Option<PlanRow>, sqlx::Error> {
    sqlx::query_as!(
        PlanRow,
        "select plan, name, max_stores, limits, features, updated_at from plans where plan = $1",
        plan,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn put(
    tx: &mut ControlTx,
    plan: &str,
    new: &NewPlan,
    limits: &Value,
    features: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into plans (plan, name, max_stores, limits, features) values ($1, $2, $3, $4, $5)
        on conflict (plan) do update set name = excluded.name, max_stores = excluded.max_stores,
            limits = excluded.limits, features = excluded.features, updated_at = now()"#,
        plan,
        new.name,
        new.max_stores,
        limits,
        features,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
