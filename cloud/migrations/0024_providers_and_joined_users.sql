-- Other ways into a tenant: a provider that vouches for its people (OpenID Connect), and users of several tenants who are one person.

create table identity_providers (
    tenant_id text primary key references tenants (tenant_id),
    issuer text not null,
    client_id text not null,
    -- It is sent to the provider, so it cannot be a hash.
    client_secret text,
    -- What somebody becomes whom the provider vouches for and who is no user yet; null: she stays out.
    new_users_are text,
    updated_at timestamptz not null default now(),
    constraint identity_providers_issuer_length check (length(issuer) <= 500),
    constraint identity_providers_new_users_known check (new_users_are in ('user', 'viewer'))
);

-- Whom a provider knows as which user.
create table user_identities (
    tenant_id text not null,
    issuer text not null,
    subject text not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, issuer, subject),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint user_identities_subject_length check (length(subject) between 1 and 255)
);
create index user_identities_of_user on user_identities (tenant_id, user_id);

-- Who is at the provider at the moment, by the SHA-256 of what her browser holds. Deleted when she comes back.
create table provider_visits (
    tenant_id text not null references tenants (tenant_id),
    state_hash bytea not null,
    nonce text not null,
    verifier text not null,
    return_to text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, state_hash),
    constraint provider_visits_hash_length check (length(state_hash) = 32)
);

create index provider_visits_old on provider_visits (tenant_id, created_at);

-- Users who are one person, because she said so while she was signed in. Nobody else's doing keeps it: a password, an e-mail or a
-- factor that others have set takes the row away.
create table joined_users (
    tenant_id text not null,
    user_id uuid not null,
    person_id uuid not null,
    joined_at timestamptz not null default now(),
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id)
);
create unique index joined_users_person on joined_users (tenant_id, person_id);

alter table identity_providers enable row level security;
alter table identity_providers force row level security;
create policy identity_providers_app on identity_providers to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table user_identities enable row level security;
alter table user_identities force row level security;
create policy user_identities_app on user_identities to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table provider_visits enable row level security;
alter table provider_visits force row level security;
create policy provider_visits_app on provider_visits to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table joined_users enable row level security;
alter table joined_users force row level security;
create policy joined_users_app on joined_users to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy joined_users_control on joined_users to storepulse_control using (true) with check (true);

grant select, insert, update, delete on identity_providers, user_identities to storepulse_app;
grant select, insert, delete on provider_visits to storepulse_app;
grant select, insert, delete on joined_users to storepulse_app;
grant select on joined_users to storepulse_control;
