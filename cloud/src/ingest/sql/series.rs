//! `series` and `series_counters`.

use storepulse_shared::ids::StoreId;

use super::super::series::{NewSeries, StoreSeries};
use crate::db::TenantTx;

/// All series of a store that are in use.
pub(in crate::ingest) async fn of_store(
    tx: &mut TenantTx,
    store: &StoreId,
) -> Result<StoreSeries, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        "select device_id, name, series_id from series where tenant_id = $1 and store_id = $2 and retired_at is null",
        tenant,
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await?;
    let mut known = StoreSeries::default();
    for row in rows {
        known.insert(row.device_id, row.name, row.series_id);
    }
    Ok(known)
}

/// Creates those of these that nobody else has created meanwhile, and revives the retired. The counter's row makes creators of one tenant
/// wait for each other, which is rare and short; ingest itself never touches it.
pub(in crate::ingest) async fn create(
    tx: &mut TenantTx,
    store: &StoreId,
    missing: &[NewSeries],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let count = i32::try_from(missing.len()).unwrap_or(i32::MAX);
    let last_id = sqlx::query_scalar!(
        r#"insert into series_counters as c (tenant_id, last_id) values ($1, $2)
        on conflict (tenant_id) do update set last_id = c.last_id + excluded.last_id
        returning last_id"#,
        tenant,
        count,
    )
    .fetch_one(tx.connection())
    .await?;
    let text =
        |field: fn(&NewSeries) -> &str| missing.iter().map(|s| field(s).to_owned()).collect::<Vec<_>>();
    let units: Vec<Option<String>> = missing.iter().map(|s| s.unit.map(str::to_owned)).collect();
    let labels: Vec<serde_json::Value> = missing.iter().map(|s| s.labels.clone()).collect();
    sqlx::query!(
        r#"insert into series (tenant_id, series_id, store_id, device_id, device_kind, name, metric, labels, unit)
        select $1, $2 + n::integer, $3, device, kind, name, metric, labels, unit
        from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[])
            with ordinality as new (device, kind, name, metric, labels, unit, n)
        on conflict (tenant_id, store_id, device_id, name) do update set retired_at = null
            where series.retired_at is not null"#,
        tenant,
        last_id - count,
        store.as_str(),
        &text(|s| &s.device),
        &text(|s| &s.kind),
        &text(|s| &s.name),
        &text(|s| &s.metric),
        &labels,
        &units as &[Option<String>],
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
