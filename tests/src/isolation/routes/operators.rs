//! What only operators may do: what others ask of it, and that an operator is let in, sees whom it asks for, and is not told
//! apart from anybody else where it has no business.

use super::attempts::{Aim, Attempt};
use super::judge::{References, differs, shows};
use super::known::{Door, KNOWN, Route};
use crate::isolation::case::Case;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::{STRANGER, VICTIM, World};

/// A body that takes over a key.
pub(super) const KEY_HASH: &str =
    r#"{"sha256":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}"#;
/// A value of the setting that [`fill`] names.
pub(super) const VALUE: &str = r#"{"value":"America/New_York"}"#;
/// Stands where a key's public part does.
const KEY_ID: &str = "oddkey01";

/// Asked of the victim, of the caller's own, of nobody, and in other spellings.
pub(super) fn of(method: &str, path: &str, body: &str) -> Vec<Attempt> {
    /// Names before the spellings.
    const PLAIN: usize = 2;
    let names = [VICTIM, STRANGER, "nobody", "LA-VILLA", "..%2F..%2Fla-villa", "la-villa%00", "*"];
    let names = if path.contains("{tenant_id}") { &names[..] } else { &names[..1] };
    let of = |(name, place): (&&str, usize)| {
        let mut request = Request::new(method, &fill(path, name));
        if !body.is_empty() {
            request = request.with("content-type", "application/json");
            request.body = body.as_bytes().to_vec();
        }
        Attempt { name: format!("tenant {name}"), request, aim: Aim::Callers, is_spelling: place >= PLAIN }
    };
    names.iter().zip(0..).map(of).collect()
}

fn fill(path: &str, tenant: &str) -> String {
    [
        ("{tenant_id}", tenant),
        ("{store_id}", "T01"),
        ("{key_id}", KEY_ID),
        ("{entry_id}", "00000000-0000-0000-0000-000000000000"),
        ("{type}", "general"),
        ("{name}", "time_zone"),
        ("{feature}", "exports"),
        ("{plan}", "basic"),
    ]
    .into_iter()
    .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The operator's own: every read shows the tenant that it asks for, and only that one; a tenant that is not there is the one
/// 404; and a store's routes are closed to it.
pub(super) async fn cases(world: &World, references: &References) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for route in
        KNOWN.iter().filter(|route| route.door == Door::Operator && route.path.contains("{tenant_id}"))
    {
        for attempt in (route.attempts)(world) {
            if route.method == "GET" && attempt.name == format!("tenant {STRANGER}") {
                cases.push(sees_whom_it_asks_for(world, route, &attempt.request).await?);
            }
            if attempt.name == "tenant nobody" {
                let request = attempt.request.with("authorization", &world.operator);
                let answer = wire::send(world.address, &request).await?;
                let leak = differs(&answer, references.not_found());
                cases.push(Case::new(format!("{} {} of nobody", route.method, route.path), leak));
            }
        }
    }
    Ok(cases)
}

async fn sees_whom_it_asks_for(world: &World, route: &Route, request: &Request) -> anyhow::Result<Case> {
    let request = request.clone().with("host", "storepulse.example").with("authorization", &world.operator);
    let answer = wire::send(world.address, &request).await?;
    let fault = || (answer.status != 200).then(|| format!("{} {}", answer.status, answer.text()));
    let leak = shows(&world.canaries_for_tenant(Some(STRANGER)), &answer, &request).or_else(fault);
    let name = format!("{} {} shows an operator the tenant of its path", route.method, route.path);
    Ok(Case::new(name, leak))
}
