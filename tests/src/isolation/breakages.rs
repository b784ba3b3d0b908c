//! Ways to break a database, each of which must be noticed: the proof that the suite can fail.

/// One way.
#[derive(Debug, Clone, Copy)]
pub struct Breakage {
    /// What somebody has done.
    pub name: &'static str,
    /// How, as the superuser.
    pub sql: &'static str,
    /// How to take it back, where that is not left to a rollback.
    pub undo: &'static str,
    /// Stands in the leak that must be reported.
    pub reported: &'static str,
}

const fn breakage(name: &'static str, sql: &'static str, reported: &'static str) -> Breakage {
    Breakage { name, sql, undo: "", reported }
}

/// What the catalogue must report. All can be rolled back.
#[rustfmt::skip]
pub const IN_CATALOGUE: [Breakage; 44] = [
    breakage("a policy shows everything", "alter policy events_app on events using (true)", "policy events to storepulse_app"),
    breakage("a policy lets everything be written", "alter policy events_app on events with check (true)", "events.events_app: the policy reads and checks the same"),
    breakage("a policy is dropped", "drop policy events_app on events", "policy events to storepulse_app"),
    breakage("a second policy shows everything", "create policy more on events to storepulse_app using (true) with check (true)", "policy events to storepulse_app: true"),
    breakage("a policy is for everybody", "create policy more on events using (false)", "events.more: the policy is for named roles"),
    breakage("a policy is for reading only", "create policy more on events for select to storepulse_app using (false)", "events.more: the policy is for named roles"),
    breakage("the control role gets a policy", "create policy more on events to storepulse_control using (true) with check (true)", "policy events to storepulse_control"),
    breakage("row-level security is off", "alter table losses disable row level security", "losses: row-level security"),
    breakage("row-level security is not forced", "alter table losses no force row level security", "losses: row-level security"),
    breakage("row-level security is off for a partition", "alter table sample_batches_default disable row level security", "sample_batches_default: row-level security"),
    breakage("a partition can be read", "grant select on sample_batches_default to storepulse_app", "sample_batches_default: the partition is nobody's"),
    breakage("a partition can be read by everybody", "grant select on sample_batches_default to public", "sample_batches_default: the partition is nobody's"),
    breakage("a column can be read", "grant select (vals) on sample_batches_default to storepulse_app", "no column has grants"),
    breakage("a table can be truncated", "grant truncate on events to storepulse_app", "grant events to storepulse_app"),
    breakage("a table can be referred to", "grant references on stores to storepulse_app", "grant stores to storepulse_app"),
    breakage("receipts can be deleted", "grant delete on streams to storepulse_app", "grant streams to storepulse_app"),
    breakage("tenants' data is for the control role", "grant select on series to storepulse_control", "grant series to storepulse_control"),
    breakage("keys are for the app role", "grant select on store_keys to storepulse_app", "grant store_keys to storepulse_app"),
    breakage("a table is for everybody", "grant select on stores to public", "grant stores to PUBLIC"),
    breakage("a grant can be given further", "grant select on events to storepulse_app with grant option", "the right to grant it further"),
    breakage("a view reads as its owner", "alter view samples reset (security_invoker)", "samples: the view reads as whoever"),
    breakage("a view is added that reads as its owner", "create view more as select * from events", "more: the view reads as whoever"),
    breakage("a view keeps rows", "create materialized view more as select * from events", "no materialised view"),
    breakage("a table without tenants is added", "create table more (n integer primary key)", "table without a tenant more"),
    breakage("a table with tenants is added without row-level security", "create table more (tenant_id text primary key)", "more: row-level security"),
    breakage("a table is added whose tenant may be missing", "create table more (tenant_id text, n integer primary key)", "more: tenant_id is text"),
    breakage("a key spans tenants", "create unique index more on idempotency_keys (key)", "more: tenant_id leads the index"),
    breakage("an index spans tenants", "create index more on events (t)", "more: tenant_id leads the index"),
    breakage("a foreign key spans tenants", "create table more (tenant_id text, store_id text, primary key (tenant_id, store_id), foreign key (store_id, tenant_id) references stores (store_id, tenant_id)); ", "more"),
    breakage("a function runs as its owner", "create function more() returns bigint language sql security definer return 1", "more()"),
    breakage("a function of the owner looks anywhere", "alter function make_partitions(date, date) reset search_path", "make_partitions(date,date): who runs as its owner"),
    breakage("a function of the owner is for everybody", "grant execute on function drop_partitions(date) to public", "drop_partitions(date): who runs as its owner"),
    breakage("a function of the owner is for the app role", "grant execute on function drop_partitions(date) to storepulse_app", "function drop_partitions(date)"),
    breakage("a function is made the owner's", "alter function through(int8multirange) security definer", "function through(int8multirange)"),
    breakage("a trigger copies rows", "create trigger more before update on events for each row execute function suppress_redundant_updates_trigger()", "no trigger"),
    breakage("a rule rewrites statements", "create rule more as on delete to events do instead nothing", "no rule"),
    breakage("a sequence numbers rows", "create sequence more", "no sequence"),
    breakage("another schema", "create schema more", "no schema"),
    breakage("new tables are for everybody", "alter default privileges for role storepulse_owner grant select on tables to public", "by default"),
    breakage("a table is somebody else's", "alter table events owner to current_user", "it is the owner's"),
    breakage("rows are published", "create publication more for table events", "no publication"),
    breakage("a large object", "select lo_create(0)", "no large object"),
    breakage("a foreign server", "create foreign data wrapper more; create server more foreign data wrapper more", "no subscription and no foreign server"),
    breakage("tables can be made", "grant create on schema public to storepulse_app", "schema to storepulse_app"),
];

