//! A store, its openings of a spool, and what its status tells of losses and events.

use storepulse_shared::ids::StoreId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;

#[derive(Debug)]
pub(in crate::store) struct StoreRow {
    pub store_id: String,
    pub name: String,
    pub status: String,
    pub last_received_at: Option<OffsetDateTime>,
}

pub(in crate::store) async fn find_store(
    tx: &mut TenantTx,
    store: &StoreId,
) -> Result<Option<StoreRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        StoreRow,
        r#"select s.store_id, s.name, s.status,
            (select max(last_received_at) from streams r where r.tenant_id = $1 and r.store_id = s.store_id)
                as last_received_at
        from stores s where s.tenant_id = $1 and s.store_id = $2"#,
        tenant,
        store.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// These stores, in the order of their ids as bytes.
pub(in crate::store) async fn find_stores(
    tx: &mut TenantTx,
    stores: &[StoreId],
) -> Result<Vec<StoreRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let stores: Vec<String> = stores.iter().map(StoreId::to_string).collect();
    sqlx::query_as!(
        StoreRow,
        r#"select s.store_id, s.name, s.status,
            (select max(last_received_at) from streams r where r.tenant_id = $1 and r.store_id = s.store_id)
                as last_received_at
        from stores s where s.tenant_id = $1 and s.store_id = any($2) order by s.store_id collate "C""#,
        tenant,
        &stores,
    )
    .fetch_all(tx.connection())
    .await
}

#[derive(Debug)]
pub(in crate::store) struct StreamRow {
    pub epoch: Uuid,
    pub sealed: i64,
    pub received: i64,
    pub void: i64,
    pub missing: i64,
    pub through: i64,
    pub samples: i64,
    pub forked: bool,
    pub agent_version: Option<String>,
    pub last_received_at: OffsetDateTime,
}

/// The latest openings of the store's spool, newest first.
pub(in crate::store) async fn streams(
    tx: &mut TenantTx,
    store: &StoreId,
    limit: i64,
) -> Result<Vec<StreamRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        StreamRow,
        r#"select epoch, sealed, samples, forked, agent_version, last_received_at,
            (select coalesce(sum(upper(r) - lower(r)), 0) from unnest(received) r)::bigint as "received!",
            (select coalesce(sum(upper(r) - lower(r)), 0) from unnest(void) r)::bigint as "void!",
            (select coalesce(sum(upper(r) - lower(r)), 0)
                from unnest(int8multirange(int8range(1, sealed + 1)) - received - void) r)::bigint as "missing!",
            through(received + void) as "through!"
        from streams
        where tenant_id = $1 and store_id = $2
        order by last_received_at desc, epoch
        limit $3"#,
        tenant,
        store.as_str(),
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

#[derive(Debug)]
pub(in crate::store) struct StreamTotals {
    pub missing: i64,
    pub forked: bool,
}

/// Over all openings of the store's spool.
pub(in crate::store) async fn stream_totals(
    tx: &mut TenantTx,
    store: &StoreId,
) -> Result<StreamTotals, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        StreamTotals,
        r#"select coalesce(sum(upper(r) - lower(r)), 0)::bigint as "missing!", coalesce(bool_or(forked), false) as "forked!"
        from streams s
        left join lateral unnest(int8multirange(int8range(1, sealed + 1)) - received - void) r on true
        where s.tenant_id = $1 and s.store_id = $2"#,
        tenant,
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

#[derive(Debug)]
pub(in crate::store) struct LossTotals {
    pub reason: String,
    pub losses: i64,
    pub samples: i64,
}

/// What was lost or rejected, by reason.
pub(in crate::store) async fn loss_totals(
    tx: &mut TenantTx,
    store: &StoreId,
) -> Result<Vec<LossTotals>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        LossTotals,
        r#"select reason, count(*) as "losses!", sum(samples)::bigint as "samples!" from losses
        where tenant_id = $1 and store_id = $2 group by reason order by reason"#,
        tenant,
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}

#[derive(Debug)]
pub(in crate::store) struct EventRow {
    pub device_id: String,
    pub t: i64,
    pub kind: String,
    pub text: String,
}

/// The latest events, newest first.
pub(in crate::store) async fn latest_events(
    tx: &mut TenantTx,
    store: &StoreId,
    limit: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        EventRow,
        "select device_id, t, kind, text from events where tenant_id = $1 and store_id = $2 order by t desc limit $3",
        tenant,
        store.as_str(),
        limit,
    )
    .fetch_all(tx.connection())
    .await
}
