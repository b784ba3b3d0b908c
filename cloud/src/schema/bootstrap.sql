-- Roles and their place in this database. Idempotent; needs CREATEROLE and ownership of the database, not superuser.
-- Passwords arrive as settings of the transaction, so that they stand in no statement; empty means: leave as is.
do $$
declare
    member record;
    held record;
begin
    -- A superuser may have kept these locks for the service; see below.
    if has_function_privilege('pg_advisory_xact_lock(bigint)', 'execute') then
        perform pg_advisory_xact_lock(hashtext('storepulse bootstrap'));
    end if;

    if to_regrole('storepulse_owner') is null then
        create role storepulse_owner nologin;
    end if;
    if to_regrole('storepulse_app') is null then
        create role storepulse_app login;
    end if;
    if to_regrole('storepulse_control') is null then
        create role storepulse_control login;
    end if;
    if to_regrole('storepulse_bi') is null then
        create role storepulse_bi nologin;
    end if;

    -- Roles that were made by hand may have more than they should.
    for member in
        select rolname from pg_roles
        where rolname in ('storepulse_owner', 'storepulse_app', 'storepulse_control', 'storepulse_bi')
          and (rolsuper or rolbypassrls)
    loop
        raise exception 'role % is superuser or may bypass row-level security; take that away first', member.rolname;
    end loop;

    if current_setting('storepulse.app_password') <> '' then
        execute format('alter role storepulse_app password %L', current_setting('storepulse.app_password'));
    end if;
    if current_setting('storepulse.control_password') <> '' then
        execute format('alter role storepulse_control password %L', current_setting('storepulse.control_password'));
    end if;

    if not pg_has_role(current_user, 'storepulse_owner', 'member') then
        execute format('grant storepulse_owner to %I', current_user);
    end if;
    execute format('grant connect on database %I to storepulse_app, storepulse_control, storepulse_bi', current_database());
    execute format('grant connect, temporary on database %I to storepulse_owner', current_database());
    execute format('revoke temporary on database %I from public', current_database());
    revoke create on schema public from public;
    grant usage, create on schema public to storepulse_owner;
    grant usage on schema public to storepulse_app, storepulse_control, storepulse_bi;

    -- The server lets everybody take any advisory lock, upkeep's too, and store large objects. People who read need neither.
    -- Only a superuser can take that from everybody; elsewhere a reader could hold up upkeep, though see nothing.
    if (select rolsuper from pg_roles where rolname = current_user) then
        for held in
            select oid::regprocedure::text as name, proname ~ 'advisory' as is_lock from pg_proc
            where pronamespace = 'pg_catalog'::regnamespace
              and (proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'
                or proname in ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_open', 'lo_put', 'lowrite'))
        loop
            execute format('revoke execute on function %s from public', held.name);
            if held.is_lock then
                execute format('grant execute on function %s to storepulse_owner, storepulse_app, storepulse_control', held.name);
            end if;
        end loop;
    end if;
end
$$;
