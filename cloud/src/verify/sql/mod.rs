//! The SQL of `verify`: reads only. The columns of the inbox are named in `inbox` and nowhere else here.

pub(super) mod inbox;
pub(super) mod ledger;
pub(super) mod parts;
pub(super) mod records;

use storepulse_shared::ids::{StoreId, TenantId};

use super::finding::Check;
use crate::db::{ControlTx, TenantTx};

/// All tenants, whatever their status.
pub(super) async fn tenants(tx: &mut ControlTx) -> Result<Vec<TenantId>, sqlx::Error> {
    let ids = sqlx::query_scalar!("select tenant_id from tenants order by tenant_id");
    let ids = ids.fetch_all(tx.connection()).await?;
    ids.into_iter().map(|id| id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))).collect()
}

/// All stores of the tenant.
pub(super) async fn stores(tx: &mut TenantTx) -> Result<Vec<StoreId>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let ids =
        sqlx::query_scalar!("select store_id from stores where tenant_id = $1 order by store_id", tenant);
    let ids = ids.fetch_all(tx.connection()).await?;
    ids.into_iter().map(|id| id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))).collect()
}

/// What the tenant holds that belongs to none of its stores or series, and a counter that would give a number twice. Foreign
/// keys forbid most of it; a restore of single tables does not ask them.
pub(super) async fn orphans(tx: &mut TenantTx) -> Result<Vec<(String, Check)>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        r#"with of_no_store as (
            select 'series' as what, store_id, count(*) as n from series where tenant_id = $1 group by store_id
            union all select 'streams', store_id, count(*) from streams where tenant_id = $1 group by store_id
            union all select 'sample_batches', store_id, count(*) from sample_batches where tenant_id = $1 group by store_id
            union all select 'events', store_id, count(*) from events where tenant_id = $1 group by store_id
            union all select 'losses', store_id, count(*) from losses where tenant_id = $1 group by store_id
        )
        select format('%s rows of %s are of store %s, which does not exist', n, what, store_id) as "what!", false as "counter!"
        from of_no_store o
        where not exists (select from stores s where s.tenant_id = $1 and s.store_id = o.store_id)
        union all
        select format('%s parts of series_days are of series %s, which does not exist', count(*), d.series_id), false
        from series_days d
        where d.tenant_id = $1 and not exists (select from series s where s.tenant_id = $1 and s.series_id = d.series_id)
        group by d.series_id
        union all
        select format('series_counters.last_id is %s, and there is a series %s', coalesce(c.last_id, 0), s.highest), true
        from (select max(series_id) as highest from series where tenant_id = $1) s
        left join series_counters c on c.tenant_id = $1
        where s.highest > coalesce(c.last_id, 0)"#,
        tenant,
    )
    .fetch_all(tx.connection())
    .await?;
    let check = |counter| if counter { Check::Counter } else { Check::Orphan };
    Ok(rows.into_iter().map(|row| (row.what, check(row.counter))).collect())
}
