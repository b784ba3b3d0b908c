//! `series_days`, some series at a time.

use futures_util::stream::BoxStream;
use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;
use crate::samples::StoredPart;

/// The next series of a store, by number.
pub(in crate::verify) async fn series_after(
    tx: &mut TenantTx,
    store: &StoreId,
    after: i32,
    limit: i64,
) -> Result<Vec<i32>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select series_id from series where tenant_id = $1 and store_id = $2 and series_id > $3
        order by series_id limit $4"#,
        tenant,
        store.as_str(),
        after,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

/// All parts of these series, one by one, by series, day and time.
pub(in crate::verify) fn of_series<'a>(
    tx: &'a mut TenantTx,
    tenant: &'a str,
    series: &'a [i32],
) -> BoxStream<'a, Result<StoredPart, sqlx::Error>> {
    sqlx::query_as!(
        StoredPart,
        r#"select series_id, day, part, n, checksum, t_first, t_last, clock, times, vals from series_days
        where tenant_id = $1 and series_id = any ($2)
        order by series_id, day, t_first"#,
        tenant,
        series,
    )
    .fetch(tx.connection())
}
