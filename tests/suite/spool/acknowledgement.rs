//! What an answer says beside the ack itself: how far the cloud has everything.

use storepulse_shared::ids::Epoch;

use super::*;

/// Seals and delivers so many batches of one sample each; returns their epoch.
async fn deliver(bench: &Bench, count: u32) -> Epoch {
    for n in 1..=count {
        bench.seal(Lane::Normal, f64::from(n)).await;
    }
    bench.drain().await[0].0.batch.epoch
}

/// Delivers one more batch, with an answer that has everything up to `through` only.
async fn deliver_with(bench: &Bench, epoch: Epoch, through: u64) {
    bench.seal(Lane::Normal, 99.0).await;
    let (_, outgoing) = bench.next().await.unwrap();
    let acks_before = outgoing.acks_before;
    bench.settle(&outgoing, Settlement::Acked { through: vec![(epoch, through)], acks_before }).await;
}

/// Leaves of these acknowledged batches what an eviction leaves.
fn evict_acked(bench: &Bench, which: &str) {
    let path = bench.dir.join(storepulse_agent::spool::FILE);
    let db = rusqlite::Connection::open(path).unwrap();
    let which = format!("state = 2 and {which}");
    db.execute(&format!("delete from bodies where batch_id in (select id from batches where {which})"), [])
        .unwrap();
    assert!(db.execute(&format!("update batches set bytes = 0 where {which}"), []).unwrap() > 0);
}

#[tokio::test]
async fn what_a_restored_cloud_has_lost_is_sent_again_as_it_was() {
    let bench = Bench::new().await;
    let epoch = deliver(&bench, 5).await;
    deliver_with(&bench, epoch, 2).await;
    let again = bench.drain().await;
    let normal: Vec<u64> =
        again.iter().filter(|(h, _)| h.lane == Lane::Normal).map(|(h, _)| h.batch.seq).collect();
    assert_eq!(normal, [3, 4, 5, 6]);
    assert!(again.iter().flat_map(|(_, body)| decode(body).events).any(|e| e.kind == "agent.cloud_restored"));
}

#[tokio::test]
async fn what_was_acknowledged_while_the_request_was_on_its_way_is_not_taken_for_lost() {
    let bench = Bench::new().await;
    bench.seal(Lane::Normal, 1.0).await;
    bench.seal(Lane::Normal, 2.0).await;
    let (first, slow) = bench.next().await.unwrap();
    let (_, quick) = bench.next_of(Wish { in_flight: vec![slow.id], ..at_once() }, LATER).await.unwrap();
    bench.ack(&quick).await;
    let through = vec![(first.batch.epoch, 1)];
    bench.settle(&slow, Settlement::Acked { through, acks_before: slow.acks_before }).await;
    assert!(bench.drain().await.is_empty());
}

#[tokio::test]
async fn what_is_lost_there_and_gone_here_is_told_as_a_loss() {
    let bench = Bench::new().await;
    let epoch = deliver(&bench, 3).await;
    evict_acked(&bench, "seq = 2");
    deliver_with(&bench, epoch, 0).await;
    let again = bench.drain().await;
    let losses: Vec<_> = again.iter().flat_map(|(_, body)| decode(body).losses).collect();
    assert_eq!((&*losses[0].reason, losses[0].samples), ("cloud_restored", 1));
    assert_eq!(losses[0].seqs[&epoch].ranges(), [(2, 2)]);
    let normal: Vec<u64> =
        again.iter().filter(|(h, _)| h.lane == Lane::Normal).map(|(h, _)| h.batch.seq).collect();
    assert_eq!(normal, [1, 3, 4]);
}

#[tokio::test]
async fn a_loss_that_was_told_with_a_batch_that_is_gone_is_told_again() {
    let bench = Bench::new().await;
    bench.seal(Lane::Normal, 7.0).await;
    let (poisonous, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::Refused { why: "422".to_owned() }).await;
    let told = bench.drain().await;
    let told: Vec<_> = told.iter().flat_map(|(_, body)| decode(body).losses).collect();
    assert_eq!((told.len(), &*told[0].reason, told[0].samples), (1, "quarantined", 1));
    evict_acked(&bench, "lane = 0");
    deliver_with(&bench, poisonous.batch.epoch, 0).await;
    let again = bench.drain().await;
    let again: Vec<_> = again.iter().flat_map(|(_, body)| decode(body).losses).collect();
    assert!(again.contains(&told[0]), "{again:?}");
}

#[tokio::test]
async fn an_earlier_epoch_that_the_cloud_still_has_is_not_told_as_lost_because_its_bodies_are_gone_here() {
    let mut bench = Bench::new().await;
    let before = deliver(&bench, 3).await;
    evict_acked(&bench, "bytes > 0");
    bench.reopen(LIMITS);
    let epoch = deliver(&bench, 2).await;
    deliver_with(&bench, epoch, 0).await;
    let again = bench.drain().await;
    assert_eq!(again[0].0.after.map(|after| after.epoch), Some(before));
    let losses: Vec<_> = again.iter().flat_map(|(_, body)| decode(body).losses).collect();
    assert!(losses.is_empty(), "{losses:?}");
}

#[tokio::test]
async fn after_a_loss_the_chain_of_epochs_is_told_again() {
    let mut bench = Bench::new().await;
    let before = deliver(&bench, 2).await;
    bench.reopen(LIMITS);
    let epoch = deliver(&bench, 2).await;
    deliver_with(&bench, epoch, 0).await;
    let again = bench.drain().await;
    assert_eq!(again[0].0.after.map(|after| after.epoch), Some(before));
}

#[tokio::test]
async fn an_ack_of_a_request_that_left_before_does_not_tell_the_chain() {
    let mut bench = Bench::new().await;
    let before = deliver(&bench, 2).await;
    bench.reopen(LIMITS);
    let epoch = deliver(&bench, 1).await;
    bench.seal(Lane::Normal, 5.0).await;
    bench.seal(Lane::Normal, 6.0).await;
    let (_, slow) = bench.next().await.unwrap();
    let (_, quick) = bench.next_of(Wish { in_flight: vec![slow.id], ..at_once() }, LATER).await.unwrap();
    let forgotten = Settlement::Acked { through: vec![(epoch, 0)], acks_before: quick.acks_before };
    bench.settle(&quick, forgotten).await;
    bench.ack(&slow).await;
    let again = bench.drain().await;
    let tells = |header: &BatchHeader| header.after.map(|after| after.epoch) == Some(before);
    assert!(again.iter().any(|(header, _)| header.batch.epoch == epoch && tells(header)), "{again:?}");
}
