//! The spool against a simple model of the cloud's receipts, through random operations, crashes and faulty answers.
//!
//! Whatever happens on the way: in the end every sample is at the cloud once, or told as a loss, and no number is missing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use storepulse_shared::batch::Loss;
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::*;

/// Random lives, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 32;
/// Every so many samples one is poisonous: the cloud refuses any batch that holds it.
const POISON_ONE_IN: u32 = 23;

/// Samples of one append of a flood, which are one batch; and more appends than any flood needs.
const FLOOD_SAMPLES: usize = 1_000;
const FLOOD_APPENDS_MAX: usize = 2_000;

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
    /// A page of the spool is zeroed while no process has it open.
    Damage(u64),
    /// So much is collected that the oldest must go.
    Flood(Lane),
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
    prop_oneof![
        23 => of_the_agent(),
        1 => Just(Operation::BackUp),
        1 => Just(Operation::Restore),
    ]
}

fn of_the_agent() -> impl Strategy<Value = Operation> {
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
    ]
}

/// On a disk that goes bad. With a cloud that is restored as well, not everything can be known any more.
fn operation_or_damage() -> impl Strategy<Value = Operation> {
    prop_oneof![12 => of_the_agent(), 1 => any::<u64>().prop_map(Operation::Damage)]
}

/// With so much at times that not everything finds room.
fn operation_or_flood() -> impl Strategy<Value = Operation> {
    let lane = prop::sample::select(vec![Lane::Normal, Lane::Bulk]);
    prop_oneof![20 => operation(), 1 => lane.prop_map(Operation::Flood)]
}

/// Receipts as the design has them, and nothing else.
#[derive(Debug, Clone, Default)]
struct Cloud {
    received: BTreeMap<BatchId, Vec<u32>>,
    void: BTreeMap<Epoch, SeqSet>,
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
        if self.is_void(header.batch) {
            return Settlement::Renumber;
        }
        if !self.received.contains_key(&header.batch) {
            let text = gzip::inflate(&outgoing.body, 16 << 20).unwrap();
            let batch = decode(&text);
            let samples = batch.frames.iter().flat_map(|f| &f.columns).flat_map(|c| &c.values);
            let samples: Vec<u32> = samples.map(|value| *value as u32).collect();
            if samples.len() < FLOOD_SAMPLES && samples.iter().any(|n| n % POISON_ONE_IN == 0) {
                self.close(header.batch);
                return Settlement::Refused { why: "422".to_owned() };
            }
            self.received.insert(header.batch, samples);
            for loss in batch.losses {
                for (epoch, seqs) in &loss.seqs {
                    let all = [self.received_of(*epoch).ranges(), seqs.ranges()].concat();
                    let all = [&all, self.void.entry(*epoch).or_default().ranges()].concat();
                    self.void.insert(*epoch, SeqSet::from_many_ranges(&all).unwrap());
                }
                self.losses.insert(loss.id, loss);
            }
        }
        Settlement::Acked { through: self.through(header.batch.epoch), acks_before: outgoing.acks_before }
    }

    fn close(&mut self, number: BatchId) {
        self.void.entry(number.epoch).or_default().insert(number.seq);
    }

    fn is_void(&self, number: BatchId) -> bool {
        !self.received.contains_key(&number)
            && self.void.get(&number.epoch).is_some_and(|void| void.contains(number.seq))
    }

    fn received_of(&self, epoch: Epoch) -> SeqSet {
        let all = BatchId { epoch, seq: 1 }..=BatchId { epoch, seq: u64::MAX };
        let mut received = SeqSet::new();
        for (number, _) in self.received.range(all) {
            received.insert(number.seq);
        }
        received
    }

    fn has(&self, number: BatchId) -> bool {
        self.received.contains_key(&number) || self.is_void(number)
    }

    /// Of an epoch and of those before it, as far as they are known.
    fn through(&self, epoch: Epoch) -> Vec<(Epoch, u64)> {
        let end = |epoch| {
            let void = self.void.get(&epoch).cloned().unwrap_or_default();
            let both = [self.received_of(epoch).ranges(), void.ranges()].concat();
            SeqSet::from_many_ranges(&both).unwrap().through()
        };
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

/// A spool, the cloud, and what was accepted.
struct World {
    bench: Bench,
    limits: Limits,
    cloud: Cloud,
    copy: Cloud,
    accepted: u32,
    is_damaged: bool,
}

impl World {
    async fn live(limits: Limits, operations: Vec<Operation>) {
        let (cloud, copy) = (Cloud::default(), Cloud::default());
        let bench = Bench::with(limits).await;
        let mut world = Self { bench, limits, cloud, copy, accepted: 0, is_damaged: false };
        for operation in operations {
            world.apply(operation).await;
        }
        world.settle_down().await;
        world.judge();
    }

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
            Operation::Crash => self.bench.reopen(self.limits),
            Operation::BackUp => self.copy = self.cloud.clone(),
            Operation::Restore => self.cloud = self.copy.clone(),
            Operation::Damage(page) => {
                self.bench.survive_a_zeroed_page(page).await;
                self.is_damaged = true;
            }
            Operation::Flood(lane) => self.flood(lane).await,
        }
    }

    /// Collects until something has been evicted or thinned. No compression makes the values smaller, which are numbered as all
    /// are.
    async fn flood(&mut self, lane: Lane) {
        let before = self.bench.status().await.lost_samples;
        for _ in 0..FLOOD_APPENDS_MAX {
            let times: Vec<i64> = (0..FLOOD_SAMPLES as i64).map(|t| NOW + t).collect();
            let mut values = Vec::with_capacity(FLOOD_SAMPLES);
            for _ in 0..FLOOD_SAMPLES {
                self.accepted += 1;
                let n = f64::from(self.accepted);
                values.push(n + (n * 0.739_085_133).sin().abs() * 0.999);
            }
            let columns = vec![Column { series: "m".into(), values }];
            let frame = Frame { times, columns, ..tick(NOW, 0.0) };
            self.bench.spool().append(lane, vec![frame], NOW).await.unwrap();
            self.bench.spool().seal_all(NOW).await.unwrap();
            if self.bench.status().await.lost_samples > before {
                return;
            }
        }
        panic!("the flood was too small");
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
                self.cloud.close(header.batch);
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
        // After a restore a loss may speak of what was delivered after all; of what was damaged it tells a range.
        let is_told = stored + lost >= accepted
            || self.is_damaged && self.cloud.losses.values().any(|loss| loss.reason == "spool_damaged");
        assert!(is_told, "{stored} stored and {lost} told as lost of {accepted}");
        assert_eq!(self.cloud.missing(), []);
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn in_the_end_every_sample_is_there_once_or_told_as_lost(
        operations in prop::collection::vec(operation(), 1..60)
    ) {
        live(operations);
    }

    #[test]
    fn in_the_end_no_number_is_missing_and_no_sample_there_twice_though_the_disk_goes_bad(
        operations in prop::collection::vec(operation_or_damage(), 1..60)
    ) {
        live(operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases.div_ceil(8), ..config() })]
    #[test]
    fn in_the_end_every_sample_is_there_once_or_told_as_lost_though_not_all_found_room(
        operations in prop::collection::vec(operation_or_flood(), 1..60)
    ) {
        live_small(operations);
    }
}

