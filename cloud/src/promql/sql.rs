//! The series of a store.

use std::collections::BTreeMap;

use sqlx::types::Json;
use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

#[derive(Debug)]
pub(super) struct SeriesRow {
    pub series_id: i32,
    pub device_id: String,
    pub device_kind: String,
    pub metric: String,
    pub labels: Json<BTreeMap<String, String>>,
}

/// The series of the store; only of metrics with these identifiers, if some are given.
pub(super) async fn series(
    tx: &mut TenantTx,
    store: &StoreId,
    identifiers: Option<&[String]>,
) -> Result<Vec<SeriesRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        SeriesRow,
        r#"select series_id, device_id, device_kind, metric, labels as "labels!: Json<BTreeMap<String, String>>"
        from series
        where tenant_id = $1 and store_id = $2
          and ($3::text[] is null or translate(metric, './-', '___') = any($3))
        order by device_id, name"#,
        tenant,
        store.as_str(),
        identifiers,
    )
    .fetch_all(tx.connection())
    .await
}

/// The metrics of the store.
pub(super) async fn metrics(tx: &mut TenantTx, store: &StoreId) -> Result<Vec<String>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select distinct metric from series where tenant_id = $1 and store_id = $2 order by metric",
        tenant,
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}
