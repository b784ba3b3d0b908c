//! The spool against a simple model of the cloud's receipts, through random operations, crashes and faulty answers.
//!
//! Whatever happens on the way: in the end every sample is at the cloud once, or told as a loss, and no number is missing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use storepulse_shared::batch::Loss;
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::*;

const CASES: u32 = 32;
/// Every so many samples one is poisonous: the cloud refuses any batch that holds it.
const POISON_ONE_IN: u32 = 23;

/// What is done.
#[derive(Debug, Clone)]
enum Operation {
    /// So many ticks are appended.
    Append(Lane, u32),
    Record,
    Seal,
    /// A batch is sent, and this becomes of it.
    Send(Fate),
    /// Two are on their way at once, and the later one is answered first.
    SendTwo,
    /// The process ends without a word and starts again.
    Crash,
    /// The cloud's database is copied.
    BackUp,
    /// The cloud's database becomes what was copied.
    Restore,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    /// It never arrives.
    Lost,
    /// The cloud commits, and its answer never arrives.
    Swallowed,
    /// It fails while others pass.
    Deferred,
    /// Its number is closed first, by somebody's wish.
    ClosedBefore,
    /// The cloud finds it too large.
    TooLarge,
}

fn operation() -> impl Strategy<Value = Operation> {
    let lane = prop::sample::select(vec![Lane::Critical, Lane::Normal, Lane::Bulk]);
    let fate = prop_oneof![
        8 => Just(Fate::Answered),
        2 => Just(Fate::Lost),
        4 => Just(Fate::Swallowed),
        1 => Just(Fate::Deferred),
        1 => Just(Fate::ClosedBefore),
        1 => Just(Fate::TooLarge),
    ];
    prop_oneof![
        6 => (lane, 1_u32..8).prop_map(|(lane, n)| Operation::Append(lane, n)),
        1 => Just(Operation::Record),
        2 => Just(Operation::Seal),
        10 => fate.prop_map(Operation::Send),
        2 => Just(Operation::SendTwo),
        2 => Just(Operation::Crash),
        1 => Just(Operation::BackUp),
        1 => Just(Operation::Restore),
    ]
}

/// Receipts as the design has them, and nothing else.
#[derive(Debug, Clone, Default)]
struct Cloud {
    received: BTreeMap<BatchId, Vec<u32>>,
    void: BTreeSet<BatchId>,
    losses: BTreeMap<LossId, Loss>,
    after: BTreeMap<Epoch, BatchId>,
    sealed: BTreeMap<Epoch, u64>,
}

impl Cloud {
    /// What a header tells, whatever becomes of its batch.
    fn note(&mut self, header: &BatchHeader) {
        let known = self.sealed.entry(header.batch.epoch).or_default();
        *known = (*known).max(header.sealed);
        if let Some(after) = header.after {
            self.after.insert(header.batch.epoch, after);
            let known = self.sealed.entry(after.epoch).or_default();
            *known = (*known).max(after.seq);
        }
    }

    fn take(&mut self, header: &BatchHeader, outgoing: &Outgoing) -> Settlement {
        self.note(header);
        if self.void.contains(&header.batch) {
            return Settlement::Renumber;
        }
        if !self.received.contains_key(&header.batch) {
            let text = gzip::inflate(&outgoing.body, 16 << 20).unwrap();
            let batch = decode(&text);
            let samples = batch.frames.iter().flat_map(|f| &f.columns).flat_map(|c| &c.values);
            let samples: Vec<u32> = samples.map(|value| *value as u32).collect();
            if samples.iter().any(|n| n % POISON_ONE_IN == 0) {
                self.void.insert(header.batch);
                return Settlement::Refused { why: "422".to_owned() };
            }
            self.received.insert(header.batch, samples);
            for loss in batch.losses {
                let closed = loss.seqs.iter().flat_map(|(epoch, seqs)| numbers(*epoch, seqs));
                self.void.extend(closed.filter(|number| !self.received.contains_key(number)));
                self.losses.insert(loss.id, loss);
            }
        }
        Settlement::Acked { through: self.through(header.batch.epoch), acks_before: outgoing.acks_before }
    }

    fn has(&self, number: BatchId) -> bool {
        self.received.contains_key(&number) || self.void.contains(&number)
    }

    /// Of an epoch and of those before it, as far as they are known.
    fn through(&self, epoch: Epoch) -> Vec<(Epoch, u64)> {
        let end = |epoch| (1..).take_while(|seq| self.has(BatchId { epoch, seq: *seq })).count() as u64;
        let mut all = vec![(epoch, end(epoch))];
        let mut at = epoch;
        while let Some(before) = self.after.get(&at) {
            at = before.epoch;
            all.push((at, end(at)));
        }
        all
    }

