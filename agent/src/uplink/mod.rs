//! The uplink: takes batches out of the spool and sends them until the cloud has acknowledged each.
//!
//! A few batches are on their way at once, the most urgent first; after a failure one goes alone. An answer becomes one
//! [`Outcome`], and each outcome one movement of the spool or one wait. Nothing the other side does can lose a batch:
//! without an ack that names it, it is sent again.

mod backoff;
mod cause;
mod chain;
mod client;
mod clock;
mod flight;
mod gate;
mod names;
mod outcome;
mod speed;
mod status;
mod suspects;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use storepulse_shared::answer::Ack;
use storepulse_shared::batch::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
pub use self::backoff::asked;
pub use self::cause::Cause;
use self::cause::Failure;
pub(crate) use self::chain::{Shown, Verdict, shake_hands};
pub(crate) use self::client::Client;
pub use self::client::ClientError;
use self::flight::{Landed, fly};
pub use self::gate::Gate;
use self::outcome::Outcome;
use self::speed::Speed;
pub use self::status::{UplinkBoard, UplinkState, UplinkStatus};
use self::suspects::Suspects;
use crate::config::{Batches, Cloud, KeySource};
use crate::spool::{Next, Outgoing, Reach, Settlement, Spool, SpoolError, Wish};
use crate::time::{BUILD_MS, BoxClock, SystemClock};

/// How often a held uplink looks whether its key has been corrected.
const KEY_LOOK: Duration = Duration::from_secs(1);
/// Age at which critical batches are sealed while the cloud does not answer.
const CRITICAL_OFFLINE_AGE: Duration = Duration::from_secs(10);
/// The spool is asked again at least this often: what was left alone may be due.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the uplink works with.
pub(crate) struct Uplink {
    spool: Spool,
    client: Client,
    key: KeySource,
    batches: watch::Receiver<Batches>,
    held_retry: Duration,
    backoff: Backoff,
    gate: Gate,
    suspects: Suspects,
    flights: JoinSet<Landed>,
    /// Batches on their way.
    in_flight: Vec<i64>,
    /// Bytes of their bodies.
    bytes_in_flight: usize,
    speed: Speed,
    /// The hash of the key that was refused, while the uplink is held.
    refused_key: Option<Option<[u8; 32]>>,
    board: UplinkBoard,
    clock: BoxClock,
    /// When the time was last asked for, and nobody told it.
    asked_in_vain: Option<Instant>,
}

impl Uplink {
    pub(crate) fn new(
        spool: Spool,
        client: Client,
        cloud: &Cloud,
        key: KeySource,
        batches: watch::Receiver<Batches>,
        board: UplinkBoard,
        clock: BoxClock,
    ) -> Self {
        Self {
            spool,
            client,
            key,
            batches,
            held_retry: cloud.held_retry,
            backoff: Backoff::new(cloud.retry_max),
            gate: Gate::new(Instant::now(), cloud.retry_max),
            suspects: Suspects::default(),
            flights: JoinSet::new(),
            in_flight: Vec::new(),
            bytes_in_flight: 0,
            speed: Speed::default(),
            refused_key: None,
            board,
            clock,
            asked_in_vain: None,
        }
    }

