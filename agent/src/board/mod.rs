//! What is known of each device right now: for the status page, the CLI and monitoring.
//!
//! Value, time of observation and state stay apart: no answer is not zero. Everything here but the strips of the last 24 hours
//! ([`Strip`]) is lost with the process; what must last goes into the spool.

mod past;
mod strip;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use storepulse_shared::ids::{AGENT_DEVICE, DeviceId};
use tokio_util::sync::CancellationToken;

use self::past::Past;
use self::strip::{Count, History, SPAN, slot_of};
pub use self::strip::{SLOT_MS, SLOTS, Slot, Strip};
use crate::time::{BoxClock, SystemClock};

/// Values shown of one device.
const VALUES_MAX: usize = 100;
/// How often time is counted into the strips.
const LOOK: Duration = Duration::from_secs(60);
/// How often the strips are written: flash wears out.
const WRITE: Duration = Duration::from_secs(15 * 60);

/// Whether a device answers; the numbers are those of `agent.device.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// Readings that ended since the agent started, well or not; of a device that talks by itself, what it said and the
    /// silences that were too long.
    pub attempts: u64,
    /// When its values or its state were last other than before, Unix milliseconds UTC.
    pub changed_ms: Option<i64>,
    /// What was last said on its line, if its kind may show that.
    pub exchange: Option<Exchange>,
    /// What its last reading saw and is no sample: levels of pins, raw weights. Only for people on the box. Empty once a
    /// reading has failed.
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
    /// What was said on its line then, if its kind may show that and anything was said.
    pub bytes: Option<Exchange>,
}

/// A question and its answer, as bytes; the first of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug)]
pub struct Board {
    clock: BoxClock,
    /// What makes a time that never jumps of the time since boot.
    offset_ms: i64,
    devices: Mutex<BTreeMap<DeviceId, Known>>,
    past: Mutex<Past>,
}

/// What is known of a device, and what of it is told on request only.
#[derive(Debug)]
struct Known {
    status: DeviceStatus,
    history: History,
    /// Attempts that were good.
    goods: u64,
    /// Whether the last attempt was, and when that was last another than before.
    outcome: Option<bool>,
    outcome_ms: Option<i64>,
    /// It is not read any more.
    is_hidden: bool,
}

/// By the system's clock, without a past: for tests.
impl Default for Board {
    fn default() -> Self {
        Self::new(BoxClock::new(Arc::new(SystemClock::load()), 0))
    }
}

impl Board {
    /// Without a past.
    #[must_use]
    pub fn new(clock: BoxClock) -> Self {
        let offset_ms = clock.read().base_ms();
        Self { clock, offset_ms, devices: Mutex::default(), past: Mutex::default() }
    }

    /// With what an earlier process wrote into the state folder; a file that cannot be read is a warning.
    #[must_use]
    pub fn load(clock: BoxClock, state_dir: &Path) -> Self {
        let (past, offset_ms) = Past::load(state_dir, &clock);
        Self { clock, offset_ms, devices: Mutex::default(), past: Mutex::new(past) }
    }

    /// Begins to know a device. Of one that is known already, what is known stays.
    pub fn add(&self, device: &DeviceId, kind: &'static str) {
        if let Some(known) = self.lock().get_mut(device).filter(|known| known.status.kind == kind) {
            known.is_hidden = false;
            return;
        }
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
        let history = History::new(self.steady_ms());
        let known = Known { status, history, goods: 0, outcome: None, outcome_ms: None, is_hidden: false };
        self.lock().insert(device.clone(), known);
    }

    /// Shows a device no more, until it is added again: its past is still its own then.
    pub(crate) fn hide(&self, device: &DeviceId) {
        self.change(device, |known| known.is_hidden = true);
    }

    /// Notes values that were accepted.
    pub fn good(&self, device: &DeviceId, time_ms: i64, values: &[(&str, f64)]) {
        self.change(device, |known| {
            let status = &mut known.status;
            let mut changed = false;
            status.last_good_ms = Some(time_ms);
            status.samples += values.len() as u64;
            for (series, value) in values {
                let reading = Reading { t: time_ms, value: *value };
                if let Some(before) = status.values.get_mut(*series) {
                    changed |= before.value.to_bits() != value.to_bits();
                    *before = reading;
                } else if status.values.len() < VALUES_MAX {
                    changed = true;
                    status.values.insert((*series).to_owned(), reading);
                }
            }
            if changed {
                status.changed_ms = Some(self.clock.now_ms());
            }
        });
    }

    /// Whether it has ever given a good reading.
    #[must_use]
    pub fn was_good(&self, device: &DeviceId) -> bool {
        self.lock().get(device).is_some_and(|known| known.status.last_good_ms.is_some())
    }

    /// Notes a failed reading.
    pub fn bad(&self, device: &DeviceId, at_ms: i64, kind: &'static str, text: String) {
        self.failed(device, LastError { at_ms, kind, text, bytes: None });
    }

    /// The same with what was said on its line then.
    pub(crate) fn failed(&self, device: &DeviceId, error: LastError) {
        self.change(device, |known| {
            *known.status.errors.entry(error.kind).or_default() += 1;
            known.status.last_error = Some(error);
        });
    }

    /// Notes readings that ended, well or not, and what was last said on the line. What was seen before is not seen any
    /// more if none was good.
    pub(crate) fn ended(&self, device: &DeviceId, goods: u64, bads: u64, exchange: Option<Exchange>) {
        self.change(device, |known| {
            known.status.attempts += goods + bads;
            known.goods += goods;
            let is_good = goods > 0;
            if known.outcome.replace(is_good) != Some(is_good) {
                known.outcome_ms = Some(self.clock.now_ms());
            }
            if exchange.is_some() {
                known.status.exchange = exchange;
            }
            if !is_good {
                known.status.seen.clear();
            }
        });
    }

