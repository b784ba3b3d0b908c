//! What the cloud has set for this store, over what `agent.yaml` says.
//!
//! 1. *Heard of*: an ack names the version that is set; without one the cloud is asked at the start and every five minutes.
//! 2. *Validated*: the whole configuration is read anew with it. What does not fit is refused, and nothing has changed.
//! 3. *Tried*: it is written down, then those collectors are started anew whose settings have changed. For a minute no device
//!    that was well may become worse, and the cloud must be reached.
//! 4. *Confirmed* or *reverted*, and told.
//!
//! An agent that ends during a trial, however, starts with what it had before, and that version is not tried again. Nothing of
//! this touches the spool: it stays open, with its epoch. A cloud that knows nothing of settings is left alone.

mod board;
mod cloud;
mod file;
mod judge;
mod trying;

use std::sync::Arc;
use std::time::Duration;

use storepulse_shared::settings::{SettingsReport, SettingsState, StoreSettings, WHY_CHARS_MAX};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::board::{SettingsBoard, SettingsStatus};
use self::cloud::{Heard, Post};
use self::file::{File, Kept};
use crate::config::{Batches, Config, KeySource};
use crate::intake::Intake;
use crate::uplink::{Client, UplinkBoard, UplinkState};

/// How long things take. It is no setting: only tests make it short.
#[derive(Debug, Clone, Copy)]
pub struct SettingsPace {
    /// A trial.
    pub trial: Duration,
    /// From one question to the next, if no ack says that there is something new.
    pub ask: Duration,
    /// How often we look whether there is something to do.
    pub look: Duration,
}

impl Default for SettingsPace {
    fn default() -> Self {
        Self { trial: Duration::from_secs(60), ask: Duration::from_secs(300), look: Duration::from_secs(1) }
    }
}

/// Pause after a question that was not answered.
const RETRY: Duration = Duration::from_secs(30);
/// Pause after a report that was not taken.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// What an agent starts with.
pub(crate) struct Start {
    /// What `agent.yaml` says.
    base: Config,
    /// That, with what was confirmed over it.
    pub(crate) config: Config,
    kept: Kept,
    /// It is other than what stands on the disk.
    is_news: bool,
    file: File,
}

/// Whom a change concerns.
pub(crate) struct Concerned {
    pub(crate) intake: Arc<Intake>,
    pub(crate) batches: watch::Sender<Batches>,
    pub(crate) uplink: UplinkBoard,
    pub(crate) status: SettingsBoard,
}

/// Follows what the cloud says.
pub(crate) struct Follower {
    start: Start,
    who: Concerned,
    post: Post,
    pace: SettingsPace,
    due: Instant,
    tell_again: Instant,
}

impl Start {
    /// Reads what was confirmed, and lays it over. A trial that stands there was not survived.
    pub(crate) fn load(base: Config) -> Self {
        let file = File::new(&base.state_dir);
        let read = file.read();
        let mut kept = read.clone();
        if let Some(trying) = kept.trying.take() {
            let why = "the agent ended during the trial";
            tracing::warn!(
                version = trying.version,
                why,
                "the settings of the store are back to what they were"
            );
            kept.decide(trying.version, SettingsState::Reverted, Some(why.to_owned()));
        } else if kept.last.as_ref().is_some_and(|last| last.state == SettingsState::Refused) {
            // It may fit what agent.yaml says by now.
            kept.last = None;
        }
        let config = base.with(&kept.confirmed.settings).unwrap_or_else(|error| {
            let why = error.to_string();
            tracing::error!(why, "the settings of the store do not fit agent.yaml any more; it alone counts");
            let version = kept.confirmed.version;
            kept.confirmed = StoreSettings::default();
            kept.decide(version, SettingsState::Refused, Some(why));
            base.clone()
        });
        let is_news = kept != read;
        Self { base, config, kept, is_news, file }
    }

