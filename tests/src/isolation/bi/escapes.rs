//! Ways out of a reader's role: to become somebody else, to shed what binds it, to leave the database, to hold up others.

use crate::isolation::case::Case;
use crate::isolation::sql::escapes::{ESCAPES, MEANINGLESS, went_through};
use crate::isolation::sql::relations::Schema;
use crate::isolation::world::{STRANGER, World};

/// What a reader might try besides what the service's roles might. Its name stands for `<role>`, the victim's reader is there.
const OF_READERS: [&str; 43] = [
    "set role storepulse_app",
    "set role storepulse_control",
    r#"set role "sp_bi_la-villa""#,
    r#"set session authorization "sp_bi_la-villa""#,
    "select set_config('role', 'sp_bi_la-villa', true)",
    "select set_config('session_authorization', 'sp_bi_la-villa', true)",
    "do $$ begin execute 'set role storepulse_app'; end $$",
    "set role storepulse_bi; set role storepulse_app",
    r#"grant "sp_bi_la-villa" to <role>"#,
    "grant storepulse_app to <role>",
    "grant storepulse_bi to storepulse_app",
    r#"alter role <role> rename to "sp_bi_la-villa-2""#,
    r#"alter role "sp_bi_la-villa" password 'x'"#,
    r#"alter role "sp_bi_la-villa" set default_transaction_read_only = off"#,
    "alter role <role> connection limit -1",
    "alter role <role> set temp_file_limit = -1",
    "set temp_file_limit = -1",
    "set log_statement = 'all'",
    "set session_preload_libraries = 'x'",
    "load 'auto_explain'",
    "set lo_compat_privileges = on; select 1",
    "select lo_create(0)",
    "select lo_creat(-1)",
    "select lo_from_bytea(0, 'x')",
    "select lo_export(1, '/tmp/intruder')",
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock(1)",
    "select pg_advisory_xact_lock(hashtext('storepulse upkeep'))",
    "select pg_try_advisory_xact_lock_shared(1, 2)",
    "select make_partitions(current_date, current_date)",
    "select make_months(current_date, current_date)",
    "select drop_partitions(current_date)",
    "create extension dblink",
    "create table pg_temp.intruder as select 1",
    "create function pg_temp.intruder() returns integer language sql return 1",
    "create operator public.=== (leftarg = text, rightarg = text, function = texteq)",
    "create statistics public.intruder on tenant_id, store_id from stores",
    "comment on table events is 'x'",
    "create materialized view public.intruder as select 1",
    "select pg_read_binary_file('PG_VERSION')",
    "select pg_stat_file('PG_VERSION')",
    "select pg_stat_reset()",
    "select pg_create_logical_replication_slot('intruder', 'pgoutput')",
];

/// A case for every escape, and what a reader sees as the one role that it may become.
pub(super) async fn cases(world: &World, schema: &Schema) -> anyhow::Result<Vec<Case>> {
    let mut reader = world.readers.session(STRANGER).await?;
    let mut cases = Vec::new();
    for escape in ESCAPES.into_iter().chain(OF_READERS) {
        let escape = escape.replace("<role>", &format!("\"sp_bi_{STRANGER}\""));
        let reply = reader.attempt(None, &escape).await?;
        anyhow::ensure!(!MEANINGLESS.contains(&reply.code()), "{escape}: {}", reply.text());
        cases.push(Case::new(format!("a reader: {escape}"), went_through(&reply)));
    }
    for relation in schema.with_tenants() {
        let statement = format!("set local role storepulse_bi; {}", relation.select_all());
        let reply = reader.attempt(Some(STRANGER), &statement).await?;
        let name = format!("a reader reads {} as its group", relation.name);
        cases.push(Case::holds(name, reply.rows.is_empty(), || reply.text()));
    }
    reader.close().await?;
    Ok(cases)
}
