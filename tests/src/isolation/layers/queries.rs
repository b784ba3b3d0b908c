//! Every query of the service on a table of tenants binds a tenant: read off the plans of `cloud/.sqlx`, not off the text.
//!
//! The plan is the generic one, made for a superuser, whom no policy adds a predicate for. Each scan of such a table must have
//! `tenant_id = …` among its own conditions, or be joined by it to one that has; what is inserted must name its tenant.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::isolation::case::Case;
use crate::isolation::session::Session;

/// Queries that touch this table of all tenants, and why they may; the first that a query begins with. Nothing else is excused.
const OF_ALL_TENANTS: [(&str, &str, &str); 11] = [
    (
        "select tenant_id, retention_days from tenants order by tenant_id",
        "tenants",
        "upkeep goes from tenant to tenant",
    ),
    (
        "select tenant_id from tenants order by tenant_id collate \"C\"",
        "tenants",
        "the audits of all are verified",
    ),
    ("select tenant_id from tenants order by tenant_id", "tenants", "verify goes from tenant to tenant"),
    ("select t.tenant_id, t.company, t.status,", "tenants", "the operator's list of tenants"),
    (
        "select exists (select from tenants where custom_domain = $2 and tenant_id <> $1)",
        "tenants",
        "a domain is one tenant's",
    ),
    (
        "select a.custom_domain as \"domain!\" from json_populate_record",
        "tenants",
        "the same for one that is restored",
    ),
    ("select tenant_id, custom_domain as \"domain!\" from tenants", "tenants", "whose domain a host is"),
    (
        "select t.tenant_id, t.company from tenants t where t.tenant_id = $1 or",
        "joined_users",
        "the tenants of one person",
    ),
    (
        "select count(*) as \"tenants!\", coalesce(bool_or(tenant_id = $2)",
        "joined_users",
        "of how many tenants one person is",
    ),
    (
        "update operator_entries set ended_at = now() where credential_id = $1",
        "operator_entries",
        "an operator whose key is revoked is inside of nobody",
    ),
    (
        "update mails m set due_at =",
        "mails",
        "what is due, of whichever tenant; it says neither to whom nor what",
    ),
];

/// What has a plan; the others touch no table.
const PLANNED: [&str; 5] = ["select ", "insert ", "update ", "delete ", "with "];

#[derive(Deserialize)]
struct Prepared {
    query: String,
    describe: Described,
}

