-- What an operator has set over the agent.yaml of a store, and what its agent says became of it. Which settings there may be is in the
-- code (shared/src/settings.rs). A new version takes the place of the one before; the audit knows who set which.

create table agent_settings (
    tenant_id text not null,
    store_id text not null,
    version bigint not null,
    settings jsonb not null,
    set_at timestamptz not null default now(),
    -- All null: the agent has not spoken of any yet. It may be behind; of a restored database, it may be ahead.
    reported_version bigint,
    reported_state text,
    reported_why text,
    reported_at timestamptz,
    primary key (tenant_id, store_id),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id),
    constraint agent_settings_version_positive check (version > 0 and reported_version > 0),
    constraint agent_settings_object check (jsonb_typeof(settings) = 'object'),
    constraint agent_settings_size check (octet_length(settings::text) <= 65536),
    constraint agent_settings_state_known check (reported_state in ('trying', 'confirmed', 'reverted', 'refused')),
    constraint agent_settings_why_size check (octet_length(reported_why) <= 4096),
    constraint agent_settings_report_whole check (
        (reported_version is null) = (reported_state is null) and (reported_version is null) = (reported_at is null)
        and (reported_version is not null or reported_why is null))
);

alter table agent_settings enable row level security;
alter table agent_settings force row level security;
create policy agent_settings_app on agent_settings to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy agent_settings_control on agent_settings to storepulse_control using (true) with check (true);

-- Acks name the version that is set, from what processes remember of a key. A report changes no version, and tells nobody.
create trigger tell after insert or update of version on agent_settings for each row execute function tell_of_change();

grant select, update on agent_settings to storepulse_app;
grant select, insert, update, delete on agent_settings to storepulse_control;
