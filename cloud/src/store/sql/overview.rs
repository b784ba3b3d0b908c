//! All stores of a tenant, with what has arrived of each.

use time::OffsetDateTime;

use crate::db::TenantTx;

#[derive(Debug)]
pub(in crate::store) struct OverviewRow {
    pub store_id: String,
    pub name: String,
    pub status: String,
    pub last_received_at: Option<OffsetDateTime>,
    pub agent_version: Option<String>,
    pub epochs: i64,
    pub missing: i64,
    pub samples: i64,
    pub samples_today: i64,
    pub bytes_today: i64,
    pub forked: bool,
    pub open_losses: i64,
    pub lost_samples: i64,
    pub rejected_samples: i64,
}

/// Whether there is such a tenant.
pub(in crate::store) async fn tenant_exists(tx: &mut TenantTx) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(r#"select exists (select from tenants where tenant_id = $1) as "exists!""#, tenant)
        .fetch_one(tx.connection())
        .await
}

/// Every store of the tenant, by its id. Losses are those recorded in the last `loss_days` days; a loss is open while its
/// numbers have not been delivered after all and no replay has brought all of its samples and events.
///
/// An epoch of which nothing is missing is the rule; its ranges are compared whole and not taken apart.
pub(in crate::store) async fn overview(
    tx: &mut TenantTx,
    loss_days: i32,
) -> Result<Vec<OverviewRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        OverviewRow,
        r#"select s.store_id, s.name, s.status, r.last_received_at as "last_received_at?",
            r.agent_version as "agent_version?", coalesce(r.epochs, 0) as "epochs!",
            coalesce(r.missing, 0)::bigint as "missing!", coalesce(r.samples, 0)::bigint as "samples!",
            coalesce(r.samples_today, 0)::bigint as "samples_today!",
            coalesce(r.bytes_today, 0)::bigint as "bytes_today!", coalesce(r.forked, false) as "forked!",
            coalesce(l.open_losses, 0) as "open_losses!", coalesce(l.lost_samples, 0)::bigint as "lost_samples!",
            coalesce(l.rejected_samples, 0)::bigint as "rejected_samples!"
        from stores s
        left join (
            select store_id, count(*) as epochs,
                max(last_received_at) filter (where not isempty(received)) as last_received_at,
                (array_agg(agent_version order by last_received_at desc) filter (where agent_version is not null))[1]
                    as agent_version,
                sum(case
                    when received = int8multirange(int8range(1, sealed + 1)) then 0
                    else (
                        select coalesce(sum(upper(x) - lower(x)), 0)
                        from unnest(int8multirange(int8range(1, sealed + 1)) - received - void) x
                    )
                end) as missing,
                sum(samples) as samples,
                sum(day_samples) filter (where day = timezone('utc', now())::date) as samples_today,
                sum(day_bytes) filter (where day = timezone('utc', now())::date) as bytes_today,
                bool_or(forked) as forked
            from streams where tenant_id = $1
            group by store_id
        ) r on r.store_id = s.store_id
        left join (
            select store_id,
                count(*) filter (where is_open) as open_losses,
                sum(samples) filter (where is_open) as lost_samples,
                sum(samples) filter (where path is not null) as rejected_samples
            from (
                select l.store_id, l.path, l.samples,
                    l.path is null and l.delivered_after_all is distinct from l.seqs and (
                        l.reason <> 'quarantined' or (
                            select coalesce(sum(v.samples), 0) < l.samples or coalesce(sum(v.events), 0) < l.events
                            from jsonb_each(l.seqs) as told (epoch, ranges)
                            cross join lateral jsonb_array_elements(told.ranges) as range
                            join recoveries v on v.tenant_id = $1 and v.store_id = l.store_id
                                and v.lost_epoch = told.epoch::uuid
                                and v.lost_seq between (range ->> 0)::bigint and (range ->> 1)::bigint
                        )
                    ) as is_open
                from losses l
                where l.tenant_id = $1 and l.recorded_at > now() - make_interval(days => $2)
            ) recent
            group by store_id
        ) l on l.store_id = s.store_id
        where s.tenant_id = $1
        order by s.store_id collate "C" "#,
        tenant,
        loss_days,
    )
    .fetch_all(tx.connection())
    .await
}
