//! Nobody learns from a constraint what others have: keys and foreign keys are of one tenant each, so a row that the
//! victim has too is taken, and a parent that only the victim has is missing like one that nobody has.

use super::relations::Schema;
use super::writes::insert;
use super::{APP, Logins};
use crate::isolation::case::Case;
use crate::isolation::session::quote;
use crate::isolation::world::{NEWCOMER, NOBODYS_STORE, VICTIM, World};

/// A case for every table that `storepulse_app` inserts into.
pub(super) async fn cases(world: &World, schema: &Schema, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for table in schema.tables().filter(|table| table.allows(APP, "INSERT")) {
        let name = &table.name;
        let of_store = if table.has("store_id") { "and store_id = 'T01'" } else { "" };
        let rows = format!("{} where tenant_id = {} {of_store} limit 1", table.select_all(), quote(VICTIM));
        let row = logins.admin.run(&rows).await?.column().pop().unwrap_or_default();
        let mine = format!(r#"{{"tenant_id": "{NEWCOMER}"}}"#);
        // What belongs to a series needs one of that number first.
        let parent = match schema.tables().find(|parent| parent.name == "series") {
            Some(series) if table.has("series_id") && name != "series" => {
                let rows = format!(
                    "{} where tenant_id = {} and series_id = ({}::jsonb ->> 'series_id')::integer",
                    series.select_all(),
                    quote(VICTIM),
                    quote(&row)
                );
                let row = logins.admin.run(&rows).await?.column().pop().unwrap_or_default();
                let there = format!(r#"{{"tenant_id": "{NEWCOMER}", "store_id": "T01"}}"#);
                format!("{};", insert(series, &row, &there, ""))
            }
            _ => String::new(),
        };
        let expected = 1 + u64::from(!parent.is_empty());
        let statement = format!("{parent}{}", insert(table, &row, &mine, ""));
        let reply = logins.app.attempt(Some(NEWCOMER), &statement).await?;
        cases.push(Case::holds(
            format!("{APP} bound to {NEWCOMER} inserts the row that the victim has in {name}"),
            reply.affected == expected && reply.refusal.is_none(),
            || reply.text(),
        ));
        if !table.has("store_id") {
            continue;
        }
        let mut answers = Vec::new();
        for store in [world.only_the_victims.store.as_str(), NOBODYS_STORE] {
            let there = format!(r#"{{"tenant_id": "{NEWCOMER}", "store_id": "{store}"}}"#);
            let reply = logins.app.attempt(Some(NEWCOMER), &insert(table, &row, &there, "")).await?;
            answers.push(format!(
                "{} {} {}",
                reply.affected,
                reply.code(),
                reply.text().replace(store, "<store>")
            ));
        }
        cases.push(Case::holds(
            format!("{APP} bound to {NEWCOMER} inserts into {name} under a store that only the victim has"),
            answers[0] == answers[1],
            || format!("{} instead of {}", answers[0], answers[1]),
        ));
    }
    Ok(cases)
}
