//! The lists of [`super::expected`] against what there is: one case for every line that either has.

use std::collections::BTreeSet;

use super::expected::{
    CONTROL_TABLES, DATABASE, FUNCTIONS, GRANTS, NOT_FOR_APP, OF_READER, OF_TENANT, READ_BY_PEOPLE,
    TABLES_WITHOUT_TENANT, TRIGGERS,
};
use crate::isolation::case::Case;
use crate::isolation::people::ROLES;
use crate::isolation::session::Session;

const WITHOUT_TENANT: &str = "select c.oid::regclass::text from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not exists (
        select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)";

const WITH_TENANT: &str = "select c.oid::regclass::text from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition";

const LIVE_GRANTS: &str = "select c.oid::regclass || ' to ' ||
        case g.grantee when 0 then 'PUBLIC' else g.grantee::regrole::text end || ': ' ||
        string_agg(g.privilege_type, ', ' order by g.privilege_type)
    from pg_class c, aclexplode(c.relacl) g
    where c.relnamespace = 'public'::regnamespace and g.grantee <> c.relowner
    group by c.oid, g.grantee";

const LIVE_FUNCTIONS: &str = "select p.oid::regprocedure::text ||
        case when p.prosecdef then ' as definer' else ' as invoker' end ||
        coalesce(', ' || array_to_string(p.proconfig, '; '), '') || ', for ' || coalesce(
            (select string_agg(case g.grantee when 0 then 'PUBLIC' else g.grantee::regrole::text end, ', ')
                from aclexplode(p.proacl) g where g.grantee <> p.proowner),
            case when p.proacl is null then 'PUBLIC' else 'nobody' end)
    from pg_proc p where p.pronamespace = 'public'::regnamespace";

const LIVE_POLICIES: &str = "select tablename || ' to ' || array_to_string(roles, ', ') || ': ' || qual
    from pg_policies where schemaname = 'public'";

const LIVE_TRIGGERS: &str = "select tgrelid::regclass || '.' || tgname || ' calls ' || tgfoid::regproc || ' ' ||
        case tgtype when 5 then 'after insert' when 7 then 'before insert' when 17 then 'after update' when 21 then 'after insert or update'
            when 29 then 'after insert or delete or update'
            else 'at ' || tgtype end || case tgenabled when 'O' then ', on' else ', off' end
    from pg_trigger where not tgisinternal";

/// Of the database and its schema; the owner of the database may do anything to it.
const LIVE_DATABASE: &str =
    "select 'database to ' || case g.grantee when 0 then 'PUBLIC' else g.grantee::regrole::text end
        || ': ' || string_agg(g.privilege_type, ', ' order by g.privilege_type)
    from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g
    where d.datname = current_database() and g.grantee <> d.datdba group by g.grantee
    union all
    select 'schema to ' || case g.grantee when 0 then 'PUBLIC' else g.grantee::regrole::text end
        || ': ' || string_agg(g.privilege_type, ', ' order by g.privilege_type)
    from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g
    where n.nspname = 'public' and g.grantee <> n.nspowner group by g.grantee";

pub(super) async fn cases(admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let tables = set(admin.run(WITH_TENANT).await?.column());
    let mut cases = Vec::new();
    for (what, expected, live) in [
        ("table without a tenant", set(TABLES_WITHOUT_TENANT), WITHOUT_TENANT),
        (
            "grant",
            GRANTS.iter().map(|(of, to, all)| format!("{of} to {to}: {}", all.join(", "))).collect(),
            LIVE_GRANTS,
        ),
        ("function", set(FUNCTIONS), LIVE_FUNCTIONS),
        ("trigger", set(TRIGGERS), LIVE_TRIGGERS),
        ("policy", policies(&tables), LIVE_POLICIES),
        ("privilege on the", set(DATABASE), LIVE_DATABASE),
        ("permission", permissions(), "select role || ': ' || permission from role_permissions"),
    ] {
        let live = set(admin.run(live).await?.column());
        let case = |line: &String| {
            let fault = match (expected.contains(line), live.contains(line)) {
                (true, true) => None,
                (true, false) => Some("it is not there"),
                (false, _) => Some("it is not in isolation/catalogue/expected.rs"),
            };
            Case::new(format!("{what} {line}"), fault.map(str::to_owned))
        };
        cases.extend(expected.union(&live).map(case));
    }
    Ok(cases)
}

/// What each role of people may do.
fn permissions() -> BTreeSet<String> {
    let of = |(role, permissions): &(&str, &'static [&'static str])| {
        let role = (*role).to_owned();
        permissions.iter().map(move |permission| format!("{role}: {permission}"))
    };
    ROLES.iter().flat_map(of).collect()
}

/// Every table with tenants has the one policy for `storepulse_app`; control tables have one for `storepulse_control`, and what
/// people read one for `storepulse_bi`.
fn policies(tables: &BTreeSet<String>) -> BTreeSet<String> {
    let of_app = tables.iter().filter(|table| !NOT_FOR_APP.contains(&table.as_str()));
    let of_app = of_app.map(|table| format!("{table} to storepulse_app: {OF_TENANT}"));
    let of_control = CONTROL_TABLES.map(|table| format!("{table} to storepulse_control: true"));
    let of_readers = READ_BY_PEOPLE.map(|table| format!("{table} to storepulse_bi: {OF_READER}"));
    of_app.chain(of_control).chain(of_readers).collect()
}

fn set(lines: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    lines.into_iter().map(Into::into).collect()
}
