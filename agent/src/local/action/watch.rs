//! `identify`: which device is this one? Whoever stands before it does something to it, and what changes is named.
//!
//! Some things change all the time: a thermometer, what is counted with every reading. So for some seconds nobody touches
//! anything, and what changes then of a device is left out, and the device named. The box itself is nothing that is touched, and
//! an error that is met once more is no change. A device that is asked seldom can still change by itself within the half
//! minute, so what was seen is told with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use storepulse_shared::ids::{AGENT_DEVICE, DeviceId};

use super::jobs::Progress;
use crate::board::{Board, DeviceStatus};

/// How often the board is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// Looks while nobody touches anything.
pub(super) const QUIET_LOOKS: usize = 10;
/// Series that grow with every reading, whatever the device does.
const COUNTED_BY_READING: [&str; 1] = ["retail.scale.reads"];
/// Looks until it is given up.
pub(super) const LOOKS: usize = 60;

/// What became of it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Watched {
    /// Devices that changed; those of one look.
    pub devices: BTreeSet<DeviceId>,
    /// What of them: `state`, `value`, `error`, `seen`.
    pub what: BTreeMap<DeviceId, Vec<&'static str>>,
    /// Devices of which something changed while nobody touched anything, which was not looked at.
    pub left_out: BTreeSet<DeviceId>,
}

/// Watches until something changes, or for so many looks.
pub(super) async fn watch(board: Arc<Board>, look: Duration, progress: Progress) -> Watched {
    let of = QUIET_LOOKS + LOOKS;
    let mut before = board.snapshot();
    let mut restless = Changes::new();
    for done in 0..QUIET_LOOKS {
        progress.tell(done, of, "quiet");
        tokio::time::sleep(look).await;
        let now = board.snapshot();
        restless.extend(changes(&before, &now));
        before = now;
    }
    let left_out: BTreeSet<DeviceId> = restless.iter().map(|(device, _)| device.clone()).collect();
    for done in 0..LOOKS {
        progress.tell(QUIET_LOOKS + done, of, "touch");
        tokio::time::sleep(look).await;
        let mut what = BTreeMap::<DeviceId, Vec<&'static str>>::new();
        for (device, thing) in changes(&before, &board.snapshot()).difference(&restless) {
            let things = what.entry(device.clone()).or_default();
            if !things.contains(&thing.word()) {
                things.push(thing.word());
            }
        }
        if !what.is_empty() {
            return Watched { devices: what.keys().cloned().collect(), what, left_out };
        }
    }
    Watched { devices: BTreeSet::new(), what: BTreeMap::new(), left_out }
}

type Devices = BTreeMap<DeviceId, DeviceStatus>;

/// What of a device is not as it was.
type Changes = BTreeSet<(DeviceId, Thing)>;

/// What can change of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    State,
    /// Of this series.
    Value(String),
    /// It is met for the first time.
    Error(&'static str),
    /// Of what people see under this name.
    Seen(&'static str),
}

impl Thing {
    const fn word(&self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Value(_) => "value",
            Self::Error(_) => "error",
            Self::Seen(_) => "seen",
        }
    }
}

fn changes(before: &Devices, now: &Devices) -> Changes {
    let touchable =
        |device: &DeviceId, status: &DeviceStatus| device.as_str() != AGENT_DEVICE && status.kind != "host";
    let mut changed = Changes::new();
    for (device, now) in now.iter().filter(|(device, status)| touchable(device, status)) {
        let Some(before) = before.get(device) else { continue };
        changed.extend(change(before, now).into_iter().map(|thing| (device.clone(), thing)));
    }
    changed
}

