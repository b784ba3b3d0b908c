//! Forged epochs: another tenant, and another store of the same tenant, send batches under the victim's epoch and
//! numbers, close its numbers, tell losses of them, recover them and continue its spool.
//!
//! Each does the same under an epoch that nobody has, and must be answered the same. The victim's rows stay as they
//! were, and its own next batch is stored as if nothing had happened.

use std::collections::BTreeMap;

use storepulse_shared::ids::{Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use crate::isolation::case::Case;
use crate::isolation::content::{batch_of, flat, loss};
use crate::isolation::place::{Place, number};
use crate::isolation::session::{Session, quote};
use crate::isolation::snapshot::Snapshot;
use crate::isolation::wire::{self, Answer, Request};
use crate::isolation::world::World;

/// The cases, with one for every table of the victim, compared with what it was before anybody tried anything.
pub(super) async fn cases(world: &World, before: &Snapshot) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for attacker in [&world.stranger, &world.sibling] {
        let forged = forged_requests(attacker, world.victim.epoch)?;
        let honest = forged_requests(attacker, Epoch::random())?;
        for (forged, honest) in forged.into_iter().zip(honest) {
            let name = format!("{} as {}", forged.name, attacker.name());
            let (forged, honest) = (forged.send(world).await?, honest.send(world).await?);
            let fault = || format!("{forged} instead of {honest}");
            cases.push(Case::holds(name, forged == honest, fault));
        }
        cases.push(same_idempotency_key(world, attacker).await?);
    }
    let after = Snapshot::take(world, &world.victim).await?;
    cases.extend(before.compare(&after, "all that was tried over HTTP"));
    cases.extend(the_victim_goes_on(world).await?);
    Ok(cases)
}

/// A request that names an epoch which is not its sender's.
struct Forged {
    name: &'static str,
    request: Request,
    /// What differs between two runs, and the word for it.
    own: [(String, &'static str); 2],
}

impl Forged {
    /// Status and body, without what two runs cannot share.
    async fn send(self, world: &World) -> anyhow::Result<String> {
        let answer = wire::send(world.address, &self.request).await?;
        let mut text = body_without_time(&answer)?;
        for (own, word) in &self.own {
            text = text.replace(own, word);
        }
        Ok(format!("{} {text}", answer.status))
    }
}

fn body_without_time(answer: &Answer) -> anyhow::Result<String> {
    let mut body = answer.json()?;
    if let Some(fields) = body.as_object_mut() {
        fields.remove("server_time");
    }
    Ok(body.to_string())
}

/// What an attacker does with an epoch, in this order.
fn forged_requests(attacker: &Place, epoch: Epoch) -> anyhow::Result<Vec<Forged>> {
    let batch = batch_of(attacker, 1);
    let closes = SeqSet::from_ranges(&[(1, 9)])?;
    let mut closing = batch.clone();
    closing.losses = vec![loss(attacker, LossId { epoch: Epoch::random(), no: 1 }, [(epoch, closes)].into())];
    let mut same_id = batch.clone();
    same_id.losses = vec![loss(attacker, LossId { epoch, no: 1 }, BTreeMap::new())];
    let mut recovering = batch.clone();
    recovering.recovers = Some(number(epoch, 3));
    let [following, telling, repeating, replaying] = std::array::from_fn(|_| Epoch::random());
    let forged = |name, own: Epoch, request| Forged {
        name,
        request,
        own: [(epoch.to_string(), "<epoch>"), (own.to_string(), "<own>")],
    };
    Ok(vec![
        forged("a number that was received", epoch, attacker.post(number(epoch, 1), &batch, |_| {})),
        forged("the same, resumed", epoch, attacker.post(number(epoch, 2), &batch, |h| h.resumed = true)),
        forged("a number that was closed", epoch, attacker.post(number(epoch, 3), &batch, |_| {})),
        forged("closing the next number", epoch, attacker.delete(number(epoch, 4))),
        forged("closing a received number", epoch, attacker.delete(number(epoch, 1))),
        forged(
            "following the epoch",
            following,
            attacker.post(number(following, 1), &batch, |h| h.after = Some(number(epoch, 4))),
        ),
        forged(
            "a loss that closes the numbers",
            telling,
            attacker.post(number(telling, 1), &closing, |_| {}),
        ),
        forged("a loss of the same id", repeating, attacker.post(number(repeating, 1), &same_id, |_| {})),
        forged(
            "a batch that recovers a number",
            replaying,
            attacker.post(number(replaying, 1), &recovering, |_| {}),
        ),
    ])
}

/// With the victim's `Idempotency-Key` a flat body is new, and gets a number of its sender's.
async fn same_idempotency_key(world: &World, attacker: &Place) -> anyhow::Result<Case> {
    let request = attacker.post_flat(&world.victim.word, &flat(attacker));
    let answer = wire::send(world.address, &request).await?;
    let own = attacker.flat_epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
    let is_new = answer.status == 200 && answer.text().contains(&format!(r#""batch":"{own}/"#));
    Ok(Case::holds(format!("the same Idempotency-Key as {}", attacker.name()), is_new, || answer.text()))
}

/// The victim's next batch is stored under the number that others have tried to take from it, in its own series, and its
/// spool's history is what it was.
async fn the_victim_goes_on(world: &World) -> anyhow::Result<Vec<Case>> {
    let victim = &world.victim;
    let next = victim.post(number(victim.epoch, 4), &batch_of(victim, 4), |_| {});
    let stored = wire::send(world.address, &next).await?;
    let ack = stored.json()?;
    let through = |epoch: Epoch| &ack["through"][epoch.to_string()];
    let is_new = stored.status == 200 && ack["duplicate"] == false && *through(victim.epoch) == 4;
    let status = wire::send(world.address, &victim.request("GET", "/v1/stores/T01/status")).await?;
    let is_whole = status.json()?["forked"] == false;
    let mut admin = Session::open(&world.db.admin).await?;
    let series = format!(
        "select series_ids::text from sample_batches where tenant_id = {} and store_id = {} and epoch = {} and seq in (2, 4)",
        quote(victim.tenant.as_str()),
        quote(victim.store.as_str()),
        quote(&victim.epoch.to_string()),
    );
    let series = admin.run(&series).await?.column();
    admin.close().await?;
    Ok(vec![
        Case::holds("the victim's next batch is stored", is_new, || stored.text()),
        Case::holds("the victim's spool is not taken for a copy", is_whole, || status.text()),
        Case::holds(
            "the victim is still told what its earlier epoch misses",
            *through(victim.earlier) == 0,
            || stored.text(),
        ),
        Case::holds(
            "the victim's samples are in its own series",
            series.len() == 2 && series[0] == series[1],
            || series.join(" is not "),
        ),
    ])
}
