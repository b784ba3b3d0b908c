//! What the disk has to write: counted, and kept near a budget by commits that wait to be shared.
//!
//! Counts of commits and bytes are compared, never times; a wait that does not end would hang the test.

use std::time::Duration;

use storepulse_agent::spool::{FILE, TICK_WAIT_MAX, WritesStatus, look};
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::store::{Agent, AgentSetup};
use tokio::task::JoinSet;

use super::*;
use crate::setting::{Setting, now_ms, testbed};

/// A budget that is used up at once.
const NONE_LEFT: Option<u64> = Some(1);
/// What a count may have grown by since it was written down last.
const UNSAVED_BYTES_MAX: u64 = 512 << 10;
const BLOCK: u64 = 4_096;
/// Devices that are read at the same time.
const DEVICES: i64 = 10;

impl Bench {
    async fn writes(&self) -> WritesStatus {
        self.status().await.writes
    }

    /// Reads all devices, each after the one before was durable.
    async fn tick_one_by_one(&self, round: i64) {
        for device in 0..DEVICES {
            self.append(Lane::Normal, NOW + round * 100 + device, 1.0).await;
        }
    }

    /// Reads all devices at once.
    async fn tick_together(&self, round: i64) {
        let mut calls = JoinSet::new();
        for device in 0..DEVICES {
            let (spool, time) = (self.spool().clone(), NOW + round * 100 + device);
            calls.spawn(async move { spool.append(Lane::Normal, vec![tick(time, 1.0)], NOW).await });
        }
        calls.join_all().await.into_iter().for_each(|result| result.unwrap());
    }
}

#[tokio::test]
async fn every_block_of_the_log_is_counted() {
    let bench = Bench::new().await;
    for n in 0..50 {
        bench.append(Lane::Normal, NOW + n, 1.0).await;
    }
    let log = std::fs::metadata(bench.dir.join(format!("{FILE}-wal"))).unwrap().len();
    let writes = bench.writes().await;
    assert!(writes.commits >= 50, "{writes:?}");
    // Two commits share a block at most.
    assert!((log..=log + (writes.commits + 1) * BLOCK).contains(&writes.bytes), "{log} bytes, {writes:?}");
    assert_eq!((writes.bytes_max, writes.window_ms), (None, 0));
}

#[tokio::test]
async fn the_count_of_a_day_survives_a_restart_and_a_new_day_begins_at_nothing() {
    let mut bench = Bench::new().await;
    let mut written = bench.writes().await;
    let mut time = NOW;
    while written.bytes < 2 << 20 {
        time += 1;
        bench.append(Lane::Normal, time, 1.0).await;
        written = bench.writes().await;
    }
    bench.close();
    let kept = look(&bench.dir).unwrap().writes;
    assert_eq!(kept.day, written.day);
    assert!(kept.bytes + UNSAVED_BYTES_MAX > written.bytes, "{kept:?} of {written:?}");
    bench.reopen(LIMITS);
    let after = bench.writes().await;
    assert!(after.bytes >= kept.bytes && after.commits < written.commits, "{after:?} after {kept:?}");

    bench.close();
    let tomorrow = NOW + 86_400_000;
    bench.spool = Some(Spool::open(&bench.dir, LIMITS, tomorrow).unwrap());
    let new = bench.writes().await;
    assert!(new.day == written.day + 1 && new.bytes < kept.bytes / 4, "{new:?}");
}

#[tokio::test]
async fn a_budget_that_is_used_up_makes_ticks_share_commits_and_the_disk_writes_much_less() {
    const ROUNDS: i64 = 6;
    let bench = Bench::new().await;
    let begun = bench.writes().await;
    for round in 0..ROUNDS {
        bench.tick_one_by_one(round).await;
    }
    let alone = bench.writes().await;
    bench.spool().limit_writes(NONE_LEFT).await.unwrap();
    let tight = bench.writes().await;
    assert_eq!(Duration::from_millis(tight.window_ms), TICK_WAIT_MAX);
    for round in ROUNDS..2 * ROUNDS {
        bench.tick_together(round).await;
    }
    let shared = bench.writes().await;
    let commits = [alone.commits - begun.commits, shared.commits - alone.commits];
    let bytes = [alone.bytes - begun.bytes, shared.bytes - alone.bytes];
    assert!(commits[1] * 3 <= commits[0] && bytes[1] * 3 <= bytes[0], "{commits:?} commits, {bytes:?} bytes");
    assert_eq!(values(&bench.drain().await).len(), 12 * 10);
}