fn change(before: &DeviceStatus, now: &DeviceStatus) -> Vec<Thing> {
    let mut changed = Vec::new();
    changed.extend((before.state != now.state).then_some(Thing::State));
    let is_other = |was: Option<f64>, is: f64| was.map(f64::to_bits) != Some(is.to_bits());
    for (series, reading) in
        now.values.iter().filter(|(series, _)| !COUNTED_BY_READING.contains(&series.as_str()))
    {
        if is_other(before.values.get(series).map(|was| was.value), reading.value) {
            changed.push(Thing::Value(series.clone()));
        }
    }
    changed.extend(
        now.errors.keys().filter(|kind| !before.errors.contains_key(*kind)).map(|kind| Thing::Error(kind)),
    );
    for (name, value) in &now.seen {
        if is_other(before.seen.get(name).copied(), *value) {
            changed.push(Thing::Seen(name));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::board::DeviceState;
    use crate::local::action::{JobState, Jobs};

    fn id(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    fn board() -> Arc<Board> {
        let board = Board::default();
        for name in ["agent", "box", "scale-1", "printer-1"] {
            board.add(&id(name), "test");
            board.good(&id(name), 1, &[("a", 1.0)]);
            board.state(&id(name), DeviceState::Ok);
        }
        Arc::new(board)
    }

    #[test]
    fn what_changes_is_named_and_another_time_of_the_same_value_is_no_change() {
        let board = board();
        let before = board.snapshot();
        board.good(&id("scale-1"), 2, &[("a", 1.0)]);
        board.good(&id("agent"), 2, &[("a", 2.0)]);
        assert_eq!(changes(&before, &board.snapshot()), Changes::new());
        board.good(&id("scale-1"), 3, &[("a", 1.5)]);
        board.bad(&id("printer-1"), 3, "timeout", String::new());
        board.state(&id("printer-1"), DeviceState::Unreachable);
        let expected = Changes::from([
            (id("printer-1"), Thing::State),
            (id("printer-1"), Thing::Error("timeout")),
            (id("scale-1"), Thing::Value("a".to_owned())),
        ]);
        let after = board.snapshot();
        assert_eq!(changes(&before, &after), expected);
        board.bad(&id("printer-1"), 4, "timeout", String::new());
        board.good(&id("scale-1"), 4, &[("retail.scale.reads", 2.0), ("a", 1.5)]);
        assert_eq!(changes(&after, &board.snapshot()), Changes::new());
    }

    /// `box` changes with every other look; once everybody is told to, the scale is touched, or nothing is.
    async fn watched(touch: bool) -> serde_json::Value {
        const QUICK: Duration = Duration::from_millis(20);
        let ((jobs, runner), stop, mut tasks) = (Jobs::new(), CancellationToken::new(), JoinSet::new());
        tasks.spawn(runner.run(stop.clone()));
        let board = board();
        let restless = Arc::clone(&board);
        tasks.spawn(async move {
            for no in 2_u32.. {
                tokio::time::sleep(2 * QUICK).await;
                restless.good(&id("box"), 1, &[("a", f64::from(no))]);
            }
        });
        let on = Arc::clone(&board);
        let work = |progress| async move {
            serde_json::to_value(watch(on, QUICK, progress).await).map_err(|e| e.to_string())
        };
        let job = jobs.begin("watch", "", Duration::from_secs(35), work).unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            match jobs.get(job).unwrap().state {
                JobState::Running { now, done, of } => {
                    assert!(
                        now.is_empty()
                            || of == QUIET_LOOKS + LOOKS && (now == "touch") == (done >= QUIET_LOOKS)
                    );
                    if touch && done > QUIET_LOOKS {
                        board.state(&id("scale-1"), DeviceState::Unreachable);
                    }
                }
                JobState::Done(outcome) => return outcome,
                JobState::Failed(why) => panic!("{why}"),
            }
        }
    }

    #[tokio::test]
    async fn the_touched_device_is_named_and_the_restless_one_left_out() {
        let expected = serde_json::json!({
            "devices": ["scale-1"], "what": { "scale-1": ["state"] }, "left_out": ["box"]
        });
        assert_eq!(watched(true).await, expected);
    }

    #[tokio::test]
    async fn when_nothing_is_touched_nothing_is_named() {
        assert_eq!(
            watched(false).await,
            serde_json::json!({ "devices": [], "what": {}, "left_out": ["box"] })
        );
    }
}
