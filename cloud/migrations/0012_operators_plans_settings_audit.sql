-- What operators manage: plans, the state and settings of tenants and stores, and the record of who changed what.

-- Operators, people and programs who run StorePulse; made by the command line only. The secret is nowhere, its SHA-256 finds the row.
create table operators (
    credential_id text primary key,
    name text not null,
    hash bytea not null unique,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    constraint operators_id_form check (credential_id ~ '^[A-Za-z0-9]{8}$'),
    constraint operators_name_form check (name ~ '^[a-z0-9]([a-z0-9.-]{0,48}[a-z0-9])?$'),
    constraint operators_hash_length check (length(hash) = 32)
);

-- Plans as rows; limits and features are validated where they are written (cloud/src/plan). Never deleted, so tenants.plan needs
-- no foreign key, which could not stay within a tenant.
create table plans (
    plan text primary key,
    name text not null,
    max_stores integer,
    limits jsonb not null default '{}',
    features jsonb not null default '{}',
    updated_at timestamptz not null default now(),
    constraint plans_id_form check (plan ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'),
    constraint plans_max_stores_range check (max_stores between 1 and 100000),
    constraint plans_limits_object check (jsonb_typeof(limits) = 'object'),
    constraint plans_features_object check (jsonb_typeof(features) = 'object')
);
insert into plans (plan, name, max_stores) values
    ('basic', 'Basic', 30), ('premium', 'Premium', 100), ('enterprise', 'Enterprise', null);

-- Null: as the plan says. Who has more stores than that keeps them. The domain is looked up by reading the few rows there are; who sets one holds the lock `storepulse domains`.
alter table tenants
    add column plan text not null default 'basic',
    add column max_stores integer,
    add column limits jsonb,
    add column custom_domain text,
    add column status_changed_at timestamptz not null default now(),
    add column updated_at timestamptz not null default now(),
    add constraint tenants_max_stores_range check (max_stores between 0 and 100000),
    add constraint tenants_limits_object check (jsonb_typeof(limits) = 'object'),
    add constraint tenants_custom_domain_form check (custom_domain ~ '^[a-z0-9-]+([.][a-z0-9-]+)+$' and length(custom_domain) <= 253);
alter table stores add column updated_at timestamptz not null default now();

-- Settings that differ from their default; which there are, and their defaults, is in the code (cloud/src/settings).
create table tenant_settings (
    tenant_id text not null references tenants (tenant_id),
    type text not null,
    name text not null,
    value jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, type, name),
    constraint tenant_settings_type_known check (type in ('general', 'auth', 'billing', 'features', 'integrations')),
    constraint tenant_settings_size check (octet_length(value::text) <= 65536)
);
create table store_settings (
    tenant_id text not null,
    store_id text not null,
    name text not null,
    value jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, store_id, name),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id),
    constraint store_settings_size check (octet_length(value::text) <= 65536)
);

-- Why a key ended, and when it last opened: written now and then, not by each request.
alter table store_keys
    add column last_used_at timestamptz,
    add column revoked_as text,
    add constraint store_keys_revoked_as_known check (revoked_as in ('revoked', 'compromised', 'retired'));

-- Who did what, in two chains: one per tenant, one of the operators' own. Rows are added and never changed. Number, time and hashes
-- are made here, whatever the writer says: each row's hash covers the one before, so that a change of the past shows.
create table audit_entries (
    tenant_id text not null references tenants (tenant_id),
    no bigint not null,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null default '{}',
    previous bytea not null,
    hash bytea not null,
    primary key (tenant_id, no),
    constraint audit_entries_size check (octet_length(detail::text) <= 65536)
);
create table operator_audit_entries (
    no bigint primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null default '{}',
    previous bytea not null,
    hash bytea not null,
    constraint operator_audit_entries_size check (octet_length(detail::text) <= 65536)
);

-- SHA-256 over the hash before and the row's fields, each with its length in bytes before it; the time in microseconds since 1970.
create function audit_hash(previous bytea, no bigint, at timestamptz, actor text, action text, subject text, detail jsonb)
    returns bytea
    language sql immutable
    set search_path = pg_catalog, pg_temp
return sha256(previous || convert_to((
    select string_agg(octet_length(field)::text || ':' || field, '' order by place)
    from unnest(array[no::text, (extract(epoch from at) * 1000000)::bigint::text, actor, action, subject, detail::text])
        with ordinality as fields (field, place)), 'UTF8'));

create function chain_audit_entry() returns trigger
    language plpgsql
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('storepulse audit ' || new.tenant_id, 0));
    select e.no, e.hash into new.no, new.previous from public.audit_entries e
    where e.tenant_id = new.tenant_id order by e.no desc limit 1;
    new.no := coalesce(new.no, 0) + 1;
    new.previous := coalesce(new.previous, '\x');
    new.at := clock_timestamp();
    new.hash := public.audit_hash(new.previous, new.no, new.at, new.actor, new.action, new.subject, new.detail);
    return new;
end
$$;

create function chain_operator_audit_entry() returns trigger
    language plpgsql
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('storepulse audit', 0));
    select e.no, e.hash into new.no, new.previous from public.operator_audit_entries e order by e.no desc limit 1;
    new.no := coalesce(new.no, 0) + 1;
    new.previous := coalesce(new.previous, '\x');
    new.at := clock_timestamp();
    new.hash := public.audit_hash(new.previous, new.no, new.at, new.actor, new.action, new.subject, new.detail);
    return new;
end
$$;

create trigger chain before insert on audit_entries for each row execute function chain_audit_entry();
create trigger chain before insert on operator_audit_entries for each row execute function chain_operator_audit_entry();

-- Every process listens: what it remembers of this tenant ('' is: of all) is not believed any more.
create function tell_of_change() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('storepulse_changed', coalesce(to_jsonb(new) ->> 'tenant_id', ''));
    return null;
end
$$;
create trigger tell after update on tenants for each row execute function tell_of_change();
create trigger tell after update on stores for each row execute function tell_of_change();
create trigger tell after update of revoked_at on store_keys for each row execute function tell_of_change();
create trigger tell after insert or update on plans for each row execute function tell_of_change();
create trigger tell after update on operators for each row execute function tell_of_change();

alter table tenant_settings enable row level security;
alter table tenant_settings force row level security;
create policy tenant_settings_app on tenant_settings to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy tenant_settings_control on tenant_settings to storepulse_control using (true) with check (true);

alter table store_settings enable row level security;
alter table store_settings force row level security;
create policy store_settings_app on store_settings to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy store_settings_control on store_settings to storepulse_control using (true) with check (true);

alter table audit_entries enable row level security;
alter table audit_entries force row level security;
create policy audit_entries_app on audit_entries to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy audit_entries_control on audit_entries to storepulse_control using (true) with check (true);

grant select on tenant_settings, store_settings to storepulse_app;
grant select, insert on audit_entries to storepulse_app;
grant select, insert on audit_entries, operator_audit_entries to storepulse_control;
grant select, insert, update, delete on tenant_settings, store_settings to storepulse_control;
grant select, insert, update on operators, plans to storepulse_control;
revoke execute on function chain_audit_entry(), chain_operator_audit_entry(), tell_of_change() from public;
