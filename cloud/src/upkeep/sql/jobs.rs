//! `upkeep_jobs`, the lock, and the tenants.

use std::time::Duration;

use storepulse_shared::ids::TenantId;

use crate::db::ControlTx;

/// A tenant, as upkeep needs it.
#[derive(Debug)]
pub(in crate::upkeep) struct Tenant {
    pub id: TenantId,
    pub retention_days: i32,
}

/// Takes the lock of upkeep for as long as this transaction lasts; `false` if another process has it.
pub(in crate::upkeep) async fn try_lock(tx: &mut ControlTx) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock(hashtext('storepulse upkeep')) as "got!""#)
        .fetch_one(tx.connection())
        .await
}

/// All tenants, whatever their status: what is stored of a suspended one is looked after too.
pub(in crate::upkeep) async fn tenants(tx: &mut ControlTx) -> Result<Vec<Tenant>, sqlx::Error> {
    let rows = sqlx::query!("select tenant_id, retention_days from tenants order by tenant_id");
    let rows = rows.fetch_all(tx.connection()).await?;
    let tenant = |id: String, retention_days| {
        let id = id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        Ok(Tenant { id, retention_days })
    };
    rows.into_iter().map(|row| tenant(row.tenant_id, row.retention_days)).collect()
}

/// Whether a job has not finished within this time.
pub(in crate::upkeep) async fn is_due(
    tx: &mut ControlTx,
    job: &str,
    every: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select not exists (
            select from upkeep_jobs where job = $1 and outcome is not null and finished_at > now() - make_interval(secs => $2)
        ) as "due!""#,
        job,
        every.as_secs_f64(),
    )
    .fetch_one(tx.connection())
    .await
}

/// Notes that a job begins.
pub(in crate::upkeep) async fn started(tx: &mut ControlTx, job: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into upkeep_jobs as j (job, started_at) values ($1, clock_timestamp())
        on conflict (job) do update set started_at = excluded.started_at, outcome = null"#,
        job,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes how it ended.
pub(in crate::upkeep) async fn finished(
    tx: &mut ControlTx,
    job: &str,
    outcome: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update upkeep_jobs set finished_at = clock_timestamp(), outcome = $2 where job = $1",
        job,
        outcome,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
