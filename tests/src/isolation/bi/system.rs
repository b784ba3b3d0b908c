//! PostgreSQL's own catalogues and statistics show a reader nothing of what is in the tables.

use crate::isolation::canary::sighting;
use crate::isolation::case::Case;
use crate::isolation::session::{Session, quote};
use crate::isolation::sql::system::{SYSTEM, pattern, search, without_readers};
use crate::isolation::world::{STRANGER, World};

/// A case for every system relation.
pub(super) async fn cases(world: &World, admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let canaries = world.canaries_for_tenant(Some(STRANGER));
    let pattern = quote(&pattern(&canaries));
    // Statistics hold values of the columns only after this.
    admin.run("analyze").await?;
    let shown = admin.run(&search("pg_stats", &pattern)).await?.rows.len();
    anyhow::ensure!(shown > 0, "the statistics hold no value of any tenant, so nobody could see one there");
    let mut reader = world.readers.session(STRANGER).await?;
    let mut cases = Vec::new();
    for relation in admin.run(SYSTEM).await?.column() {
        let reply = reader.attempt(None, &search(&relation, &pattern)).await?;
        let shown = without_readers(&reply.text());
        cases.push(Case::new(format!("a reader reads {relation}"), sighting(&canaries, &shown, "")));
    }
    reader.close().await?;
    Ok(cases)
}
