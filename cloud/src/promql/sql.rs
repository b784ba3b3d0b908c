//! The series of stores.

use std::collections::BTreeMap;

use crate::db::TenantTx;
use sqlx::types::Json;

#[derive(Debug)]
pub(super) struct SeriesRow {
    pub series_id: i32,
    pub store_id: String,
    pub device_id: String,
    pub device_kind: String,
    pub metric: String,
    pub labels: Json<BTreeMap<String, String>>,
}

/// The series of these stores; only of metrics with these identifiers, if some are given; at most so many.
pub(super) async fn series(
    tx: &mut TenantTx,
    stores: &[String],
    identifiers: Option<&[String]>,
    limit: usize,
) -> Result<Vec<SeriesRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        SeriesRow,
        r#"select series_id, store_id, device_id, device_kind, metric,
            labels as "labels!: Json<BTreeMap<String, String>>"
        from series
        where tenant_id = $1 and store_id = any($2)
          and ($3::text[] is null or translate(metric, './-', '___') = any($3))
        order by store_id, device_id, name
        limit $4"#,
        tenant,
        stores,
        identifiers,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.connection())
    .await
}

/// The metrics of these stores.
pub(super) async fn metrics(tx: &mut TenantTx, stores: &[String]) -> Result<Vec<String>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select distinct metric from series where tenant_id = $1 and store_id = any($2) order by metric",
        tenant,
        stores,
    )
    .fetch_all(tx.connection())
    .await
}
