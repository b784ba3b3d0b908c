//! What is known of the hours before this process: the strips in a file of the state folder, `history.json`.
//!
//! # When it is written, and what that costs
//! Every 15 minutes, and when the agent stops; a power cut loses what came after the last writing, and it is shown as not
//! known. It is written beside the old one, synced, and takes its name: there is a whole file or none. Equal slots are
//! one entry: a store of 20 devices that are well has 2 KiB, one block of the disk, 96 times a day: 0.4 MiB, and about as
//! much again for the file system's own book. Should every one of 20 devices change in every slot, it is 40 KiB and 4 MiB a
//! day. The file is never larger than [`BYTES_MAX`] (48 MiB a day, which would take over 200 such devices): what is
//! beyond is left out, the last devices by their names, and begins anew after a restart.
//!
//! # Form
//! `{"v":1,"boot":"…","boot_ms":…,"at_ms":…,"wall_ms":…,"is_true":…,"devices":{"fridge":[[n,ok_s,known_s,worst,changes],…]}}`:
//! for each device runs of `n` equal slots, the oldest first, up to the slot of `at_ms`. `ok_s` and `known_s` are seconds,
//! `worst` is 0 for nothing known, else the number of the state and one. What is damaged, too large or of another version is
//! not read; a warning says so, and the file is begun anew.
//!
//! # Where the past is placed
//! Slots are numbered by a time that never jumps. In the same boot it simply went on, whatever became of the wall clock. After
//! another boot the wall clock says how long the box was off, but not less than it has been on; many boxes come back with
//! the time at which they went. As soon as the true time is known, the past is moved to where it belongs, if the time in
//! the file was true.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use storepulse_shared::ids::DeviceId;

use super::DeviceState;
use super::strip::{Count, SLOT_MS, SPAN, slot_of};
use crate::collector::kept;
use crate::time::BoxClock;

/// The name of the file in the state folder.
pub(super) const FILE: &str = "history.json";
/// Its largest size.
pub(super) const BYTES_MAX: usize = 512 << 10;
/// What is written now.
const VERSION: u32 = 1;
/// Times beyond this, either way, are damage: the year 33,658.
const TIME_MAX_MS: i64 = 1_000_000_000_000_000;

/// As it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    v: u32,
    /// The boot in which it was written.
    boot: String,
    /// By the clock of that boot.
    boot_ms: i64,
    /// By the time that never jumps.
    at_ms: i64,
    /// The true time, or what the clock showed.
    wall_ms: i64,
    is_true: bool,
    devices: BTreeMap<String, Vec<Run>>,
}

/// Equal slots: how many, `ok_s`, `known_s`, worst, changes.
type Run = (u8, u16, u16, u8, u16);

/// What an earlier process left, and where it belongs.
#[derive(Debug, Default)]
pub(super) struct Past {
    devices: BTreeMap<DeviceId, Vec<Run>>,
    /// Its last slot, in slots of this process.
    newest: i64,
    /// What has to be known to place it for good.
    unsettled: Option<Unsettled>,
}

#[derive(Debug)]
struct Unsettled {
    /// The true time at which it was written.
    wall_ms: i64,
    /// How far its last slot had come then.
    within_ms: i64,
}

impl Past {
    /// Reads what an earlier process left; with it the time that never jumps, as what is added to the time since boot.
    pub(super) fn load(state_dir: &Path, clock: &BoxClock) -> (Self, i64) {
        let now = clock.read();
        let none = |why: &str| {
            tracing::warn!(
                file = FILE,
                why,
                "what the devices did before this start is not known: begun anew"
            );
            (Self::default(), now.base_ms())
        };
        match read(state_dir) {
            Ok(Some(paper)) => Self::place(paper, clock),
            Ok(None) => (Self::default(), now.base_ms()),
            Err(why) => none(&why),
        }
    }

    fn place(paper: Paper, clock: &BoxClock) -> (Self, i64) {
        let now = clock.read();
        let within_ms = paper.at_ms.rem_euclid(SLOT_MS);
        let devices = |runs: BTreeMap<String, Vec<Run>>| {
            runs.into_iter().filter_map(|(id, runs)| Some((id.parse().ok()?, runs))).collect()
        };
        if paper.boot == clock.boot_id() && now.boot_ms >= paper.boot_ms {
            let newest = slot_of(paper.at_ms);
            let past = Self { devices: devices(paper.devices), newest, unsettled: None };
            return (past, paper.at_ms - paper.boot_ms);
        }
        let told = clock.true_ms();
        let away_ms = (told.unwrap_or(now.wall_ms) - paper.wall_ms).max(now.boot_ms);
        let unsettled =
            (told.is_none() && paper.is_true).then_some(Unsettled { wall_ms: paper.wall_ms, within_ms });
        let newest = nearest(now.wall_ms - away_ms, within_ms);
        (Self { devices: devices(paper.devices), newest, unsettled }, now.base_ms())
    }

