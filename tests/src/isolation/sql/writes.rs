//! Nobody writes into another tenant's rows, and nobody's rows are of no tenant.

use super::relations::{Relation, Schema};
use super::{APP, Logins};
use crate::isolation::case::Case;
use crate::isolation::session::{Reply, quote};
use crate::isolation::world::{STRANGER, VICTIM};

/// `insufficient_privilege`: no grant, or a policy.
pub(in crate::isolation) const DENIED: &str = "42501";
/// `feature_not_supported`: COPY FROM under row-level security.
const NOT_UNDER_RLS: &str = "0A000";

/// A case for every table and way of writing, bound to another tenant and to none.
pub(super) async fn cases(schema: &Schema, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for table in schema.tables() {
        let row = format!("{} where tenant_id = {} limit 1", table.select_all(), quote(VICTIM));
        let row = logins.admin.run(&row).await?.column().pop().unwrap_or_default();
        for tenant in [Some(STRANGER), None] {
            for (how, statement) in touches(table) {
                let reply = logins.app.attempt(tenant, &statement).await?;
                // Rows that cannot be seen are not there: nothing happens, or nothing may.
                let untouched = reply.affected == 0 && matches!(reply.code(), "" | DENIED);
                cases.push(case(table, how, tenant, untouched, &reply));
            }
            for (how, statement) in refused(table, &row) {
                let reply = logins.app.attempt(tenant, &statement).await?;
                cases.push(case(table, how, tenant, reply.code() == DENIED, &reply));
            }
        }
        let reply = logins.app.copy_in(&table.name).await?;
        let refused = matches!(reply.code(), DENIED | NOT_UNDER_RLS);
        cases.push(case(table, "by copy", None, refused, &reply));
        let nobodys = insert(table, &row, r#"{"tenant_id": ""}"#, "");
        let reply = logins.app.attempt(Some(""), &nobodys).await?;
        cases.push(case(table, "a row of the empty tenant", Some(""), reply.refusal.is_some(), &reply));
    }
    Ok(cases)
}

fn case(table: &Relation, how: &str, tenant: Option<&str>, holds: bool, reply: &Reply) -> Case {
    let bound = tenant.map_or_else(|| "to nobody".to_owned(), |tenant| format!("to {tenant:?}"));
    let name = format!("{APP} bound {bound} writes {} of another tenant: {how}", table.name);
    Case::holds(name, holds, || format!("{} rows written; {} {}", reply.affected, reply.code(), reply.text()))
}

/// Statements on rows that are there, but not to be seen.
fn touches(table: &Relation) -> Vec<(&'static str, String)> {
    let (name, victim, stranger) = (&table.name, quote(VICTIM), quote(STRANGER));
    vec![
        ("update", format!("update {name} set tenant_id = tenant_id where tenant_id = {victim}")),
        ("take over", format!("update {name} set tenant_id = {stranger} where tenant_id = {victim}")),
        ("delete", format!("delete from {name} where tenant_id = {victim}")),
        (
            "merge",
            format!(
                "merge into {name} using (values (1)) v (n) on tenant_id = {victim}
                when matched then update set tenant_id = {stranger}"
            ),
        ),
    ]
}

/// Statements that must not even be tried.
fn refused(table: &Relation, row: &str) -> Vec<(&'static str, String)> {
    let name = &table.name;
    vec![
        ("insert", insert(table, row, "{}", "")),
        ("insert unless it is there", insert(table, row, "{}", "on conflict do nothing")),
        ("truncate", format!("truncate {name}")),
        ("truncate with all that hangs on it", format!("truncate {name} cascade")),
    ]
}

/// A row, given as JSON, with some fields changed.
pub(super) fn insert(table: &Relation, row: &str, changes: &str, conflict: &str) -> String {
    let (name, row, changes) = (&table.name, quote(row), quote(changes));
    format!(
        "insert into {name} select (jsonb_populate_record(null::{name}, {row}::jsonb || {changes}::jsonb)).* {conflict}"
    )
}
