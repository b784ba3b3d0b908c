//! `events`, `losses` and `recoveries`: each came with a batch, whose epoch has a row.

use futures_util::TryStreamExt as _;
use storepulse_shared::ids::StoreId;

use super::super::finding::Check;
use crate::db::TenantTx;

/// Those of epochs that have none.
pub(in crate::verify) async fn faults(
    tx: &mut TenantTx,
    store: &StoreId,
    mut found: impl FnMut(Check, String),
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let mut rows = sqlx::query!(
        r#"with named as (
            select 'events' as what, epoch from events where tenant_id = $1 and store_id = $2
            union all select 'losses', epoch from losses where tenant_id = $1 and store_id = $2
            union all select 'recoveries', epoch from recoveries where tenant_id = $1 and store_id = $2
        )
        select what as "what!", epoch as "epoch!", count(*) as "n!" from named
        where not exists (
            select from streams s where s.tenant_id = $1 and s.store_id = $2 and s.epoch = named.epoch
        )
        group by what, epoch"#,
        tenant,
        store.as_str(),
    )
    .fetch(tx.connection());
    while let Some(row) = rows.try_next().await? {
        found(
            Check::Orphan,
            format!("{} {} are of epoch {}, which has no stream", row.n, row.what, row.epoch),
        );
    }
    Ok(())
}
