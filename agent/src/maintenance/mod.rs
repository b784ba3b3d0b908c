//! Maintenance: somebody works in the shop, and the alerts wait.
//!
//! It is begun for some minutes, ends by itself, and outlives a restart in a small file of the state folder. Beginning and
//! end are events of the device `agent` and samples of `agent.maintenance`, both of the critical lane; whether the agent is
//! restarted or the clock set, it is told that it ended. How time passes is [`visit`]'s.

mod visit;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storepulse_shared::batch::{Column, Event, Frame, Lane};
use storepulse_shared::ids::AGENT_DEVICE;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::visit::{MINUTES_MAX, MINUTES_MIN, Plan};
use self::visit::{Moment, Visit};
use crate::collector::kept;
use crate::spool::{Spool, SpoolError};
use crate::time::BoxClock;

/// Its file in the state folder.
const FILE: &str = "maintenance.json";
/// The metric: 0 or 1.
const METRIC: &str = "agent.maintenance";
/// How often it is looked whether it is over; suspended time counts, and timers do not see it.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is written down how much of it has passed.
const KEEP_MS: i64 = 5 * 60 * 1_000;

/// Why it is not begun or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaintenanceError {
    /// So many minutes.
    #[error("{0} minutes; maintenance lasts {MINUTES_MIN} to {MINUTES_MAX}")]
    Minutes(u64),
    /// A note of so many characters.
    #[error("a note of {0} characters; it may have {max}", max = visit::NOTE_CHARS_MAX)]
    NoteLong(usize),
    /// A note with what looks like a card number.
    #[error("the note holds what looks like a card number; leave it out")]
    NoteCard,
    /// It cannot be kept.
    #[error("{path}: {why}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It cannot be told.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Maintenance under way, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// Until when, by the present clock of the box, Unix milliseconds UTC.
    pub until_ms: i64,
    /// How long it still lasts, in milliseconds.
    pub left_ms: i64,
    /// How long it was to last.
    pub minutes: u64,
    /// What whoever began it wrote.
    pub note: Option<String>,
}

/// Whether somebody works in the shop. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Maintenance(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state_dir: PathBuf,
    clock: BoxClock,
    spool: Spool,
    visit: Mutex<Option<Visit>>,
    /// Held while it begins or ends.
    change: tokio::sync::Mutex<()>,
    news: Notify,
}

