-- A login that reads one tenant. Tenant and password arrive as settings of the transaction, so that the password stands in no
-- statement. Needs CREATEROLE and the right to grant storepulse_bi; what only a superuser may limit is limited for a superuser.
do $$
declare
    tenant constant text := current_setting('storepulse.bi_tenant');
    reader constant text := 'sp_bi_' || tenant;
    me pg_roles;
begin
    if to_regrole('storepulse_bi') is null then
        raise exception 'role storepulse_bi is missing: run `storepulse-cloud migrate --bootstrap` first';
    end if;
    if to_regrole(quote_ident(reader)) is not null then
        raise exception 'role % exists; `storepulse-cloud bi-role drop --tenant %` removes it', reader, tenant;
    end if;
    select * into me from pg_roles where rolname = current_user;
    -- Others are bound by row-level security and cannot know.
    if me.rolsuper or me.rolbypassrls then
        if not exists (select from public.tenants where tenant_id = tenant) then
            raise exception 'tenant % does not exist', tenant;
        end if;
        if not coalesce(
            (select value = 'true' from public.tenant_settings
                where tenant_id = tenant and type = 'features' and name = 'bi'),
            (select p.features -> 'bi' = 'true' from public.tenants t join public.plans p on p.plan = t.plan
                where t.tenant_id = tenant),
            false) then
            raise exception 'tenant % does not have the feature bi: set features.bi to true for it, or choose a plan that has it', tenant;
        end if;
    end if;

    execute format('create role %I login connection limit 4', reader);
    execute format('alter role %I password %L', reader, current_setting('storepulse.bi_password'));
    -- From 16 on, a member need not be able to become the group.
    if current_setting('server_version_num')::integer >= 160000 then
        execute format('grant storepulse_bi to %I with inherit true, set false', reader);
    else
        execute format('grant storepulse_bi to %I', reader);
    end if;

    -- Where a session begins. It may set these anew for itself: they help a reader who errs, they do not stop one who means harm.
    execute format('alter role %I set default_transaction_read_only = on', reader);
    execute format('alter role %I set statement_timeout = %L', reader, '60s');
    execute format('alter role %I set idle_in_transaction_session_timeout = %L', reader, '60s');
    execute format('alter role %I set work_mem = %L', reader, '16MB');
    execute format('alter role %I set max_parallel_workers_per_gather = 0', reader);
    if me.rolsuper then
        -- This one it may not.
        execute format('alter role %I set temp_file_limit = %L', reader, '1GB');
    end if;
end
$$;
