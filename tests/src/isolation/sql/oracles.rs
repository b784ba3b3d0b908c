//! Nobody learns from a constraint what others have: keys and foreign keys are of one tenant each, so a row that the
//! victim has too is taken, and a parent that only the victim has is missing like one that nobody has.

use super::relations::Schema;
use super::writes::insert;
use super::{APP, Logins};
use crate::isolation::case::Case;
use crate::isolation::session::quote;
use crate::isolation::world::{NEWCOMER, NOBODYS_STORE, VICTIM, World};

/// A number that no series has.
const NOBODYS_SERIES: &str = "2000000000";
/// An id that no user and no session has, as JSON.
const NOBODYS_ID: &str = r#""00000000-0000-0000-0000-000000000000""#;
/// A table that nobody takes over, as JSON.
const NOBODYS_SOURCE: &str = r#""nobodys-source""#;

/// A case for every table that `storepulse_app` inserts into.
pub(super) async fn cases(world: &World, schema: &Schema, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let victims_series =
        format!("select min(series_id)::text from series where tenant_id = {}", quote(VICTIM));
    let victims_series = logins.admin.run(&victims_series).await?.column().pop().unwrap_or_default();
    let victims = |column: &str, table: &str| {
        format!("select to_json(min({column}::text))::text from {table} where tenant_id = {}", quote(VICTIM))
    };
    let victims_user =
        logins.admin.run(&victims("user_id", "users")).await?.column().pop().unwrap_or_default();
    let victims_session =
        logins.admin.run(&victims("session_id", "sessions")).await?.column().pop().unwrap_or_default();
    let victims_source =
        format!("select to_json(min(source))::text from takeovers where tenant_id = {}", quote(VICTIM));
    let victims_source = logins.admin.run(&victims_source).await?.column().pop().unwrap_or_default();
    for table in schema.tables().filter(|table| table.allows(APP, "INSERT")) {
        let name = &table.name;
        let of_store = if table.has("store_id") { "and store_id = 'T01'" } else { "" };
        let rows = format!("{} where tenant_id = {} {of_store} limit 1", table.select_all(), quote(VICTIM));
        let row = logins.admin.run(&rows).await?.column().pop().unwrap_or_default();
        // A row of `series_days` hangs on a series, one of `takeover_tallies` on a takeover, one of `sessions` on a user, one of
        // `refresh_tokens` on a session, and the newcomer has none of these: for them there is only the second question.
        let is_tally = table.has("source") && table.has("reason");
        let of_user = table.has("user_id") && name != "users";
        let of_session = table.has("session_id") && name != "sessions";
        let has_parent =
            is_tally || of_user || of_session || table.has("series_id") && !table.has("store_id");
        if !has_parent {
            let mine = format!(r#"{{"tenant_id": "{NEWCOMER}"}}"#);
            let reply = logins.app.attempt(Some(NEWCOMER), &insert(table, &row, &mine, "")).await?;
            cases.push(Case::holds(
                format!("{APP} bound to {NEWCOMER} inserts the row that the victim has in {name}"),
                reply.affected == 1 && reply.refusal.is_none(),
                || reply.text(),
            ));
        }
        let (parent, only_the_victims, nobodys) = if of_user {
            ("user_id", victims_user.clone(), NOBODYS_ID.to_owned())
        } else if of_session {
            ("session_id", victims_session.clone(), NOBODYS_ID.to_owned())
        } else if table.has("store_id") {
            let stores = [world.only_the_victims.store.as_str(), NOBODYS_STORE].map(|id| format!("{id:?}"));
            let [victims, nobodys] = stores;
            ("store_id", victims, nobodys)
        } else if table.has("series_id") {
            ("series_id", victims_series.clone(), NOBODYS_SERIES.to_owned())
        } else if is_tally {
            ("source", victims_source.clone(), NOBODYS_SOURCE.to_owned())
        } else {
            continue;
        };
        let mut answers = Vec::new();
        for value in [&only_the_victims, &nobodys] {
            let there = format!(r#"{{"tenant_id": "{NEWCOMER}", "{parent}": {value}}}"#);
            let reply = logins.app.attempt(Some(NEWCOMER), &insert(table, &row, &there, "")).await?;
            // A store's name may be quoted back to whoever said it. A number is not, and stands in the names of partitions too.
            let said = value.trim_matches('"');
            let text =
                if parent != "series_id" { reply.text().replace(said, "<parent>") } else { reply.text() };
            answers.push(format!("{} {} {text}", reply.affected, reply.code()));
        }
        cases.push(Case::holds(
            format!(
                "{APP} bound to {NEWCOMER} inserts into {name} under a {parent} that only the victim has"
            ),
            answers[0] == answers[1],
            || format!("{} instead of {}", answers[0], answers[1]),
        ));
    }
    Ok(cases)
}
