//! Without a tenant in the transaction no row is visible: never set, set and gone, set to something that is nobody.

use super::APP;
use super::relations::{Relation, Schema};
use crate::isolation::canary::sighting;
use crate::isolation::case::Case;
use crate::isolation::session::Session;
use crate::isolation::world::World;

/// What comes before the read, on a new connection, and after it.
struct Mood {
    name: &'static str,
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const BOUND: &str = "select set_config('app.tenant_id', 'la-villa', true)";

const MOODS: [Mood; 8] = [
    Mood { name: "on a new connection", before: &[], after: &[] },
    Mood { name: "in a transaction", before: &["begin"], after: &["rollback"] },
    Mood { name: "after a committed transaction", before: &["begin", BOUND, "commit"], after: &[] },
    Mood { name: "after one that was taken back", before: &["begin", BOUND, "rollback"], after: &[] },
    Mood {
        name: "after a savepoint that was taken back",
        before: &["begin", "savepoint here", BOUND, "rollback to here"],
        after: &["rollback"],
    },
    Mood { name: "after an error", before: &["begin", BOUND, "savepoint here"], after: &[] },
    Mood { name: "after a tenant outside of a transaction", before: &[BOUND], after: &[] },
    Mood {
        name: "after the setting was reset",
        before: &["begin", BOUND, "reset app.tenant_id"],
        after: &["rollback"],
    },
];

/// Values of the setting that are no tenant of the world.
const NOBODIES: [&str; 12] = [
    "",
    " ",
    "nobody",
    "LA-VILLA",
    "la-villa ",
    " la-villa",
    "la-vill",
    "la-villaa",
    "%",
    "null",
    "la-villa' or 'x'='x",
    "la-villa,el-prado",
];

/// A case for every mood and relation that holds tenants' rows.
pub(super) async fn cases(world: &World, schema: &Schema) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for mood in MOODS {
        let mut app = Session::open(&world.db.app).await?;
        for relation in schema.with_tenants() {
            let leak = read(world, &mut app, &mood, relation).await?;
            cases.push(Case::new(format!("{APP} reads {} {}", relation.name, mood.name), leak));
        }
        app.close().await?;
    }
    let mut app = Session::open(&world.db.app).await?;
    for nobody in NOBODIES {
        for relation in schema.with_tenants() {
            let reply = app.attempt(Some(nobody), &relation.select_all()).await?;
            let leak = sighting(&world.canaries_for_tenant(None), &reply.text(), "")
                .or_else(|| (!reply.rows.is_empty()).then(|| reply.text()));
            cases.push(Case::new(format!("{APP} reads {} as {nobody:?}", relation.name), leak));
        }
    }
    app.close().await?;
    Ok(cases)
}

async fn read(
    world: &World,
    app: &mut Session,
    mood: &Mood,
    relation: &Relation,
) -> anyhow::Result<Option<String>> {
    for statement in mood.before {
        app.run(statement).await?;
    }
    if mood.name == "after an error" {
        let failed = app.send("select 1 / 0").await?;
        anyhow::ensure!(failed.refusal.is_some(), "a division by zero went well");
        app.run("rollback").await?;
    }
    let reply = app.send(&relation.select_all()).await?;
    for statement in mood.after {
        app.run(statement).await?;
    }
    Ok(sighting(&world.canaries_for_tenant(None), &reply.text(), "")
        .or_else(|| (!reply.rows.is_empty()).then(|| reply.text())))
}
