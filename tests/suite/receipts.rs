//! A batch number is received once, or void, for ever.

use std::collections::BTreeMap;

use storepulse_shared::batch::{Event, Lane, Loss};
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::cloud::Cloud;
use tokio::task::JoinSet;

use crate::setting::{Setting, now_ms};

#[tokio::test]
async fn a_batch_sent_twice_is_stored_once() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now, now + 1], &[1.0, 2.0]));
    for duplicate in [false, true, true] {
        let answer = agent.send(&batch).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json["duplicate"], duplicate);
        assert_eq!(answer.json["processed"], 2);
        assert_eq!(answer.json["batch"], batch.header.batch.to_string());
        assert_eq!(answer.json["through"][batch.header.batch.epoch.to_string()], 1);
    }
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0), ("m".into(), now + 1, 2.0)]);
}

#[tokio::test]
async fn twenty_four_copies_at_once_are_stored_once() {
    let setting = Setting::new().await;
    let now = now_ms();
    let batch = HandBatch::of(Epoch::random(), 7, &samples("m", &[now], &[1.0]));
    let mut copies = JoinSet::new();
    for _ in 0..24 {
        let (agent, batch) = (setting.by_hand(), batch.clone());
        copies.spawn(async move { agent.send(&batch).await.unwrap() });
    }
    let answers = copies.join_all().await;
    assert!(answers.iter().all(|a| a.status == 200), "{answers:?}");
    assert_eq!(answers.iter().filter(|a| a.json["duplicate"] == false).count(), 1);
    let totals = storepulse_testbed::oracle::totals(&setting.db, "la-villa", "T01").await.unwrap();
    assert_eq!((totals.samples, totals.batches), (1, 1));
}

#[tokio::test]
async fn batches_may_arrive_in_any_order_and_gaps_are_missing_until_they_are_filled() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let epoch = Epoch::random();
    let now = now_ms();
    let mut through = Vec::new();
    for seq in [3, 1, 2, 5] {
        let mut batch =
            HandBatch::of(epoch, seq, &samples("m", &[now + i64::try_from(seq).unwrap()], &[1.0]));
        batch.header.sealed = 5;
        let answer = agent.send(&batch).await.unwrap();
        through.push(answer.json["through"][epoch.to_string()].as_u64().unwrap());
    }
    assert_eq!(through, [0, 1, 3, 3]);
    let status = setting.status().await;
    assert_eq!((&status["missing"], &status["streams"][0]["received"]), (&1.into(), &4.into()));
}

#[tokio::test]
async fn a_number_with_another_body_is_a_conflict_unless_it_is_resumed() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    agent.send(&HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]))).await.unwrap();
    let mut other = HandBatch::of(epoch, 1, &samples("m", &[now], &[2.0]));
    let answer = agent.send(&other).await.unwrap();
    assert_eq!((answer.status, answer.code()), (409, "batch_conflict"));
    assert!(answer.names_a_batch());
    other.header.resumed = true;
    let answer = agent.send(&other).await.unwrap();
    assert_eq!((answer.status, &answer.json["duplicate"]), (200, &true.into()));
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
}

#[tokio::test]
async fn a_closed_number_is_gone_and_a_received_one_cannot_be_closed() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let first = HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]));
    let second = HandBatch::of(epoch, 2, &samples("m", &[now + 1], &[2.0]));
    assert_eq!(agent.send(&first).await.unwrap().status, 200);
    assert_eq!(agent.close(&first).await.unwrap().status, 200);
    for _ in 0..2 {
        let closed = agent.close(&second).await.unwrap();
        assert_eq!((closed.status, closed.names_a_batch()), (410, true));
    }
    let late = agent.send(&second).await.unwrap();
    assert_eq!((late.status, late.code()), (410, "batch_closed"));
    assert_eq!(setting.samples().await.len(), 1);
    assert_eq!(setting.status().await["missing"], 0);
}

fn loss(epoch: Epoch, no: u64, seqs: &[(u64, u64)]) -> Loss {
    Loss {
        id: LossId { epoch, no },
        lane: Lane::Bulk,
        from: now_ms() - 1_000,
        to: now_ms(),
        samples: 30,
        events: 0,
        reason: "spool_full".into(),
        seqs: BTreeMap::from([(epoch, SeqSet::from_ranges(seqs).unwrap())]),
    }
}

