//! What is known of each device right now: for the status page, the CLI and monitoring.
//!
//! Value, time of observation and state stay apart: no answer is not zero. Everything here is lost with the process;
//! what must last goes into the spool.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

/// Values shown of one device.
const VALUES_MAX: usize = 100;

/// Whether a device answers; the numbers are those of `agent.device.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// It answers.
    Ok,
    /// It answered, but not lately.
    Stale,
    /// It answers with an error.
    Fault,
    /// It does not answer.
    Unreachable,
}

impl DeviceState {
    /// As a sample.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self as u8)
    }
}

/// One device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceStatus {
    /// Its collector kind.
    pub kind: &'static str,
    /// `None` until its first reading succeeded or failed.
    pub state: Option<DeviceState>,
    /// When it last gave a good reading, Unix milliseconds UTC.
    pub last_good_ms: Option<i64>,
    /// Readings that ended since the agent started, well or not.
    pub attempts: u64,
    /// When its values or its state were last other than before, Unix milliseconds UTC.
    pub changed_ms: Option<i64>,
    /// What was last said on its line, if its kind may show that.
    pub exchange: Option<Exchange>,
    /// What is seen of it and is no sample: levels of pins, raw weights. Only for people on the box.
    pub seen: BTreeMap<&'static str, f64>,
    /// Samples accepted from it since the agent started.
    pub samples: u64,
    /// Failed readings by kind of error, since the agent started.
    pub errors: BTreeMap<&'static str, u64>,
    /// The last failed reading.
    pub last_error: Option<LastError>,
    /// The last value of each series.
    pub values: BTreeMap<String, Reading>,
}

/// A failed reading.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// When, Unix milliseconds UTC.
    pub at_ms: i64,
    /// Its kind.
    pub kind: &'static str,
    /// What happened and what to do.
    pub text: String,
}

/// A question and its answer, as bytes; the first of each.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// When, Unix milliseconds UTC.
    pub at_ms: i64,
    /// What was sent, in hexadecimal with blanks between the bytes.
    pub asked: String,
    /// What came back, the same way; empty if nothing did.
    pub answered: String,
}

/// A value with the time of its observation.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reading {
    /// Unix milliseconds UTC.
    pub t: i64,
    /// The value.
    pub value: f64,
}

/// All devices.
#[derive(Debug, Default)]
pub struct Board {
    devices: Mutex<BTreeMap<DeviceId, DeviceStatus>>,
}

impl Board {
    /// Begins to know a device.
    pub fn add(&self, device: &DeviceId, kind: &'static str) {
        let status = DeviceStatus {
            kind,
            state: None,
            last_good_ms: None,
            attempts: 0,
            changed_ms: None,
            exchange: None,
            seen: BTreeMap::new(),
            samples: 0,
            errors: BTreeMap::new(),
            last_error: None,
            values: BTreeMap::new(),
        };
        self.lock().insert(device.clone(), status);
    }

    /// Notes values that were accepted.
    pub fn good(&self, device: &DeviceId, time_ms: i64, values: &[(&str, f64)]) {
        self.change(device, |status| {
            status.last_good_ms = Some(time_ms);
            status.samples += values.len() as u64;
            for (series, value) in values {
                let reading = Reading { t: time_ms, value: *value };
                if let Some(known) = status.values.get_mut(*series) {
                    *known = reading;
                } else if status.values.len() < VALUES_MAX {
                    status.values.insert((*series).to_owned(), reading);
                }
            }
        });
    }

    /// Whether it has ever given a good reading.
    #[must_use]
    pub fn was_good(&self, device: &DeviceId) -> bool {
        self.lock().get(device).is_some_and(|status| status.last_good_ms.is_some())
    }

    /// Notes a failed reading.
    pub fn bad(&self, device: &DeviceId, at_ms: i64, kind: &'static str, text: String) {
        self.change(device, |status| {
            *status.errors.entry(kind).or_default() += 1;
            status.last_error = Some(LastError { at_ms, kind, text });
        });
    }

    /// Notes a state; says whether it is another one than before.
    pub fn state(&self, device: &DeviceId, state: DeviceState) -> bool {
        let mut changed = false;
        self.change(device, |status| {
            changed = status.state != Some(state);
            status.state = Some(state);
        });
        changed
    }

    /// All of it.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<DeviceId, DeviceStatus> {
        self.lock().clone()
    }

    fn change(&self, device: &DeviceId, change: impl FnOnce(&mut DeviceStatus)) {
        if let Some(status) = self.lock().get_mut(device) {
            change(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceId, DeviceStatus>> {
        // What a panic could leave half done is one device's display.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
