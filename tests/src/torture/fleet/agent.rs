//! One agent of the fleet: a light task with the real one's gate, and with its order (fresh first, then the backlog from old to
//! new). What it has in memory here lies in a spool there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rustls::ClientConfig;
use storepulse_agent::spool::Reach;
use storepulse_agent::time::now_ms;
use storepulse_agent::uplink::{Gate, asked};
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Clock, Lane};
use storepulse_shared::ids::{BatchId, Epoch};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::wire::{Answer, Wire};
use super::account::Account;
use super::bodies::{Bodies, Body, live};
use super::{RETURN_WITHIN, part_of};
use crate::store::Store;

/// From reading to sealing.
const SEAL_AFTER: Duration = Duration::from_secs(5);
/// Sealed less than this ago, a batch is fresh.
const FRESH: Duration = Duration::from_secs(60);
/// The longest pause after a failure: as short as [`RETURN_WITHIN`], so that they come back as hard.
const RETRY_MAX: Duration = RETURN_WITHIN;

/// What the fleet is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// All connect, over one tick, and work.
    Arriving,
    /// The links are gone.
    Away,
    /// They are back since then.
    Back(Instant),
    /// What is left is sent, and no more is read.
    Ending,
}

pub(super) struct Agent {
    tick: Duration,
    tls: ClientConfig,
    cloud_url: String,
    bearer: String,
    bodies: Arc<Bodies>,
    account: Arc<Account>,
    wire: Option<Wire>,
    gate: Gate,
    epoch: Epoch,
    /// The last number that was sealed.
    sealed: u64,
    /// Read, not yet sealed.
    open: Option<(Instant, i64)>,
    waiting: BTreeMap<u64, Waiting>,
    flights: JoinSet<anyhow::Result<Landed>>,
    in_flight: BTreeMap<u64, usize>,
    has_arrived: bool,
    /// The first answer after the return.
    admitted: Option<Instant>,
    failures: u32,
}

/// A sealed batch that the cloud does not have.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    sealed: Instant,
    content: Content,
}

#[derive(Debug, Clone, Copy)]
enum Content {
    /// Of the outage, by its place.
    Backlog(usize),
    /// Read at this time.
    Live { read: Instant, read_ms: i64 },
}

struct Landed {
    seq: u64,
    reach: Reach,
    bytes: usize,
    answer: Answer,
}

impl Agent {
    pub(super) fn new(
        tick: Duration,
        tls: &ClientConfig,
        cloud_url: &str,
        store: &Store,
        bodies: Arc<Bodies>,
        account: Arc<Account>,
    ) -> Self {
        Self {
            tick,
            tls: tls.clone(),
            cloud_url: cloud_url.to_owned(),
            bearer: store.bearer(),
            bodies,
            account,
            wire: None,
            gate: Gate::new(Instant::now(), Duration::ZERO),
            epoch: Epoch::random(),
            sealed: 0,
            open: None,
            waiting: BTreeMap::new(),
            flights: JoinSet::new(),
            in_flight: BTreeMap::new(),
            has_arrived: false,
            admitted: None,
            failures: 0,
        }
    }

    /// Its epoch, and how many batches it has made.
    pub(super) fn made(&self) -> (uuid::Uuid, u64) {
        (self.epoch.uuid(), self.sealed)
    }

