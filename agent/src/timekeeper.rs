//! Watches the clock of the box, and keeps what is known of it.
//!
//! Once a second: a step becomes an event, what was learnt of the true time goes into the spool beside the samples that it
//! will repair, and at most once an hour, and at the end, the trusted time into its file.

use std::time::{Duration, Instant};

use storepulse_shared::batch::Event;
use storepulse_shared::ids::AGENT_DEVICE;
use tokio_util::sync::CancellationToken;

use crate::spool::Spool;
use crate::time::{BoxClock, LastTrusted, Reading, Step};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the trusted time is written: flash wears out.
const KEEP: Duration = Duration::from_secs(3_600);

/// The clock, and where what is known of it is kept.
pub(crate) struct Timekeeper {
    clock: BoxClock,
    spool: Spool,
    last_trusted: LastTrusted,
    kept_revision: u64,
    kept_at: Option<Instant>,
}

impl Timekeeper {
    pub(crate) fn new(clock: BoxClock, spool: Spool, last_trusted: LastTrusted) -> Self {
        Self { clock, spool, last_trusted, kept_revision: 0, kept_at: None }
    }

    /// Watches until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.look().await;
        self.keep_time();
    }

    async fn look(&mut self) {
        let steps = self.clock.watch();
        if !steps.is_empty() {
            let now = self.clock.read();
            let events = steps.iter().map(|step| stepped(step, now)).collect();
            if let Err(error) = self.spool.record(events, now.wall_ms).await {
                tracing::error!(%error, "that the clock was set could not be recorded");
            }
        }
        let revision = self.clock.revision();
        if revision != self.kept_revision
            && let Some(truth) = self.clock.truth()
        {
            match self.spool.keep_truth(truth).await {
                Ok(()) => self.kept_revision = revision,
                Err(error) => tracing::error!(%error, "what is known of the time could not be kept"),
            }
        }
        if self.kept_at.is_none_or(|at| at.elapsed() >= KEEP) {
            self.keep_time();
        }
    }

    fn keep_time(&mut self) {
        let Some(time_ms) = self.clock.true_ms() else { return };
        match self.last_trusted.keep(time_ms) {
            Ok(()) => self.kept_at = Some(Instant::now()),
            Err(error) => tracing::warn!(%error, "the trusted time could not be written down"),
        }
    }
}

/// Dated by the present clock, which may have been set again since.
fn stepped(step: &Step, now: Reading) -> Event<'static> {
    let by = Duration::from_millis(step.by_ms.unsigned_abs());
    let direction = if step.by_ms > 0 { "forward" } else { "back" };
    let text = format!("the clock of the box was set {direction} by {}", humantime::format_duration(by));
    tracing::warn!(text);
    Event {
        device: AGENT_DEVICE.into(),
        t: now.base_ms() + step.boot_ms,
        kind: "agent.clock_stepped".into(),
        text: text.into(),
    }
}
