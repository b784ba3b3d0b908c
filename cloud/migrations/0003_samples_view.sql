-- One row per sample, for people, BI and dashboards. The service itself decodes the arrays in Rust.
--
-- security_invoker: whoever reads it is held to their own policies. Of two samples of one series and
-- millisecond, by whatever road they came, the last received counts.
create view samples with (security_invoker = true) as
select distinct on (s.tenant_id, s.store_id, s.series_id, b.t_min + x.t_offset)
    s.tenant_id,
    s.store_id,
    s.device_id,
    s.device_kind,
    s.metric,
    s.labels,
    s.unit,
    to_timestamp((b.t_min + x.t_offset) / 1000.0) as time,
    x.value,
    s.series_id,
    b.t_min + x.t_offset as time_ms,
    b.clock,
    b.received_at
from sample_batches b
-- Run lengths become one series id per value; the three arrays are then read side by side.
cross join lateral unnest(
    (
        select array_agg(run.series_id order by run.place)
        from unnest(b.series_ids, b.run_lengths) with ordinality as run (series_id, n, place),
            generate_series(1, run.n)
    ),
    b.t_offsets,
    b.vals
) with ordinality as x (series_id, t_offset, value, place)
join series s on s.tenant_id = b.tenant_id and s.series_id = x.series_id
order by s.tenant_id, s.store_id, s.series_id, b.t_min + x.t_offset, b.received_at desc, b.epoch, b.seq desc, x.place desc;

comment on view samples is 'every stored sample once; time is UTC, unit is UCUM';

grant select on samples to storepulse_app;
