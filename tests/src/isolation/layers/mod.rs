//! Each layer alone: what one of them lets through, another must stop.
//!
//! With every policy opened, the predicates of the service's own queries are all that is left, and nothing may leak over HTTP
//! ([`predicates_alone`]). That each query has such a predicate is read off its plan ([`queries`]). The policies alone, without
//! any predicate, are tried by [`super::sql`], which reads every table as it is.

pub mod queries;

use super::case::Case;
use super::routes::{self, Forged};
use super::session::{Session, quote};
use super::world::World;

/// What strangers get over HTTP while row-level security lets everything through.
///
/// # Errors
/// A policy could not be opened or closed again, or something could not be tried.
pub async fn predicates_alone(world: &World, forged: Forged) -> anyhow::Result<Vec<Case>> {
    let mut admin = Session::open(&world.db.admin).await?;
    let policies = policies(&mut admin).await?;
    for policy in &policies {
        admin.run(&policy.opened()).await?;
    }
    let seen = everything_is_seen(world).await;
    let cases = routes::cases(world, forged).await;
    for policy in &policies {
        admin.run(&policy.as_it_was()).await?;
    }
    admin.close().await?;
    anyhow::ensure!(seen?, "the policies were not open: nothing is proved");
    cases
}

/// Without a tenant in its transaction, the service's role sees rows: the policies are open.
async fn everything_is_seen(world: &World) -> anyhow::Result<bool> {
    let mut app = Session::open(&world.db.app).await?;
    let tenants = app.run("select count(distinct tenant_id)::text from sample_batches").await?.column();
    app.close().await?;
    Ok(tenants.first().is_some_and(|count| count.parse().is_ok_and(|count: u64| count > 1)))
}

#[derive(Debug)]
struct Policy {
    /// `name on table`, quoted.
    place: String,
    using: Option<String>,
    check: Option<String>,
}

impl Policy {
    fn opened(&self) -> String {
        self.altered(self.using.as_ref().map(|_| "true"), self.check.as_ref().map(|_| "true"))
    }

    fn as_it_was(&self) -> String {
        self.altered(self.using.as_deref(), self.check.as_deref())
    }

    fn altered(&self, using: Option<&str>, check: Option<&str>) -> String {
        let using = using.map(|using| format!(" using ({using})")).unwrap_or_default();
        let check = check.map(|check| format!(" with check ({check})")).unwrap_or_default();
        format!("alter policy {}{using}{check}", self.place)
    }
}

async fn policies(admin: &mut Session) -> anyhow::Result<Vec<Policy>> {
    let list = format!(
        "select format('%I on %I.%I', policyname, schemaname, tablename), qual, with_check from pg_policies
        where schemaname = {} order by 1",
        quote("public")
    );
    let rows = admin.run(&list).await?.rows;
    anyhow::ensure!(!rows.is_empty(), "there are no policies");
    let read = |row: Vec<Option<String>>| {
        let [place, using, check] = <[_; 3]>::try_from(row).ok()?;
        Some(Policy { place: place?, using, check })
    };
    rows.into_iter().map(|row| read(row).ok_or_else(|| anyhow::anyhow!("a policy cannot be read"))).collect()
}
