-- What a replay from quarantine has delivered of a batch that was told as a loss.
--
-- A table of its own, beside `losses`: which of the two arrives first does not matter, several batches can recover parts of
-- one number (a replay that was cut), and neither is ever updated. A loss of the reason `quarantined` is made good by
-- what names one of its numbers.
create table recoveries (
    tenant_id text not null,
    store_id text not null,
    -- The batch that brought the content.
    epoch uuid not null,
    seq bigint not null,
    -- The number that was told as lost.
    lost_epoch uuid not null,
    lost_seq bigint not null,
    -- As they were delivered; what was rejected of them is a loss of its own.
    samples bigint not null,
    events bigint not null,
    recorded_at timestamptz not null default now(),
    primary key (tenant_id, store_id, epoch, seq),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

create index recoveries_by_lost on recoveries (tenant_id, store_id, lost_epoch, lost_seq);

alter table recoveries enable row level security;
alter table recoveries force row level security;
create policy recoveries_app on recoveries to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));

grant select, insert on recoveries to storepulse_app;
