//! `cargo isolation`: every way that a tenant could see another one's data, tried.
//!
//! A [`world::World`] of tenants with the same names, and five groups of cases against it: what strangers get over HTTP
//! ([`routes`]), what the service's roles get in SQL ([`sql`]), what the logins of reading people get ([`bi`]), what the
//! service's own queries ask for ([`layers::queries`]), and what the catalogue says that they might ([`catalogue`]). The integration tests run the same groups, and break a database of their own
//! to see them fail.

pub mod case;
pub mod catalogue;
pub mod world;

pub mod bad_cloud;
pub mod bi;
pub mod breakages;
pub mod canary;
mod content;
mod keys;
pub mod layers;
pub mod mutate;
pub mod people;
mod place;
mod readers;
pub mod routes;
pub mod session;
pub mod snapshot;
pub mod sql;
pub mod wire;

use std::io::Write;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use self::case::Case;
use self::session::Session;
use self::world::World;
use crate::cluster::Cluster;
use crate::run_dir::RunDir;

/// Leaks of one group that are printed; the others are counted.
const LEAKS_SHOWN: usize = 40;

/// What to try.
#[derive(Debug, Args)]
pub struct IsolationArgs {
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
    /// Try each layer alone, break everything once, and see that it is noticed
    #[arg(long)]
    mutate: bool,
}

/// A group of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// What the database's catalogue says.
    Catalogue,
    /// Over HTTP.
    Routes,
    /// As the roles of the service.
    Sql,
    /// As people who read in SQL.
    Bi,
    /// The plans of the service's own queries.
    Queries,
}

/// What it came to, as the last line.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    cases: usize,
    leaks: usize,
}

impl Group {
    /// In the order in which they are tried.
    pub const ALL: [Self; 5] = [Self::Catalogue, Self::Queries, Self::Sql, Self::Bi, Self::Routes];

    fn name(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Routes => "routes",
            Self::Sql => "sql",
            Self::Bi => "bi",
            Self::Queries => "queries",
        }
    }

    /// Tries all of them.
    ///
    /// # Errors
    /// Something could not be tried, or would prove nothing.
    pub async fn cases(self, world: &World) -> anyhow::Result<Vec<Case>> {
        match self {
            Self::Catalogue | Self::Queries => {
                let mut admin = Session::open(&world.db.admin).await?;
                let cases = match self {
                    Self::Queries => layers::queries::cases(&mut admin).await?,
                    _ => catalogue::cases(&mut admin).await?,
                };
                admin.close().await?;
                Ok(cases)
            }
            Self::Routes => routes::cases(world, routes::Forged::All).await,
            Self::Sql => sql::cases(world).await,
            Self::Bi => bi::cases(world).await,
        }
    }
}

/// Tries everything; `true` if nothing leaked. Or breaks everything; `true` if all of it was noticed.
///
/// # Errors
/// Something could not be tried.
pub async fn run(args: IsolationArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let run_dir = RunDir::create("isolation")?;
    say("starting PostgreSQL and the cloud; tenants with the same names move in …")?;
    let cluster = Cluster::start(&run_dir, false).await?;
    let mut world = World::build(&cluster.database().await?, &run_dir.part("stores")?).await?;
    let (holds, line) = if args.mutate {
        let outcome = mutate::run(&mut world, out).await?;
        (outcome.holds(), serde_json::to_string(&outcome)?)
    } else {
        let outcome = every_group(&world, out).await?;
        (outcome.cases > 0 && outcome.leaks == 0, serde_json::to_string(&outcome)?)
    };
    world.stop().await?;
    cluster.stop().await;
    say(&format!("{:.1} s", begun.elapsed().as_secs_f64()))?;
    if args.json {
        writeln!(out, "{line}")?;
    }
    Ok(holds)
}

async fn every_group(world: &World, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    writeln!(out, "{}", routes::roles::table(world).await?)?;
    writeln!(out, "{:<12}{:>8}{:>8}", "group", "cases", "leaks")?;
    for group in Group::ALL {
        let begun = Instant::now();
        let cases = group.cases(world).await?;
        say(&format!("{}: {:.1} s", group.name(), begun.elapsed().as_secs_f64()))?;
        let leaks = case::leaks(&cases);
        for leak in leaks.iter().take(LEAKS_SHOWN) {
            say(&format!("LEAK {leak}"))?;
        }
        if leaks.len() > LEAKS_SHOWN {
            say(&format!("… and {} more", leaks.len() - LEAKS_SHOWN))?;
        }
        writeln!(out, "{:<12}{:>8}{:>8}", group.name(), cases.len(), leaks.len())?;
        outcome.cases += cases.len();
        outcome.leaks += leaks.len();
    }
    Ok(outcome)
}

/// Progress, for people.
fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "{line}")
}
