//! Counts over `streams`, `series` and what holds samples.

use time::OffsetDateTime;

use crate::db::TenantTx;

#[derive(Debug)]
pub(super) struct Stores {
    pub stores: i64,
    pub active: i64,
}

#[derive(Debug)]
pub(super) struct Received {
    pub batches: i64,
    pub samples: i64,
    pub samples_today: i64,
    pub bytes: i64,
    pub bytes_today: i64,
    pub stores_heard: i64,
    pub last_received_at: Option<OffsetDateTime>,
}

/// `None` if there is no such tenant.
pub(super) async fn stores(tx: &mut TenantTx) -> Result<Option<Stores>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Stores,
        r#"select (select count(*) from stores s where s.tenant_id = $1) as "stores!",
            (select count(*) from stores s where s.tenant_id = $1 and s.status = 'active') as "active!"
        from tenants where tenant_id = $1"#,
        tenant,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn received(tx: &mut TenantTx) -> Result<Received, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Received,
        r#"select coalesce(sum(batches), 0)::bigint as "batches!", coalesce(sum(samples), 0)::bigint as "samples!",
            coalesce(sum(day_samples) filter (where day = timezone('utc', now())::date), 0)::bigint as "samples_today!",
            coalesce(sum(bytes), 0)::bigint as "bytes!",
            coalesce(sum(day_bytes) filter (where day = timezone('utc', now())::date), 0)::bigint as "bytes_today!",
            count(distinct store_id) filter (where batches > 0 and last_received_at > now() - interval '1 hour')
                as "stores_heard!",
            max(last_received_at) filter (where batches > 0) as last_received_at
        from streams where tenant_id = $1"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}

pub(super) async fn series(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "series!" from series where tenant_id = $1 and retired_at is null"#,
        tenant
    )
    .fetch_one(tx.connection())
    .await
}

/// As compressed as they are; of what lies out of line only the size is read.
pub(super) async fn inbox_bytes(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select coalesce(sum(pg_column_size(series_ids) + coalesce(pg_column_size(group_runs), 0)
            + pg_column_size(run_lengths) + pg_column_size(t_offsets) + pg_column_size(vals)), 0)::bigint as "bytes!"
        from sample_batches where tenant_id = $1"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}

/// The same of what upkeep has made of the inbox.
pub(super) async fn series_days_bytes(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select coalesce(sum(pg_column_size(times) + pg_column_size(vals)), 0)::bigint as "bytes!"
        from series_days where tenant_id = $1"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}
