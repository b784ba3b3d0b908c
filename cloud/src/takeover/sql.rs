//! `takeovers` and `takeover_tallies`, and the receipts of what was taken over.

use storepulse_shared::ids::{Epoch, StoreId};

use super::rows::{Place, Tallies, Tally};
use crate::db::TenantTx;

/// How far a takeover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) origin: i64,
    pub(super) lower: i64,
    pub(super) upper: i64,
    pub(super) filenode: i64,
    pub(super) next_block: i64,
    pub(super) blocks: i64,
}

/// Where the takeover of a table is; `None` before it was begun.
pub(super) async fn find(tx: &mut TenantTx, source: &str) -> Result<Option<State>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        State,
        "select origin, lower, upper, filenode, next_block, blocks from takeovers
        where tenant_id = $1 and source = $2",
        tenant,
        source,
    )
    .fetch_optional(tx.connection())
    .await
}

/// Begins one.
pub(super) async fn begin(
    tx: &mut TenantTx,
    (source, table): (&str, &str),
    state: &State,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into takeovers (tenant_id, source, table_name, origin, lower, upper, filenode, next_block, blocks)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant,
        source,
        table,
        state.origin,
        state.lower,
        state.upper,
        state.filenode,
        state.next_block,
        state.blocks,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Goes on from one state to the next; `false` if it is not in that state any more.
pub(super) async fn go_on(
    tx: &mut TenantTx,
    source: &str,
    from: &State,
    to: &State,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update takeovers set lower = $3, upper = $4, filenode = $5, next_block = $6, blocks = $7, updated_at = now()
        where tenant_id = $1 and source = $2 and upper = $8 and next_block = $9",
        tenant,
        source,
        to.lower,
        to.upper,
        to.filenode,
        to.next_block,
        to.blocks,
        from.upper,
        from.next_block,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Forgets how far it had come and what was counted; what was stored stays.
pub(super) async fn forget(tx: &mut TenantTx, source: &str) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!("delete from takeover_tallies where tenant_id = $1 and source = $2", tenant, source)
        .execute(tx.connection())
        .await?;
    sqlx::query!("delete from takeovers where tenant_id = $1 and source = $2", tenant, source)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Adds to what was counted.
pub(super) async fn add(tx: &mut TenantTx, source: &str, tallies: &Tallies) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let text = |of: fn(&Place) -> &str| tallies.keys().map(|p| of(p).to_owned()).collect::<Vec<_>>();
    let rows: Vec<i64> = tallies.values().map(|t| t.rows).collect();
    let totals: Vec<f64> = tallies.values().map(|t| t.total).collect();
    let firsts: Vec<Option<i64>> = tallies.values().map(|t| t.span.map(|(first, _)| first)).collect();
    let lasts: Vec<Option<i64>> = tallies.values().map(|t| t.span.map(|(_, last)| last)).collect();
    let examples: Vec<Option<String>> = tallies.values().map(|t| t.example.clone()).collect();
    sqlx::query!(
        r#"insert into takeover_tallies as here
            (tenant_id, source, store, device, metric, reason, rows, total, t_first, t_last, example)
        select $1, $2, t.* from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::float8[],
            $9::bigint[], $10::bigint[], $11::text[]) as t
        on conflict (tenant_id, source, store, device, metric, reason) do update set
            rows = here.rows + excluded.rows, total = here.total + excluded.total,
            t_first = least(here.t_first, excluded.t_first), t_last = greatest(here.t_last, excluded.t_last),
            example = coalesce(here.example, excluded.example)"#,
        tenant,
        source,
        &text(|p| &p.store),
        &text(|p| &p.device),
        &text(|p| &p.metric),
        &text(|p| &p.reason),
        &rows,
        &totals,
        &firsts as &[Option<i64>],
        &lasts as &[Option<i64>],
        &examples as &[Option<String>],
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// All that was counted.
pub(super) async fn tallies(tx: &mut TenantTx, source: &str) -> Result<Tallies, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        "select store, device, metric, reason, rows, total, t_first, t_last, example from takeover_tallies
        where tenant_id = $1 and source = $2",
        tenant,
        source,
    )
    .fetch_all(tx.connection())
    .await?;
    let of = rows.into_iter().map(|row| {
        let place = Place { store: row.store, device: row.device, metric: row.metric, reason: row.reason };
        let span = row.t_first.zip(row.t_last);
        (place, Tally { rows: row.rows, total: row.total, span, example: row.example })
    });
    Ok(of.collect())
}

/// The highest number of an epoch of the store.
pub(super) async fn sealed(tx: &mut TenantTx, store: &StoreId, epoch: Epoch) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let sealed = sqlx::query_scalar!(
        "select sealed from streams where tenant_id = $1 and store_id = $2 and epoch = $3",
        tenant,
        store.as_str(),
        epoch.uuid(),
    );
    let sealed = sealed.fetch_optional(tx.connection()).await?;
    Ok(sealed.and_then(|n| u64::try_from(n).ok()).unwrap_or_default())
}

/// The ids of the tenant's stores.
pub(super) async fn stores(tx: &mut TenantTx) -> Result<Vec<String>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!("select store_id from stores where tenant_id = $1", tenant)
        .fetch_all(tx.connection())
        .await
}

/// How many samples were received in an epoch of the store.
pub(super) async fn received(tx: &mut TenantTx, store: &StoreId, epoch: Epoch) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let samples = sqlx::query_scalar!(
        "select samples from streams where tenant_id = $1 and store_id = $2 and epoch = $3",
        tenant,
        store.as_str(),
        epoch.uuid(),
    );
    Ok(samples.fetch_optional(tx.connection()).await?.unwrap_or_default())
}
