//! The uplink: takes batches out of the spool and sends them until the cloud has acknowledged each.
//!
//! One batch at a time, the most urgent first. An answer becomes one [`Outcome`], and each outcome one movement of the
//! spool or one wait. Nothing the other side does can lose a batch: without an ack that names it, it is sent again.

mod backoff;
mod client;
mod clock;
mod outcome;
mod status;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use storepulse_shared::answer::Ack;
use storepulse_shared::batch::Clock;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::client::Client;
pub use self::client::ClientError;
use self::outcome::{Outcome, judge};
pub use self::status::{UplinkBoard, UplinkState, UplinkStatus};
use crate::config::{Batches, Cloud, KeySource};
use crate::spool::{Next, Outgoing, SealPolicy, Settlement, Spool, SpoolError};
use crate::time::{BUILD_MS, BoxClock, SystemClock};

/// How often a held uplink looks whether its key has been corrected.
const KEY_LOOK: Duration = Duration::from_secs(1);
/// Age at which critical batches are sealed while the cloud does not answer.
const CRITICAL_OFFLINE_AGE: Duration = Duration::from_secs(10);

/// What the uplink works with.
pub(crate) struct Uplink {
    spool: Spool,
    client: Client,
    key: KeySource,
    batches: Batches,
    held_retry: Duration,
    backoff: Backoff,
    board: UplinkBoard,
    clock: BoxClock,
    /// When the cloud was last asked for the time and did not tell it.
    asked_in_vain: Option<Instant>,
}

/// What to do before the next attempt.
enum Pause {
    None,
    For(Duration),
    /// Until the key changes, at most this long.
    Held(Duration),
}

