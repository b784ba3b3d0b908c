//! The series of a store.

use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

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
    pub device_id: String,
    pub device_kind: String,
    pub name: String,
    pub metric: String,
    pub unit: Option<String>,
}

/// The series of a store, by device and name as bytes, so that the order does not depend on the server's language.
pub(in crate::store) async fn series(
    tx: &mut TenantTx,
    store: &StoreId,
    filter: &Filter,
) -> Result<Vec<SeriesRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let (label, value) = filter.label.as_ref().map(|(label, value)| (label.as_str(), value.as_str())).unzip();
    sqlx::query_as!(
        SeriesRow,
        r#"select series_id, device_id, device_kind, name, metric, unit from series
        where tenant_id = $1 and store_id = $2
          and ($3::text is null or device_id = $3) and ($4::text is null or metric = $4)
          and ($5::text is null or labels ->> $5 = $6)
        order by device_id collate "C", name collate "C" "#,
        tenant,
        store.as_str(),
        filter.device.as_deref(),
        filter.metric.as_deref(),
        label,
        value,
    )
    .fetch_all(tx.connection())
    .await
}
