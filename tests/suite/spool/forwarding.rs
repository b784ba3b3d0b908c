//! What others push: batches of other agents, and flat bodies.

use storepulse_agent::spool::{Forwarded, PushVerdict, Pushed, Sender};
use storepulse_shared::batch::header::BodyDigest;
use storepulse_shared::ids::{BatchId, Epoch};

use super::*;

fn header(epoch: Epoch, seq: u64, body: &[u8]) -> BatchHeader {
    BatchHeader {
        batch: BatchId { epoch, seq },
        lane: Lane::Normal,
        samples: 1,
        sealed: seq,
        digest: BodyDigest::of(body),
        offset_ms: 0,
        clock: Clock::Ok,
        resumed: false,
        after: None,
    }
}

async fn push(bench: &Bench, token: u8, header: &BatchHeader, body: &[u8]) -> PushVerdict {
    let content = Forwarded::Batch {
        header: header.clone(),
        header_text: header.to_string(),
        body: body.to_vec(),
        span: Some((NOW, NOW)),
        named: vec![],
        recovers: None,
    };
    bench.spool().push(Pushed { sender: Sender(vec![token]), content }, NOW).await.unwrap()
}

#[tokio::test]
async fn a_pushed_batch_is_forwarded_verbatim_and_once() {
    let bench = Bench::new().await;
    let epoch = Epoch::random();
    let body = gzip::compress(b"{}");
    let sent = header(epoch, 1, &body);
    for duplicate in [false, true] {
        let PushVerdict::Ack(ack) = push(&bench, 1, &sent, &body).await else { panic!("refused") };
        assert_eq!((ack.duplicate, ack.batch, ack.through[&epoch]), (duplicate, sent.batch, 1));
    }
    let (forwarded, outgoing) = bench.next().await.unwrap();
    assert_eq!((forwarded, &outgoing.body), (sent, &body));
    bench.ack(&outgoing).await;
    assert!(bench.next().await.is_none());
}

#[tokio::test]
async fn an_epoch_belongs_to_the_sender_that_first_used_it() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let own = bench.next().await.unwrap().0.batch.epoch;
    let epoch = Epoch::random();
    let body = gzip::compress(b"{}");
    assert!(matches!(push(&bench, 1, &header(epoch, 1, &body), &body).await, PushVerdict::Ack(_)));
    assert!(matches!(push(&bench, 2, &header(epoch, 2, &body), &body).await, PushVerdict::NotYours(_)));
    assert!(matches!(push(&bench, 2, &header(own, 9, &body), &body).await, PushVerdict::NotYours(_)));
    let other = gzip::compress(b"{ }");
    assert!(matches!(push(&bench, 1, &header(epoch, 1, &other), &other).await, PushVerdict::Conflict(_)));
}

async fn push_flat(bench: &Bench, key: &str, sha: u8, value: f64) -> PushVerdict {
    let content = Forwarded::Flat {
        frames: vec![tick(NOW, value)],
        rows: 1,
        lane: Lane::Normal,
        idempotency: Some((key.to_owned(), vec![sha])),
    };
    bench.spool().push(Pushed { sender: Sender(vec![]), content }, NOW).await.unwrap()
}

#[tokio::test]
async fn a_flat_body_with_a_key_is_taken_once_also_after_a_restart() {
    let mut bench = Bench::new().await;
    let PushVerdict::Ack(first) = push_flat(&bench, "k", 1, 1.0).await else { panic!("refused") };
    bench.reopen(LIMITS);
    let PushVerdict::Ack(again) = push_flat(&bench, "k", 1, 1.0).await else { panic!("refused") };
    assert_eq!(first, again);
    assert!(matches!(push_flat(&bench, "k", 2, 1.0).await, PushVerdict::KeyReused));
    assert_eq!(values(&bench.drain().await), [1.0]);
}

#[tokio::test]
async fn a_forwarded_replay_that_is_refused_is_no_second_loss() {
    let bench = Bench::new().await;
    let epoch = Epoch::random();
    let lost = BatchId { epoch, seq: 1 };
    let batch = Batch { frames: vec![tick(NOW, 1.0)], recovers: Some(lost), ..Batch::default() };
    let body = gzip::compress(&storepulse_shared::batch::encode::encode(&batch));
    let header = header(epoch, 2, &body);
    let content = Forwarded::Batch {
        header_text: header.to_string(),
        header,
        body,
        span: batch.span(),
        named: vec![epoch],
        recovers: Some(lost),
    };
    let verdict = bench.spool().push(Pushed { sender: Sender(vec![1]), content }, NOW).await.unwrap();
    assert!(matches!(verdict, PushVerdict::Ack(_)));
    let (_, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::Refused { why: "422".to_owned() }).await;
    let items = storepulse_agent::spool::quarantine(&bench.dir).unwrap();
    assert_eq!(items.iter().map(|item| item.recovers.clone()).collect::<Vec<_>>(), [Some(lost.to_string())]);
    assert_eq!(bench.status().await.losses, 0, "its own agent has told it");
}
