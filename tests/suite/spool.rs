//! The spool as its users see it: appending, sealing, sending, restarting, forwarding.

use std::path::PathBuf;
use std::time::Duration;

use storepulse_agent::spool::{
    FILE, Forwarded, Limits, Next, Outgoing, PushVerdict, Pushed, SealPolicy, Sender, Settlement, Spool,
    WriterHandle,
};
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Batch, Clock, Column, Event, Frame, Lane};
use storepulse_shared::gzip;

use crate::setting::folder;

const NOW: i64 = 1_763_700_000_000;
const LIMITS: Limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };
const AT_ONCE: SealPolicy = SealPolicy { age: [Duration::ZERO; 3], clock: Clock::Ok };

struct Bench {
    dir: PathBuf,
    spool: Option<(Spool, WriterHandle)>,
}

impl Bench {
    async fn new() -> Self {
        let mut bench = Self { dir: folder().await, spool: None };
        bench.reopen(LIMITS);
        bench
    }

    fn reopen(&mut self, limits: Limits) {
        self.close();
        self.spool = Some(Spool::open(&self.dir, limits, NOW).unwrap());
    }

    /// Closes without sealing, as a killed process does.
    fn close(&mut self) {
        if let Some((spool, thread)) = self.spool.take() {
            drop(spool);
            thread.join();
        }
    }

    fn spool(&self) -> &Spool {
        &self.spool.as_ref().unwrap().0
    }

    async fn append(&self, lane: Lane, time: i64, value: f64) {
        self.spool().append(lane, vec![tick(time, value)], NOW).await.unwrap();
    }

    async fn next(&self) -> Option<(BatchHeader, Outgoing)> {
        match self.spool().next(AT_ONCE, NOW).await.unwrap() {
            Next::Send(outgoing) => Some((outgoing.header.parse().unwrap(), *outgoing)),
            Next::Idle(_) => None,
        }
    }

    async fn ack(&self, id: i64) {
        self.spool().settle(id, Settlement::Acked { through: vec![] }, NOW).await.unwrap();
    }

    /// Sends everything, as an uplink without a cloud would.
    async fn drain(&self) -> Vec<(BatchHeader, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some((header, outgoing)) = self.next().await {
            self.ack(outgoing.id).await;
            sent.push((header, gzip::inflate(&outgoing.body, 16 << 20).unwrap()));
        }
        sent
    }
}

fn tick(time: i64, value: f64) -> Frame<'static> {
    Frame {
        device: "d".into(),
        kind: "host".into(),
        times: vec![time],
        columns: vec![Column { series: "m".into(), values: vec![value] }],
    }
}

fn decode(body: &[u8]) -> Batch<'_> {
    storepulse_shared::batch::decode::decode(body).unwrap()
}

fn values(sent: &[(BatchHeader, Vec<u8>)]) -> Vec<f64> {
    sent.iter()
        .flat_map(|(_, body)| decode(body).frames)
        .flat_map(|f| f.columns.into_iter().flat_map(|c| c.values))
        .collect()
}

