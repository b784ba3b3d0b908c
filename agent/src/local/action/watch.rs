//! `identify`: which device is this one? Whoever stands before it does something to it, and what changes is named.
//!
//! Some devices change all the time: the load of the box, a thermometer. So for some seconds nobody touches anything, and
//! what changes then is left out and named. A device that is asked seldom can still change by itself within the half minute,
//! so what was seen is told with it.

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
/// Looks until it is given up.
pub(super) const LOOKS: usize = 60;

/// What became of it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Watched {
    /// Devices that changed; those of one look.
    pub devices: BTreeSet<DeviceId>,
    /// What of them: `state`, `value`, `error`, `seen`.
    pub what: BTreeMap<DeviceId, Vec<&'static str>>,
    /// Devices that changed while nobody touched anything, and were not looked at.
    pub left_out: BTreeSet<DeviceId>,
}

/// Watches until something changes, or for so many looks.
pub(super) async fn watch(board: Arc<Board>, look: Duration, progress: Progress) -> Watched {
    let of = QUIET_LOOKS + LOOKS;
    let mut before = board.snapshot();
    let mut left_out = BTreeSet::new();
    for done in 0..QUIET_LOOKS {
        progress.tell(done, of, "quiet");
        tokio::time::sleep(look).await;
        let now = board.snapshot();
        left_out.extend(changes(&before, &now).into_keys());
        before = now;
    }
    for done in 0..LOOKS {
        progress.tell(QUIET_LOOKS + done, of, "touch");
        tokio::time::sleep(look).await;
        let mut touched = changes(&before, &board.snapshot());
        touched.retain(|device, _| !left_out.contains(device));
        if !touched.is_empty() {
            return Watched { devices: touched.keys().cloned().collect(), what: touched, left_out };
        }
    }
    Watched { devices: BTreeSet::new(), what: BTreeMap::new(), left_out }
}

type Devices = BTreeMap<DeviceId, DeviceStatus>;

/// Devices that are not as they were, and what of them: `state`, `value`, `error`, `seen`.
fn changes(before: &Devices, now: &Devices) -> BTreeMap<DeviceId, Vec<&'static str>> {
    let others = now.iter().filter(|(device, _)| device.as_str() != AGENT_DEVICE);
    let changed = others.filter_map(|(device, now)| {
        let what = change(before.get(device)?, now);
        (!what.is_empty()).then(|| (device.clone(), what))
    });
    changed.collect()
}

fn change(before: &DeviceStatus, now: &DeviceStatus) -> Vec<&'static str> {
    let values = |status: &DeviceStatus| -> Vec<(String, u64)> {
        status.values.iter().map(|(series, reading)| (series.clone(), reading.value.to_bits())).collect()
    };
    let seen = |status: &DeviceStatus| -> Vec<(&'static str, u64)> {
        status.seen.iter().map(|(name, value)| (*name, value.to_bits())).collect()
    };
    let all = [
        ("state", before.state != now.state),
        ("value", values(before) != values(now)),
        ("error", before.errors != now.errors),
        ("seen", seen(before) != seen(now)),
    ];
    all.into_iter().filter_map(|(what, has_changed)| has_changed.then_some(what)).collect()
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
        assert_eq!(changes(&before, &board.snapshot()), BTreeMap::new());
        board.good(&id("scale-1"), 3, &[("a", 1.5)]);
        board.bad(&id("printer-1"), 3, "timeout", String::new());
        board.state(&id("printer-1"), DeviceState::Unreachable);
        let expected =
            BTreeMap::from([(id("printer-1"), vec!["state", "error"]), (id("scale-1"), vec!["value"])]);
        assert_eq!(changes(&before, &board.snapshot()), expected);
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
