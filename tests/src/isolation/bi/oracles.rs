//! What an error tells: an expression that fails for one row of the victim, and for no other, must not fail for others.

use crate::isolation::case::Case;
use crate::isolation::session::{Session, quote};
use crate::isolation::world::{PREFIX, STRANGER, VICTIM, World};

/// `division_by_zero`
const STRUCK: &str = "22012";

/// Relation, column, and something that only the victim has there.
const ONLY_THE_VICTIMS: [(&str, &str); 7] = [
    ("samples", "value"),
    ("samples", "device_id || store_id || value"),
    ("stores", "store_id"),
    ("events", "text"),
    ("losses", "reason"),
    ("streams", "epoch"),
    ("series_days", "checksum"),
];

/// A case for every relation and stranger. The victim's own reader must run into the error: otherwise it would tell nothing.
pub(super) async fn cases(world: &World, admin: &mut Session) -> anyhow::Result<Vec<Case>> {
    let mut victim = world.readers.session(VICTIM).await?;
    let mut cases = Vec::new();
    for (relation, column) in ONLY_THE_VICTIMS {
        // Texts of the cloud itself are in everybody's rows.
        let only = match column {
            "text" | "reason" => format!("and {column} like '%{}%'", world.victim.word),
            "store_id" => format!("and store_id = {}", quote(world.only_the_victims.store.as_str())),
            _ => String::new(),
        };
        let find = format!(
            "select ({column})::text from {relation} where tenant_id = {} {only} limit 1",
            quote(VICTIM)
        );
        let found = admin.run(&find).await?.column().pop();
        let value = found.ok_or_else(|| anyhow::anyhow!("the victim has nothing in {relation}"))?;
        let strike = format!(
            "select count(*)::text from {relation} where 1 / (case when ({column})::text = {} then 0 else 1 end) = 1",
            quote(&value)
        );
        let hit = victim.attempt(None, &strike).await?;
        anyhow::ensure!(hit.code() == STRUCK, "{strike} strikes nobody: {}", hit.text());
        for tenant in [STRANGER, PREFIX] {
            let mut reader = world.readers.session(tenant).await?;
            let reply = reader.attempt(Some(VICTIM), &strike).await?;
            let name = format!("the reader of {tenant} learns from an error about {column} of {relation}");
            cases.push(Case::holds(name, reply.refusal.is_none(), || reply.text()));
            reader.close().await?;
        }
    }
    victim.close().await?;
    Ok(cases)
}