#[tokio::test]
async fn ticks_of_one_device_become_one_frame_and_the_header_tells_the_truth() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.append(Lane::Normal, NOW + n * 1_000, n as f64).await;
    }
    let (header, outgoing) = bench.next().await.unwrap();
    assert_eq!((header.batch.seq, header.samples, header.sealed), (1, 5, 1));
    assert_eq!(header.digest, storepulse_shared::batch::header::BodyDigest::of(&outgoing.body));
    assert!(!header.resumed && header.after.is_none());
    let text = gzip::inflate(&outgoing.body, 1 << 20).unwrap();
    let batch = decode(&text);
    assert_eq!(batch.frames.len(), 1);
    assert_eq!(batch.frames[0].times, (0..5).map(|n| NOW + n * 1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tick_that_goes_back_in_time_begins_a_frame_of_its_own() {
    let bench = Bench::new().await;
    for time in [NOW, NOW + 10, NOW + 5, NOW + 5, NOW + 20] {
        bench.append(Lane::Normal, time, 1.0).await;
    }
    let sent = bench.drain().await;
    assert_eq!(decode(&sent[0].1).frames.iter().map(|f| f.times.len()).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(values(&sent).len(), 5);
}

#[tokio::test]
async fn a_batch_is_sealed_by_count_and_by_span() {
    let bench = Bench::new().await;
    let times: Vec<i64> = (0..2_500).map(|n| NOW + n).collect();
    let frame = Frame {
        times,
        columns: vec![Column { series: "m".into(), values: vec![1.0; 2_500] }],
        ..tick(0, 0.0)
    };
    bench.spool().append(Lane::Normal, vec![frame], NOW).await.unwrap();
    bench.append(Lane::Normal, NOW + 7 * 3_600_000, 1.0).await;
    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| h.samples).collect::<Vec<_>>(), [1_000, 1_000, 500, 1]);
    assert_eq!(sent.iter().map(|(h, _)| h.batch.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn critical_goes_first_and_an_open_batch_waits_for_its_age() {
    let bench = Bench::new().await;
    bench.append(Lane::Bulk, NOW, 1.0).await;
    bench.append(Lane::Normal, NOW, 2.0).await;
    let event = Event { device: "d".into(), t: NOW, kind: "k".into(), text: "t".into() };
    bench.spool().record(vec![event], NOW).await.unwrap();
    let policy =
        SealPolicy { age: [Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)], ..AT_ONCE };
    let Next::Send(first) = bench.spool().next(policy, NOW + 1_000).await.unwrap() else {
        panic!("nothing to send")
    };
    assert_eq!(first.lane, Lane::Critical);
    bench.ack(first.id).await;
    let Next::Idle(due) = bench.spool().next(policy, NOW + 1_000).await.unwrap() else {
        panic!("sealed too early")
    };
    assert_eq!(due, Some(Duration::from_secs(9)));
    let lanes: Vec<_> = bench.drain().await.iter().map(|(h, _)| h.lane).collect();
    assert_eq!(lanes, [Lane::Normal, Lane::Bulk]);
}

#[tokio::test]
async fn a_restart_seals_what_was_open_under_its_number_and_begins_an_epoch_that_names_the_last() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (first, _) = bench.next().await.unwrap();
    bench.append(Lane::Normal, NOW + 1, 2.0).await;
    bench.reopen(LIMITS);
    bench.append(Lane::Normal, NOW + 2, 3.0).await;
    let sent = bench.drain().await;
    assert_eq!(values(&sent), [1.0, 2.0, 3.0]);
    let headers: Vec<_> = sent.into_iter().map(|(header, _)| header).collect();
    assert!(headers[0].resumed && headers[0].batch == first.batch);
    assert!(headers[1].resumed && headers[1].batch.epoch == first.batch.epoch && headers[1].batch.seq == 2);
    assert!(!headers[2].resumed && headers[2].batch.epoch != first.batch.epoch && headers[2].batch.seq == 1);
    assert_eq!(headers[2].after, Some(headers[1].batch));
}

#[tokio::test]
async fn openings_without_a_batch_leave_no_gap_in_the_chain() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let first = bench.drain().await.remove(0).0;
    for _ in 0..3 {
        bench.reopen(LIMITS);
    }
    bench.append(Lane::Normal, NOW, 2.0).await;
    let (header, outgoing) = bench.next().await.unwrap();
    assert_eq!(header.after, Some(first.batch));
    // It is said until the cloud has acknowledged it once.
    bench.ack(outgoing.id).await;
    bench.append(Lane::Normal, NOW, 3.0).await;
    assert_eq!(bench.next().await.unwrap().0.after, None);
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
async fn a_batch_that_is_too_large_goes_on_in_two_under_new_numbers() {
    let bench = Bench::new().await;
    for n in 0..10 {
        bench.append(Lane::Normal, NOW + n, n as f64).await;
    }
    let (whole, outgoing) = bench.next().await.unwrap();
    bench.spool().settle(outgoing.id, Settlement::Split, NOW).await.unwrap();
    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| (h.batch.seq, h.samples)).collect::<Vec<_>>(), [(2, 5), (3, 5)]);
    assert_eq!(sent[0].0.batch.epoch, whole.batch.epoch);
    assert_eq!(values(&sent), (0..10).map(f64::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refused_batch_is_kept_and_does_not_block_the_next() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (_, outgoing) = bench.next().await.unwrap();
    let refusal = "422 span_too_long".to_owned();
    bench.spool().settle(outgoing.id, Settlement::SetAside { refusal }, NOW).await.unwrap();
    bench.append(Lane::Normal, NOW, 2.0).await;
    assert_eq!(values(&bench.drain().await), [2.0]);
    let status = bench.spool().status().await.unwrap();
    assert_eq!((status.set_aside.len(), status.set_aside[0].samples), (1, 1));
}

#[tokio::test]
async fn a_conflict_opens_an_epoch_for_everything_that_was_never_sent() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (old, refused) = bench.next().await.unwrap();
    bench.append(Lane::Normal, NOW, 2.0).await;
    bench.append(Lane::Bulk, NOW, 3.0).await;
    bench.spool().settle(refused.id, Settlement::Conflict, NOW).await.unwrap();
    let sent = bench.drain().await;
    assert!(sent.iter().all(|(h, _)| h.batch.epoch != old.batch.epoch && !h.resumed), "{sent:?}");
    let mut all = values(&sent);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, [1.0, 2.0, 3.0]);
    let critical = decode(&sent[0].1);
    assert_eq!(critical.events[0].kind, "agent.possible_clone");
    assert_eq!(critical.losses[0].seqs[&old.batch.epoch].ranges(), [(2, 3)]);
    assert_eq!((critical.losses[0].samples, &*critical.losses[0].reason), (0, "renumbered"));
}

