//! Reads of the inbox, row by row: what is no longer wanted is not fetched.

use futures_util::TryStreamExt as _;

use super::decode::{Samples, StoredBatch};
use super::{Range, ReadError};
use crate::db::TenantTx;

/// Adds what the inbox has, in the order of its receipt.
pub(super) async fn add_inbox(
    tx: &mut TenantTx,
    range: Range<'_>,
    samples: &mut Samples,
) -> Result<(), ReadError> {
    let tenant = tx.tenant().to_owned();
    let mut rows = sqlx::query_as!(
        StoredBatch,
        r#"select t_min as "t_min!", series_ids, group_runs, run_lengths, t_offsets, vals
        from sample_batches
        where tenant_id = $1 and store_id = $2 and t_max >= $3 and t_min <= $4 and series_ids && $5
        order by received_at, epoch, seq"#,
        tenant,
        range.store.as_str(),
        range.from_ms,
        range.to_ms,
        range.series_ids,
    )
    .fetch(tx.connection());
    while let Some(batch) = rows.try_next().await? {
        samples.add(&batch)?;
    }
    Ok(())
}
