//! The cloud's own document against the table of known routes: neither may have a route that the other has not.

use std::collections::BTreeSet;

use super::known::KNOWN;
use crate::isolation::case::Case;
use crate::isolation::wire::{self, Request};
use crate::isolation::world::World;

/// What a path item of OpenAPI holds beside methods.
const NOT_METHODS: [&str; 4] = ["parameters", "servers", "summary", "description"];

/// A case for every route that either has.
pub(super) async fn cases(world: &World) -> anyhow::Result<Vec<Case>> {
    let live = live(world).await?;
    let known: BTreeSet<String> = KNOWN.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let case = |route: &String| {
        let fault = match (live.contains(route), known.contains(route)) {
            (true, true) => None,
            (true, false) => {
                Some("nobody has said what a stranger gets: add it to isolation/routes/known.rs")
            }
            (false, _) => Some("the cloud does not describe it"),
        };
        Case::new(format!("{route} is known"), fault.map(str::to_owned))
    };
    Ok(live.union(&known).map(case).collect())
}

async fn live(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let answer = wire::send(world.address, &Request::new("GET", "/openapi.json")).await?;
    let document = answer.json()?;
    let paths = document["paths"].as_object().into_iter().flatten();
    let routes = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
        let methods = methods.filter(|method| !NOT_METHODS.contains(&method.as_str()));
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let routes: BTreeSet<String> = routes.collect();
    anyhow::ensure!(!routes.is_empty(), "/openapi.json describes no route");
    Ok(routes)
}
