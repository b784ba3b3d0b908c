-- Mail to people: what is to be sent, and what is sent with a token that changes a password.

-- In which language a person is written to; null: her tenant's.
alter table users add column language text, add constraint users_language_known check (language in ('en', 'es', 'pt'));
alter table invitations
    add column language text,
    add column mailed_at timestamptz,
    add column mail_error text,
    add constraint invitations_language_known check (language in ('en', 'es', 'pt'));

-- The token is made when the mail is: until then nobody has it.
create table password_resets (
    tenant_id text not null,
    reset_id uuid not null,
    user_id uuid not null,
    token_hash bytea,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (tenant_id, reset_id),
    foreign key (tenant_id, user_id) references users (tenant_id, user_id),
    constraint password_resets_hash_length check (length(token_hash) = 32)
);
create unique index password_resets_token on password_resets (tenant_id, token_hash);
create index password_resets_of_user on password_resets (tenant_id, user_id, created_at);

-- Mail that is to be sent: about what, but neither to whom nor with which words; both are read in the tenant when it is sent.
create table mails (
    tenant_id text not null references tenants (tenant_id),
    mail_id uuid not null,
    kind text not null,
    -- An invitation, a reset or a user.
    subject_id uuid not null,
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    primary key (tenant_id, mail_id),
    constraint mails_kind_known check (kind in ('invitation', 'password_reset', 'password_changed'))
);

-- A tenant's own words.
create table mail_templates (
    tenant_id text not null references tenants (tenant_id),
    kind text not null,
    language text not null,
    subject text not null,
    text text not null,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, kind, language),
    constraint mail_templates_kind_known check (kind in ('invitation', 'password_reset', 'password_changed')),
    constraint mail_templates_language_known check (language in ('en', 'es', 'pt')),
    constraint mail_templates_size check (length(subject) <= 150 and length(text) <= 5000)
);

-- Who wants to become a tenant, until the e-mail is proved to be hers. No tenant's rows: there is none yet.
create table sign_ups (
    sign_up_id uuid primary key,
    token_hash bytea unique,
    wanted_id text not null,
    company text not null,
    email text not null,
    language text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    mailed_at timestamptz,
    -- The tenant is made; its first user may not be yet.
    confirmed_at timestamptz,
    constraint sign_ups_hash_length check (length(token_hash) = 32),
    constraint sign_ups_email_form check (email ~ '^[!-?A-~]+@[a-z0-9.-]+$' and length(email) <= 254),
    constraint sign_ups_language_known check (language in ('en', 'es', 'pt'))
);

alter table password_resets enable row level security;
alter table password_resets force row level security;
create policy password_resets_app on password_resets to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
alter table mails enable row level security;
alter table mails force row level security;
create policy mails_app on mails to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));
create policy mails_control on mails to storepulse_control using (true) with check (true);
alter table mail_templates enable row level security;
alter table mail_templates force row level security;
create policy mail_templates_app on mail_templates to storepulse_app
    using (tenant_id = current_setting('app.tenant_id', true)) with check (tenant_id = current_setting('app.tenant_id', true));

grant select, insert, update, delete on password_resets, mail_templates to storepulse_app;
grant select, insert, delete on mails to storepulse_app;
grant select, update, delete on mails to storepulse_control;
grant select, insert, update, delete on sign_ups to storepulse_control;
