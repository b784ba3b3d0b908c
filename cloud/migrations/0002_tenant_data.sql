-- Tenant data: receipts, the inbox of batches, series, events, losses.
--
-- storepulse_app alone reads and writes it, one tenant a transaction; storepulse_control has no grant here.

-- The only record of receipt: which batch numbers of an opening of a spool have arrived, and which never will.
-- It survives compaction, retention and moves. One row is touched per batch, so it is narrow, and no index holds
-- a column that changes (updates stay on their page).
create table streams (
    tenant_id text not null,
    store_id text not null,
    epoch uuid not null,
    received int8multirange not null default '{}',
    void int8multirange not null default '{}',
    sealed bigint not null default 0,
    -- The epoch before it in the same spool and its last number, as the first batch of this epoch said.
    after_epoch uuid,
    after_seq bigint,
    -- The spool was restored from a copy, or cloned.
    forked boolean not null default false,
    -- Numbers of this epoch are given by the cloud: flat bodies.
    flat boolean not null default false,
    agent_version text,
    host_id text,
    first_received_at timestamptz not null default now(),
    last_received_at timestamptz not null default now(),
    batches bigint not null default 0,
    samples bigint not null default 0,
    bytes bigint not null default 0,
    -- The running UTC day's share of the counts; earlier days move to `days` as {"2026-11-21": [batches, samples, bytes]}.
    day date not null default timezone('utc', now())::date,
    day_batches bigint not null default 0,
    day_samples bigint not null default 0,
    day_bytes bigint not null default 0,
    days jsonb not null default '{}',
    primary key (tenant_id, store_id, epoch),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id),
    constraint streams_receipts_disjoint check (not received && void)
) with (fillfactor = 60);

create unique index streams_flat on streams (tenant_id, store_id) where flat;

-- The end of the contiguous range that starts at 1, or 0: what an answer calls `through`.
create function through(numbers int8multirange) returns bigint
    language sql immutable parallel safe
    return coalesce((select upper(r) - 1 from unnest(numbers) as r where lower(r) = 1), 0);

-- The inbox: one row per batch, samples in arrays, grouped in runs of one series. `streams` has decided
-- before a row comes here that it comes once; the key need not, and cannot, span partitions.
create table sample_batches (
    tenant_id text not null,
    store_id text not null,
    epoch uuid not null,
    seq bigint not null,
    received_day date not null default timezone('utc', now())::date,
    received_at timestamptz not null default clock_timestamp(),
    -- The first 8 bytes of the SHA-256 of the body as sent.
    body_digest bytea not null,
    clock text not null,
    n integer not null,
    t_min bigint,
    t_max bigint,
    series_ids integer[] not null,
    run_lengths integer[] not null,
    t_offsets integer[] not null,
    vals double precision[] not null,
    primary key (tenant_id, store_id, epoch, seq, received_day),
    -- The other tables have a foreign key to say so; here it would cost every batch a look-up.
    constraint sample_batches_tenant_named check (tenant_id <> '')
) partition by range (received_day);

comment on column sample_batches.t_offsets is 'milliseconds after t_min, one per value';
comment on column sample_batches.run_lengths is 'how many values each of series_ids has, in order';

-- lz4 halves the processor time of pglz on these arrays; a server built without it keeps pglz.
do $$
begin
    alter table sample_batches
        alter column t_offsets set compression lz4,
        alter column vals set compression lz4;
exception when feature_not_supported then
    raise notice 'this PostgreSQL was built without lz4; sample_batches stays with pglz';
end
$$;

-- Must stay empty: a row here means that partitions were not made ahead. The service alarms on its size.
create table sample_batches_default partition of sample_batches default;
alter table sample_batches_default enable row level security;
alter table sample_batches_default force row level security;

-- Series are numbered per tenant, so that a tenant can be moved, and compressed, on its own.
create table series_counters (
    tenant_id text primary key references tenants (tenant_id),
    last_id integer not null default 0
);