    /// Sends until `stop`, then once more what is left, as far as that goes without a failure.
    pub(crate) async fn run(mut self, stop: CancellationToken, drain: CancellationToken) {
        while !stop.is_cancelled() {
            let due = self.launch().await;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(landed) = self.flights.join_next() => self.land(landed).await,
                () = self.spool.news() => {}
                // Once nobody can change it any more, this is no branch.
                Ok(()) = self.batches.changed() => {}
                () = tokio::time::sleep(due) => self.look_at_the_key(),
            }
        }
        tokio::select! {
            () = drain.cancelled() => {}
            () = self.drain() => {}
        }
    }

    async fn drain(&mut self) {
        loop {
            self.launch().await;
            let Some(landed) = self.flights.join_next().await else { return };
            self.land(landed).await;
        }
    }

    /// Sends what may leave now. Returns after which time to look again, unless something happens before.
    async fn launch(&mut self) -> Duration {
        let mut due = LOOK_AGAIN;
        loop {
            let now = Instant::now();
            if let Some(at) = self.gate.opens(now) {
                due = due.min(at - now);
            }
            if self.refused_key.is_some() {
                due = due.min(KEY_LOOK);
            }
            let reach = self.gate.reach(now, self.in_flight.len(), self.bytes_in_flight);
            if reach.is_some() && !self.learn_time().await {
                continue;
            }
            match self.next(reach).await {
                Ok(Next::Send(batch)) => self.start(*batch),
                Ok(Next::Idle(open_due)) => return due.min(open_due.unwrap_or(due)),
                Err(error) => {
                    self.spool_failed(&error);
                    return due;
                }
            }
        }
    }

    /// A batch that has just failed on a good way goes last. While nothing may leave, what is due is sealed all the same.
    async fn next(&self, reach: Option<Reach>) -> Result<Next, SpoolError> {
        let avoided: Vec<i64> = self.suspects.pending().chain(self.in_flight.iter().copied()).collect();
        let is_all = avoided.len() == self.in_flight.len();
        match self.spool.next(self.wish(reach, avoided), self.clock.now_ms()).await? {
            Next::Idle(_) if !is_all => {
                self.spool.next(self.wish(reach, self.in_flight.clone()), self.clock.now_ms()).await
            }
            next => Ok(next),
        }
    }

    fn wish(&self, reach: Option<Reach>, in_flight: Vec<i64>) -> Wish {
        let Batches { max_age, bulk_max_age, offline_max_age, .. } = *self.batches.borrow();
        let age = if self.backoff.failures() == 0 {
            [Duration::ZERO, max_age, bulk_max_age]
        } else {
            [CRITICAL_OFFLINE_AGE, offline_max_age.max(max_age), offline_max_age.max(bulk_max_age)]
        };
        Wish { age, clock: Clock::Unsure, in_flight, reach }
    }

    fn start(&mut self, batch: Outgoing) {
        let now_ms = self.clock.now_ms();
        self.board.change(|status| {
            status.last_attempt_ms = Some(now_ms);
            status.next_attempt_ms = None;
        });
        let key = match self.key.read() {
            Ok(key) => key,
            Err(error) => {
                let failure = Failure::new(Cause::OwnKey, error.to_string());
                return self.conclude(Outcome::Held(failure), batch.reach);
            }
        };
        if batch.reach == Reach::Backlog {
            self.gate.backlog_left(Instant::now(), batch.body.len());
        }
        self.speed.left(Instant::now());
        self.in_flight.push(batch.id);
        self.bytes_in_flight += batch.body.len();
        self.flights.spawn(fly(self.client.clone(), key, batch, self.clock.read()));
    }

    /// Records what became of a batch.
    async fn land(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        let Landed { batch, outcome, asked } = match landed {
            Ok(landed) => landed,
            Err(error) => {
                // Which batch it was is not known: all are asked for again, which does no harm.
                tracing::error!(%error, "a request ended in a panic");
                self.flights.abort_all();
                self.bytes_in_flight = 0;
                return self.in_flight.clear();
            }
        };
        self.in_flight.retain(|id| *id != batch.id);
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(batch.body.len());
        let delivered = if matches!(outcome, Outcome::Acked(_)) { batch.body.len() } else { 0 };
        self.speed.landed(Instant::now(), delivered, !self.in_flight.is_empty());
        if let Outcome::Acked(ack) = &outcome {
            self.hear_ack(ack, asked);
        }
        for (id, settlement) in self.settlements(&batch, &outcome) {
            if let Err(error) = self.spool.settle(id, settlement, self.clock.now_ms()).await {
                return self.spool_failed(&error);
            }
        }
        self.conclude(outcome, batch.reach);
    }

    /// What the spool has to do about an outcome, and about batches that others have passed.
    fn settlements(&mut self, batch: &Outgoing, outcome: &Outcome) -> Vec<(i64, Settlement)> {
        let settlement = match outcome {
            Outcome::Acked(ack) => Settlement::Acked {
                through: ack.through.iter().map(|(e, n)| (*e, *n)).collect(),
                acks_before: batch.acks_before,
            },
            Outcome::TooLarge(why) => {
                tracing::warn!(batch = %batch.batch, why, "the cloud finds a batch too large; it is cut");
                Settlement::TooLarge
            }
            Outcome::Closed => Settlement::Renumber,
            Outcome::Conflict => {
                tracing::error!(batch = %batch.batch, "another box sends under this one's identity");
                Settlement::Conflict
            }
            Outcome::Refused(why) => {
                tracing::error!(batch = %batch.batch, why, "the cloud refused a batch; the poison in it is looked for");
                Settlement::Refused { why: why.clone() }
            }
            Outcome::Failing(_) => {
                self.suspects.failed(batch.id, self.gate.is_good());
                return Vec::new();
            }
            Outcome::Held(_) | Outcome::Wait(..) => return Vec::new(),
        };
        let mut all = vec![(batch.id, settlement)];
        for id in self.suspects.passed(batch.id) {
            tracing::warn!(id, "a batch fails while others pass; it is left alone for a while");
            all.push((id, Settlement::Deferred));
        }
        all
    }

    /// Shows the outcome, and sets the gate.
    fn conclude(&mut self, outcome: Outcome, reach: Reach) {
        let now = Instant::now();
        let is_news = !self.gate.is_closed(now);
        let (state, Failure { cause, why: reason }, wait) = match outcome {
            Outcome::Acked(ack) => return self.note_ack(&ack),
            Outcome::TooLarge(_) | Outcome::Closed | Outcome::Conflict | Outcome::Refused(_) => {
                return self.gate.open();
            }
            Outcome::Held(why) => {
                self.refused_key = Some(self.key_hash());
                if is_news {
                    self.backoff.wait();
                }
                let wait = backoff::asked(self.held_retry);
                self.gate.close(now, wait);
                (UplinkState::Held, why, wait)
            }
            Outcome::Wait(wait, why) => {
                let wait = backoff::asked(wait);
                self.gate.wait(now, wait, reach);
                (UplinkState::Waiting, why, wait)
            }
            // Requests that left together fail together; that is one failure.
            Outcome::Failing(_) if !is_news => return,
            Outcome::Failing(why) => {
                let wait = self.backoff.wait();
                self.gate.close(now, wait);
                (UplinkState::Failing, why, wait)
            }
        };
        let failures = self.backoff.failures();
        let now_ms = self.clock.now_ms();
        self.board.change(|status| {
            if status.state != state || status.reason.as_deref() != Some(&reason) {
                tracing::warn!(?state, reason, "the cloud does not take batches; they are kept");
            }
            if matches!(status.state, UplinkState::Starting | UplinkState::Connected) {
                status.since_ms = Some(now_ms);
            }
            status.state = state;
            status.reason = Some(reason);
            status.cause = Some(cause);
            status.failures = failures;
            status.next_attempt_ms = Some(now_ms + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2));
        });
    }

    fn note_ack(&mut self, ack: &Ack) {
        let rejected: u64 = ack.rejected.iter().map(|r| r.samples).sum();
        if rejected > 0 && !ack.duplicate {
            tracing::warn!(batch = %ack.batch, rejected, reasons = ?ack.rejected, "the cloud rejected samples");
        }
        self.backoff.reset();
        self.gate.open();
        self.gate.pace(Instant::now(), &ack.pace);
        self.refused_key = None;
        let now_ms = self.clock.now_ms();
        let bytes_per_s =
            self.speed.bytes_per_s().map(|per_s| per_s.min(ack.pace.backlog_bytes_per_s.max(1)));
        self.board.change(|status| {
            status.bytes_per_s = bytes_per_s;
            if status.state != UplinkState::Connected {
                tracing::info!("the cloud takes batches");
                status.since_ms = Some(now_ms);
            }
            status.state = UplinkState::Connected;
            status.reason = None;
            status.cause = None;
            status.failures = 0;
            status.last_ack_ms = Some(now_ms);
            status.new_key_wished = ack.rotate_key;
            status.settings_version = ack.settings;
            status.acked_batches += 1;
            status.rejected_samples += if ack.duplicate { 0 } else { rejected };
        });
    }

    fn spool_failed(&mut self, error: &SpoolError) {
        tracing::error!(%error, "the uplink cannot use the spool");
        let wait = self.backoff.wait().max(Duration::from_secs(1));
        self.gate.close(Instant::now(), wait);
    }

    /// A held uplink tries again as soon as its key is another one.
    fn look_at_the_key(&mut self) {
        if self.refused_key.is_some_and(|refused| refused != self.key_hash()) {
            self.refused_key = None;
            self.gate.reopen();
        }
    }

    fn key_hash(&self) -> Option<[u8; 32]> {
        self.key.read().ok().map(|key| key.hash())
    }
}

/// Whether the cloud's settings make a client: for `check`.
///
/// # Errors
/// See [`ClientError`].
pub(crate) fn check(cloud: &Cloud) -> Result<(), ClientError> {
    let clock = BoxClock::new(Arc::new(SystemClock::load()), BUILD_MS);
    Client::new(cloud, &clock).map(|_| ())
}

#[cfg(test)]
mod tests;
