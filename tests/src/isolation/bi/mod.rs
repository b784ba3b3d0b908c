//! Reading people: what a login `sp_bi_<tenant>` gets from the database, whatever it sets, becomes, calls or asks.
//!
//! One reader stands for all, and two are of interest besides: `la`, with whose name the victim's begins, and that of a
//! suspended tenant, whose data are kept.

mod escapes;
mod oracles;
mod reads;
mod system;

use super::case::{self, Case};
use super::session::Session;
use super::sql::relations::Schema;
use super::world::World;

/// The group whose grants and policies all readers have.
pub(super) const GROUP: &str = "storepulse_bi";

/// What is tried, in this order.
#[derive(Debug, Clone, Copy)]
enum Part {
    Reads,
    Denied,
    Escapes,
    Oracles,
    System,
}

const PARTS: [Part; 5] = [Part::Reads, Part::Denied, Part::Escapes, Part::Oracles, Part::System];

/// Tries everything. What is written is taken back at once.
///
/// # Errors
/// Something could not be tried, or would prove nothing.
pub async fn cases(world: &World) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for part in PARTS {
        cases.extend(part.cases(world).await?);
    }
    Ok(cases)
}

/// Whether a leak is reported that says this; looks no further than the first one.
///
/// # Errors
/// Something could not be tried, or would prove nothing.
pub async fn reports(world: &World, text: &str) -> anyhow::Result<bool> {
    for part in PARTS {
        if case::leaks(&part.cases(world).await?).iter().any(|leak| leak.contains(text)) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Part {
    async fn cases(self, world: &World) -> anyhow::Result<Vec<Case>> {
        let mut admin = Session::open(&world.db.admin).await?;
        let schema = Schema::read(&mut admin).await?;
        let cases = match self {
            Self::Reads => reads::cases(world, &schema, &mut admin).await?,
            Self::Denied => reads::denied(world, &schema).await?,
            Self::Escapes => escapes::cases(world, &schema).await?,
            Self::Oracles => oracles::cases(world, &mut admin).await?,
            Self::System => system::cases(world, &mut admin).await?,
        };
        admin.close().await?;
        Ok(cases)
    }
}
