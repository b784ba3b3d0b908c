//! A reader sees its tenant's rows, all of them and no others, whatever tenant the session claims and by whatever road; and
//! beyond what it is granted, nothing.

use super::GROUP;
use crate::isolation::canary::sighting;
use crate::isolation::case::Case;
use crate::isolation::session::{Session, quote};
use crate::isolation::sql::denied::uses;
use crate::isolation::sql::reads::roads;
use crate::isolation::sql::relations::{Relation, Schema};
use crate::isolation::sql::writes::DENIED;
use crate::isolation::world::{PREFIX, STRANGER, VICTIM, World};

/// What a session may claim to be bound to.
const CLAIMS: [Option<&str>; 5] = [None, Some(VICTIM), Some(STRANGER), Some(PREFIX), Some("")];

/// A case for every reader, relation, claim and road.
pub(super) async fn cases(world: &World, schema: &Schema, admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for tenant in World::tenants().into_iter().chain([PREFIX]) {
        let mut reader = world.readers.session(tenant).await?;
        for relation in schema.with_tenants().filter(|r| r.allows(GROUP, "SELECT")) {
            let truth = format!("{} where tenant_id = {}", relation.select_all(), quote(tenant));
            let truth = sorted(admin.run(&truth).await?.column());
            for claim in CLAIMS {
                let seen = reader.attempt(claim, &relation.select_all()).await?;
                let refusal = seen.refusal.as_ref().map(|refusal| refusal.text.clone());
                let seen = sorted(seen.column());
                let leak = || {
                    let foreign = seen.iter().find(|row| !truth.contains(row));
                    format!("{} rows instead of {}; {foreign:?} {refusal:?}", seen.len(), truth.len())
                };
                let name =
                    format!("the reader of {tenant} reads {}, claiming to be {claim:?}", relation.name);
                cases.push(Case::holds(name, seen == truth && !truth.is_empty(), leak));
            }
        }
        reader.close().await?;
    }
    for tenant in [STRANGER, PREFIX] {
        cases.extend(by_every_road(world, schema, tenant).await?);
    }
    Ok(cases)
}

async fn by_every_road(world: &World, schema: &Schema, tenant: &str) -> anyhow::Result<Vec<Case>> {
    let canaries = world.canaries_for_tenant(Some(tenant));
    let mut cases = Vec::new();
    let mut reader = world.readers.session(tenant).await?;
    for relation in schema.with_tenants() {
        let name = |road: &str| format!("the reader of {tenant} reads {} of another {road}", relation.name);
        for (road, statement) in roads(relation) {
            let reply = reader.attempt(Some(VICTIM), &statement).await?;
            cases.push(Case::new(name(road), sighting(&canaries, &reply.text(), &statement)));
        }
        for what in [relation.name.clone(), format!("(select * from {})", relation.name)] {
            let session = Session::open(world.readers.login(tenant)?).await?;
            let reply = session.copy_out(VICTIM, &what).await?;
            cases.push(Case::new(name(&format!("by copy {what}")), sighting(&canaries, &reply.text(), "")));
        }
    }
    reader.close().await?;
    Ok(cases)
}

/// A case for every relation, partitions too, and privilege that the explicit list of grants does not have.
pub(super) async fn denied(world: &World, schema: &Schema) -> anyhow::Result<Vec<Case>> {
    let mut reader = world.readers.session(STRANGER).await?;
    let mut cases = Vec::new();
    for relation in schema.all() {
        for (privilege, statement) in forbidden(relation) {
            let reply = reader.attempt(Some(VICTIM), &statement).await?;
            let leak = || format!("{} {} rows; {}", reply.code(), reply.affected, reply.text());
            let name = format!("a reader may not {privilege} {}", relation.name);
            cases.push(Case::holds(name, reply.code() == DENIED, leak));
        }
    }
    reader.close().await?;
    Ok(cases)
}

fn forbidden(relation: &Relation) -> Vec<(&'static str, String)> {
    let name = &relation.name;
    let mut all = uses(relation);
    if !relation.is_view {
        all.push(("lock rows of", format!("select 1 from {name} for share")));
        all.push(("lock", format!("lock table {name} in row share mode")));
    }
    all.retain(|(privilege, _)| !relation.allows(GROUP, privilege));
    all
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}
