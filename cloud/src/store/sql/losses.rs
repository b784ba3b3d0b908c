//! What was lost or rejected of a store, in pages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use storepulse_shared::ids::StoreId;
use storepulse_shared::seqs::SeqSet;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;
use crate::delivery::LossRow;
use crate::store::parameters::TimeRange;

/// Where a record of a loss stands: by the time of its recording, then by its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct LossPlace {
    /// Microseconds since 1970, as fine as PostgreSQL keeps it.
    pub recorded_us: i64,
    pub loss_id: String,
}

impl LossPlace {
    pub(in crate::store) fn of(row: &LossRow) -> Self {
        let recorded_us = row.recorded_at.unix_timestamp_nanos() / 1_000;
        Self { recorded_us: i64::try_from(recorded_us).unwrap_or(i64::MAX), loss_id: row.loss_id.clone() }
    }

    /// A time that no calendar has comes from nobody but a forger, and stands before everything.
    fn recorded_at(&self) -> OffsetDateTime {
        let nanos = i128::from(self.recorded_us) * 1_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// Which records. What is `None` is not asked for.
#[derive(Debug)]
pub(in crate::store) struct LossFilter<'a> {
    /// Those that touch this range.
    pub range: TimeRange,
    pub reason: Option<&'a str>,
    /// Only samples that were rejected, or only what was lost.
    pub rejected: Option<bool>,
    /// Only those that stand before this one.
    pub before: Option<&'a LossPlace>,
    pub limit: i64,
}

/// Records of the range, the last recorded first.
pub(in crate::store) async fn losses(
    tx: &mut TenantTx,
    store: &StoreId,
    filter: &LossFilter<'_>,
) -> Result<Vec<LossRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let (recorded_at, loss_id) =
        filter.before.map(|place| (place.recorded_at(), place.loss_id.as_str())).unzip();
    sqlx::query_as!(
        LossRow,
        r#"select l.epoch, l.loss_id, l.seq, l.path, l.lane, l.t_from, l.t_to, l.samples, l.events, l.reason,
            l.seqs as "seqs!: Json<BTreeMap<Uuid, SeqSet>>",
            l.delivered_after_all as "delivered_after_all?: Json<BTreeMap<Uuid, SeqSet>>", l.recorded_at,
            r.samples as "recovered_samples!", r.events as "recovered_events!",
            r.numbers as "recovered!: Json<Vec<(Uuid, u64)>>"
        from (
            select * from losses
            where tenant_id = $1 and store_id = $2 and t_to >= $3 and t_from <= $4
              and ($5::text is null or reason = $5)
              and ($6::bool is null or (path is not null) = $6)
              and ($7::timestamptz is null or (recorded_at, loss_id) < ($7, $8))
            order by recorded_at desc, loss_id desc
            limit $9
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
        order by l.recorded_at desc, l.loss_id desc"#,
        tenant,
        store.as_str(),
        filter.range.from_ms,
        filter.range.to_ms,
        filter.reason,
        filter.rejected,
        recorded_at,
        loss_id,
        filter.limit,
    )
    .fetch_all(tx.connection())
    .await
}
