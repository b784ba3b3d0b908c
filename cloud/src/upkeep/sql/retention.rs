//! Deletes by age: `series_days`, `events`, `losses`, `recoveries`, `idempotency_keys`, `series`.

use storepulse_shared::limits::IDEMPOTENCY_KEPT;
use time::Date;

use crate::db::TenantTx;

/// The oldest day that is stored and lies before this one.
pub(in crate::upkeep) async fn oldest_day(
    tx: &mut TenantTx,
    first_kept: Date,
) -> Result<Option<Date>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select min(day) from series_days where tenant_id = $1 and day < $2",
        tenant,
        first_kept,
    )
    .fetch_one(tx.connection())
    .await
}

/// Deletes a day, counts it for its stores, and returns how many samples it had.
pub(in crate::upkeep) async fn expire_day(tx: &mut TenantTx, day: Date) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let expired = sqlx::query_scalar!(
        r#"with gone as (
            delete from series_days where tenant_id = $1 and day = $2 returning series_id, n
        ), by_store as (
            select s.store_id, sum(gone.n)::bigint as n
            from gone join series s on s.tenant_id = $1 and s.series_id = gone.series_id group by s.store_id
        ), counted as (
            insert into store_tallies as t (tenant_id, store_id, expired_samples)
            select $1, store_id, n from by_store
            on conflict (tenant_id, store_id) do update set expired_samples = t.expired_samples + excluded.expired_samples
        )
        select coalesce(sum(n), 0)::bigint as "n!" from by_store"#,
        tenant,
        day,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u64::try_from(expired).unwrap_or_default())
}

/// Deletes what was recorded longer ago than the tenant keeps samples.
pub(in crate::upkeep) async fn expire_records(tx: &mut TenantTx, days: i32) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        r#"with events as (
            delete from events where tenant_id = $1 and received_at < now() - make_interval(days => $2)
        ), losses as (
            delete from losses where tenant_id = $1 and recorded_at < now() - make_interval(days => $2)
        )
        delete from recoveries where tenant_id = $1 and recorded_at < now() - make_interval(days => $2)"#,
        tenant,
        days,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes the keys whose answers need not be repeated any more.
pub(in crate::upkeep) async fn expire_idempotency_keys(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from idempotency_keys where tenant_id = $1 and created_at < now() - make_interval(secs => $2)",
        tenant,
        IDEMPOTENCY_KEPT.as_secs_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Retires series that are older than two days and have no sample anywhere.
pub(in crate::upkeep) async fn retire_silent(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        r#"update series s set retired_at = now()
        where s.tenant_id = $1 and s.retired_at is null and s.created_at < now() - interval '2 days'
          and not exists (select from series_days d where d.tenant_id = $1 and d.series_id = s.series_id)
          and not exists (
              select from sample_batches b
              where b.tenant_id = $1 and b.store_id = s.store_id and b.series_ids @> array[s.series_id]
          )"#,
        tenant,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Removes series that were retired two days ago and still have no sample.
pub(in crate::upkeep) async fn remove_retired(tx: &mut TenantTx) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let removed = sqlx::query!(
        r#"delete from series s
        where s.tenant_id = $1 and s.retired_at < now() - interval '2 days'
          and not exists (select from series_days d where d.tenant_id = $1 and d.series_id = s.series_id)
          and not exists (
              select from sample_batches b
              where b.tenant_id = $1 and b.store_id = s.store_id and b.series_ids @> array[s.series_id]
          )"#,
        tenant,
    )
    .execute(tx.connection())
    .await?;
    Ok(removed.rows_affected())
}