    /// As people see it.
    pub(crate) fn show(&self, board: &SettingsBoard) {
        board.change(|status| {
            let last = self.kept.last.as_ref();
            status.version = last.map_or(self.kept.confirmed.version, |last| last.version);
            let confirmed = (self.kept.confirmed.version > 0).then_some(SettingsState::Confirmed);
            status.state = last.map(|last| last.state).or(confirmed);
            status.why = last.and_then(|last| last.why.clone());
            status.in_use = self.kept.confirmed.version;
            status.off = self.config.off.clone();
        });
    }
}

impl Kept {
    /// Notes what became of a version; the cloud has still to be told.
    fn decide(&mut self, version: u64, state: SettingsState, why: Option<String>) {
        let why = why.map(|why| why.chars().take(WHY_CHARS_MAX).collect());
        self.last = Some(SettingsReport { version, state, why });
        self.told = false;
    }

    /// The version that nothing has to be done about.
    fn known(&self) -> Option<u64> {
        let last = self.last.as_ref().map(|last| last.version);
        last.or_else(|| Some(self.confirmed.version).filter(|version| *version > 0))
    }
}

impl Follower {
    pub(crate) fn new(
        start: Start,
        who: Concerned,
        client: Client,
        key: KeySource,
        pace: SettingsPace,
    ) -> Self {
        start.show(&who.status);
        let now = Instant::now();
        Self { start, who, post: Post::new(client, key), pace, due: now, tell_again: now }
    }

    /// Until `stop`. A trial that is cut short by it is not survived.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.steps()).await;
    }

    async fn steps(&mut self) {
        // What was found out at the start must not be found out again and again.
        if self.start.is_news
            && let Err(why) = self.start.file.write(&self.start.kept).await
        {
            tracing::warn!(why, "what is known of the settings of the store could not be written down");
        }
        // Whether the cloud is there shows the uplink, soon after the start.
        let begun = Instant::now();
        while self.who.uplink.get().state != UplinkState::Connected && begun.elapsed() < RETRY {
            tokio::time::sleep(self.pace.look).await;
        }
        loop {
            // Whom the cloud refuses has nothing to ask; the uplink looks whether it still does.
            if self.who.uplink.get().state != UplinkState::Held {
                if self.is_untold() && Instant::now() >= self.tell_again {
                    self.tell().await;
                }
                if self.is_due() {
                    self.due = Instant::now() + self.pace.ask;
                    self.ask().await;
                }
            }
            tokio::time::sleep(self.pace.look).await;
        }
    }

    /// Whether the cloud has something new, or was not asked for long.
    fn is_due(&self) -> bool {
        let named = self.who.uplink.take_settings_version();
        Instant::now() >= self.due || named.is_some_and(|version| Some(version) != self.start.kept.known())
    }

    fn is_untold(&self) -> bool {
        !self.start.kept.told && self.start.kept.last.as_ref().is_some_and(|report| report.version > 0)
    }

    async fn ask(&mut self) {
        match self.post.ask(self.start.kept.known()).await {
            Ok(Heard::New(settings)) => {
                // None were ever set, and none are in use.
                let is_nothing = settings.version == 0 && self.start.kept.confirmed.version == 0;
                if !is_nothing && Some(settings.version) != self.start.kept.known() {
                    self.take(settings).await;
                }
            }
            Ok(Heard::Nothing) => {}
            Err(why) => {
                tracing::debug!(why, "the cloud does not tell the settings of the store");
                self.due = self.due.min(Instant::now() + RETRY.min(self.pace.ask));
            }
        }
    }

    /// Tells the cloud what it does not know yet.
    async fn tell(&mut self) {
        let Some(report) = self.start.kept.last.clone() else { return };
        match self.post.tell(&report).await {
            Ok(()) => {
                self.start.kept.told = true;
                if let Err(why) = self.start.file.write(&self.start.kept).await {
                    tracing::warn!(why, "that the cloud was told of its settings could not be written down");
                }
            }
            Err(why) => {
                self.tell_again = Instant::now() + TELL_AGAIN;
                tracing::debug!(why, "the cloud could not be told what became of its settings");
            }
        }
    }
}

#[cfg(test)]
mod tests;
