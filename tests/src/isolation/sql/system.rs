//! PostgreSQL's own catalogues and statistics: they describe what is in the tables (the most common values of a column,
//! the statements of other sessions), and must show neither role anything of it.

use super::{APP, CONTROL, Logins};
use crate::isolation::canary::{Canary, sighting};
use crate::isolation::case::Case;
use crate::isolation::session::quote;
use crate::isolation::world::World;

/// The views of `information_schema` read the same tables, and describe nothing but their form.
pub(in crate::isolation) const SYSTEM: &str = "select oid::regclass::text from pg_class
    where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v') order by 1";

/// A case for every role and system relation.
pub(super) async fn cases(world: &World, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let canaries = world.canaries_for_tenant(None);
    let pattern = quote(&pattern(&canaries));
    // Statistics hold values of the columns only after this.
    logins.admin.run("analyze").await?;
    let shown = logins.admin.run(&search("pg_stats", &pattern)).await?.rows.len();
    anyhow::ensure!(shown > 0, "the statistics hold no value of any tenant, so nobody could see one there");
    let mut cases = Vec::new();
    for relation in logins.admin.run(SYSTEM).await?.column() {
        for (role, session) in [(APP, &mut logins.app), (CONTROL, &mut logins.control)] {
            let reply = session.attempt(None, &search(&relation, &pattern)).await?;
            let shown = without_readers(&reply.text());
            cases.push(Case::new(format!("{role} reads {relation}"), sighting(&canaries, &shown, "")));
        }
    }
    Ok(cases)
}

/// The names of roles are shown to every login of every PostgreSQL, and with them the ids of the tenants that have a reader.
pub(in crate::isolation) fn without_readers(shown: &str) -> String {
    let readers = World::tenants().map(|tenant| format!("sp_bi_{tenant}"));
    readers.iter().fold(shown.to_owned(), |shown, reader| shown.replace(reader.as_str(), ""))
}

/// Whatever of this relation shows a canary. The statements that other sessions run are searched in this database only: a role is
/// the server's, and beside this test another one makes the same world in a database of its own, as the same role.
pub(in crate::isolation) fn search(relation: &str, pattern: &str) -> String {
    let here = if relation == "pg_stat_activity" { "whole.datname = current_database() and " } else { "" };
    format!("select whole::text from {relation} whole where {here}whole::text ~ {pattern}")
}

/// A regular expression that finds every canary, and not itself: the statements of sessions are among what is searched.
pub(in crate::isolation) fn pattern(canaries: &[Canary]) -> String {
    let one = |canary: &Canary| {
        let mut letters = canary.text.chars();
        let first = letters.next().unwrap_or_default();
        let rest: String =
            letters.map(|c| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") }).collect();
        format!("[{first}]{rest}")
    };
    canaries.iter().map(one).collect::<Vec<_>>().join("|")
}