impl Uplink {
    pub(crate) fn new(
        spool: Spool,
        cloud: &Cloud,
        batches: Batches,
        board: UplinkBoard,
        clock: BoxClock,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            spool,
            client: Client::new(cloud, &clock)?,
            key: KeySource::new(cloud),
            batches,
            held_retry: cloud.held_retry,
            backoff: Backoff::new(cloud.retry_max),
            board,
            clock,
            asked_in_vain: None,
        })
    }

    /// Sends until `stop`, then once more what is left, as far as that goes in one run without a failure.
    pub(crate) async fn run(mut self, stop: CancellationToken, drain: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.spool.next(self.policy(), self.clock.now_ms()).await {
                Ok(Next::Send(batch)) => tokio::select! {
                    () = stop.cancelled() => break,
                    pause = self.deliver(*batch) => pause,
                },
                Ok(Next::Idle(due)) => {
                    self.idle(due, &stop).await;
                    continue;
                }
                Err(error) => self.spool_failed(&error),
            };
            self.pause(pause, &stop).await;
        }
        self.drain(&drain).await;
    }

    async fn drain(&mut self, drain: &CancellationToken) {
        loop {
            let Ok(Next::Send(batch)) = self.spool.next(self.policy(), self.clock.now_ms()).await else {
                return;
            };
            let pause = tokio::select! {
                () = drain.cancelled() => return,
                pause = self.deliver(*batch) => pause,
            };
            if !matches!(pause, Pause::None) {
                return;
            }
        }
    }

    fn policy(&self) -> SealPolicy {
        let Batches { max_age, bulk_max_age, offline_max_age, .. } = self.batches;
        let age = if self.backoff.failures() == 0 {
            [Duration::ZERO, max_age, bulk_max_age]
        } else {
            [CRITICAL_OFFLINE_AGE, offline_max_age.max(max_age), offline_max_age.max(bulk_max_age)]
        };
        SealPolicy { age, clock: Clock::Unsure }
    }

    async fn idle(&self, due: Option<Duration>, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.spool.news() => {}
            () = tokio::time::sleep(due.unwrap_or(Duration::from_secs(3600))) => {}
        }
    }

    /// Sends one batch and records what became of it.
    async fn deliver(&mut self, batch: Outgoing) -> Pause {
        if let Some(pause) = self.learn_time().await {
            return pause;
        }
        let begun = self.clock.read();
        self.board.change(|status| {
            status.last_attempt_ms = Some(begun.wall_ms);
            status.next_attempt_ms = None;
        });
        let outcome = match self.key.read() {
            Ok(key) => match self.client.send(&batch, &key).await {
                Ok(answer) => judge(&answer, batch.batch),
                Err(why) => Outcome::Failing(why),
            },
            Err(error) => Outcome::Held(error.to_string()),
        };
        if let Outcome::Acked(ack) = &outcome {
            self.hear_ack(ack, begun);
        }
        let recorded = match self.settlement(&batch, &outcome) {
            Some(settlement) => self.spool.settle(batch.id, settlement, self.clock.now_ms()).await,
            None => Ok(()),
        };
        match recorded {
            Ok(()) => self.conclude(outcome),
            Err(error) => self.spool_failed(&error),
        }
    }

    /// What the spool has to do about an outcome.
    fn settlement(&self, batch: &Outgoing, outcome: &Outcome) -> Option<Settlement> {
        match outcome {
            Outcome::Acked(ack) => {
                Some(Settlement::Acked { through: ack.through.iter().map(|(e, n)| (*e, *n)).collect() })
            }
            Outcome::TooLarge(why) => {
                tracing::warn!(batch = %batch.batch, why, "the cloud finds a batch too large; it is cut");
                Some(Settlement::Split)
            }
            Outcome::Closed => Some(Settlement::Renumber),
            Outcome::Conflict => {
                tracing::error!(batch = %batch.batch, "another box sends under this one's identity");
                Some(Settlement::Conflict)
            }
            Outcome::Refused(why) => {
                tracing::error!(batch = %batch.batch, why, "the cloud refused a batch; it is set aside");
                Some(Settlement::SetAside { refusal: why.clone() })
            }
            Outcome::Held(_) | Outcome::Wait(..) | Outcome::Failing(_) => None,
        }
    }

    /// Shows the outcome, and says how long to wait.
    fn conclude(&mut self, outcome: Outcome) -> Pause {
        let (state, reason, pause) = match outcome {
            Outcome::Acked(ack) => {
                self.note_ack(&ack);
                return Pause::None;
            }
            Outcome::TooLarge(_) | Outcome::Closed | Outcome::Conflict | Outcome::Refused(_) => {
                return Pause::None;
            }
            Outcome::Held(why) => {
                self.backoff.wait();
                (UplinkState::Held, why, Pause::Held(backoff::asked(self.held_retry)))
            }
            Outcome::Wait(wait, why) => (UplinkState::Waiting, why, Pause::For(backoff::asked(wait))),
            Outcome::Failing(why) => (UplinkState::Failing, why, Pause::For(self.backoff.wait())),
        };
        let failures = self.backoff.failures();
        self.board.change(|status| {
            if status.state != state || status.reason.as_deref() != Some(&reason) {
                tracing::warn!(?state, reason, "the cloud does not take batches; they are kept");
            }
            status.state = state;
            status.reason = Some(reason);
            status.failures = failures;
            if let Pause::For(wait) | Pause::Held(wait) = &pause {
                status.next_attempt_ms =
                    Some(self.clock.now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2));
            }
        });
        pause
    }

    fn note_ack(&mut self, ack: &Ack) {
        let rejected: u64 = ack.rejected.iter().map(|r| r.samples).sum();
        if rejected > 0 && !ack.duplicate {
            tracing::warn!(batch = %ack.batch, rejected, reasons = ?ack.rejected, "the cloud rejected samples");
        }
        self.backoff.reset();
        self.board.change(|status| {
            if status.state != UplinkState::Connected {
                tracing::info!("the cloud takes batches");
            }
            status.state = UplinkState::Connected;
            status.reason = None;
            status.failures = 0;
            status.last_ack_ms = Some(self.clock.now_ms());
            status.acked_batches += 1;
            status.rejected_samples += if ack.duplicate { 0 } else { rejected };
        });
    }

    fn spool_failed(&mut self, error: &SpoolError) -> Pause {
        tracing::error!(%error, "the uplink cannot use the spool");
        Pause::For(self.backoff.wait().max(Duration::from_secs(1)))
    }

    async fn pause(&self, pause: Pause, stop: &CancellationToken) {
        let wait = async {
            match pause {
                Pause::None => {}
                Pause::For(wait) => tokio::time::sleep(wait).await,
                Pause::Held(wait) => self.until_the_key_changes(wait).await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wait => {}
        }
    }

    async fn until_the_key_changes(&self, at_most: Duration) {
        let hash = || self.key.read().ok().map(|key| key.hash());
        let (refused, until) = (hash(), Instant::now() + at_most);
        while Instant::now() < until && hash() == refused {
            tokio::time::sleep(KEY_LOOK.min(at_most)).await;
        }
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