/// What one of the roles must notice in SQL: these are committed, seen, and taken back.
#[rustfmt::skip]
pub const FOR_A_ROLE: [Breakage; 12] = [
    Breakage { name: "a policy shows everything", sql: "alter policy events_app on events using (true)",
        undo: "alter policy events_app on events using (tenant_id = current_setting('app.tenant_id', true))", reported: "reads events" },
    Breakage { name: "a policy shows what has no tenant set", sql: "alter policy losses_app on losses using (tenant_id = current_setting('app.tenant_id', true) or coalesce(current_setting('app.tenant_id', true), '') = '')",
        undo: "alter policy losses_app on losses using (tenant_id = current_setting('app.tenant_id', true))", reported: "reads losses" },
    Breakage { name: "a policy compares loosely", sql: "alter policy series_app on series using (tenant_id = lower(trim(current_setting('app.tenant_id', true))))",
        undo: "alter policy series_app on series using (tenant_id = current_setting('app.tenant_id', true))", reported: "reads series" },
    Breakage { name: "a policy hides everything", sql: "alter policy stores_app on stores using (false)",
        undo: "alter policy stores_app on stores using (tenant_id = current_setting('app.tenant_id', true))", reported: "reads its stores" },
    Breakage { name: "a policy lets everything be written", sql: "alter policy streams_app on streams with check (true)",
        undo: "alter policy streams_app on streams with check (tenant_id = current_setting('app.tenant_id', true))", reported: "writes streams" },
    Breakage { name: "row-level security is off", sql: "alter table sample_batches disable row level security",
        undo: "alter table sample_batches enable row level security", reported: "reads sample_batches" },
    Breakage { name: "a view reads as a superuser", sql: "alter view samples reset (security_invoker); alter view samples owner to current_user",
        undo: "alter view samples set (security_invoker = true); alter view samples owner to storepulse_owner", reported: "reads samples" },
    Breakage { name: "a partition can be read", sql: "grant select on sample_batches_default to storepulse_app",
        undo: "revoke select on sample_batches_default from storepulse_app", reported: "may not SELECT sample_batches_default" },
    Breakage { name: "a table can be truncated", sql: "grant truncate on events to storepulse_app",
        undo: "revoke truncate on events from storepulse_app", reported: "truncate" },
    Breakage { name: "a key spans tenants", sql: "create unique index more on idempotency_keys (key)",
        undo: "drop index more", reported: "the row that the victim has in idempotency_keys" },
    Breakage { name: "the control role reads tenants' data", sql: "grant select on events to storepulse_control; create policy more on events to storepulse_control using (true)",
        undo: "revoke select on events from storepulse_control; drop policy more on events", reported: "storepulse_control may not SELECT events" },
    Breakage { name: "tables can be made", sql: "grant create on schema public to storepulse_app",
        undo: "revoke create on schema public from storepulse_app", reported: "create table public.intruder" },
];
