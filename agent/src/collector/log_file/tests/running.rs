//! The kind as the agent runs it: with a spool, and killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{NUMBERED, append, sale, yaml};
use crate::board::DeviceState;
use crate::collector::FaultKind;
use crate::collector::rig::Rig;

#[tokio::test]
async fn a_log_that_is_missing_comes_and_goes_and_is_silent() {
    let rig = Rig::new();
    let log = rig.dir.path().join("pos.log");
    let _running = rig.start(&yaml(&log, &format!("stale_after: 1s, {NUMBERED}")));
    rig.until_error(FaultKind::MissingPort).await;
    assert_eq!(rig.status().state, Some(DeviceState::Unreachable));
    append(&log, sale(1));
    rig.until_state(DeviceState::Ok).await;
    rig.until("the first line", |status| status.values.get("sales").is_some_and(|sales| sales.value == 1.0))
        .await;
    rig.until_state(DeviceState::Stale).await;
    append(&log, sale(2));
    rig.until_state(DeviceState::Ok).await;
    std::fs::rename(&log, rig.dir.path().join("away")).unwrap();
    rig.until_state(DeviceState::Unreachable).await;
    std::fs::create_dir(&log).unwrap();
    rig.until_state(DeviceState::Fault).await;
    rig.until_error(FaultKind::Unsupported).await;
    std::fs::remove_dir(&log).unwrap();
    append(&log, sale(3));
    rig.until("the third line", |status| status.values["sales"].value == 3.0).await;
}

#[tokio::test]
async fn an_agent_that_is_killed_at_any_time_counts_every_line_once() {
    let rig = Rig::new();
    let log = rig.dir.path().join("pos.log");
    append(&log, "");
    let text = yaml(&log, NUMBERED);
    let mut running = rig.start(&text);
    rig.until_state(DeviceState::Ok).await;
    let over = Arc::new(AtomicBool::new(false));
    let (stop, path) = (Arc::clone(&over), log.clone());
    let writer = tokio::task::spawn_blocking(move || {
        let mut no = 0;
        while !stop.load(Ordering::Relaxed) {
            no += 1;
            append(&path, sale(no));
            if no % 97 == 0 {
                std::fs::rename(&path, path.with_extension(format!("log.{no}"))).unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        no
    });
    for round in 0..20 {
        tokio::time::sleep(Duration::from_millis(60 + round * 13)).await;
        // Wherever it is: its task is dropped, and what it had in memory with it.
        running.abort_all();
        while running.join_next().await.is_some() {}
        running = rig.start(&text);
    }
    over.store(true, Ordering::Relaxed);
    let no: u32 = writer.await.unwrap();
    let (lines, sum) = (f64::from(no), f64::from(no * (no + 1) / 2));
    let at = |status: &crate::board::DeviceStatus, series: &str| {
        status.values.get(series).map(|reading| reading.value)
    };
    rig.until(&format!("{no} lines"), |status| {
        at(status, "sales") == Some(lines) && at(status, "no_sum") == Some(sum)
    })
    .await;
    assert!(no > 200, "{no}");
}
