//! The inbox. Whoever changes its columns changes this file.

use futures_util::TryStreamExt as _;
use storepulse_shared::ids::StoreId;

use super::super::finding::Check;
use crate::db::TenantTx;

/// What is in the inbox of a store.
#[derive(Debug)]
pub(in crate::verify) struct Hot {
    pub batches: i64,
    pub samples: i64,
}

/// Rows, and samples by their own count.
pub(in crate::verify) async fn totals(tx: &mut TenantTx, store: &StoreId) -> Result<Hot, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Hot,
        r#"select count(*) as "batches!", coalesce(sum(n), 0)::bigint as "samples!" from sample_batches
        where tenant_id = $1 and store_id = $2"#,
        tenant,
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

/// Rows without a receipt, rows that stand there twice, rows whose columns do not fit each other, rows with samples of series
/// that are not the store's.
pub(in crate::verify) async fn faults(
    tx: &mut TenantTx,
    store: &StoreId,
    mut found: impl FnMut(Check, String),
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let mut rows = sqlx::query!(
        r#"select b.epoch, b.seq, b.received_day,
            not coalesce(s.received @> b.seq, false) as "unreceived!", coalesce(s.void @> b.seq, false) as "void!",
            b.n = cardinality(b.vals)
                -- Without group_runs every run is a group of its own.
                and (b.group_runs is null or cardinality(b.group_runs) = cardinality(b.run_lengths))
                and (
                    select coalesce(sum(coalesce(g.runs, 1)), 0) = cardinality(b.series_ids)
                        and coalesce(sum(coalesce(g.runs, 1) * g.length), 0) = b.n
                        and coalesce(sum(g.length), 0) = cardinality(b.t_offsets)
                    from unnest(b.group_runs, b.run_lengths) as g (runs, length)
                ) as "fits!",
            (b.n = 0) = (b.t_min is null) and (b.n = 0) = (b.t_max is null)
                and coalesce((select min(t) = 0 and max(t) = b.t_max - b.t_min from unnest(b.t_offsets) as t), true) as "spans!",
            (select string_agg(id::text, ', ') from unnest(b.series_ids) as id where not exists (
                select from series e where e.tenant_id = $1 and e.series_id = id and e.store_id = $2
            )) as foreign_series,
            count(*) over (partition by b.epoch, b.seq) as "times!"
        from sample_batches b
        left join streams s on s.tenant_id = $1 and s.store_id = $2 and s.epoch = b.epoch
        where b.tenant_id = $1 and b.store_id = $2"#,
        tenant,
        store.as_str(),
    )
    .fetch(tx.connection());
    while let Some(row) = rows.try_next().await? {
        let name = format!("batch {}/{} of {}", row.epoch, row.seq, row.received_day);
        if row.unreceived {
            found(Check::Receipt, format!("{name} is in the inbox, and its number is not received"));
        }
        if row.void {
            found(Check::Receipt, format!("{name} is in the inbox, and its number is void"));
        }
        if row.times > 1 {
            found(Check::Twice, format!("{name} is in the inbox {} times", row.times));
        }
        if !row.fits {
            found(Check::Batch, format!("{name}: n, runs, times and values are not equally many"));
        } else if !row.spans {
            found(Check::Batch, format!("{name}: t_min and t_max are not those of its times"));
        }
        if let Some(series) = row.foreign_series {
            found(Check::Series, format!("{name} has samples of series {series}, which this store has not"));
        }
    }
    Ok(())
}