    /// Works until the end, when all is sent.
    pub(super) async fn run(mut self, mut phases: watch::Receiver<Phase>) -> anyhow::Result<Self> {
        let mut next_tick = Instant::now() + part_of(self.tick);
        let mut phase = Phase::Arriving;
        self.connect()?;
        loop {
            let now = Instant::now();
            if phase == Phase::Ending && self.waiting.is_empty() && self.open.is_none() {
                return Ok(self);
            }
            if now >= next_tick {
                next_tick += self.tick;
                self.seal_open(now);
                if !matches!(phase, Phase::Away | Phase::Ending) {
                    self.open = Some((now, now_ms()));
                }
            }
            self.seal_what_is_due(now);
            if phase != Phase::Away {
                self.launch(now)?;
            }
            let due = self.due(now).min(next_tick);
            tokio::select! {
                Ok(()) = phases.changed() => {
                    phase = *phases.borrow_and_update();
                    self.turn_to(phase)?;
                }
                Some(landed) = self.flights.join_next() => self.land(landed??),
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        self.wire = Some(Wire::new(&self.tls, &self.cloud_url, self.bearer.clone())?);
        Ok(())
    }

    fn turn_to(&mut self, phase: Phase) -> anyhow::Result<()> {
        let now = Instant::now();
        match phase {
            Phase::Away => {
                // Whatever is on its way is cut off, and the connection closed.
                self.flights.abort_all();
                self.flights = JoinSet::new();
                self.in_flight.clear();
                self.wire = None;
                for at in 0..self.bodies.all().len() {
                    self.seal(now.checked_sub(FRESH * 2).unwrap_or(now), Content::Backlog(at));
                }
                self.account.is_away();
            }
            Phase::Back(_) => {
                self.connect()?;
                self.gate = Gate::new(now, Duration::ZERO);
                self.gate.close(now, part_of(RETURN_WITHIN));
            }
            Phase::Arriving | Phase::Ending => {}
        }
        Ok(())
    }

    fn seal_what_is_due(&mut self, now: Instant) {
        if self.open.is_some_and(|(read, _)| now >= read + SEAL_AFTER) {
            self.seal_open(now);
        }
    }

    fn seal_open(&mut self, now: Instant) {
        if let Some((read, read_ms)) = self.open.take() {
            self.seal(now, Content::Live { read, read_ms });
        }
    }

    fn seal(&mut self, sealed: Instant, content: Content) {
        self.sealed += 1;
        self.waiting.insert(self.sealed, Waiting { sealed, content });
    }

    /// When to look again.
    fn due(&self, now: Instant) -> Instant {
        let sealing = self.open.map(|(read, _)| read + SEAL_AFTER);
        let opening = if self.waiting.is_empty() { None } else { self.gate.opens(now) };
        [sealing, opening].into_iter().flatten().min().unwrap_or(now + self.tick).max(now)
    }

    /// Sends what may leave now.
    fn launch(&mut self, now: Instant) -> anyhow::Result<()> {
        let Some(wire) = self.wire.clone() else { return Ok(()) };
        while let Some(reach) = self.gate.reach(now, self.in_flight.len(), self.in_flight.values().sum()) {
            let Some((seq, content, is_backlog)) = self.choose(now, reach) else { break };
            let (gzipped, digest, samples) = match content {
                Content::Live { read_ms, .. } => {
                    let body = live(read_ms)?;
                    (body.gzipped, body.digest, body.samples)
                }
                Content::Backlog(at) => match self.bodies.get(at) {
                    Some(body) => (body.gzipped.clone(), body.digest, body.samples),
                    None => anyhow::bail!("there is no backlog number {at}"),
                },
            };
            let header = BatchHeader {
                batch: BatchId { epoch: self.epoch, seq },
                lane: Lane::Normal,
                samples,
                sealed: self.sealed,
                digest,
                offset_ms: 0,
                clock: Clock::Ok,
                resumed: false,
                after: None,
            };
            let bytes = gzipped.len();
            if is_backlog {
                self.gate.backlog_left(now, bytes);
            }
            self.in_flight.insert(seq, bytes);
            let wire = wire.clone();
            let reach = if is_backlog { Reach::Backlog } else { Reach::Fresh };
            self.flights.spawn(async move {
                Ok(Landed { seq, reach, bytes, answer: wire.post(&header, gzipped).await? })
            });
        }
        Ok(())
    }

    /// The newest that is fresh, or else the oldest.
    fn choose(&self, now: Instant, reach: Reach) -> Option<(u64, Content, bool)> {
        let is_here = |seq: &u64| !self.in_flight.contains_key(seq);
        let fresh = self.waiting.iter().rev().find(|(seq, w)| is_here(seq) && w.sealed + FRESH > now);
        if let Some((seq, waiting)) = fresh.filter(|_| reach >= Reach::Fresh) {
            return Some((*seq, waiting.content, false));
        }
        let oldest = self.waiting.iter().find(|(seq, _)| is_here(seq)).filter(|_| reach >= Reach::Backlog)?;
        Some((*oldest.0, oldest.1.content, true))
    }

    fn land(&mut self, landed: Landed) {
        let Landed { seq, reach, bytes, answer } = landed;
        let now = Instant::now();
        self.in_flight.remove(&seq);
        match answer {
            Answer::Taken(ack) => {
                self.failures = 0;
                self.gate.open();
                self.gate.pace(now, &ack.pace);
                self.note(seq, bytes, now);
            }
            Answer::Busy(after) => {
                self.account.was_refused();
                self.gate.wait(now, asked(after), reach);
            }
            Answer::Lost | Answer::Closed => {
                self.account.was_not_answered();
                let bound =
                    Duration::from_millis(500).saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
                self.failures += 1;
                self.gate.close(now, rand::rng().random_range(Duration::from_millis(50)..=bound));
            }
        }
    }

    fn note(&mut self, seq: u64, bytes: usize, now: Instant) {
        if !self.has_arrived {
            self.has_arrived = true;
            self.account.has_arrived();
        }
        let Some(waiting) = self.waiting.remove(&seq) else { return };
        let is_back = self.sealed > 0 && self.account.away() == self.account.agents();
        if is_back && self.admitted.is_none() {
            self.admitted = Some(now);
            self.account.has_been_admitted();
        }
        match waiting.content {
            Content::Backlog(_) => self.account.took_backlog(bytes),
            Content::Live { read, .. } => {
                if self.admitted.is_some_and(|admitted| read >= admitted) {
                    self.account.took_live(now - read);
                }
            }
        }
    }
}

/// Sends backlogs without a pace, of one store after the other as they come from a fleet, each under numbers of an epoch of its
/// own. First one of each, which is not counted; then all there are, until `until`: the bytes that were taken.
pub(super) struct Unpaced {
    streams: Vec<(Wire, Epoch)>,
    bodies: Arc<Bodies>,
    next_seq: u64,
}

impl Unpaced {
    /// For these stores, over the connections of `wire`.
    pub(super) fn new(wire: &Wire, stores: impl Iterator<Item = Store>, bodies: Arc<Bodies>) -> Self {
        let streams = stores.map(|store| (wire.with_key(store.bearer()), Epoch::random())).collect();
        Self { streams, bodies, next_seq: 1 }
    }

    /// One batch of each store.
    pub(super) async fn begin(mut self) -> anyhow::Result<Self> {
        self.send_round(1, None).await?;
        Ok(self)
    }

    /// As much as is taken until then: its bytes.
    pub(super) async fn send(mut self, until: Instant) -> anyhow::Result<usize> {
        let mut taken = 0;
        while Instant::now() < until {
            taken += self.send_round(self.bodies.all().len(), Some(until)).await?;
        }
        Ok(taken)
    }

    /// So many batches of each store; returns the bytes that were taken in time.
    async fn send_round(&mut self, each: usize, until: Option<Instant>) -> anyhow::Result<usize> {
        let mut taken = 0;
        for (wire, epoch) in &self.streams {
            for (seq, body) in (self.next_seq..).zip(self.bodies.all()).take(each) {
                post_until_taken(wire, BatchId { epoch: *epoch, seq }, body).await?;
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(taken);
                }
                taken += body.gzipped.len();
            }
        }
        self.next_seq += each as u64;
        Ok(taken)
    }
}

async fn post_until_taken(wire: &Wire, batch: BatchId, body: &Body) -> anyhow::Result<()> {
    let header = BatchHeader {
        batch,
        lane: Lane::Normal,
        samples: body.samples,
        sealed: batch.seq,
        digest: body.digest,
        offset_ms: 0,
        clock: Clock::Ok,
        resumed: false,
        after: None,
    };
    loop {
        match wire.post(&header, body.gzipped.clone()).await? {
            Answer::Taken(_) => return Ok(()),
            Answer::Busy(after) => tokio::time::sleep(after).await,
            Answer::Closed | Answer::Lost => anyhow::bail!("no answer to {batch}"),
        }
    }
}
