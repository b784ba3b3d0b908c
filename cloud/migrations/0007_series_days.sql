-- What upkeep makes of the inbox: one row per series, day and part, so that reading a series reads nothing else.
--
-- Numbers are packed (cloud/src/samples/packed.rs says how), and `unpack` reads them here, so that SQL stays open to people.

create table series_days (
    tenant_id text not null,
    series_id integer not null,
    -- The UTC day of its samples' times.
    day date not null,
    -- At most 10,000 samples each, in no particular order; their times do not overlap.
    part smallint not null,
    n integer not null,
    checksum integer not null,
    t_first bigint not null,
    t_last bigint not null,
    -- The least that is known of the clocks of these samples; null says that all were `ok`.
    clock text,
    times bytea not null,
    vals bytea not null,
    primary key (tenant_id, series_id, day, part),
    foreign key (tenant_id, series_id) references series (tenant_id, series_id),
    constraint series_days_size check (n between 1 and 10000)
) partition by range (day);

comment on column series_days.checksum is 'CRC-32 over times and vals';

-- Here belong days so far ahead that no month is made for them: clocks that were wrong and could not be repaired.
create table series_days_default partition of series_days default;
alter table series_days_default enable row level security;
alter table series_days_default force row level security;

alter table series_days enable row level security;
alter table series_days force row level security;
create policy series_days_app on series_days to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

