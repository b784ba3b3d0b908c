-- Who was invited to become a user, until she accepts: the token's SHA-256, good once and for seven days.
create table invitations (
    tenant_id text not null references tenants (tenant_id),
    invitation_id uuid not null,
    token_hash bytea not null,
    email text not null,
    role text not null,
    -- Null: all stores.
    stores text[],
    invited_by text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    accepted_by uuid,
    revoked_at timestamptz,
    primary key (tenant_id, invitation_id),
    constraint invitations_hash_length check (length(token_hash) = 32),
    constraint invitations_email_form check (email ~ '^[!-?A-~]+@[a-z0-9.-]+$' and length(email) <= 254),
    constraint invitations_role_known check (role in ('admin', 'user', 'viewer')),
    constraint invitations_accepted_whole check ((accepted_at is null) = (accepted_by is null))
);
create unique index invitations_token on invitations (tenant_id, token_hash);

alter table invitations enable row level security;
alter table invitations force row level security;
create policy invitations_app on invitations to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
grant select, insert, update, delete on invitations to storepulse_app;
