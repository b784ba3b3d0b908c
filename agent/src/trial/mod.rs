//! "Test it now": a device is read at once because a person wants to know, and told how it went.
//!
//! Who is asked at a pace is asked now, also while it rests after failures; what comes of it is a reading like any other and
//! is kept as samples. Who talks by itself cannot be asked: it is watched while the person uses it. A device is tested less
//! than ten times a minute, and never more often than its kind bears.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;
use tokio::time::Instant;

use crate::board::{Board, DeviceState, DeviceStatus, Exchange, LastError, Reading};
use crate::collector::{Asked, Ended, Kind, Wish};

/// Tests of one device within a minute; the next one is refused.
const TESTS_A_MINUTE: usize = 9;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a device that talks by itself is watched.
const WATCH: Duration = Duration::from_secs(10);
/// How often it is looked at then.
const LOOK: Duration = Duration::from_millis(100);
/// What opening a port, other devices of a line and the disk may take beside the reading.
const SPARE: Duration = Duration::from_secs(15);

/// Tests devices. Clones are one.
#[derive(Debug, Clone)]
pub struct Trial(Arc<Bench>);

#[derive(Debug)]
struct Bench {
    board: Arc<Board>,
    devices: BTreeMap<DeviceId, Tried>,
    watch: Duration,
}

#[derive(Debug)]
struct Tried {
    asked: Asked,
    talks_by_itself: bool,
    floor: Duration,
    /// When it was tested in the last minute.
    tests: Mutex<VecDeque<Instant>>,
}

/// How a test went.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// The device.
    pub device: DeviceId,
    /// It gave a good reading.
    pub good: bool,
    /// The reading took this long; of a device that talks by itself, the wait for what it said.
    pub took_ms: u64,
    /// It was not asked, but watched while somebody used it.
    pub talks_by_itself: bool,
    /// How it is now.
    pub state: Option<DeviceState>,
    /// What failed, if anything did in this test, or what is known to be wrong if nothing came.
    pub error: Option<LastError>,
    /// What was said on its line in this test, if its kind may show that.
    pub exchange: Option<Exchange>,
    /// The last value of each series, with its time: after a bad test they are of before.
    pub values: BTreeMap<String, Reading>,
    /// What it saw that is no sample.
    pub seen: BTreeMap<&'static str, f64>,
}

impl Trial {
    /// For these devices.
    #[must_use]
    pub fn new(board: Arc<Board>, devices: &BTreeMap<DeviceId, Kind>) -> Self {
        let tried = |kind: &Kind| Tried {
            asked: Asked::default(),
            talks_by_itself: kind.talks_by_itself(),
            floor: kind.floor(),
            tests: Mutex::default(),
        };
        let devices = devices.iter().map(|(device, kind)| (device.clone(), tried(kind))).collect();
        Self(Arc::new(Bench { board, devices, watch: WATCH }))
    }

    /// Where the device's collector hears of wishes.
    pub(crate) fn asked(&self, device: &DeviceId) -> Asked {
        self.0.devices.get(device).map(|tried| tried.asked.clone()).unwrap_or_default()
    }

    /// How long a test takes at most if all goes well; `None` if there is no such device.
    #[must_use]
    pub fn expected(&self, device: &DeviceId) -> Option<Duration> {
        let tried = self.0.devices.get(device)?;
        Some(if tried.talks_by_itself { self.0.watch } else { tried.asked.patience().unwrap_or(SPARE) })
    }

    /// Tests a device. `progress` is told steps done, of how many, and what is done now.
    ///
    /// # Errors
    /// It was not tested: there is no such device, it was tested too often, or nobody reads it at the moment. The text says
    /// which, and what to do.
    pub async fn test(
        &self,
        device: &DeviceId,
        progress: &mut (dyn FnMut(usize, usize, &str) + Send),
    ) -> Result<Tested, String> {
        let unknown = || format!("there is no device {device} in the configuration");
        let tried = self.0.devices.get(device).ok_or_else(unknown)?;
        let off = || format!("{device} is not read: the settings of the store have switched it off");
        let before = self.0.board.get(device).ok_or_else(off)?;
        tried.admit(device)?;
        let errors = errors_of(&before);
        let (ended, text) = if tried.talks_by_itself {
            let ended = self.watch(device, &before, progress).await;
            let text = if ended.good { "something came" } else { "nothing came that could be read" };
            (ended, text)
        } else {
            let ended = tried.ask(device, &before, progress).await?;
            let text = if ended.good { "it answered" } else { "the reading failed" };
            (ended, text)
        };
        progress(1, 1, text);
        let status = self.0.board.get(device).ok_or_else(unknown)?;
        let failed = errors_of(&status) > errors;
        Ok(Tested::of(device, tried, status, ended, failed))
    }

