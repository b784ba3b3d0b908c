//! The roles: what `storepulse_app` and `storepulse_control` get from the database, as real logins, whatever the service
//! in front of it would let through.

pub(super) mod denied;
pub(super) mod escapes;
mod oracles;
pub(super) mod reads;
pub(super) mod relations;
pub(super) mod system;
mod unbound;
pub(super) mod writes;

use self::relations::Schema;
use super::case::{self, Case};
use super::session::Session;
use super::world::World;

/// The role that reads and writes tenants' data.
pub(super) const APP: &str = "storepulse_app";
/// The role that reads and writes the control tables.
pub(super) const CONTROL: &str = "storepulse_control";

/// The two logins of the service, and the superuser, who knows the truth.
struct Logins {
    app: Session,
    control: Session,
    admin: Session,
}

/// What is tried, in this order.
#[derive(Debug, Clone, Copy)]
enum Part {
    Unbound,
    Reads,
    Writes,
    Oracles,
    Denied,
    Escapes,
    System,
}

const PARTS: [Part; 7] =
    [Part::Unbound, Part::Reads, Part::Writes, Part::Oracles, Part::Denied, Part::Escapes, Part::System];

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
        let mut logins = Logins {
            app: Session::open(&world.db.app).await?,
            control: Session::open(&world.db.control).await?,
            admin: Session::open(&world.db.admin).await?,
        };
        let schema = Schema::read(&mut logins.admin).await?;
        let cases = match self {
            Self::Unbound => unbound::cases(world, &schema).await?,
            Self::Reads => reads::cases(world, &schema, &mut logins).await?,
            Self::Writes => writes::cases(&schema, &mut logins).await?,
            Self::Oracles => oracles::cases(world, &schema, &mut logins).await?,
            Self::Denied => denied::cases(&schema, &mut logins).await?,
            Self::Escapes => escapes::cases(&mut logins).await?,
            Self::System => system::cases(world, &mut logins).await?,
        };
        for session in [logins.app, logins.control, logins.admin] {
            session.close().await?;
        }
        Ok(cases)
    }
}
