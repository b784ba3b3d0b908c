//! One stream: sends its numbers window by window, in any order and more than once, and asks until it knows of each whether it
//! is stored or closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use storepulse_agent::time::now_ms;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Batch, Clock, Column, Frame, Lane, Loss};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;

use super::super::wire::{Answer, Wire};
use crate::store::Store;

/// Numbers that are on their way together, in any order.
const WINDOW: u64 = 24;
/// Requests at once.
const IN_FLIGHT: usize = 6;
/// Of a hundred numbers, how many are: closed and not sent, sent and closed at once, told as lost and not sent, told as lost
/// and sent all the same.
const CLOSED: u32 = 4;
const RACED: u32 = 4;
const LOST: u32 = 2;
const LOST_AND_SENT: u32 = 2;
/// Of a hundred sent ones, how many are sent once more.
const REPEATED: u32 = 30;
/// Of a hundred requests, how many are given up, and after how many milliseconds at most.
const CUT: u32 = 3;
const CUT_AFTER_MS_MAX: u64 = 8;
/// How long an answer is asked for.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the cloud has said of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Unknown,
    Stored,
    Closed,
}

/// What a stream knows in the end.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) no: usize,
    pub(super) store: usize,
    pub(super) epoch: Epoch,
    pub(super) device: String,
    base_ms: i64,
    fates: Vec<Fate>,
    /// Losses told.
    pub(super) losses: u64,
    /// The bytes of all bodies that are stored.
    pub(super) bytes: u64,
    pub(super) contradictions: u64,
    pub(super) requests: u64,
    pub(super) cut: u64,
    pub(super) refused: u64,
    /// Answers that said of a number that this very request has stored it.
    taken_anew: BTreeMap<u64, u32>,
}

pub(super) struct Stream {
    wire: Wire,
    rng: StdRng,
    account: Account,
}

/// What is to happen to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Send,
    Close,
    Race,
    Lose,
    LoseAndSend,
}

#[derive(Debug, Clone, Copy)]
enum Request {
    Post,
    Delete,
}

/// What one request, repeated until it was answered, came to.
struct Settled {
    seq: u64,
    fate: Fate,
    is_new: bool,
    requests: u64,
    cut: u64,
    refused: u64,
}

impl Account {
    pub(super) fn stored(&self) -> u64 {
        self.fates.iter().filter(|fate| **fate == Fate::Stored).count() as u64
    }

    pub(super) fn closed(&self) -> u64 {
        self.fates.iter().filter(|fate| **fate == Fate::Closed).count() as u64
    }

    /// Numbers of this fate.
    pub(super) fn numbers(&self, fate: Fate) -> impl Iterator<Item = u64> + '_ {
        self.fates.iter().zip(1..).filter(move |(found, _)| **found == fate).map(|(_, seq)| seq)
    }

    /// Times and values of a number.
    pub(super) fn content(&self, seq: u64) -> (Vec<i64>, Vec<f64>) {
        #[expect(clippy::cast_precision_loss, reason = "quarters of whole numbers far below 2^50")]
        let value = |i: u64| seq as f64 + i as f64 / 4.0;
        let count = 1 + seq % 3;
        let times = (0..count).map(|i| self.base_ms + (seq * 4 + i).cast_signed());
        (times.collect(), (0..count).map(value).collect())
    }

    fn settle(&mut self, settled: &Settled) {
        self.requests += settled.requests;
        self.cut += settled.cut;
        self.refused += settled.refused;
        if settled.is_new {
            let times = self.taken_anew.entry(settled.seq).or_default();
            *times += 1;
            self.contradictions += u64::from(*times > 1);
        }
        self.note(settled.seq, settled.fate);
    }

    fn note(&mut self, seq: u64, fate: Fate) {
        let Some(known) = usize::try_from(seq - 1).ok().and_then(|at| self.fates.get_mut(at)) else { return };
        if *known == Fate::Unknown {
            *known = fate;
        } else if *known != fate {
            self.contradictions += 1;
        }
    }

    fn fate(&self, seq: u64) -> Fate {
        usize::try_from(seq - 1).ok().and_then(|at| self.fates.get(at)).copied().unwrap_or(Fate::Unknown)
    }
}

