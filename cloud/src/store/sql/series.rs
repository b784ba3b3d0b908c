//! The series of stores.

use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

/// Most series that one request reads: more than a store has, and fewer than a chain may have.
pub(in crate::store) const SERIES_MAX: usize = 50_000;

/// Which series. What is `None` is not asked for.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Filter {
    /// Of this device.
    pub device: Option<String>,
    /// Of this metric.
    pub metric: Option<String>,
    /// With this label and value.
    pub label: Option<(String, String)>,
}

#[derive(Debug)]
pub(in crate::store) struct SeriesRow {
    pub series_id: i32,
    pub store_id: String,
    pub device_id: String,
    pub device_kind: String,
    pub name: String,
    pub metric: String,
    pub unit: Option<String>,
}

/// The series of these stores, by store, device and name as bytes, so that the order does not depend on the server's
/// language. One more than [`SERIES_MAX`] shows that there are more.
pub(in crate::store) async fn series(
    tx: &mut TenantTx,
    stores: &[StoreId],
    filter: &Filter,
) -> Result<Vec<SeriesRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let stores: Vec<String> = stores.iter().map(StoreId::to_string).collect();
    let limit = i64::try_from(SERIES_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let (label, value) = filter.label.as_ref().map(|(label, value)| (label.as_str(), value.as_str())).unzip();
    sqlx::query_as!(
        SeriesRow,
        r#"select series_id, store_id, device_id, device_kind, name, metric, unit from series
        where tenant_id = $1 and store_id = any($2)
          and ($3::text is null or device_id = $3) and ($4::text is null or metric = $4)
          and ($5::text is null or labels ->> $5 = $6)
        order by store_id collate "C", device_id collate "C", name collate "C"
        limit $7"#,
        tenant,
        &stores,
        filter.device.as_deref(),
        filter.metric.as_deref(),
        label,
        value,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}