#[derive(Deserialize)]
struct Described {
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
enum Parameters {
    Left(Vec<Value>),
    Right(usize),
}

/// A case for each query that touches a table of tenants.
///
/// # Errors
/// A query cannot be planned, or there are none.
pub async fn cases(admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let tables = Tables::read(admin).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/.sqlx");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut cases = Vec::new();
    let mut excused = [false; OF_ALL_TENANTS.len()];
    for file in files {
        let prepared: Prepared =
            serde_json::from_slice(&std::fs::read(&file)?).with_context(|| file.display().to_string())?;
        let text = prepared.query.split_whitespace().collect::<Vec<_>>().join(" ");
        if !PLANNED.iter().any(|verb| text.starts_with(verb)) {
            continue;
        }
        let plan = plan(admin, &prepared).await.with_context(|| text.clone())?;
        let mut found = Found::default();
        found.walk(&plan, &tables, &text, &mut Vec::new());
        let excuse = OF_ALL_TENANTS.iter().position(|(query, ..)| text.starts_with(query));
        if let Some(excuse) =
            excuse.filter(|at| found.unbound.iter().all(|table| table == OF_ALL_TENANTS[*at].1))
        {
            excused[excuse] |= !found.unbound.is_empty();
            found.unbound.clear();
        }
        if found.touches {
            let name = format!("it binds a tenant: {}", text.chars().take(100).collect::<String>());
            cases.push(Case::holds(name, found.unbound.is_empty(), || found.unbound.join(", ")));
        }
    }
    for ((query, ..), excused) in OF_ALL_TENANTS.iter().zip(excused) {
        cases.push(Case::holds(format!("the excuse is needed: {query}"), excused, || {
            "no such query".to_owned()
        }));
    }
    anyhow::ensure!(
        cases.len() > OF_ALL_TENANTS.len(),
        "no query touches a table of tenants: nothing is proved"
    );
    Ok(cases)
}

async fn plan(admin: &mut Session, prepared: &Prepared) -> anyhow::Result<Value> {
    let parameters = match &prepared.describe.parameters {
        Some(Parameters::Left(types)) => types.len(),
        Some(Parameters::Right(count)) => *count,
        None => 0,
    };
    let nulls = vec!["null"; parameters].join(", ");
    let nulls = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let explained = admin
        .run(&format!(
            "begin; set local plan_cache_mode = force_generic_plan; prepare asked as {}; \
             explain (verbose, format json) execute asked{nulls}",
            prepared.query
        ))
        .await;
    admin.run("rollback; deallocate all").await?;
    let plan: Value = serde_json::from_str(&explained?.column().concat())?;
    Ok(plan[0]["Plan"].clone())
}

/// The tables that have a `tenant_id`, by their own names and those of their partitions.
struct Tables(BTreeMap<String, String>);

impl Tables {
    async fn read(admin: &mut Session) -> anyhow::Result<Self> {
        let rows = admin
            .run(
                "select c.relname, coalesce(i.inhparent::regclass::text, c.relname) from pg_class c
                join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
                left join pg_inherits i on i.inhrelid = c.oid
                where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
            )
            .await?
            .rows;
        let pair = |row: Vec<Option<String>>| {
            let [name, table] = <[_; 2]>::try_from(row).ok()?;
            Some((name?, table?))
        };
        Ok(Self(rows.into_iter().filter_map(pair).collect()))
    }
}

/// What a plan has of tenants' tables.
#[derive(Default)]
struct Found {
    touches: bool,
    unbound: Vec<String>,
}

/// Where a node of a plan keeps its conditions.
const CONDITIONS: [&str; 7] =
    ["Index Cond", "Recheck Cond", "Filter", "TID Cond", "Hash Cond", "Merge Cond", "Join Filter"];

impl Found {
    fn walk(&mut self, node: &Value, tables: &Tables, query: &str, above: &mut Vec<String>) {
        let conditions: Vec<String> =
            CONDITIONS.iter().filter_map(|at| Some(node[*at].as_str()?.to_owned())).collect();
        let kind = node["Node Type"].as_str().unwrap_or_default();
        if let Some(table) = node["Relation Name"].as_str().and_then(|name| tables.0.get(name)) {
            self.touches = true;
            let is_bound = if kind != "ModifyTable" {
                let alias = node["Alias"].as_str().unwrap_or_default();
                conditions.iter().any(|condition| binds(condition, "tenant_id"))
                    || above.iter().any(|condition| joins(condition, alias))
            } else if node["Operation"] == "Insert" {
                names_its_tenant(query, table) || takes_one_tenants(node)
            } else {
                // The scan below it says which rows.
                true
            };
            if !is_bound {
                self.unbound.push(table.clone());
            }
        }
        let depth = above.len();
        above.extend(conditions);
        for below in node["Plans"].as_array().into_iter().flatten() {
            self.walk(below, tables, query, above);
        }
        above.truncate(depth);
    }
}

/// Whether a condition sets this column equal to something.
fn binds(condition: &str, column: &str) -> bool {
    condition.match_indices(column).any(|(at, _)| {
        let after = condition[at + column.len()..].trim_start_matches(')');
        let after = after.strip_prefix("::text").unwrap_or(after).trim_start_matches(')').trim_start();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '(' | '"');
        let before = condition[..at].trim_end_matches(is_name);
        after.starts_with("= ") || before.ends_with("= ")
    })
}

/// Whether a join sets the tenant of this scan, or of the table whose partition it scans, equal to something.
fn joins(condition: &str, alias: &str) -> bool {
    let whole = alias.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    [alias, whole].into_iter().any(|alias| binds(condition, &format!("{alias}.tenant_id")))
}

/// `insert into table (…, tenant_id, …)`.
fn names_its_tenant(query: &str, table: &str) -> bool {
    query.split("insert into ").skip(1).any(|insert| {
        let Some(columns) = insert.strip_prefix(table).and_then(|rest| rest.split_once('(')) else {
            return false;
        };
        let is_list = columns.0.split_whitespace().all(|word| !matches!(word, "select" | "values"));
        let listed = columns.1.split(')').next().unwrap_or_default();
        is_list && listed.split(',').any(|column| column.trim() == "tenant_id")
    })
}

/// Rows of an archive, all of one tenant: what it takes them from is bound.
fn takes_one_tenants(insert: &Value) -> bool {
    insert["Plans"].as_array().into_iter().flatten().all(|below| {
        below["Node Type"] == "Function Scan"
            && below["Filter"].as_str().is_some_and(|filter| binds(filter, "tenant_id"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predicate_binds_if_it_says_equal() {
        for bound in [
            "(t.tenant_id = $1)",
            "((t.tenant_id)::text = $1)",
            "(s.tenant_id = t.tenant_id)",
            "($1 = tenant_id)",
            "(tenant_id = ANY ($1))",
        ] {
            assert!(binds(bound, "tenant_id"), "{bound}");
        }
        for loose in
            ["(tenant_id <> $1)", "((t.tenant_id)::text > $1)", "(tenant_id IS NOT NULL)", "(store_id = $1)"]
        {
            assert!(!binds(loose, "tenant_id"), "{loose}");
        }
        assert!(joins("(b.tenant_id = k.tenant_id)", "b_1") && !joins("(b.tenant_id = k.tenant_id)", "x"));
    }

    #[test]
    fn an_insert_names_its_tenant_in_its_columns() {
        assert!(names_its_tenant("insert into events (tenant_id, t) values ($1, $2)", "events"));
        assert!(!names_its_tenant("insert into events (t) select tenant_id from x", "events"));
        assert!(!names_its_tenant("insert into events select a (tenant_id) from x", "events"));
    }
}
