-- What people call with, beside access tokens: the cookie of a page, tokens of their programs; and operators inside a tenant.

-- A page's session is used with a cookie, whose SHA-256 this is; a program's with tokens. How it was opened says what else it opens:
-- only who has shown a password of hers may go on to other tenants that she is joined to.
alter table sessions
    add column cookie_hash bytea,
    add column opened_as text not null default 'password',
    add constraint sessions_cookie_hash_length check (length(cookie_hash) = 32),
    add constraint sessions_opened_as_known check (opened_as in ('password', 'joined', 'provider'));
create unique index sessions_cookie on sessions (tenant_id, cookie_hash);

-- Tokens of people's programs. A scope is a permission; what counts is what both the token and the user's role have.
create table api_tokens (
    tenant_id text not null,
    token_id uuid not null,
    user_id uuid not null,
    token_hash bytea not null,
    name text not null,
    scopes text[] not null,
    created_at timestamptz not null default now(),
    -- Null: it does not end by itself.
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    primary key (tenant_id, token_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint api_tokens_hash_length check (length(token_hash) = 32),
    constraint api_tokens_name_length check (length(name) between 1 and 100)
);
create unique index api_tokens_hash on api_tokens (tenant_id, token_hash);
create index api_tokens_of_user on api_tokens (tenant_id, user_id);

-- An operator inside a tenant, for a while and for a stated reason. Written by whoever checks operators' keys.
create table operator_entries (
    tenant_id text not null references tenants (tenant_id),
    entry_id uuid not null,
    token_hash bytea not null,
    operator text not null,
    credential_id text not null,
    reason text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    primary key (tenant_id, entry_id),
    constraint operator_entries_hash_length check (length(token_hash) = 32),
    constraint operator_entries_reason_length check (length(reason) between 1 and 500)
);
create unique index operator_entries_hash on operator_entries (tenant_id, token_hash);

-- What an operator who has entered may do, as a role that no user has.
alter table role_permissions drop constraint role_permissions_role_known;
alter table role_permissions add constraint role_permissions_role_known check (role in ('operator', 'admin', 'user', 'viewer'));
insert into role_permissions (role, permission) values
    ('operator', 'stores.read'), ('operator', 'metrics.read'), ('operator', 'events.read'),
    ('operator', 'users.read'), ('operator', 'users.manage');

alter table api_tokens enable row level security;
alter table api_tokens force row level security;
create policy api_tokens_app on api_tokens to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table operator_entries enable row level security;
alter table operator_entries force row level security;
create policy operator_entries_app on operator_entries to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy operator_entries_control on operator_entries to storepulse_control using (true) with check (true);

grant select, insert, update, delete on api_tokens to storepulse_app;
grant select on operator_entries to storepulse_app;
grant select, insert, update, delete on operator_entries to storepulse_control;

create trigger tell after update of revoked_at on api_tokens for each row execute function tell_of_change();
create trigger tell after update of ended_at on operator_entries for each row execute function tell_of_change();
