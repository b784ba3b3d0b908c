-- A second factor: codes of an authenticator (RFC 6238), and recovery codes for when it is lost.

create table authenticators (
    tenant_id text not null,
    user_id uuid not null,
    -- What the codes are made of. It cannot be a hash.
    secret bytea not null,
    created_at timestamptz not null default now(),
    -- Null: not shown to work yet, so it is not asked for.
    confirmed_at timestamptz,
    -- The step of the last code that was taken: none is taken twice.
    last_step bigint not null default 0,
    -- Wrong codes behind a right password, since when.
    wrong_codes integer not null default 0,
    wrong_since timestamptz,
    primary key (tenant_id, user_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint authenticators_secret_length check (length(secret) = 20)
);

-- SHA-256 of codes that are good once.
create table recovery_codes (
    tenant_id text not null,
    user_id uuid not null,
    code_hash bytea not null,
    used_at timestamptz,
    primary key (tenant_id, user_id, code_hash),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint recovery_codes_hash_length check (length(code_hash) = 32)
);

alter table authenticators enable row level security;
alter table authenticators force row level security;
create policy authenticators_app on authenticators to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table recovery_codes enable row level security;
alter table recovery_codes force row level security;
create policy recovery_codes_app on recovery_codes to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
grant select, insert, update, delete on authenticators, recovery_codes to storepulse_app;

-- Whether a second factor is there decides what a session may do.
create trigger tell after update of confirmed_at on authenticators for each row execute function tell_of_change();
