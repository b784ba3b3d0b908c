-- Control tables: who exists and with which key.
--
-- storepulse_control reads and writes them across tenants; storepulse_app sees its tenant's rows only, and
-- no keys at all. Migrations change the schema only, run as storepulse_owner, are append-only, and work for the
-- old and the new binary at once.
--
-- Every table with a tenant_id has row-level security ENABLEd and FORCEd, policies for named roles only, and
-- tenant_id at the head of every key and index. The setting app.tenant_id lives inside one transaction;
-- outside of one it is NULL or empty, and no row has an empty tenant_id.

create table tenants (
    tenant_id text primary key,
    company text not null,
    status text not null default 'active',
    retention_days integer not null default 400,
    accept_imported_keys boolean not null default false,
    created_at timestamptz not null default now(),
    constraint tenants_id_form check (tenant_id ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$'),
    constraint tenants_company_length check (length(company) between 1 and 200),
    constraint tenants_status_known check (status in ('pending', 'active', 'suspended', 'inactive')),
    constraint tenants_retention_range check (retention_days between 1 and 3660)
);

create table stores (
    tenant_id text not null references tenants (tenant_id),
    store_id text not null,
    name text not null,
    status text not null default 'active',
    created_at timestamptz not null default now(),
    primary key (tenant_id, store_id),
    constraint stores_id_form check (store_id ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,49}$'),
    constraint stores_name_length check (length(name) between 1 and 200),
    constraint stores_status_known check (status in ('active', 'suspended'))
);

-- T01 and t01 on two labels would be confused by the first technician who reads them out.
create unique index stores_id_ignoring_case on stores (tenant_id, lower(store_id));

-- The SHA-256 of the whole key finds the row; tenant and store come from the row. The tenant in a key's text only
-- chooses where to look, which keeps tenant_id at the head of the primary key.
create table store_keys (
    tenant_id text not null,
    key_hash bytea not null,
    store_id text not null,
    key_id text not null,
    origin text not null default 'issued',
    -- Two active keys at most per store: each active key holds one of two slots.
    slot smallint not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    primary key (tenant_id, key_hash),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id),
    constraint store_keys_hash_length check (length(key_hash) = 32),
    constraint store_keys_origin_known check (origin in ('issued', 'imported')),
    constraint store_keys_slot_range check (slot in (1, 2))
);

create unique index store_keys_two_active on store_keys (tenant_id, store_id, slot) where revoked_at is null;

alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenants_app on tenants to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));
create policy tenants_control on tenants to storepulse_control using (true) with check (true);

alter table stores enable row level security;
alter table stores force row level security;
create policy stores_app on stores to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true))
    with check (tenant_id = current_setting('app.tenant_id', true));
create policy stores_control on stores to storepulse_control using (true) with check (true);

alter table store_keys enable row level security;
alter table store_keys force row level security;
create policy store_keys_control on store_keys to storepulse_control using (true) with check (true);

grant select on tenants, stores to storepulse_app;
grant select, insert, update on tenants, stores, store_keys to storepulse_control;
grant select on _sqlx_migrations to storepulse_control;
