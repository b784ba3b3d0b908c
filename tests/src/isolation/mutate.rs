//! `cargo isolation --mutate`: the proof that the suite can fail. Everything is broken once, in every way that is known
//! ([`super::breakages`], [`super::bad_cloud`]), and must be noticed.

use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use super::bad_cloud::{BadCloud, Flaw};
use super::breakages::{Breakage, FOR_A_READER, FOR_A_ROLE, IN_CATALOGUE};
use super::keys::REVOCATION;
use super::people::{OF_ADMIN, ROLES};
use super::session::Session;
use super::world::World;
use super::{bi, case, catalogue, layers, routes, sql};

/// What it came to, as the last line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// Cases over HTTP with all policies open, and what leaked then.
    alone: usize,
    leaks: usize,
    mutants: usize,
    caught: usize,
}

/// Something that was broken, and whether that was noticed.
#[derive(Debug)]
pub struct Mutant {
    /// What was done.
    pub name: String,
    /// Whether it was noticed.
    pub caught: bool,
}

/// Breaks the catalogue in every way, in transactions that are taken back.
///
/// # Errors
/// A breakage could not be made.
pub async fn in_catalogue(admin: &mut Session) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for breakage in IN_CATALOGUE {
        admin.run(&format!("begin; {}", breakage.sql)).await?;
        let leaks = case::leaks(&catalogue::cases(admin).await?);
        admin.run("rollback").await?;
        let caught = leaks.iter().any(|leak| leak.contains(breakage.reported));
        mutants.push(Mutant { name: format!("catalogue: {}", breakage.name), caught });
    }
    Ok(mutants)
}

/// Makes holes that the service's roles must fall into, one after the other.
///
/// # Errors
/// A hole could not be made or mended.
pub async fn for_roles(world: &World) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for breakage in FOR_A_ROLE {
        let caught = holed(world, &breakage, async || sql::reports(world, breakage.reported).await).await?;
        mutants.push(Mutant { name: format!("sql: {}", breakage.name), caught });
    }
    Ok(mutants)
}

/// Makes holes that reading people must fall into, one after the other.
///
/// # Errors
/// A hole could not be made or mended.
pub async fn for_readers(world: &World) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for breakage in FOR_A_READER {
        let caught = holed(world, &breakage, async || bi::reports(world, breakage.reported).await).await?;
        mutants.push(Mutant { name: format!("bi: {}", breakage.name), caught });
    }
    Ok(mutants)
}

async fn holed(
    world: &World,
    breakage: &Breakage,
    noticed: impl AsyncFnOnce() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let mut admin = Session::open(&world.db.admin).await?;
    admin.run(breakage.sql).await?;
    let caught = noticed().await;
    admin.run(breakage.undo).await?;
    admin.close().await?;
    caught
}

/// Puts clouds that make one mistake each in front of the real one.
///
/// # Errors
/// No port is free.
pub async fn on_routes(world: &mut World) -> anyhow::Result<Vec<Mutant>> {
    let good = world.address;
    let mut mutants = Vec::new();
    for flaw in Flaw::ALL {
        world.address = good;
        let bad = BadCloud::start(world, flaw).await?;
        world.address = bad.address;
        let caught = routes::first_leak(world).await?.is_some();
        mutants.push(Mutant { name: format!("routes: a cloud that {flaw:?}"), caught });
    }
    world.address = good;
    Ok(mutants)
}

/// Gives each role each permission that it has not, and takes each that it has, one after the other: who may call which route must
/// change with it, and back.
///
/// # Errors
/// A permission could not be given or taken.
pub async fn of_permissions(world: &World) -> anyhow::Result<Vec<Mutant>> {
    let mut admin = Session::open(&world.db.admin).await?;
    let before = routes::roles::table(world).await?;
    let mut mutants = Vec::new();
    for (role, permissions) in ROLES {
        for permission in OF_ADMIN {
            let give = format!("insert into role_permissions values ('{role}', '{permission}')");
            let take =
                format!("delete from role_permissions where (role, permission) = ('{role}', '{permission}')");
            let has = permissions.contains(&permission);
            let (change, undo, what) = if has { (take, give, "cannot") } else { (give, take, "can") };
            admin.run(&change).await?;
            let caught = until_the_table(world, |table| *table != before).await?;
            admin.run(&undo).await?;
            let is_back = until_the_table(world, |table| *table == before).await?;
            anyhow::ensure!(is_back, "{permission} of {role} could not be taken back");
            mutants.push(Mutant { name: format!("people: {role} {what} {permission}"), caught });
        }
    }
    admin.close().await?;
    Ok(mutants)
}

/// Whether the table of who may call what becomes so, within the time in which a changed role must count.
async fn until_the_table(world: &World, is_so: impl Fn(&String) -> bool) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < REVOCATION {
        if is_so(&routes::roles::table(world).await?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All of it, with a line for each group and each mutant that lives.
pub(super) async fn run(world: &mut World, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut admin = Session::open(&world.db.admin).await?;
    let alone = layers::predicates_alone(world, routes::Forged::All).await?;
    let leaks = case::leaks(&alone);
    for leak in &leaks {
        super::say(&format!("LEAK with all policies open: {leak}"))?;
    }
    (outcome.alone, outcome.leaks) = (alone.len(), leaks.len());
    writeln!(out, "all policies open: {} cases over HTTP, {} leaks", outcome.alone, outcome.leaks)?;
    writeln!(out, "{:<12}{:>8}{:>8}", "group", "mutants", "caught")?;
    for group in ["catalogue", "sql", "bi", "people", "routes"] {
        let mutants = match group {
            "catalogue" => in_catalogue(&mut admin).await?,
            "sql" => for_roles(world).await?,
            "bi" => for_readers(world).await?,
            "people" => of_permissions(world).await?,
            _ => on_routes(world).await?,
        };
        for alive in mutants.iter().filter(|mutant| !mutant.caught) {
            super::say(&format!("NOBODY NOTICED {}", alive.name))?;
        }
        let caught = mutants.iter().filter(|mutant| mutant.caught).count();
        writeln!(out, "{group:<12}{:>8}{caught:>8}", mutants.len())?;
        outcome.mutants += mutants.len();
        outcome.caught += caught;
    }
    let left = case::leaks(&catalogue::cases(&mut admin).await?);
    anyhow::ensure!(left.is_empty(), "not everything was taken back: {left:?}");
    admin.close().await?;
    Ok(outcome)
}

impl Outcome {
    /// All were caught, and there were some; the predicates alone let nothing through.
    pub(super) const fn holds(&self) -> bool {
        self.mutants > 0 && self.mutants == self.caught && self.alone > 0 && self.leaks == 0
    }
}
