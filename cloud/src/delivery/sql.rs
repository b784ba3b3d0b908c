//! Reads of `streams`, `losses` and `recoveries`.

use std::collections::BTreeMap;

use sqlx::types::Json;
use storepulse_shared::ids::StoreId;
use storepulse_shared::seqs::SeqSet;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;

#[derive(Debug)]
pub(super) struct TotalsRow {
    pub epochs: i64,
    pub sealed: i64,
    pub received: i64,
    pub void: i64,
    pub missing: i64,
    pub samples: i64,
    pub bytes: i64,
    pub forked: bool,
    pub losses: i64,
    pub lost_samples: i64,
    pub lost_events: i64,
    pub recovered_samples: i64,
    pub recovered_events: i64,
}

/// Over all openings of the store's spool.
pub(super) async fn totals(tx: &mut TenantTx, store: &StoreId) -> Result<TotalsRow, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        TotalsRow,
        r#"select s.epochs as "epochs!", s.sealed as "sealed!", s.received as "received!", s.void as "void!",
            s.missing as "missing!", s.samples as "samples!", s.bytes as "bytes!", s.forked as "forked!",
            l.losses as "losses!", l.samples as "lost_samples!", l.events as "lost_events!",
            r.samples as "recovered_samples!", r.events as "recovered_events!"
        from (
            select count(*) as epochs, coalesce(sum(sealed), 0)::bigint as sealed,
                coalesce(sum(r.n), 0)::bigint as received, coalesce(sum(v.n), 0)::bigint as void,
                coalesce(sum(m.n), 0)::bigint as missing, coalesce(sum(samples), 0)::bigint as samples,
                coalesce(sum(bytes), 0)::bigint as bytes, coalesce(bool_or(forked), false) as forked
            from streams
            cross join lateral (select sum(upper(x) - lower(x)) as n from unnest(received) x) r
            cross join lateral (select sum(upper(x) - lower(x)) as n from unnest(void) x) v
            cross join lateral (
                select sum(upper(x) - lower(x)) as n
                from unnest(int8multirange(int8range(1, sealed + 1)) - received - void) x
            ) m
            where tenant_id = $1 and store_id = $2
        ) s, (
            select count(*) as losses, coalesce(sum(samples), 0)::bigint as samples,
                coalesce(sum(events), 0)::bigint as events
            from losses where tenant_id = $1 and store_id = $2
        ) l, (
            select coalesce(sum(samples), 0)::bigint as samples, coalesce(sum(events), 0)::bigint as events
            from (
                select distinct r.epoch, r.seq, r.samples, r.events
                from losses l
                cross join lateral jsonb_each(l.seqs) as told (epoch, ranges)
                cross join lateral jsonb_array_elements(told.ranges) as range
                join recoveries r on r.tenant_id = $1 and r.store_id = $2 and r.lost_epoch = told.epoch::uuid
                    and r.lost_seq between (range ->> 0)::bigint and (range ->> 1)::bigint
                where l.tenant_id = $1 and l.store_id = $2 and l.reason = 'quarantined'
            ) of_told
        ) r"#,
        tenant,
        store.as_str(),
    )
    .fetch_one(tx.connection())
    .await
}

/// Which epochs.
#[derive(Debug)]
pub(super) struct Page {
    /// Only this one.
    pub epoch: Option<Uuid>,
    /// Only those that came before this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

#[derive(Debug)]
pub(super) struct EpochRow {
    pub epoch: Uuid,
    pub sealed: i64,
    pub received: i64,
    pub received_ranges: i64,
    pub received_shown: Json<Vec<(i64, i64)>>,
    pub void: i64,
    pub void_ranges: i64,
    pub void_shown: Json<Vec<(i64, i64)>>,
    pub missing: i64,
    pub missing_ranges: i64,
    pub missing_shown: Json<Vec<(i64, i64)>>,
    pub through: i64,
    pub after_epoch: Option<Uuid>,
    pub after_seq: Option<i64>,
    pub first_received_at: OffsetDateTime,
    pub last_received_at: OffsetDateTime,
    pub forked: bool,
    pub flat: bool,
    pub agent_version: Option<String>,
    pub host_id: Option<String>,
    pub samples: i64,
    pub bytes: i64,
}

/// Openings of the store's spool, newest first, with the first `ranges_max` ranges of each kind of number.
pub(super) async fn epochs(
    tx: &mut TenantTx,
    store: &StoreId,
    page: &Page,
    ranges_max: i64,
) -> Result<Vec<EpochRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        EpochRow,
        r#"select s.epoch, s.sealed, through(s.received + s.void) as "through!", s.after_epoch, s.after_seq,
            s.first_received_at, s.last_received_at, s.forked, s.flat, s.agent_version, s.host_id, s.samples, s.bytes,
            r.n as "received!", r.ranges as "received_ranges!", r.shown as "received_shown!: Json<Vec<(i64, i64)>>",
            v.n as "void!", v.ranges as "void_ranges!", v.shown as "void_shown!: Json<Vec<(i64, i64)>>",
            m.n as "missing!", m.ranges as "missing_ranges!", m.shown as "missing_shown!: Json<Vec<(i64, i64)>>"
        from streams s
        cross join lateral (
            select coalesce(sum(upper(x) - lower(x)), 0)::bigint as n, count(*) as ranges,
                coalesce(jsonb_agg(jsonb_build_array(lower(x), upper(x) - 1) order by place) filter (where place <= $6), '[]') as shown
            from unnest(s.received) with ordinality as u (x, place)
        ) r
        cross join lateral (
            select coalesce(sum(upper(x) - lower(x)), 0)::bigint as n, count(*) as ranges,
                coalesce(jsonb_agg(jsonb_build_array(lower(x), upper(x) - 1) order by place) filter (where place <= $6), '[]') as shown
            from unnest(s.void) with ordinality as u (x, place)
        ) v
        cross join lateral (
            select coalesce(sum(upper(x) - lower(x)), 0)::bigint as n, count(*) as ranges,
                coalesce(jsonb_agg(jsonb_build_array(lower(x), upper(x) - 1) order by place) filter (where place <= $6), '[]') as shown
            from unnest(int8multirange(int8range(1, s.sealed + 1)) - s.received - s.void) with ordinality as u (x, place)
        ) m
        where s.tenant_id = $1 and s.store_id = $2
          and ($3::uuid is null or s.epoch = $3)
          and ($4::uuid is null or (s.first_received_at, s.epoch) < (
              select c.first_received_at, c.epoch from streams c
              where c.tenant_id = $1 and c.store_id = $2 and c.epoch = $4
          ))
        order by s.first_received_at desc, s.epoch desc
        limit $5"#,
        tenant,
        store.as_str(),
        page.epoch,
        page.before,
        page.limit,
        ranges_max,
    )
    .fetch_all(tx.connection())
    .await
}