#[tokio::test]
async fn a_loose_budget_leaves_everything_as_it_is_and_a_wide_window_closes_when_there_is_room() {
    let bench = Bench::new().await;
    bench.spool().limit_writes(Some(1 << 30)).await.unwrap();
    let before = bench.writes().await;
    bench.tick_one_by_one(0).await;
    let after = bench.writes().await;
    assert_eq!((after.commits - before.commits, after.window_ms), (10, 0));
    for (budget, window_ms) in [(NONE_LEFT, 900), (Some(1 << 30), 0), (NONE_LEFT, 900), (None, 0)] {
        bench.spool().limit_writes(budget).await.unwrap();
        assert_eq!(bench.writes().await.window_ms, window_ms, "{budget:?}");
    }
}

/// Were one of these to wait, all of them would take half a minute.
#[tokio::test]
async fn events_states_and_the_uplink_never_wait_and_take_what_waits_with_them() {
    let bench = Bench::new().await;
    bench.spool().limit_writes(NONE_LEFT).await.unwrap();
    let mut readings = JoinSet::new();
    let urgent = async {
        for n in 0..10 {
            let (spool, time) = (bench.spool().clone(), NOW + n);
            readings.spawn(async move { spool.append(Lane::Normal, vec![tick(time, 1.0)], NOW).await });
            bench.record("printer.cover_open", "cover open").await;
            bench.append(Lane::Critical, NOW + n, 1.0).await;
            let (_, outgoing) = bench.next().await.unwrap();
            bench.ack(&outgoing).await;
            readings.join_next().await.unwrap().unwrap().unwrap();
        }
    };
    tokio::time::timeout(TICK_WAIT_MAX * 15, urgent).await.expect("calls that cannot wait have waited");
}

#[tokio::test]
async fn what_was_answered_in_a_wide_window_survives_a_kill() {
    const PUSHES: usize = 12;
    let setting = Setting::new().await;
    let nowhere = Some("http://127.0.0.1:9".to_owned());
    let more = "spool: { writes_per_day_max: 1 }\n".to_owned();
    let setup = AgentSetup { cloud_url: nowhere, push: true, more, ..AgentSetup::default() };
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    let writes = agent.read_status().await.unwrap()["spool"]["writes"].clone();
    assert_eq!((&writes["window_ms"], &writes["bytes_max"]), (&900.into(), &1.into()));

    let (url, begun) = (format!("http://{}", agent.push), now_ms() - 60_000);
    let mut pushes = JoinSet::new();
    for n in 0..PUSHES {
        let sender = ByHand::new(&url, None, None).unwrap();
        let (id, time) = ("d", begun + i64::try_from(n).unwrap());
        let row =
            format!(r#"{{"metrics":[{{"device_id":"{id}","metric":"m","value":{n},"timestamp":{time}}}]}}"#);
        pushes.spawn(async move { sender.push(&row, None).await.is_ok_and(|answer| answer.status == 200) });
    }
    // The kill comes with the first answer; what is answered after it was committed with it or before.
    let mut answered = usize::from(pushes.join_next().await.unwrap().unwrap());
    agent.kill().unwrap();
    while let Some(is_taken) = pushes.join_next().await {
        answered += usize::from(is_taken.unwrap());
    }
    assert!(answered > 0);
    let status = look(&agent.spool_dir()).unwrap();
    let held: u64 = status.lanes.iter().map(|lane| lane.open_rows + lane.waiting_samples).sum();
    assert!(held >= answered as u64, "{answered} answered, {held} held");
}