    fn missing(&self) -> Vec<BatchId> {
        let all = self
            .sealed
            .iter()
            .flat_map(|(epoch, last)| (1..=*last).map(|seq| BatchId { epoch: *epoch, seq }));
        all.filter(|number| !self.has(*number)).collect()
    }
}

fn numbers(epoch: Epoch, seqs: &SeqSet) -> impl Iterator<Item = BatchId> {
    seqs.ranges()
        .iter()
        .flat_map(move |(first, last)| (*first..=*last).map(move |seq| BatchId { epoch, seq }))
}

/// A spool, the cloud, and what was accepted.
struct World {
    bench: Bench,
    cloud: Cloud,
    copy: Cloud,
    accepted: u32,
}

impl World {
    async fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Append(lane, count) => {
                for _ in 0..count {
                    self.accepted += 1;
                    let n = self.accepted;
                    self.bench.append(lane, NOW + i64::from(n), f64::from(n)).await;
                }
            }
            Operation::Record => self.bench.record("k", "t").await,
            Operation::Seal => self.bench.spool().seal_all(NOW).await.unwrap(),
            Operation::Send(fate) => {
                if let Some((header, outgoing)) = self.bench.next().await {
                    self.send(&header, &outgoing, fate).await;
                }
            }
            Operation::SendTwo => {
                let Some((first, slow)) = self.bench.next().await else { return };
                let first_answer = self.cloud.take(&first, &slow);
                let wish = Wish { in_flight: vec![slow.id], ..at_once() };
                if let Some((second, quick)) = self.bench.next_of(wish, LATER).await {
                    self.send(&second, &quick, Fate::Answered).await;
                }
                self.bench.settle(&slow, first_answer).await;
            }
            Operation::Crash => self.bench.reopen(LIMITS),
            Operation::BackUp => self.copy = self.cloud.clone(),
            Operation::Restore => self.cloud = self.copy.clone(),
        }
    }

    async fn send(&mut self, header: &BatchHeader, outgoing: &Outgoing, fate: Fate) {
        // No cloud finds a single sample, or a record of a loss, too large.
        let fate = if header.samples <= 1 && matches!(fate, Fate::TooLarge) { Fate::Answered } else { fate };
        match fate {
            Fate::Lost => {}
            Fate::Deferred => self.bench.settle(outgoing, Settlement::Deferred).await,
            Fate::Swallowed => {
                self.cloud.take(header, outgoing);
            }
            Fate::ClosedBefore | Fate::TooLarge if !self.cloud.has(header.batch) => {
                self.cloud.note(header);
                self.cloud.void.insert(header.batch);
                let is_large = matches!(fate, Fate::TooLarge);
                let answer = if is_large { Settlement::TooLarge } else { Settlement::Renumber };
                self.bench.settle(outgoing, answer).await;
            }
            Fate::Answered | Fate::ClosedBefore | Fate::TooLarge => {
                let answer = self.cloud.take(header, outgoing);
                self.bench.settle(outgoing, answer).await;
            }
        }
    }

    /// Lets everything arrive. What was left alone comes back after an hour.
    async fn settle_down(&mut self) {
        const TWO_HOURS: i64 = 7_200_000;
        // One more batch, so that the cloud has the occasion to say what it has.
        self.apply(Operation::Record).await;
        self.bench.spool().seal_all(NOW).await.unwrap();
        let mut sent = 0;
        while let Some((header, outgoing)) = self.bench.next_of(at_once(), NOW + TWO_HOURS).await {
            self.send(&header, &outgoing, Fate::Answered).await;
            sent += 1;
            assert!(sent < 10_000, "it never comes to an end");
        }
    }

    fn judge(&self) {
        let mut stored: BTreeMap<u32, u32> = BTreeMap::new();
        for n in self.cloud.received.values().flatten() {
            *stored.entry(*n).or_default() += 1;
        }
        let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "stored twice: {twice:?}");
        assert!(stored.keys().all(|n| (1..=self.accepted).contains(n)), "invented");
        let lost: u64 = self.cloud.losses.values().map(|loss| loss.samples).sum();
        let (stored, accepted) = (stored.len() as u64, u64::from(self.accepted));
        // After a restore a loss may speak of what was delivered after all.
        assert!(stored + lost >= accepted, "{stored} stored and {lost} told as lost of {accepted}");
        assert_eq!(self.cloud.missing(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn in_the_end_every_sample_is_there_once_or_told_as_lost(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new().await;
            let mut world =
                World { bench, cloud: Cloud::default(), copy: Cloud::default(), accepted: 0 };
            for operation in operations {
                world.apply(operation).await;
            }
            world.settle_down().await;
            world.judge();
        });
    }
}