create table series (
    tenant_id text not null,
    series_id integer not null,
    store_id text not null,
    device_id text not null,
    device_kind text not null,
    name text not null,
    metric text not null,
    labels jsonb not null,
    unit text,
    created_at timestamptz not null default now(),
    primary key (tenant_id, series_id),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id),
    constraint series_name_once unique (tenant_id, store_id, device_id, name)
);

comment on column series.name is 'metric{label="value",…}, the one spelling of the series';

create table events (
    tenant_id text not null,
    store_id text not null,
    epoch uuid not null,
    seq bigint not null,
    -- Place in the batch; below 0 for what the cloud itself has to say about it.
    no integer not null,
    device_id text not null,
    t bigint not null,
    kind text not null,
    text text not null,
    clock text not null,
    received_at timestamptz not null default now(),
    primary key (tenant_id, store_id, epoch, seq, no),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

create index events_by_time on events (tenant_id, store_id, t);

-- What was discarded or rejected, and why. A loss has the id that its agent gave it and is recorded once;
-- a rejection has the batch and path that it is about.
create table losses (
    tenant_id text not null,
    store_id text not null,
    loss_id text not null,
    -- The batch that reported it, or whose samples were rejected.
    epoch uuid not null,
    seq bigint not null,
    path text,
    lane text not null,
    t_from bigint not null,
    t_to bigint not null,
    samples bigint not null,
    events bigint not null default 0,
    reason text not null,
    seqs jsonb not null default '{}',
    -- Numbers among seqs that had arrived before the loss was told.
    delivered_after_all jsonb,
    recorded_at timestamptz not null default now(),
    primary key (tenant_id, store_id, loss_id),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

create index losses_by_batch on losses (tenant_id, store_id, epoch, seq) where path is not null;

create table idempotency_keys (
    tenant_id text not null,
    store_id text not null,
    key text not null,
    body_sha256 bytea not null,
    verdict jsonb not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, store_id, key),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

alter table streams enable row level security;
alter table streams force row level security;
create policy streams_app on streams to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table sample_batches enable row level security;
alter table sample_batches force row level security;
create policy sample_batches_app on sample_batches to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table series_counters enable row level security;
alter table series_counters force row level security;
create policy series_counters_app on series_counters to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table series enable row level security;
alter table series force row level security;
create policy series_app on series to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table events enable row level security;
alter table events force row level security;
create policy events_app on events to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table losses enable row level security;
alter table losses force row level security;
create policy losses_app on losses to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy idempotency_keys_app on idempotency_keys to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

grant select, insert on sample_batches, events, losses, idempotency_keys to storepulse_app;
grant select, insert, update on streams, series, series_counters to storepulse_app;

-- Partitions are made and dropped here and nowhere else. The two functions run as the owner, with a fixed
-- search_path and without dynamic text from outside: their parameters are dates.
create function make_partitions(first_day date, last_day date) returns integer
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    day date;
    partition text;
    made integer := 0;
begin
    if last_day - first_day > 400 then
        raise exception 'refusing to make % partitions at once', last_day - first_day + 1;
    end if;
    -- Two services may start at once; the second finds the work done.
    perform pg_advisory_xact_lock(hashtext('storepulse make_partitions'));
    for day in select generate_series(first_day, last_day, interval '1 day')::date loop
        partition := 'sample_batches_' || to_char(day, 'YYYYMMDD');
        if to_regclass('public.' || partition) is null then
            execute format(
                'create table public.%I partition of public.sample_batches for values from (%L) to (%L)',
                partition, day, day + 1);
            execute format('alter table public.%I enable row level security', partition);
            execute format('alter table public.%I force row level security', partition);
            made := made + 1;
        end if;
    end loop;
    return made;
end
$$;

create function drop_partitions(before_day date) returns integer
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    partition text;
    dropped integer := 0;
begin
    for partition in
        select c.relname
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'public.sample_batches'::regclass
          and c.relname ~ '^sample_batches_[0-9]{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < before_day
    loop
        execute format('drop table public.%I', partition);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

revoke all on function make_partitions(date, date) from public;
revoke all on function drop_partitions(date) from public;
grant execute on function make_partitions(date, date) to storepulse_control;
grant execute on function drop_partitions(date) to storepulse_control;
