//! The catalogue: what the schema, the roles and the grants would allow, read as the superuser.
//!
//! Three kinds of checks. A *rule* holds for every object of a kind. Something *absent* is not there at all. A *list* is
//! written down in [`expected`] and must be what there is, no less and no more. All are statements that find out, so that
//! another table, policy or grant is another case without a line here.

mod absent;
mod distribution;
pub(super) mod expected;
mod lists;
mod roles;
mod tables;

use super::case::Case;
use super::session::Session;

/// Every object of a kind, and what is wrong with it.
struct Rule {
    name: &'static str,
    /// Gives the object, and its fault or null.
    sql: &'static str,
}

/// What there must be none of.
struct Absent {
    name: &'static str,
    /// Gives what there is.
    sql: &'static str,
}

/// Looks at everything. Changes nothing, so it can look into a transaction that will be taken back.
///
/// # Errors
/// The server refused a statement, or a rule found nothing to hold for.
pub async fn cases(admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for rule in tables::RULES.iter().chain(&roles::RULES).chain(&distribution::RULES) {
        let rows = admin.run(rule.sql).await?.rows;
        anyhow::ensure!(!rows.is_empty(), "{}: there is nothing it could hold for", rule.name);
        for row in rows {
            let mut columns = row.into_iter();
            let object = columns.next().flatten().unwrap_or_default();
            cases.push(Case::new(format!("{object}: {}", rule.name), columns.next().flatten()));
        }
    }
    for absent in absent::ALL {
        let found = admin.run(absent.sql).await?.column();
        cases.push(Case::holds(absent.name, found.is_empty(), || found.join(", ")));
    }
    cases.extend(lists::cases(admin).await?);
    Ok(cases)
}
