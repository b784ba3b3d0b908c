//! Ways out of a role: to become another one, to change what binds it, to leave the database. Each must be refused.

use super::{APP, CONTROL, Logins};
use crate::isolation::case::Case;
use crate::isolation::session::Reply;

/// What either role might try. The name of the role stands for `<role>`.
pub(in crate::isolation) const ESCAPES: [&str; 52] = [
    "set role storepulse_owner",
    "set role storepulse_admin",
    "set role pg_read_all_data",
    "set local role storepulse_owner",
    "set session authorization storepulse_owner",
    "set session authorization storepulse_admin",
    "set local session_replication_role = replica",
    "set local row_security = off; select from tenants",
    "alter role <role> bypassrls",
    "alter role <role> superuser",
    "alter role <role> createrole",
    "alter role storepulse_owner login",
    "alter role storepulse_owner password 'x'",
    "create role intruder",
    "grant storepulse_owner to <role>",
    "grant pg_read_all_data to <role>",
    "reassign owned by storepulse_owner to <role>",
    "drop owned by storepulse_owner",
    "alter table events disable row level security",
    "alter table events no force row level security",
    "alter table events owner to <role>",
    "alter table sample_batches detach partition sample_batches_default",
    "drop table events",
    "create policy intruder on events using (true)",
    "alter policy events_app on events using (true)",
    "drop policy events_app on events",
    "create trigger intruder before insert on events execute function suppress_redundant_updates_trigger()",
    "create rule intruder as on select to events do instead select 1",
    "create index intruder on events (text)",
    "create table public.intruder (n integer)",
    "create temporary table intruder (n integer)",
    "create view public.intruder as select 1",
    "create schema intruder",
    "create function public.intruder() returns integer language sql security definer return 1",
    "create or replace function through(numbers int8multirange) returns bigint language sql return 1",
    "create or replace view samples as select 1",
    "create extension postgres_fdw",
    "create foreign data wrapper intruder",
    "create publication intruder for all tables",
    "create event trigger intruder on ddl_command_start execute function intruder()",
    "alter system set row_security = off",
    "alter database template1 set app.tenant_id = 'la-villa'",
    "alter role storepulse_owner set app.tenant_id = 'la-villa'",
    "alter default privileges for role storepulse_owner grant select on tables to public",
    "alter function through(int8multirange) security definer",
    "copy (select 1) to '/tmp/intruder'",
    "copy (select 1) to program 'true'",
    "select pg_read_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/hostname')",
    "select pg_reload_conf()",
    "select rolpassword from pg_authid",
];

/// What one of them may, and the other may not.
const OF_THE_OTHER: [(&str, &str); 5] = [
    (APP, "set role storepulse_control"),
    (APP, "select make_partitions(current_date, current_date)"),
    (APP, "select drop_partitions('2000-01-01')"),
    (CONTROL, "set role storepulse_app"),
    (CONTROL, "select make_partitions('2000-01-01', '2005-01-01')"),
];

/// Syntax, names and types that are wrong: such a refusal says nothing of privileges.
pub(in crate::isolation) const MEANINGLESS: [&str; 6] =
    ["42601", "42P01", "42883", "42704", "42703", "42804"];

/// A case for every role and escape.
pub(super) async fn cases(logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let of_both = [APP, CONTROL].into_iter().flat_map(|role| ESCAPES.map(|escape| (role, escape)));
    let mut cases = Vec::new();
    for (role, escape) in of_both.chain(OF_THE_OTHER) {
        let session = if role == APP { &mut logins.app } else { &mut logins.control };
        let reply = session.attempt(None, &escape.replace("<role>", role)).await?;
        anyhow::ensure!(!MEANINGLESS.contains(&reply.code()), "{escape}: {}", reply.text());
        cases.push(Case::new(format!("{role}: {escape}"), went_through(&reply)));
    }
    Ok(cases)
}

pub(in crate::isolation) fn went_through(reply: &Reply) -> Option<String> {
    reply.refusal.is_none().then(|| format!("was not refused; {}", reply.text()))
}