#[derive(Debug)]
pub(super) struct ReasonRow {
    pub epoch: Uuid,
    pub reason: String,
    pub losses: i64,
    pub samples: i64,
    pub events: i64,
}

/// What the batches of these epochs reported, by reason.
pub(super) async fn reasons(
    tx: &mut TenantTx,
    store: &StoreId,
    epochs: &[Uuid],
) -> Result<Vec<ReasonRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        ReasonRow,
        r#"select epoch, reason, count(*) as "losses!", sum(samples)::bigint as "samples!", sum(events)::bigint as "events!"
        from losses where tenant_id = $1 and store_id = $2 and epoch = any ($3)
        group by epoch, reason order by epoch, reason"#,
        tenant,
        store.as_str(),
        epochs,
    )
    .fetch_all(tx.connection())
    .await
}

#[derive(Debug)]
pub(crate) struct LossRow {
    pub epoch: Uuid,
    pub loss_id: String,
    pub seq: i64,
    pub path: Option<String>,
    pub lane: String,
    pub t_from: i64,
    pub t_to: i64,
    pub samples: i64,
    pub events: i64,
    pub reason: String,
    pub seqs: Json<BTreeMap<Uuid, SeqSet>>,
    pub delivered_after_all: Option<Json<BTreeMap<Uuid, SeqSet>>>,
    pub recovered_samples: i64,
    pub recovered_events: i64,
    /// Epoch and number of each batch of which something was recovered.
    pub recovered: Json<Vec<(Uuid, u64)>>,
    pub recorded_at: OffsetDateTime,
}

/// What the batches of these epochs reported one by one, newest first, at most `limit` of each epoch.
pub(super) async fn losses(
    tx: &mut TenantTx,
    store: &StoreId,
    epochs: &[Uuid],
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<LossRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        LossRow,
        r#"select l.epoch, l.loss_id, l.seq, l.path, l.lane, l.t_from, l.t_to, l.samples, l.events, l.reason,
            l.seqs as "seqs!: Json<BTreeMap<Uuid, SeqSet>>",
            l.delivered_after_all as "delivered_after_all?: Json<BTreeMap<Uuid, SeqSet>>", l.recorded_at,
            r.samples as "recovered_samples!", r.events as "recovered_events!",
            r.numbers as "recovered!: Json<Vec<(Uuid, u64)>>"
        from unnest($3::uuid[]) as e (epoch)
        cross join lateral (
            select * from losses
            where tenant_id = $1 and store_id = $2 and losses.epoch = e.epoch
              and ($4::text is null or (recorded_at, loss_id) < (
                  select c.recorded_at, c.loss_id from losses c
                  where c.tenant_id = $1 and c.store_id = $2 and c.loss_id = $4
              ))
            order by recorded_at desc, loss_id desc
            limit $5
        ) l
        cross join lateral (
            select coalesce(sum(samples), 0)::bigint as samples, coalesce(sum(events), 0)::bigint as events,
                coalesce(jsonb_agg(distinct jsonb_build_array(r.lost_epoch, r.lost_seq)), '[]') as numbers
            from jsonb_each(l.seqs) as told (epoch, ranges)
            cross join lateral jsonb_array_elements(told.ranges) as range
            join recoveries r on r.tenant_id = $1 and r.store_id = $2 and r.lost_epoch = told.epoch::uuid
                and r.lost_seq between (range ->> 0)::bigint and (range ->> 1)::bigint
            where l.reason = 'quarantined'
        ) r
        order by l.epoch, l.recorded_at desc, l.loss_id desc"#,
        tenant,
        store.as_str(),
        epochs,
        before,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}