    /// Places it for good once the true time is known. `at_ms` is now, by the time that never jumps.
    pub(super) fn settle(&mut self, true_ms: Option<i64>, at_ms: i64) {
        let Some(true_ms) = true_ms else { return };
        let Some(unsettled) = self.unsettled.take() else { return };
        // A truth that is before what was true once is none to go by.
        let away_ms = (true_ms - unsettled.wall_ms).max(0);
        self.newest = nearest(at_ms.saturating_sub(away_ms), unsettled.within_ms);
    }

    /// What was counted in a slot, in slots of this process.
    pub(super) fn count(&self, device: &DeviceId, slot: i64) -> Count {
        let Some(runs) = self.devices.get(device) else { return Count::default() };
        let mut back = self.newest - slot;
        if back < 0 {
            return Count::default();
        }
        for run in runs.iter().rev() {
            if back < i64::from(run.0) {
                return of_run(*run);
            }
            back -= i64::from(run.0);
        }
        Count::default()
    }

    /// Forgets all of it once it is older than a day.
    pub(super) fn age(&mut self, newest: i64) {
        if self.newest <= newest - SPAN && self.unsettled.is_none() {
            self.devices.clear();
        }
    }
}

/// The slot that a slot of before fits best, which had come so far at that time.
fn nearest(at_ms: i64, within_ms: i64) -> i64 {
    slot_of(at_ms.saturating_sub(within_ms).saturating_add(SLOT_MS / 2))
}

/// Writes the slots of all devices, each with the oldest first.
pub(super) fn write(
    state_dir: &Path,
    clock: &BoxClock,
    offset_ms: i64,
    devices: impl Iterator<Item = (DeviceId, Vec<Count>)>,
) -> std::io::Result<()> {
    let now = clock.read();
    let told = clock.true_ms();
    let mut paper = Paper {
        v: VERSION,
        boot: clock.boot_id().to_owned(),
        boot_ms: now.boot_ms,
        at_ms: now.boot_ms + offset_ms,
        wall_ms: told.unwrap_or(now.wall_ms),
        is_true: told.is_some(),
        devices: devices.map(|(id, counts)| (id.to_string(), runs(&counts))).collect(),
    };
    let mut bytes = serde_json::to_vec(&paper)?;
    while bytes.len() > BYTES_MAX && !paper.devices.is_empty() {
        // Of whole devices, what fits on average; what is left out is the last by name.
        let fits = paper.devices.len() * BYTES_MAX / bytes.len();
        let left_out = paper.devices.len() - fits.min(paper.devices.len() - 1);
        tracing::warn!(
            file = FILE,
            left_out,
            "the strips of all devices are too large to be kept over a restart"
        );
        (0..left_out).for_each(|_| drop(paper.devices.pop_last()));
        bytes = serde_json::to_vec(&paper)?;
    }
    kept::write(state_dir, FILE, &bytes)
}

/// `None` if there is none yet.
fn read(state_dir: &Path) -> Result<Option<Paper>, String> {
    let file = match std::fs::File::open(state_dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    let most = BYTES_MAX as u64;
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > BYTES_MAX {
        return Err(format!("it has more than {BYTES_MAX} bytes"));
    }
    let paper: Paper = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if paper.v != VERSION {
        return Err(format!("it is of version {}, and this agent knows {VERSION}", paper.v));
    }
    let is_time = |ms: i64| (-TIME_MAX_MS..=TIME_MAX_MS).contains(&ms);
    if ![paper.boot_ms, paper.at_ms, paper.wall_ms].into_iter().all(is_time) {
        return Err("its times cannot be".to_owned());
    }
    Ok(Some(paper))
}

fn runs(counts: &[Count]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for count in counts {
        let (_, ok_s, known_s, worst, changes) = to_run(*count);
        match runs.last_mut() {
            Some(run) if (run.1, run.2, run.3, run.4) == (ok_s, known_s, worst, changes) => run.0 += 1,
            _ => runs.push((1, ok_s, known_s, worst, changes)),
        }
    }
    runs
}

fn to_run(count: Count) -> Run {
    let seconds = |ms: u32| u16::try_from(ms.div_ceil(1_000)).unwrap_or(u16::MAX);
    let worst = count.worst.map_or(0, |state| state as u8 + 1);
    (1, seconds(count.ok_ms), seconds(count.known_ms), worst, count.changes)
}

/// What a file claims and cannot be is cut to what can.
fn of_run((_, ok_s, known_s, worst, changes): Run) -> Count {
    let worst = match worst {
        1 => Some(DeviceState::Ok),
        2 => Some(DeviceState::Stale),
        3 => Some(DeviceState::Fault),
        4 => Some(DeviceState::Unreachable),
        _ => None,
    };
    let slot_s = u16::try_from(SLOT_MS / 1_000).unwrap_or(u16::MAX);
    let known_s = known_s.min(slot_s);
    let ms = |seconds: u16| u32::from(seconds) * 1_000;
    Count { ok_ms: ms(ok_s.min(known_s)), known_ms: ms(known_s), changes, worst }
}