impl Maintenance {
    /// What an earlier run left. A file that cannot be read is no maintenance: alerts that come for nothing are better than
    /// none.
    pub(crate) fn load(state_dir: &Path, clock: BoxClock, spool: Spool) -> Self {
        let read = kept::read(state_dir, FILE).map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| {
            bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(|error| error.to_string())
        });
        let visit = parsed.unwrap_or_else(|why| {
            tracing::warn!(why, file = FILE, "whether there was maintenance cannot be read");
            None
        });
        let now = Moment::of(&clock);
        let visit = visit.map(|mut visit: Visit| {
            visit.go_on(&now);
            visit
        });
        let (visit, change) = (Mutex::new(visit), tokio::sync::Mutex::default());
        Self(Arc::new(Inner {
            state_dir: state_dir.to_owned(),
            clock,
            spool,
            visit,
            change,
            news: Notify::new(),
        }))
    }

    /// What is under way now.
    pub(crate) fn under_way(&self) -> Option<UnderWay> {
        let now = self.now();
        let visit = self.lock().clone()?;
        let left_ms = visit.left_ms(&now);
        (left_ms > 0).then(|| UnderWay {
            until_ms: now.wall_ms + left_ms,
            left_ms,
            minutes: visit.minutes(),
            note: visit.note().map(str::to_owned),
        })
    }

    /// Begins it, or begins it anew if it is under way.
    ///
    /// # Errors
    /// It could not be kept or told; then nothing has changed.
    pub(crate) async fn begin(&self, plan: Plan) -> Result<(), MaintenanceError> {
        let _change = self.0.change.lock().await;
        let before = self.lock().clone();
        let visit = Visit::begin(plan, &self.now());
        let note = visit.note().map_or_else(String::new, |note| format!(": {note}"));
        let text = format!("maintenance for {} minutes{note}", visit.minutes());
        self.keep(Some(&visit))?;
        if let Err(error) = self.tell("agent.maintenance_started", text, 1.0).await {
            self.keep(before.as_ref())?;
            return Err(error);
        }
        *self.lock() = Some(visit);
        self.0.news.notify_one();
        Ok(())
    }

    /// Ends it by hand; `false` if there was none.
    ///
    /// # Errors
    /// It could not be told; it goes on.
    pub(crate) async fn end(&self) -> Result<bool, MaintenanceError> {
        self.finish(|visit, now| {
            format!(
                "maintenance was ended after {} of {} minutes",
                visit.passed_ms(now) / 60_000,
                visit.minutes()
            )
        })
        .await
    }

    /// Ends it when it is time, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if self.under_way().is_some()
            && let Err(error) = self.sample(1.0).await
        {
            tracing::error!(%error, "that there is maintenance could not be told again");
        }
        loop {
            let rest = async {
                if self.lock().is_some() {
                    tokio::time::sleep(LOOK).await;
                } else {
                    self.0.news.notified().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = rest => {}
            }
            self.look().await;
        }
    }

    async fn look(&self) {
        let now = self.now();
        let is_over = self.lock().as_ref().is_some_and(|visit| visit.left_ms(&now) <= 0);
        if is_over {
            let text = |visit: &Visit, _: &Moment| {
                format!("maintenance ended by itself after {} minutes", visit.minutes())
            };
            if let Err(error) = self.finish(text).await {
                tracing::error!(%error, "the end of maintenance could not be told; trying again");
            }
            return;
        }
        let _change = self.0.change.lock().await;
        let changed =
            self.lock().as_mut().and_then(|visit| visit.note_time(&now, KEEP_MS).then(|| visit.clone()));
        if let Some(visit) = changed
            && let Err(error) = self.keep(Some(&visit))
        {
            tracing::warn!(%error, "how much of the maintenance has passed could not be written down");
        }
    }

    async fn finish(&self, text: impl Fn(&Visit, &Moment) -> String) -> Result<bool, MaintenanceError> {
        let _change = self.0.change.lock().await;
        let Some(visit) = self.lock().clone() else { return Ok(false) };
        // Told first: an end that is told twice harms nobody, one that is never told does.
        self.tell("agent.maintenance_ended", text(&visit, &self.now()), 0.0).await?;
        *self.lock() = None;
        self.keep(None)?;
        Ok(true)
    }

    async fn tell(&self, kind: &'static str, text: String, value: f64) -> Result<(), MaintenanceError> {
        tracing::info!(text);
        let t = self.now().wall_ms;
        let event = Event { device: AGENT_DEVICE.into(), t, kind: kind.into(), text: text.into() };
        self.0.spool.record(vec![event], t).await?;
        self.sample(value).await
    }

    async fn sample(&self, value: f64) -> Result<(), MaintenanceError> {
        let t = self.now().wall_ms;
        let columns = vec![Column { series: METRIC.into(), values: vec![value] }];
        let frame = Frame { device: AGENT_DEVICE.into(), kind: AGENT_DEVICE.into(), times: vec![t], columns };
        Ok(self.0.spool.append(Lane::Critical, vec![frame], t).await?)
    }

    fn keep(&self, visit: Option<&Visit>) -> Result<(), MaintenanceError> {
        let path = self.0.state_dir.join(FILE);
        let kept = match visit {
            Some(visit) => serde_json::to_vec(visit)
                .map_err(std::io::Error::other)
                .and_then(|bytes| kept::write(&self.0.state_dir, FILE, &bytes)),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        };
        kept.map_err(|why| MaintenanceError::File { path, why })
    }

    fn now(&self) -> Moment {
        Moment::of(&self.0.clock)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Visit>> {
        // It is replaced as a whole.
        self.0.visit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
