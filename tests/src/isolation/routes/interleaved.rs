//! Requests of several stores at once, over fewer database connections than requests: no answer of one shows another's,
//! so nothing of a tenant stays on a connection when the next one gets it.

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::judge::shows;
use crate::isolation::case::Case;
use crate::isolation::wire;
use crate::isolation::world::World;

/// Requests of each store.
const ROUNDS: usize = 60;
/// More than the service has connections.
const AT_ONCE: usize = 32;

/// A case for every store and read.
pub(super) async fn cases(world: &World) -> anyhow::Result<Vec<Case>> {
    let places =
        [&world.victim, &world.sibling, &world.only_the_victims, &world.stranger, &world.stranger_sibling];
    let callers: Vec<_> =
        places.into_iter().map(|place| (place, world.canaries_for_store(Some(place)))).collect();
    let mut cases = Vec::new();
    for read in ["status", "metrics"] {
        let asked = (0..ROUNDS).flat_map(|_| callers.iter()).map(async |(place, canaries)| {
            let request = place.request("GET", &format!("/v1/stores/{}/{read}", place.store));
            let answer = wire::send(world.address, &request).await?;
            let seen = answer.status == 200 && answer.text().contains(&place.word);
            let fault = || (!seen).then(|| format!("its own is not there: {}", answer.text()));
            anyhow::Ok((place.name(), shows(canaries, &answer, &request).or_else(fault)))
        });
        let asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
        let answers: Vec<(String, Option<String>)> = asked.try_collect().await?;
        for (place, _) in &callers {
            let fault =
                answers.iter().find_map(|(name, fault)| fault.clone().filter(|_| *name == place.name()));
            cases
                .push(Case::new(format!("{ROUNDS} reads of {read} by {} among others", place.name()), fault));
        }
    }
    Ok(cases)
}
