//! What is no route: paths that do not exist and methods that a path does not have are refused, whoever asks.

use super::judge::{References, differs, shows};
use super::known::{Door, KNOWN};
use crate::isolation::case::Case;
use crate::isolation::place::Place;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::World;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Paths that somebody might leave open, and spellings of those that exist.
const NO_PATHS: [&str; 21] = [
    "//",
    "/v1",
    "/v1/",
    "/v1/tenants/",
    "/v1/tenants/la-villa/stores/T01/status",
    "/v1/keys",
    "/v1/people",
    "/v1/stores/",
    "/v1/stores/T01",
    "/v1/stores/T01/",
    "/v1/stores/T01/status/",
    "/v1/stores/X99/../T01/status",
    "/V1/stores",
    "//v1/stores",
    "/v1//stores",
    "/v1/metrics/batch/",
    "/admin",
    "/debug",
    "/openapi.json/",
    "/.env",
    "/v1/stores%2FT01%2Fstatus",
];

/// A case for every caller and non-route.
pub(super) async fn cases(world: &World, references: &References) -> anyhow::Result<Vec<Case>> {
    let callers = [None, Some(&world.stranger), Some(&world.sibling)];
    let mut cases = Vec::new();
    for caller in callers {
        for path in NO_PATHS {
            cases.push(no_path(world, references, caller, path).await?);
        }
        for (path, method) in no_methods() {
            cases.push(no_method(world, references, caller, method, path).await?);
        }
    }
    Ok(cases)
}

/// The methods that each path does not have.
fn no_methods() -> Vec<(&'static str, &'static str)> {
    let mut paths: Vec<&str> = KNOWN.iter().map(|route| route.path).collect();
    paths.dedup();
    let has = |path: &str, method: &str| KNOWN.iter().any(|r| r.path == path && r.method == method);
    paths
        .into_iter()
        .flat_map(|path| METHODS.map(|method| (path, method)))
        .filter(|(p, m)| !has(p, m))
        .collect()
}

async fn no_path(
    world: &World,
    references: &References,
    caller: Option<&Place>,
    path: &str,
) -> anyhow::Result<Case> {
    let request = request(caller, "GET", path);
    let answer = wire::send(world.address, &request).await?;
    let leak = shows(&world.canaries_for_store(caller), &answer, &request)
        .or_else(|| differs(&answer, references.not_found()));
    Ok(Case::new(format!("GET {path} as {}", name(caller)), leak))
}

async fn no_method(
    world: &World,
    references: &References,
    caller: Option<&Place>,
    method: &str,
    path: &str,
) -> anyhow::Result<Case> {
    let request =
        request(caller, method, &path.replace("{store_id}", "T01").replace("{tenant_id}", "la-villa"));
    let answer = wire::send(world.address, &request).await?;
    // A route for GET answers HEAD with the head of the same answer.
    let is_head = method == "HEAD" && KNOWN.iter().any(|r| r.path == path && r.method == "GET");
    let is_open = |door| matches!(door, Door::Open | Door::OpenWithNumbers | Door::Elsewhere);
    let is_open = KNOWN.iter().any(|r| r.path == path && is_open(r.door));
    let fault = || match (is_head, caller) {
        (true, _) if !answer.body.is_empty() => Some(format!("HEAD has a body: {}", answer.text())),
        (true, None) if !is_open && answer.status != references.unauthorized().status => {
            Some(format!("{} without a credential", answer.status))
        }
        (true, _) => None,
        (false, _) if matches!(answer.status, 404 | 405) => None,
        (false, _) => Some(format!("{} {}", answer.status, answer.text())),
    };
    let leak = shows(&world.canaries_for_store(caller), &answer, &request).or_else(fault);
    Ok(Case::new(format!("{method} {path} as {}", name(caller)), leak))
}

fn request(caller: Option<&Place>, method: &str, path: &str) -> Request {
    match caller {
        Some(place) => place.request(method, path),
        None => Request::new(method, path).with("host", "storepulse.example"),
    }
}

fn name(caller: Option<&Place>) -> String {
    caller.map_or_else(|| "nobody".to_owned(), Place::name)
}