    /// Notes what a good reading saw that is no sample; what it did not see is forgotten.
    pub(crate) fn saw(&self, device: &DeviceId, seen: &[(&'static str, f64)]) {
        self.change(device, |known| {
            if seen.is_empty() && known.status.seen.is_empty() {
                return;
            }
            let seen: BTreeMap<&'static str, f64> = seen.iter().copied().collect();
            if known.status.seen != seen {
                known.status.seen = seen;
                known.status.changed_ms = Some(self.clock.now_ms());
            }
        });
    }

    /// Notes a state; says whether it is another one than before.
    pub fn state(&self, device: &DeviceId, state: DeviceState) -> bool {
        let mut changed = false;
        self.change(device, |known| {
            changed = known.status.state != Some(state);
            if changed {
                known.status.state = Some(state);
                known.status.changed_ms = Some(self.clock.now_ms());
                known.history.state(state, self.steady_ms());
            }
        });
        changed
    }

    /// All of it.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<DeviceId, DeviceStatus> {
        let devices = self.lock();
        let shown = devices.iter().filter(|(_, known)| !known.is_hidden);
        shown.map(|(id, known)| (id.clone(), known.status.clone())).collect()
    }

    /// One device, if it is known.
    #[must_use]
    pub fn get(&self, device: &DeviceId) -> Option<DeviceStatus> {
        self.lock().get(device).filter(|known| !known.is_hidden).map(|known| known.status.clone())
    }

    /// Attempts that were good, since the agent started.
    pub(crate) fn goods(&self, device: &DeviceId) -> u64 {
        self.lock().get(device).map_or(0, |known| known.goods)
    }

    /// The devices whose values, state or outcome became others at this time or later (Unix milliseconds UTC, by the clock of
    /// the box), the last one first. The agent itself is none of them.
    #[must_use]
    pub fn changed_since(&self, ms: i64) -> Vec<DeviceId> {
        let when = |known: &Known| known.status.changed_ms.max(known.outcome_ms);
        let devices = self.lock();
        let others = devices.iter().filter(|(id, known)| id.as_str() != AGENT_DEVICE && !known.is_hidden);
        let mut changed: Vec<(i64, &DeviceId)> =
            others.filter_map(|(id, known)| Some((when(known)?, id))).filter(|(at, _)| *at >= ms).collect();
        changed.sort_by_key(|(at, _)| Reverse(*at));
        changed.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// The last 24 hours of a device. Of one that is not known, nothing is known.
    #[must_use]
    pub fn history(&self, device: &DeviceId) -> Strip {
        let now_ms = self.steady_ms();
        let counts = self.counts(device, now_ms);
        let first = slot_of(now_ms) - SPAN + 1;
        Strip {
            from_ms: first * SLOT_MS - now_ms + self.clock.now_ms(),
            slot_ms: SLOT_MS,
            slots: counts.into_iter().map(Count::shown).collect(),
        }
    }

    /// Writes the strips into the state folder.
    ///
    /// # Errors
    /// Those of the disk; what stood there stays.
    pub fn write_history(&self, state_dir: &Path) -> std::io::Result<()> {
        let now_ms = self.steady_ms();
        let devices: Vec<DeviceId> = self.lock().keys().cloned().collect();
        let counts = devices.into_iter().map(|device| {
            let counts = self.counts(&device, now_ms);
            (device, counts)
        });
        past::write(state_dir, &self.clock, self.offset_ms, counts)
    }

    /// Counts time into the strips.
    fn look(&self) {
        let now_ms = self.steady_ms();
        self.lock().values_mut().for_each(|known| known.history.pass(now_ms));
        let mut past = self.past();
        past.settle(self.clock.true_ms(), now_ms);
        past.age(slot_of(now_ms));
    }

    /// All slots of a device, the oldest first.
    fn counts(&self, device: &DeviceId, now_ms: i64) -> Vec<Count> {
        let newest = slot_of(now_ms);
        let (mut devices, past) = (self.lock(), self.past());
        let mut own = devices.get_mut(device);
        if let Some(known) = &mut own {
            known.history.pass(now_ms);
        }
        let count = |slot| {
            let own = own.as_ref().map(|known| known.history.count(slot)).unwrap_or_default();
            own.with(past.count(device, slot))
        };
        (newest - SPAN + 1..=newest).map(count).collect()
    }

    /// A time that never jumps, whatever becomes of the wall clock.
    fn steady_ms(&self) -> i64 {
        self.clock.read().boot_ms + self.offset_ms
    }

    fn change(&self, device: &DeviceId, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.lock().get_mut(device) {
            change(known);
        }
    }

    /// Taken before [`Self::past`] by who takes both.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Known>> {
        // What a panic could leave half done is one device's display.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // What a panic could leave half done is where the past is shown.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts time into the strips, and writes them every 15 minutes and when it is told to stop.
pub(crate) async fn keep(board: Arc<Board>, state_dir: PathBuf, stop: CancellationToken) {
    let mut written = Instant::now();
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        board.look();
        if stop.is_cancelled() || written.elapsed() >= WRITE {
            written = Instant::now();
            let (board, folder) = (Arc::clone(&board), state_dir.clone());
            // The disk of a box may be slow.
            let done = tokio::task::spawn_blocking(move || board.write_history(&folder)).await;
            if let Err(error) = done.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                tracing::warn!(%error, "the strips of the devices could not be written down");
            }
        }
    }
}
