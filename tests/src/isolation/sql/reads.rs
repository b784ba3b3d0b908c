//! With a tenant in the transaction its rows are visible, all of them and no others, by whatever road they are read.

use super::relations::{Relation, Schema};
use super::{APP, Logins};
use crate::isolation::canary::{Canary, sighting};
use crate::isolation::case::Case;
use crate::isolation::session::{Reply, Session, quote};
use crate::isolation::world::{STRANGER, VICTIM, World};

/// A case for every relation, reader and road.
pub(super) async fn cases(world: &World, schema: &Schema, logins: &mut Logins) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for tenant in World::tenants() {
        let canaries = world.canaries_for_tenant(Some(tenant));
        for relation in schema.with_tenants().filter(|r| r.allows(APP, "SELECT")) {
            cases.push(all_and_only_own(relation, tenant, &canaries, logins).await?);
        }
    }
    let canaries = world.canaries_for_tenant(Some(STRANGER));
    for relation in schema.with_tenants() {
        for (road, statement) in roads(relation) {
            let reply = logins.app.attempt(Some(STRANGER), &statement).await?;
            cases.push(case(relation, road, &canaries, &reply));
        }
        for what in [relation.name.clone(), format!("(select * from {})", relation.name)] {
            let reply = Session::open(&world.db.app).await?.copy_out(STRANGER, &what).await?;
            cases.push(case(relation, &format!("by copy {what}"), &canaries, &reply));
        }
        let reply = prepared(relation, logins).await?;
        cases.push(case(relation, "by a statement prepared under the other tenant", &canaries, &reply));
    }
    Ok(cases)
}

fn case(relation: &Relation, road: &str, canaries: &[Canary], reply: &Reply) -> Case {
    let name = format!("{APP} reads {} of another tenant {road}", relation.name);
    Case::new(name, sighting(canaries, &reply.text(), ""))
}

async fn all_and_only_own(
    relation: &Relation,
    tenant: &str,
    canaries: &[Canary],
    logins: &mut Logins,
) -> anyhow::Result<Case> {
    let truth = format!("{} where tenant_id = {}", relation.select_all(), quote(tenant));
    let truth = logins.admin.run(&truth).await?.rows.len();
    let seen = logins.app.attempt(Some(tenant), &relation.select_all()).await?;
    let leak = sighting(canaries, &seen.text(), "").or_else(|| {
        (seen.rows.len() != truth || truth == 0)
            .then(|| format!("{} rows instead of {truth}; {}", seen.rows.len(), seen.text()))
    });
    Ok(Case::new(format!("{APP} bound to {tenant} reads its {}", relation.name), leak))
}

/// Statements by which a stranger reaches for the victim's rows.
pub(in crate::isolation) fn roads(relation: &Relation) -> Vec<(&'static str, String)> {
    let (all, name, victim) = (relation.select_all(), &relation.name, quote(VICTIM));
    let mut roads = vec![
        ("by name", format!("{all} where tenant_id = {victim}")),
        ("by exclusion", format!("{all} where tenant_id <> {}", quote(STRANGER))),
        ("through a join", format!("{all} full join (values ({victim})) v (tenant_id) using (tenant_id)")),
        (
            "through a lateral",
            format!("select o.* from (values ({victim})) v (t), lateral ({all} where tenant_id = v.t) o"),
        ),
        ("through a cursor", format!("declare reader cursor for {all}; fetch all from reader")),
        ("as XML", format!("select query_to_xml({}, true, true, '')::text", quote(&all))),
        ("with row_security off", format!("set local row_security = off; {all}")),
        ("with the plan shown", format!("explain (analyze, verbose, buffers) {all}")),
    ];
    if !relation.is_view {
        roads.push(("for update", format!("{all} where tenant_id = {victim} for update")));
        roads.push((
            "by sample",
            format!("select row_to_json(whole)::text from {name} whole tablesample system (100)"),
        ));
        roads.push(("by place", format!("{all} where ctid = any (array(select format('(0,%s)', n)::tid from generate_series(1, 50) n))")));
    }
    // What a cast says when it fails must not be the text of a hidden row.
    let casts = relation.texts.iter().map(|column| {
        (
            "by the error of a cast",
            format!("select count(*)::text from {name} where {column}::integer = 1 and tenant_id = {victim}"),
        )
    });
    roads.extend(casts);
    roads
}

/// Prepared while the victim is set, with a plan for any tenant, and executed while the stranger is.
async fn prepared(relation: &Relation, logins: &mut Logins) -> anyhow::Result<Reply> {
    let app = &mut logins.app;
    app.run("set plan_cache_mode = force_generic_plan").await?;
    let execute = "execute reader";
    let prepare = format!("prepare reader as {}", relation.select_all());
    let first = app.attempt(Some(VICTIM), &format!("{prepare}; {execute}")).await?;
    let reply = if first.refusal.is_none() { app.attempt(Some(STRANGER), execute).await? } else { first };
    app.run("deallocate all; reset plan_cache_mode").await?;
    Ok(reply)
}
