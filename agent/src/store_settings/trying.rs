//! One version, from its validation to what becomes of it.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use storepulse_shared::settings::{SettingsReport, SettingsState, StoreSettings};
use tokio::time::Instant;

use super::Follower;
use super::judge::Before;
use crate::config::Config;
use crate::intake::Changes;

impl Follower {
    /// Validates and tries a version.
    pub(super) async fn take(&mut self, new: StoreSettings) {
        let version = new.version;
        let config = match self.start.base.with(&new.settings) {
            Ok(config) => config,
            Err(error) => return self.end(version, SettingsState::Refused, Some(error.to_string())).await,
        };
        let before = self.start.kept.clone();
        self.start.kept.trying = Some(new.clone());
        self.start.kept.decide(version, SettingsState::Trying, None);
        if let Err(why) = self.start.file.write(&self.start.kept).await {
            tracing::error!(
                version,
                why,
                "the settings of the store are not tried: that must be written down first"
            );
            self.start.kept = before;
            return;
        }
        let changes = Changes::between(&before.confirmed.settings, &new.settings);
        let well = Before::look(&self.who.intake.means.board);
        tracing::info!(version, ?changes, trial = ?self.pace.trial, "the settings of the store are tried");
        self.apply(&config, &changes).await;
        let outcome = self.watch(&config, &changes, &well).await;
        self.start.kept.trying = None;
        let failure = match outcome {
            Ok(()) => self.confirm(&new, config.clone()).await.err(),
            Err(why) => Some(why),
        };
        let Some(why) = failure else { return };
        tracing::warn!(version, why, "the settings of the store are back to what they were");
        let old = self.start.config.clone();
        // It stays on the disk as a trial until what was before is back: who dies in between starts with that anyway.
        self.apply(&old, &changes).await;
        self.end(version, SettingsState::Reverted, Some(why)).await;
    }

    async fn confirm(&mut self, new: &StoreSettings, config: Config) -> Result<(), String> {
        let before = self.start.kept.clone();
        self.start.kept.confirmed = new.clone();
        self.start.kept.decide(new.version, SettingsState::Confirmed, None);
        if let Err(why) = self.start.file.write(&self.start.kept).await {
            self.start.kept = before;
            return Err(why);
        }
        self.start.config = config;
        tracing::info!(version = new.version, "the settings of the store went well, and stay");
        self.show(SettingsState::Confirmed, None);
        Ok(())
    }

    /// Notes what became of a version that is not in use.
    async fn end(&mut self, version: u64, state: SettingsState, why: Option<String>) {
        if state == SettingsState::Refused {
            tracing::warn!(version, why, "the settings of the store are refused; nothing has changed");
        }
        self.start.kept.decide(version, state, why.clone());
        if let Err(why) = self.start.file.write(&self.start.kept).await {
            tracing::error!(why, "what became of the settings of the store could not be written down");
        }
        self.show(state, why);
    }

    fn show(&self, state: SettingsState, why: Option<String>) {
        let now_ms = self.who.intake.means.clock.now_ms();
        let kept = &self.start.kept;
        self.who.status.change(|status| {
            if state == SettingsState::Refused {
                status.applied_ms = None;
            }
            status.version = kept.known().unwrap_or_default();
            (status.state, status.why) = (Some(state), why);
            status.in_use = kept.confirmed.version;
            status.decided_ms = Some(now_ms);
            status.off = self.start.config.off.clone();
        });
    }

    /// Whoever has other settings now is started anew with them.
    async fn apply(&self, config: &Config, changes: &Changes) {
        if let Some(trying) = &self.start.kept.trying {
            let now_ms = self.who.intake.means.clock.now_ms();
            self.who.status.change(|status| {
                status.version = trying.version;
                (status.state, status.why) = (Some(SettingsState::Trying), None);
                status.in_use = trying.version;
                (status.applied_ms, status.decided_ms) = (Some(now_ms), None);
                status.off = config.off.clone();
            });
        }
        self.who.batches.send_if_modified(|batches| {
            let changed = *batches != config.batches;
            batches.clone_from(&config.batches);
            changed
        });
        self.who.intake.change(config, changes).await;
    }

    /// Until the trial is over, or it is clear that it fails. In its second half every device must be well at every look that
    /// was well before, and the cloud must be reached: by an ack, or because it answers when asked.
    async fn watch(&self, config: &Config, changes: &Changes, well: &Before) -> Result<(), String> {
        let (half, end) = (Instant::now() + self.pace.trial / 2, Instant::now() + self.pace.trial);
        let first_half = async {
            self.tell_of(self.start.kept.last.clone()).await;
            tokio::time::sleep_until(half).await;
        };
        // Telling may take longer than that.
        let _ = tokio::time::timeout_at(half, first_half).await;
        let acked = self.who.uplink.get().acked_batches;
        let unreached = Mutex::new(None);
        let mut heartbeat = pin!(self.until_reached(&unreached));
        let mut answered = false;
        loop {
            let next = end.min(Instant::now() + self.pace.look);
            tokio::select! {
                () = &mut heartbeat, if !answered => answered = true,
                () = tokio::time::sleep_until(next) => {}
            }
            well.are_well(config)?;
            if Instant::now() >= end {
                break;
            }
        }
        if !answered && self.who.uplink.get().acked_batches == acked {
            let why = unreached.lock().unwrap_or_else(PoisonError::into_inner).take();
            let why = why.unwrap_or_else(|| "no answer in time".to_owned());
            return Err(format!("the cloud was not reached: {why}"));
        }
        well.were_read(config, changes)
    }

    async fn until_reached(&self, unreached: &Mutex<Option<String>>) {
        while let Err(why) = self.post.is_reached().await {
            *unreached.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            tokio::time::sleep(self.pace.look).await;
        }
    }

    async fn tell_of(&self, report: Option<SettingsReport>) {
        if let Some(report) = report.filter(|report| report.version > 0)
            && let Err(why) = self.post.tell(&report).await
        {
            tracing::debug!(why, "the cloud could not be told that its settings are tried");
        }
    }
}
