//! How the uplink is doing, for the status page and monitoring.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::cause::Cause;

/// What the uplink is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UplinkState {
    /// Nothing has been tried yet.
    Starting,
    /// The last batch was acknowledged.
    Connected,
    /// The cloud refuses the key or the store; everything is kept.
    Held,
    /// The cloud asked to wait.
    Waiting,
    /// No proper answer.
    Failing,
}

/// The uplink, as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct UplinkStatus {
    /// What it is at.
    pub state: UplinkState,
    /// Why, unless it is connected.
    pub reason: Option<String>,
    /// What exactly is broken on the way, if that is known.
    pub cause: Option<Cause>,
    /// Since when the cloud takes batches, or does not, whatever the cause was meanwhile. Unix milliseconds UTC.
    pub since_ms: Option<i64>,
    /// When the last attempt began, Unix milliseconds UTC.
    pub last_attempt_ms: Option<i64>,
    /// When the cloud last acknowledged a batch, Unix milliseconds UTC.
    pub last_ack_ms: Option<i64>,
    /// When the next attempt is due, if one is waited for. Unix milliseconds UTC.
    pub next_attempt_ms: Option<i64>,
    /// Failures since the last ack.
    pub failures: u32,
    /// Bytes a second that batches of late got away with, or may at most by the cloud's pace.
    pub bytes_per_s: Option<u64>,
    /// Batches acknowledged since the agent started.
    pub acked_batches: u64,
    /// Samples that the cloud did not take from them, one by one.
    pub rejected_samples: u64,
    /// The last ack said that an operator waits for a new key.
    pub new_key_wished: bool,
    /// The version of the store's settings that the last ack named, until somebody has looked at it.
    #[serde(skip)]
    pub settings_version: Option<u64>,
    /// The cloud's clock minus ours, in milliseconds, as last measured.
    pub clock_offset_ms: Option<i64>,
}

/// The shared cell.
#[derive(Debug, Clone)]
pub struct UplinkBoard(Arc<Mutex<UplinkStatus>>);

impl Default for UplinkBoard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(UplinkStatus {
            state: UplinkState::Starting,
            reason: None,
            cause: None,
            since_ms: None,
            last_attempt_ms: None,
            last_ack_ms: None,
            next_attempt_ms: None,
            failures: 0,
            bytes_per_s: None,
            acked_batches: 0,
            rejected_samples: 0,
            new_key_wished: false,
            settings_version: None,
            clock_offset_ms: None,
        })))
    }
}

impl UplinkBoard {
    /// A copy of it.
    #[must_use]
    pub fn get(&self) -> UplinkStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a new key is wished for; asked again, it is so only if another ack has said so.
    pub(crate) fn take_key_wish(&self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).new_key_wished)
    }

    /// The version of the store's settings that acks have named since this was asked last.
    pub(crate) fn take_settings_version(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settings_version.take()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut UplinkStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