#[tokio::test]
async fn a_full_spool_discards_acked_then_bulk_then_normal_and_reports_it() {
    let mut bench = Bench::new().await;
    bench.reopen(Limits { bytes_max: 192 << 10, batch_samples_max: 200 });
    let noise = |n: i64| (n as f64 * 0.739_085_133).sin() * 1e6;
    let event = Event { device: "d".into(), t: NOW, kind: "k".into(), text: "keep me".into() };
    bench.spool().record(vec![event], NOW).await.unwrap();
    for n in 0..20_000 {
        let lane = if n % 2 == 0 { Lane::Bulk } else { Lane::Normal };
        bench.append(lane, NOW + n, noise(n)).await;
    }
    let status = bench.spool().status().await.unwrap();
    assert!(status.bytes <= 256 << 10, "{} bytes", status.bytes);
    let sent = bench.drain().await;
    let batches: Vec<_> = sent.iter().map(|(_, body)| decode(body)).collect();
    let losses: Vec<_> = batches.iter().flat_map(|b| &b.losses).collect();
    let delivered: usize = batches.iter().map(Batch::samples).sum();
    let lost: u64 = losses.iter().map(|l| l.samples).sum();
    assert_eq!(delivered as u64 + lost, 20_000, "every sample is delivered or reported");
    assert!(losses.iter().all(|l| l.reason == "spool_full" && l.seqs.len() == 1));
    assert!(batches.iter().flat_map(|b| &b.events).any(|e| e.text == "keep me"));
    let of = |lane: Lane| losses.iter().filter(|l| l.lane == lane).map(|l| l.samples).sum::<u64>();
    assert!(of(Lane::Bulk) > 9_000, "bulk goes before normal: {} and {}", of(Lane::Bulk), of(Lane::Normal));
}

#[tokio::test]
async fn two_agents_cannot_share_a_spool() {
    let bench = Bench::new().await;
    let error = Spool::open(&bench.dir, LIMITS, NOW).unwrap_err().to_string();
    assert!(error.contains("spool.lock") && error.contains("another agent"), "{error}");
}

#[tokio::test]
async fn a_spool_from_a_newer_version_is_left_alone() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    bench.close();
    let path = bench.dir.join(FILE);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    let error = Spool::open(&bench.dir, LIMITS, NOW).unwrap_err().to_string();
    assert!(error.contains("spool.db") && error.contains("newer agent"), "{error}");
}

#[tokio::test]
async fn many_callers_share_commits_and_all_is_there() {
    let bench = Bench::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let spool = bench.spool().clone();
        tasks.spawn(async move { spool.append(Lane::Normal, vec![tick(NOW + n, n as f64)], NOW).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let mut all = values(&bench.drain().await);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, (0..200).map(f64::from).collect::<Vec<_>>());
}

mod forwarding {
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
        assert_eq!((forwarded, outgoing.body), (sent, body));
        bench.ack(outgoing.id).await;
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
}