impl Stream {
    /// One that will have so many numbers, in an epoch of its own. Nothing leaves yet.
    pub(super) fn open(no: usize, store: &Store, wire: Wire, batches: u64, seed: u64) -> Self {
        let span_ms = (batches * 4).cast_signed();
        let account = Account {
            no,
            store: no,
            epoch: Epoch::random(),
            device: format!("{}-{no}", store.id.as_str().to_lowercase()),
            base_ms: now_ms() - span_ms - 60_000,
            fates: vec![Fate::Unknown; usize::try_from(batches).unwrap_or(usize::MAX)],
            losses: 0,
            bytes: 0,
            contradictions: 0,
            requests: 0,
            cut: 0,
            refused: 0,
            taken_anew: BTreeMap::new(),
        };
        Self { wire, rng: StdRng::seed_from_u64(seed), account }
    }

    /// Sends all, until all is answered.
    pub(super) async fn send(mut self, done: Arc<AtomicU64>) -> anyhow::Result<Account> {
        let batches = self.account.fates.len() as u64;
        let mut first = 1;
        while first <= batches {
            let last = batches.min(first + WINDOW - 1);
            self.send_window(first, last).await?;
            done.fetch_add(last - first + 1, Ordering::Relaxed);
            first = last + 1;
            self.account.taken_anew.clear();
        }
        Ok(self.account)
    }

    /// The last number of a window tells of those that were lost before it.
    async fn send_window(&mut self, first: u64, last: u64) -> anyhow::Result<()> {
        let mut plans: BTreeMap<u64, Plan> = (first..last).map(|seq| (seq, plan(&mut self.rng))).collect();
        plans.insert(last, Plan::Send);
        let lost: Vec<(u64, u64)> = plans
            .iter()
            .filter(|(_, plan)| matches!(plan, Plan::Lose | Plan::LoseAndSend))
            .map(|(seq, _)| (*seq, *seq))
            .collect();
        let mut bodies = BTreeMap::new();
        for seq in first..=last {
            let lost = if seq == last { lost.as_slice() } else { &[] };
            bodies.insert(seq, self.sealed(seq, last, lost)?);
        }
        let mut requests = Vec::new();
        for (seq, plan) in &plans {
            match plan {
                Plan::Send | Plan::LoseAndSend => requests.push((*seq, Request::Post)),
                Plan::Close => requests.push((*seq, Request::Delete)),
                Plan::Race => requests.extend([(*seq, Request::Post), (*seq, Request::Delete)]),
                Plan::Lose => {}
            }
            if *plan != Plan::Lose && *plan != Plan::Close && self.rng.random_ratio(REPEATED, 100) {
                requests.push((*seq, Request::Post));
            }
        }
        requests.shuffle(&mut self.rng);
        self.settle_all(&requests, &bodies).await?;

        // What was told as lost is closed now, unless it had arrived; ask about each again, and about what was closed.
        let late =
            plans.iter().filter(|(_, plan)| matches!(plan, Plan::Lose | Plan::LoseAndSend | Plan::Close));
        let late: Vec<_> = late.map(|(seq, _)| (*seq, Request::Post)).collect();
        self.settle_all(&late, &bodies).await?;
        self.account.losses += u64::from(!lost.is_empty());
        for (seq, (_, body)) in &bodies {
            match self.account.fate(*seq) {
                Fate::Stored => self.account.bytes += body.len() as u64,
                Fate::Closed => {}
                Fate::Unknown => anyhow::bail!("number {seq} was never answered"),
            }
            // Lost ones that nobody sent cannot have been stored.
            if plans.get(seq) == Some(&Plan::Lose) && self.account.fate(*seq) == Fate::Stored {
                self.account.contradictions += 1;
            }
        }
        Ok(())
    }

