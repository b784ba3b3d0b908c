//! The routes: what a stranger gets over HTTP, and what it cannot do to somebody else's data.

mod attempts;
mod credentials;
mod document;
mod epochs;
mod forgeries;
mod interleaved;
mod judge;
mod known;
mod matrix;
mod operators;
mod outside;
mod people;
mod queries;
pub mod roles;

use futures_util::TryStreamExt as _;

use self::judge::{References, shows};
use self::known::{Door, KNOWN, Route};
use self::matrix::Matrix;
use super::case::{self, Case};
use super::place::Place;
use super::snapshot::Snapshot;
use super::wire;
use super::world::World;

/// Names of labels, and what the service knows of metrics and of itself: the same for every store of the world.
const SHOWS_NOTHING_OWN: [&str; 3] = ["/api/v1/labels", "/api/v1/metadata", "/api/v1/status/buildinfo"];

/// Of the requests of the matrix, at the least.
const REFUSED_AT_LEAST: f64 = 1_000.0;

/// How much of what a request can claim beside its credential is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forged {
    /// All of it.
    All,
    /// Nothing, and one name of another tenant: enough where it is about what queries bind.
    Little,
}

/// Tries everything.
///
/// # Errors
/// Something could not be tried.
pub async fn cases(world: &World, forged: Forged) -> anyhow::Result<Vec<Case>> {
    let before = Snapshot::take(world, &world.victim).await?;
    let refused_before = refusals(world).await?;
    let (references, mut cases) = groundwork(world).await?;
    let matrix = Matrix::new(world, &references, forged);
    let tried: Vec<Case> = matrix.cases().try_collect().await?;
    anyhow::ensure!(tried.len() == matrix.len(), "not everything was tried");
    cases.extend(tried);
    cases.extend(operators::cases(world, &references).await?);
    cases.extend(outside::cases(world, &references).await?);
    cases.extend(interleaved::cases(world).await?);
    let counted = refusals(world).await? - refused_before;
    cases.push(Case::holds("refused credentials are counted", counted >= REFUSED_AT_LEAST, || {
        format!("only {counted} of them")
    }));
    cases.extend(epochs::cases(world, &before).await?);
    Ok(cases)
}

/// The first leak of the groundwork or the matrix, if there is one: enough to know that a cloud is a bad one.
///
/// # Errors
/// Something could not be tried.
pub async fn first_leak(world: &World) -> anyhow::Result<Option<String>> {
    let (references, cases) = groundwork(world).await?;
    match case::leaks(&cases).into_iter().next() {
        Some(leak) => Ok(Some(leak)),
        None => matrix::first_leak(&Matrix::new(world, &references, Forged::All)).await,
    }
}

/// What everything else stands on: the routes are the known ones, there is something to be seen behind them, and the
/// answers that others are compared with are what they should be.
async fn groundwork(world: &World) -> anyhow::Result<(References, Vec<Case>)> {
    let mut cases = document::cases(world).await?;
    let shows = |route: &&Route| !SHOWS_NOTHING_OWN.contains(&route.path);
    let guarded = KNOWN.iter().filter(|route| route.method == "GET" && matches!(route.door, Door::Reader(_)));
    for route in guarded.filter(shows) {
        for place in [&world.victim, &world.sibling, &world.stranger] {
            cases.push(owner_sees_its_own(world, route, place).await?);
        }
    }
    cases.extend(people::cases(world).await?);
    let open: Vec<&Route> = KNOWN.iter().filter(|route| route.door == Door::Open).collect();
    let references = References::fetch(world, &open).await?;
    cases.extend(references.cases(world));
    Ok((references, cases))
}

/// A route that shows its owner nothing would show a stranger nothing either, and prove nothing.
async fn owner_sees_its_own(world: &World, route: &Route, place: &Place) -> anyhow::Result<Case> {
    let target = if route.path.starts_with("/api/v1/") {
        // A query has to say what it asks for: the first attempt asks for everything.
        let attempts = (route.attempts)(world);
        attempts.first().map(|attempt| attempt.request.target.clone()).unwrap_or_default()
    } else {
        route.path.replace("{store_id}", place.store.as_str())
    };
    let request = place.request("GET", &target);
    let answer = wire::send(world.address, &request).await?;
    let own = [&place.word, place.store.as_str()];
    let is_shown = answer.status == 200 && own.iter().any(|text| answer.text().contains(text));
    let fault = || (!is_shown).then(|| format!("{} {}", answer.status, answer.text()));
    let leak = shows(&world.canaries_for_store(Some(place)), &answer, &request).or_else(fault);
    Ok(Case::new(format!("{} shows {} its own", route.path, place.name()), leak))
}

/// How many credentials the cloud says it has refused.
async fn refusals(world: &World) -> anyhow::Result<f64> {
    let answer = wire::send(world.address, &wire::Request::new("GET", "/metrics")).await?;
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix("storepulse_cloud_refused_credentials_total "));
    Ok(line.unwrap_or_default().trim().parse()?)
}