-- What left the inbox of a store, and became of it: with this, every sample that was ever received is accounted for.
create table store_tallies (
    tenant_id text not null,
    store_id text not null,
    compacted_batches bigint not null default 0,
    compacted_samples bigint not null default 0,
    -- Of these, how many another one of the same series and millisecond has replaced.
    replaced_samples bigint not null default 0,
    -- How many were older than the tenant keeps them.
    expired_samples bigint not null default 0,
    primary key (tenant_id, store_id),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

alter table store_tallies enable row level security;
alter table store_tallies force row level security;
create policy store_tallies_app on store_tallies to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

-- A series that had no samples left, since when. It is numbered anew or revived when its device speaks again; it goes two
-- days later, when no process can remember its number any more.
alter table series add column retired_at timestamptz;

grant select, insert, delete on series_days to storepulse_app;
grant select, insert, update on store_tallies to storepulse_app;
grant delete on sample_batches, series, events, losses, recoveries, idempotency_keys to storepulse_app;

-- When each kind of upkeep last ran, and how it went, for whichever process is asked.
create table upkeep_jobs (
    job text primary key,
    started_at timestamptz not null,
    finished_at timestamptz,
    -- Null while it runs, and after a process that was killed.
    outcome text
);

grant select, insert, update on upkeep_jobs to storepulse_control;

-- The numbers of a packed sequence.
create function unpack(packed bytea, n integer) returns bigint[]
    language sql immutable strict parallel safe
as $$
    with head as (
        select
            get_byte(packed, 0) >= 128 as differences,
            get_byte(packed, 1) as width,
            ('x' || encode(substring(packed from 3 for 8), 'hex'))::bit(64)::bigint as base,
            ('x' || encode(substring(packed from 11 for 4), 'hex'))::bit(32)::bigint as unit,
            get_byte(packed, 14) * 256 + get_byte(packed, 15) as patches
    ), body as (
        select differences, width, base, unit, patches,
            ('x' || encode(substring(packed from 17 + 10 * patches), 'hex'))::varbit as fields
        from head
    ), numbers as (
        select place, differences, coalesce(patch.number, case width
            when 0 then base
            else base + unit * substring(fields from place * width + 1 for width)::bigint
        end) as number
        from body cross join generate_series(0, n - 1) as place
        left join (
            select
                get_byte(packed, 16 + 10 * p) * 256 + get_byte(packed, 17 + 10 * p) as place,
                ('x' || encode(substring(packed from 19 + 10 * p for 8), 'hex'))::bit(64)::bigint as number
            from head, generate_series(0, patches - 1) as p
        ) as patch using (place)
    )
    select array_agg(case when differences then total else number end order by place)
    from (
        select place, differences, number,
            case when differences then (sum(number) over (order by place))::bigint end as total
        from numbers
    ) as summed
$$;

-- The values of a packed sequence: decimals, or the bits of doubles.
create function unpack_values(packed bytea, n integer) returns double precision[]
    language sql immutable strict parallel safe
as $$
    select array_agg(case form
        when 64 then case
            when number & x'7fffffffffffffff'::bigint = 0 then 0 * case when number < 0 then -1.0::double precision else 1 end
            else case when number < 0 then -1 else 1 end
                * (mantissa + case exponent when 0 then 0 else 4503599627370496 end)::double precision
                * power(2::double precision, greatest(exponent, 1) - 1075)
            end
        else number / ('{1,1e1,1e2,1e3,1e4,1e5,1e6,1e7,1e8,1e9}'::double precision[])[form + 1]
    end order by place)
    from (
        select place, number, get_byte(packed, 0) & 127 as form,
            (number >> 52) & 2047 as exponent, number & x'fffffffffffff'::bigint as mantissa
        from unnest(unpack(packed, n)) with ordinality as u (number, place)
    ) as numbers
$$;

-- One row per sample, for people, BI and dashboards, wherever it stands. The service itself decodes in Rust.
--
-- Conditions on tenant_id, store_id, device_id, metric, series_id, day and time_ms reach the tables below; one on `time` alone
-- does not, so a `day` beside it saves much.
drop view samples;
create view samples with (security_invoker = true) as
select distinct on (tenant_id, store_id, device_id, metric, series_id, day, time_ms)
    tenant_id, store_id, device_id, device_kind, metric, labels, unit,
    to_timestamp(time_ms / 1000.0) as time,
    value, series_id, time_ms, clock, received_at, day
from (
    select s.tenant_id, s.store_id, s.device_id, s.device_kind, s.metric, s.labels, s.unit, s.series_id,
        timezone('utc', to_timestamp((b.t_min + x.t_offset) / 1000.0))::date as day,
        b.t_min + x.t_offset as time_ms, x.value, b.clock, b.received_at, b.epoch, b.seq, x.place
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
    union all
    select s.tenant_id, s.store_id, s.device_id, s.device_kind, s.metric, s.labels, s.unit, s.series_id,
        d.day, x.time_ms, x.value, coalesce(d.clock, 'ok'), null, null, null, null
    from series_days d
    join series s on s.tenant_id = d.tenant_id and s.series_id = d.series_id
    cross join lateral unnest(unpack(d.times, d.n), unpack_values(d.vals, d.n)) as x (time_ms, value)
) as stored
-- Of one series and millisecond the last received counts; what is compacted was received before what is not.
order by tenant_id, store_id, device_id, metric, series_id, day, time_ms, received_at desc nulls last, epoch desc, seq desc, place desc;

comment on view samples is 'every stored sample once; time and day are UTC, unit is UCUM; received_at is known for two days';

grant select on samples to storepulse_app;

-- Partitions, of the inbox and of series_days, go when they are empty, and only then. FORCE would hide their rows from the
-- owner too, so it is lifted for the look, under a lock that nobody passes; what is in use is left for the next time.
create or replace function drop_partitions(before_day date) returns integer
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '1s'
as $$
declare
    partition text;
    occupied boolean;
    dropped integer := 0;
begin
    for partition in
        select c.relname
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.sample_batches'::regclass
          and c.relname ~ '^sample_batches_[0-9]{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < before_day
           or i.inhparent = 'public.series_days'::regclass
          and c.relname ~ '^series_days_[0-9]{6}$'
          and to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= before_day
    loop
        begin
            execute format('alter table public.%I no force row level security', partition);
            execute format('select exists (select from public.%I)', partition) into occupied;
            if occupied then
                execute format('alter table public.%I force row level security', partition);
            else
                execute format('drop table public.%I', partition);
                dropped := dropped + 1;
            end if;
        exception when lock_not_available then
            raise notice 'partition % is in use', partition;
        end;
    end loop;
    return dropped;
end
$$;

-- The months of series_days around these days; what is already in the DEFAULT partition stays there with its month.
create function make_months(first_day date, last_day date) returns integer
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    month date;
    partition text;
    made integer := 0;
begin
    if last_day - first_day > 4100 then
        raise exception 'refusing to make partitions for % days at once', last_day - first_day + 1;
    end if;
    perform pg_advisory_xact_lock(hashtext('storepulse make_partitions'));
    for month in select generate_series(date_trunc('month', first_day), last_day, interval '1 month')::date loop
        partition := 'series_days_' || to_char(month, 'YYYYMM');
        if to_regclass('public.' || partition) is null then
            begin
                execute format(
                    'create table public.%I partition of public.series_days for values from (%L) to (%L)',
                    partition, month, (month + interval '1 month')::date);
                execute format('alter table public.%I enable row level security', partition);
                execute format('alter table public.%I force row level security', partition);
                made := made + 1;
            exception when check_violation then
                raise notice 'the DEFAULT partition holds days of %', partition;
            end;
        end if;
    end loop;
    return made;
end
$$;

revoke all on function make_months(date, date) from public;
grant execute on function make_months(date, date) to storepulse_control;