/// One of those lives: an epoch of which only closed numbers were left stood between the cloud, which had been restored
/// twice, and the epoch before it, whose batches nobody asked for then.
#[test]
fn an_epoch_that_consists_of_closed_numbers_hides_none_before_it() {
    use super::Lane::{Bulk, Critical, Normal};
    use Fate::{Answered, Deferred, TooLarge};
    use Operation::{Append, Crash, Restore, Seal, Send};
    live(vec![
        Append(Critical, 7),
        Append(Critical, 6),
        Seal,
        Append(Critical, 4),
        Send(Deferred),
        Crash,
        Append(Bulk, 6),
        Append(Normal, 1),
        Send(Answered),
        Send(Answered),
        Crash,
        Send(Answered),
        Crash,
        Append(Normal, 1),
        Send(Answered),
        Append(Critical, 1),
        Send(Deferred),
        Send(TooLarge),
        Send(Answered),
        Append(Bulk, 7),
        Restore,
        Send(Answered),
        Send(Answered),
        Send(Deferred),
        Send(Answered),
        Restore,
    ]);
}

/// Another: what came before an epoch was told after the backup was made, with a batch that was in the backup already.
#[test]
fn what_came_before_an_epoch_is_told_to_a_restored_cloud_again() {
    use super::Lane::{Bulk, Critical, Normal};
    use Fate::Answered;
    use Operation::{Append, BackUp, Crash, Restore, Seal, Send, SendTwo};
    live(vec![
        Append(Bulk, 4),
        Append(Bulk, 1),
        Crash,
        Send(Answered),
        Append(Bulk, 5),
        Send(Answered),
        Append(Normal, 4),
        Crash,
        Restore,
        SendTwo,
        Append(Critical, 6),
        Crash,
        Append(Critical, 3),
        Send(Answered),
        Seal,
        Send(Answered),
        Append(Critical, 1),
        Send(Answered),
        BackUp,
        Append(Normal, 1),
        Send(Answered),
        Send(Answered),
        Send(Answered),
        SendTwo,
        Send(Answered),
        Send(Answered),
        Send(Answered),
        Restore,
    ]);
}

/// An epoch of which nothing had been sent was evicted, and with it what came before it would have been forgotten.
#[test]
fn an_epoch_that_is_evicted_before_it_was_ever_sent_still_says_what_came_before_it() {
    use super::Lane::Normal;
    use Fate::Answered;
    use Operation::{Append, Crash, Flood, Restore, Seal, Send};
    live_small(vec![
        Append(Normal, 3),
        Send(Answered),
        Crash,
        Append(Normal, 3),
        Seal,
        Crash,
        Flood(Normal),
        Restore,
    ]);
}

fn live(operations: Vec<Operation>) {
    live_within(LIMITS, operations);
}

/// Where there is little room.
fn live_small(operations: Vec<Operation>) {
    live_within(Limits { bytes_max: BYTES_MIN, batch_samples_max: FLOOD_SAMPLES }, operations);
}

fn live_within(limits: Limits, operations: Vec<Operation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(World::live(limits, operations));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration, and this is the library's own variable"
)]
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