    /// Until something comes, or long enough.
    async fn watch(
        &self,
        device: &DeviceId,
        before: &DeviceStatus,
        progress: &mut (dyn FnMut(usize, usize, &str) + Send),
    ) -> Ended {
        let (began, watch) = (Instant::now(), self.0.watch);
        let goods = || self.0.board.goods(device);
        let heard = goods();
        let mut told = None;
        while began.elapsed() < watch && goods() == heard {
            let passed = began.elapsed().as_secs();
            if told.replace(passed) != Some(passed) {
                progress(
                    steps(passed),
                    steps(watch.as_secs()),
                    &format!("use {device} now: it is listened to"),
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        let (good, took) = (goods() > heard, began.elapsed());
        let said = self.0.board.get(device).and_then(|status| status.exchange);
        Ended { good, took, exchange: said.filter(|said| before.exchange.as_ref() != Some(said)) }
    }
}

impl Tried {
    /// Whether it may be tested now.
    fn admit(&self, device: &DeviceId) -> Result<(), String> {
        let wait = |left: Duration| humantime::format_duration(Duration::from_secs(left.as_secs() + 1));
        let since_read = self.asked.read_at().map(|at| at.elapsed());
        if let Some(left) =
            since_read.and_then(|since| self.floor.checked_sub(since)).filter(|left| !left.is_zero())
        {
            let floor = humantime::format_duration(self.floor);
            return Err(format!("{device} is not read more often than every {floor}; wait {}", wait(left)));
        }
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        while tests.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            tests.pop_front();
        }
        if let Some(first) = tests.front().filter(|_| tests.len() >= TESTS_A_MINUTE) {
            let left = MINUTE.saturating_sub(first.elapsed());
            return Err(format!(
                "{device} was tested {TESTS_A_MINUTE} times within a minute, and it has other things to do; wait {}",
                wait(left)
            ));
        }
        tests.push_back(Instant::now());
        Ok(())
    }

    async fn ask(
        &self,
        device: &DeviceId,
        before: &DeviceStatus,
        progress: &mut (dyn FnMut(usize, usize, &str) + Send),
    ) -> Result<Ended, String> {
        let Some(Wish { patience, ended }) = self.asked.wish() else {
            let why =
                before.last_error.as_ref().map(|error| format!(" ({})", error.text)).unwrap_or_default();
            return Err(format!("{device} is not read at the moment{why}; try again in a few seconds"));
        };
        let longest = humantime::format_duration(patience);
        progress(0, 1, &format!("{device} is asked; that takes {longest} at most"));
        // A reading that is at work is waited for, and is not the one that was wished for.
        let limit = patience.saturating_mul(2).saturating_add(SPARE);
        match tokio::time::timeout(limit, ended).await {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(_)) => {
                Err(format!("the collector of {device} ended meanwhile; try again in a few seconds"))
            }
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Err(format!(
                    "the reading of {device} did not end within {limit}; does the disk take samples?"
                ))
            }
        }
    }
}

impl Tested {
    fn of(device: &DeviceId, tried: &Tried, status: DeviceStatus, ended: Ended, failed: bool) -> Self {
        let Ended { good, took, exchange } = ended;
        // Of who is silent, what is known to be wrong is the answer, also if it was found out before.
        let is_ill = !good && status.state.is_some_and(|state| state != DeviceState::Ok);
        Self {
            device: device.clone(),
            good,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            talks_by_itself: tried.talks_by_itself,
            state: status.state,
            error: status.last_error.filter(|_| failed || is_ill),
            exchange,
            values: status.values,
            seen: status.seen,
        }
    }
}

/// Failures of any kind, also those of a part of a good reading.
fn errors_of(status: &DeviceStatus) -> u64 {
    status.errors.values().sum()
}

fn steps(seconds: u64) -> usize {
    usize::try_from(seconds).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