#[tokio::test]
async fn a_loss_is_recorded_once_and_closes_the_numbers_that_will_not_come() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    agent.send(&HandBatch::of(epoch, 2, &samples("m", &[now], &[1.0]))).await.unwrap();
    let mut content = samples("m", &[now + 1], &[2.0]);
    content.losses = vec![loss(epoch, 1, &[(1, 3)])];
    for seq in [4, 5] {
        let answer = agent.send(&HandBatch::of(epoch, seq, &content)).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json["through"][epoch.to_string()], seq);
    }
    let status = setting.status().await;
    assert_eq!(status["missing"], 0);
    assert_eq!(status["losses"], serde_json::json!([{"reason": "spool_full", "losses": 1, "samples": 30}]));
    assert_eq!(agent.send(&HandBatch::of(epoch, 3, &content)).await.unwrap().status, 410);
    let again = agent.send(&HandBatch::of(epoch, 2, &samples("m", &[now], &[1.0]))).await.unwrap();
    assert_eq!((again.status, &again.json["duplicate"]), (200, &true.into()), "what had arrived is not void");
}

#[tokio::test]
async fn an_epoch_that_continues_an_earlier_one_than_the_cloud_knows_is_a_fork() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (old, now) = (Epoch::random(), now_ms());
    for seq in 1..=3 {
        agent.send(&HandBatch::of(old, seq, &samples("m", &[now], &[1.0]))).await.unwrap();
    }
    let successor = async |after: u64| {
        let mut batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now], &[1.0]));
        batch.header.after = Some(BatchId { epoch: old, seq: after });
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
        setting.status().await
    };
    let status = successor(3).await;
    assert_eq!((&status["forked"], status["events"].as_array().unwrap().len()), (&false.into(), 0));
    let status = successor(2).await;
    assert_eq!(status["forked"], true);
    assert_eq!(status["events"][0]["kind"], "agent.spool_forked");
    let status = successor(3).await;
    assert_eq!(
        status["events"].as_array().unwrap().len(),
        2,
        "a second successor of one epoch is a fork too"
    );
}

#[tokio::test]
async fn a_successor_tells_of_numbers_that_never_arrived_and_the_answer_repeats_them() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (old, new, now) = (Epoch::random(), Epoch::random(), now_ms());
    agent.send(&HandBatch::of(old, 1, &samples("m", &[now], &[1.0]))).await.unwrap();
    let mut batch = HandBatch::of(new, 1, &samples("m", &[now], &[1.0]));
    batch.header.after = Some(BatchId { epoch: old, seq: 4 });
    let answer = agent.send(&batch).await.unwrap();
    assert_eq!(answer.json["through"], serde_json::json!({ old.to_string(): 1, new.to_string(): 1 }));
    assert_eq!(setting.status().await["missing"], 3);
    for seq in 2..=4 {
        let mut late = HandBatch::of(old, seq, &samples("m", &[now], &[1.0]));
        late.header.resumed = true;
        agent.send(&late).await.unwrap();
    }
    let answer = agent.send(&HandBatch::of(new, 2, &samples("m", &[now], &[1.0]))).await.unwrap();
    assert_eq!(answer.json["through"], serde_json::json!({ new.to_string(): 2 }));
}

#[tokio::test]
async fn the_last_received_of_one_millisecond_counts() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    agent.send(&HandBatch::of(epoch, 2, &samples("m", &[now], &[2.0]))).await.unwrap();
    agent.send(&HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]))).await.unwrap();
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
}

#[tokio::test]
async fn events_are_stored_with_their_batch() {
    let setting = Setting::new().await;
    let now = now_ms();
    let event = Event {
        device: "printer-2".into(),
        t: now,
        kind: "printer.cover_open".into(),
        text: "cover open ñ".into(),
    };
    let mut content = samples("m", &[now], &[1.0]);
    content.events = vec![event];
    let batch = HandBatch::of(Epoch::random(), 1, &content);
    for _ in 0..2 {
        assert_eq!(setting.by_hand().send(&batch).await.unwrap().status, 200);
    }
    let status = setting.status().await;
    let expected = serde_json::json!([{"device": "printer-2", "t": now, "kind": "printer.cover_open", "text": "cover open ñ"}]);
    assert_eq!(status["events"], expected);
}

