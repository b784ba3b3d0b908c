-- Taking over the one table of an older system (`storepulse-cloud takeover`): how far its reading has come, and what became of
-- every row. Both are written in the transaction that stores what was read, so a takeover that is killed goes on behind its
-- last commit and neither loses a row nor takes one twice.

create table takeovers (
    tenant_id text not null references tenants (tenant_id),
    -- Which table it is: its server's identifier, its database's oid and its own.
    source text not null,
    -- As it is called there, for people.
    table_name text not null,
    -- Transaction numbers of the old server, in 64 bits. Where the count of this takeover begins: the 32 bits of a row's xmin are
    -- understood as the one number between 3 * 2^30 below and 2^30 above it.
    origin bigint not null,
    -- What was written below `lower` is here; what was written from there to below `upper` is being read.
    lower bigint not null,
    upper bigint not null,
    -- The file that is being read, its next block, and the number of its blocks.
    filenode bigint not null,
    next_block bigint not null,
    blocks bigint not null,
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, source),
    constraint takeovers_in_order check (lower <= upper and next_block between 0 and blocks)
);

-- Rows of the old table by what they say of themselves, which need not be an id of ours, and by what became of them.
create table takeover_tallies (
    tenant_id text not null,
    source text not null,
    store text not null,
    device text not null,
    metric text not null,
    -- Empty: taken. Otherwise why not.
    reason text not null,
    rows bigint not null,
    -- Of the values of those that have one.
    total double precision not null,
    -- First and last time, Unix milliseconds; null where none has one.
    t_first bigint,
    t_last bigint,
    -- The ctid of one of them that was not taken.
    example text,
    primary key (tenant_id, source, store, device, metric, reason),
    foreign key (tenant_id, source) references takeovers (tenant_id, source)
);

alter table takeovers enable row level security;
alter table takeovers force row level security;
create policy takeovers_app on takeovers to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

alter table takeover_tallies enable row level security;
alter table takeover_tallies force row level security;
create policy takeover_tallies_app on takeover_tallies to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

grant select, insert, update, delete on takeovers, takeover_tallies to storepulse_app;
