-- Takes a reader's login away and ends its sessions. The tenant arrives as a setting of the transaction.
do $$
declare
    tenant constant text := current_setting('storepulse.bi_tenant');
    reader constant text := 'sp_bi_' || tenant;
begin
    if to_regrole(quote_ident(reader)) is null then
        raise exception 'role % does not exist; `storepulse-cloud bi-role list` shows those that do', reader;
    end if;
    execute format('alter role %I nologin', reader);
    begin
        perform pg_terminate_backend(pid) from pg_stat_activity where usename = reader;
    exception when insufficient_privilege then
        raise exception 'role % has open sessions, which % may not end: close them first', reader, current_user;
    end;
    execute format('drop role %I', reader);
end
$$;