#[tokio::test]
async fn a_flat_body_with_an_idempotency_key_is_stored_once() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let body = |value: u32| {
        format!(r#"{{"metrics":[{{"device_id":"POS01","metric":"m","value":{value},"timestamp":{now}}}]}}"#)
    };
    let first = agent.push(&body(1), Some("k1")).await.unwrap();
    assert_eq!((first.status, &first.json["processed"]), (200, &1.into()));
    let again = agent.push(&body(1), Some("k1")).await.unwrap();
    assert_eq!((again.status, &again.json), (200, &first.json), "the same body has the same answer");
    let other = agent.push(&body(2), Some("k1")).await.unwrap();
    assert_eq!((other.status, other.code()), (409, "idempotency_conflict"));
    let totals = storepulse_testbed::oracle::totals(&setting.db, "la-villa", "T01").await.unwrap();
    assert_eq!((totals.samples, totals.batches), (1, 1));
    let unkeyed = agent.push(&body(3), None).await.unwrap();
    assert_eq!(unkeyed.json["batch"].as_str().unwrap().rsplit('/').next(), Some("2"));
    assert_eq!(setting.samples().await, [("m".into(), now, 3.0)]);
}

#[tokio::test]
async fn sixteen_copies_of_a_keyed_flat_body_at_once_are_stored_once() {
    let setting = Setting::new().await;
    let body =
        format!(r#"{{"metrics":[{{"device_id":"d","metric":"m","value":1,"timestamp":{}}}]}}"#, now_ms());
    let mut copies = JoinSet::new();
    for _ in 0..16 {
        let (agent, body) = (setting.by_hand(), body.clone());
        copies.spawn(async move { agent.push(&body, Some("same")).await.unwrap() });
    }
    let answers = copies.join_all().await;
    assert!(answers.iter().all(|a| a.status == 200 && a.json == answers[0].json), "{answers:?}");
    let totals = storepulse_testbed::oracle::totals(&setting.db, "la-villa", "T01").await.unwrap();
    assert_eq!((totals.samples, totals.batches), (1, 1));
}

#[tokio::test]
async fn what_another_process_took_or_closed_is_found_out_though_the_number_seemed_open() {
    let setting = Setting::new().await;
    let other = Cloud::start(&setting.db, None).await.unwrap();
    let (here, there) =
        (setting.by_hand(), ByHand::new(&other.url(), None, Some(setting.stores[0].bearer())).unwrap());
    let (epoch, now) = (Epoch::random(), now_ms());
    let batch = |seq: u64, value: f64| {
        HandBatch::of(epoch, seq, &samples("m", &[now + i64::try_from(seq).unwrap()], &[value]))
    };
    assert_eq!(here.send(&batch(1, 1.0)).await.unwrap().status, 200);
    for seq in 2..=4 {
        assert_eq!(there.send(&batch(seq, 1.0)).await.unwrap().status, 200);
    }
    assert_eq!(there.close(&batch(5, 1.0)).await.unwrap().status, 410);
    let answer = here.send(&batch(2, 1.0)).await.unwrap();
    assert_eq!((answer.status, &answer.json["duplicate"]), (200, &true.into()), "{answer:?}");
    let answer = here.send(&batch(3, 9.0)).await.unwrap();
    assert_eq!((answer.status, answer.code()), (409, "batch_conflict"));
    // A body that nobody could take does not close a number that was received, nor one that was closed before.
    for (seq, status, code) in
        [(4, 409, "batch_conflict"), (5, 410, "batch_closed"), (6, 400, "sample_count")]
    {
        let mut bad = batch(seq, 9.0);
        bad.header.samples = 7;
        let answer = here.send(&bad).await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, code), "{seq}");
    }
    assert_eq!(setting.status().await["streams"][0]["received"], 4);
    assert_eq!(setting.samples().await.len(), 4);
    other.stop().await.unwrap();
}
