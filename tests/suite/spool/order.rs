//! What goes first.

use super::*;

#[tokio::test]
async fn critical_goes_first_and_an_open_batch_waits_for_its_age() {
    let bench = Bench::new().await;
    bench.append(Lane::Bulk, NOW, 1.0).await;
    bench.append(Lane::Normal, NOW, 2.0).await;
    bench.record("k", "t").await;
    let age = [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)];
    let wish = Wish { age, ..at_once() };
    let (_, first) = bench.next_of(wish.clone(), NOW + 1_000).await.unwrap();
    assert_eq!(first.lane, Lane::Critical);
    bench.ack(&first).await;
    let Next::Idle(due) = bench.spool().next(wish, NOW + 1_000).await.unwrap() else {
        panic!("sealed too early")
    };
    assert_eq!(due, Some(Duration::from_secs(9)));
    let lanes: Vec<_> = bench.drain().await.iter().map(|(h, _)| h.lane).collect();
    assert_eq!(lanes, [Lane::Normal, Lane::Bulk]);
}

#[tokio::test]
async fn after_an_outage_critical_then_what_is_fresh_then_the_backlog_from_old_to_new() {
    let bench = Bench::new().await;
    for n in 1..=4 {
        bench.seal(Lane::Normal, f64::from(n)).await;
    }
    bench.seal(Lane::Bulk, 5.0).await;
    bench.record("k", "an alarm").await;
    bench.spool().append(Lane::Normal, vec![tick(LATER, 6.0)], LATER).await.unwrap();
    let mut order = Vec::new();
    while let Some((header, outgoing)) = bench.next_of(at_once(), LATER).await {
        bench.ack(&outgoing).await;
        order.push((header.batch.seq, outgoing.reach));
    }
    let (critical, fresh, backlog) = (Reach::Critical, Reach::Fresh, Reach::Backlog);
    let expected =
        [(6, critical), (7, fresh), (1, backlog), (2, backlog), (3, backlog), (4, backlog), (5, backlog)];
    assert_eq!(order, expected);
}

#[tokio::test]
async fn the_newest_of_what_is_fresh_goes_first() {
    let bench = Bench::new().await;
    for n in 1..=3 {
        bench.seal(Lane::Normal, f64::from(n)).await;
    }
    let (header, _) = bench.next_of(at_once(), NOW + 1_000).await.unwrap();
    assert_eq!(header.batch.seq, 3);
}

#[tokio::test]
async fn a_sender_gets_only_what_it_may_send_and_not_what_is_on_its_way() {
    let bench = Bench::new().await;
    bench.seal(Lane::Normal, 1.0).await;
    bench.seal(Lane::Normal, 2.0).await;
    let reach = |reach| Wish { reach: Some(reach), ..at_once() };
    assert!(bench.next_of(Wish { reach: None, ..at_once() }, LATER).await.is_none());
    assert!(bench.next_of(reach(Reach::Critical), LATER).await.is_none());
    assert!(bench.next_of(reach(Reach::Fresh), LATER).await.is_none());
    let (first, outgoing) = bench.next_of(reach(Reach::Backlog), LATER).await.unwrap();
    let on_its_way = Wish { in_flight: vec![outgoing.id], ..at_once() };
    let (second, other) = bench.next_of(on_its_way, LATER).await.unwrap();
    assert_eq!((first.batch.seq, second.batch.seq), (1, 2));
    let both = Wish { in_flight: vec![outgoing.id, other.id], ..at_once() };
    assert!(bench.next_of(both, LATER).await.is_none());
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_sent_again_as_it_was() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (first, sent) = bench.next().await.unwrap();
    bench.append(Lane::Normal, NOW, 2.0).await;
    let (again, resent) = bench.next().await.unwrap();
    assert_eq!((again.batch, again.digest, resent.body), (first.batch, first.digest, sent.body));
}

#[tokio::test]
async fn a_batch_that_is_left_alone_comes_back_after_an_hour_and_is_closed_after_a_day() {
    const HOUR: i64 = 3_600_000;
    let bench = Bench::new().await;
    bench.seal(Lane::Normal, 1.0).await;
    bench.seal(Lane::Normal, 2.0).await;
    let (bad, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::Deferred).await;
    let (good, other) = bench.next().await.unwrap();
    assert_ne!(bad.batch, good.batch);
    bench.ack(&other).await;
    assert!(bench.next().await.is_none());
    let (again, retried) = bench.next_of(at_once(), NOW + HOUR).await.unwrap();
    assert_eq!((again.batch, retried.close), (bad.batch, false));
    let (again, closed) = bench.next_of(at_once(), NOW + 24 * HOUR).await.unwrap();
    assert_eq!((again.batch, closed.close), (bad.batch, true));
}
