-- People: who may sign in to a tenant, with which role and for which stores, and the sessions that they have.
--
-- All of it is tenant data. The same e-mail in two tenants is two users; nothing joins them. The tenant of a token (a refresh token
-- names it in its text, an access token in what is signed) only chooses where to look.

-- What each role may do. A permission that the code does not know grants nothing.
create table role_permissions (
    role text not null,
    permission text not null,
    primary key (role, permission),
    constraint role_permissions_role_known check (role in ('admin', 'user', 'viewer'))
);
insert into role_permissions (role, permission) values
    ('admin', 'stores.read'), ('admin', 'metrics.read'), ('admin', 'events.read'),
    ('admin', 'users.read'), ('admin', 'users.manage'),
    ('user', 'stores.read'), ('user', 'metrics.read'), ('user', 'events.read'),
    ('viewer', 'stores.read'), ('viewer', 'metrics.read');

-- Names are of a script that has no letters that look like others; who is shown to people has a `name` of any script beside.
create table users (
    tenant_id text not null references tenants (tenant_id),
    user_id uuid not null,
    user_name text not null,
    email text,
    name text not null,
    role text not null,
    -- Otherwise those of user_stores.
    all_stores boolean not null,
    -- Argon2id, with its parameters and salt; null: no password opens this user.
    password_hash text,
    must_change_password boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deactivated_at timestamptz,
    primary key (tenant_id, user_id),
    constraint users_user_name_form check (user_name ~ '^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$'),
    constraint users_email_form check (email ~ '^[!-?A-~]+@[a-z0-9.-]+$' and length(email) <= 254),
    constraint users_name_length check (length(name) between 1 and 200),
    constraint users_role_known check (role in ('admin', 'user', 'viewer'))
);
create unique index users_user_name on users (tenant_id, user_name);
create unique index users_email on users (tenant_id, email);

-- The stores that a user sees who does not see all.
create table user_stores (
    tenant_id text not null,
    user_id uuid not null,
    store_id text not null,
    primary key (tenant_id, user_id, store_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    foreign key (tenant_id, store_id) references stores (tenant_id, store_id)
);

create table sessions (
    tenant_id text not null,
    session_id uuid not null,
    user_id uuid not null,
    -- What signed in, as it calls itself.
    device text not null,
    created_at timestamptz not null default now(),
    refreshed_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    ended_as text,
    primary key (tenant_id, session_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint sessions_device_length check (length(device) <= 200),
    constraint sessions_ended_as_known check (ended_as in ('signed_out', 'ended', 'reused', 'password_changed', 'deactivated', 'replaced')),
    constraint sessions_ended_whole check ((ended_at is null) = (ended_as is null))
);
create index sessions_of_user on sessions (tenant_id, user_id, created_at);

-- SHA-256 of each refresh token of a session. It is used once; used again, it was stolen, or its follower was, and the session ends.
create table refresh_tokens (
    tenant_id text not null,
    token_hash bytea not null,
    session_id uuid not null,
    issued_at timestamptz not null default now(),
    used_at timestamptz,
    primary key (tenant_id, token_hash),
    foreign key (tenant_id, session_id) references sessions (tenant_id, session_id) on delete cascade,
    constraint refresh_tokens_hash_length check (length(token_hash) = 32)
);
create index refresh_tokens_of_session on refresh_tokens (tenant_id, session_id);

-- What access tokens are signed with (Ed25519): the newest signs, the others only verify until they are deleted. Whoever reads these
-- could write sessions as well; a signed token alone opens nothing, its session must be there.
create table signing_keys (
    key_id text primary key,
    private_key bytea not null,
    public_key bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint signing_keys_id_form check (key_id ~ '^[A-Za-z0-9]{8}$')
);

alter table users enable row level security;
alter table users force row level security;
create policy users_app on users to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table user_stores enable row level security;
alter table user_stores force row level security;
create policy user_stores_app on user_stores to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_app on sessions to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table refresh_tokens enable row level security;
alter table refresh_tokens force row level security;
create policy refresh_tokens_app on refresh_tokens to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));

grant select, insert, update, delete on users, sessions, refresh_tokens to storepulse_app;
grant select, insert, delete on user_stores to storepulse_app;
grant select on role_permissions to storepulse_app;
grant select, insert, update, delete on role_permissions to storepulse_control;
grant select, insert, delete on signing_keys to storepulse_control;

-- Every process believes nothing that it remembers of a tenant's people once one of them was changed; who changes the stores that a
-- user sees changes her row, too.
create trigger tell after update on users for each row execute function tell_of_change();
create trigger tell after update of ended_at on sessions for each row execute function tell_of_change();
create trigger tell after insert or update or delete on role_permissions for each row execute function tell_of_change();
create trigger tell after insert on signing_keys for each row execute function tell_of_change();