    async fn settle_all(
        &mut self,
        requests: &[(u64, Request)],
        bodies: &BTreeMap<u64, (BatchHeader, Vec<u8>)>,
    ) -> anyhow::Result<()> {
        let wire = &self.wire;
        let settling: Vec<_> = requests
            .iter()
            .filter_map(|(seq, request)| {
                let (header, body) = bodies.get(seq)?;
                Some(settle(wire, *request, header, body, StdRng::seed_from_u64(self.rng.random())))
            })
            .collect();
        let mut settled = futures_util::stream::iter(settling).buffer_unordered(IN_FLIGHT);
        let mut all = Vec::new();
        while let Some(one) = settled.next().await {
            all.push(one?);
        }
        drop(settled);
        for one in &all {
            self.account.settle(one);
        }
        Ok(())
    }

    /// Header and body of a number.
    fn sealed(&self, seq: u64, sealed: u64, lost: &[(u64, u64)]) -> anyhow::Result<(BatchHeader, Vec<u8>)> {
        let Account { epoch, device, .. } = &self.account;
        let (times, values) = self.account.content(seq);
        let samples = u32::try_from(values.len())?;
        let frame = Frame {
            device: device.as_str().into(),
            kind: "host".into(),
            times,
            columns: vec![Column { series: "torture.value".into(), values }],
        };
        let mut batch = Batch { frames: vec![frame], ..Batch::default() };
        if !lost.is_empty() {
            batch.losses.push(Loss {
                id: LossId { epoch: *epoch, no: seq },
                lane: Lane::Normal,
                from: self.account.base_ms,
                to: now_ms(),
                samples: lost.len() as u64,
                events: 0,
                reason: "spool_full".to_owned(),
                seqs: BTreeMap::from([(*epoch, SeqSet::from_ranges(lost)?)]),
            });
        }
        let body = gzip::compress(&encode(&batch));
        let header = BatchHeader {
            batch: BatchId { epoch: *epoch, seq },
            lane: if lost.is_empty() { Lane::Normal } else { Lane::Critical },
            samples,
            sealed,
            digest: BodyDigest::of(&body),
            offset_ms: 0,
            clock: Clock::Ok,
            resumed: false,
            after: None,
        };
        Ok((header, body))
    }
}

fn plan(rng: &mut StdRng) -> Plan {
    let mut dice = rng.random_range(0..100);
    for (share, plan) in
        [(CLOSED, Plan::Close), (RACED, Plan::Race), (LOST, Plan::Lose), (LOST_AND_SENT, Plan::LoseAndSend)]
    {
        if dice < share {
            return plan;
        }
        dice -= share;
    }
    Plan::Send
}

/// Asks until there is an answer.
async fn settle(
    wire: &Wire,
    request: Request,
    header: &BatchHeader,
    body: &[u8],
    mut rng: StdRng,
) -> anyhow::Result<Settled> {
    let begun = Instant::now();
    let (mut requests, mut cut, mut refused) = (0, 0, 0);
    loop {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "no answer about {} in {PATIENCE:?}", header.batch);
        let asking = async {
            match request {
                Request::Post => wire.post(header, body.to_vec()).await,
                Request::Delete => wire.close(header).await,
            }
        };
        requests += 1;
        let answer = if rng.random_ratio(CUT, 100) {
            let after = Duration::from_millis(rng.random_range(0..=CUT_AFTER_MS_MAX));
            match tokio::time::timeout(after, asking).await {
                Ok(answer) => answer?,
                Err(_) => {
                    cut += 1;
                    continue;
                }
            }
        } else {
            asking.await?
        };
        let (fate, is_new) = match answer {
            Answer::Taken(ack) => (Fate::Stored, !ack.duplicate),
            Answer::Closed => (Fate::Closed, false),
            Answer::Busy(after) => {
                refused += 1;
                tokio::time::sleep(after).await;
                continue;
            }
            Answer::Lost => {
                let wait = Duration::from_millis(rng.random_range(20..200));
                tokio::time::sleep(wait).await;
                continue;
            }
        };
        return Ok(Settled { seq: header.batch.seq, fate, is_new, requests, cut, refused });
    }
}
