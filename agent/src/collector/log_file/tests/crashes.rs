//! What is kept over crashes, and what becomes of it when it cannot be kept or read.

use std::time::Duration;

use super::super::Look;
use super::super::tail::{STATE, Tail};
use super::{Desk, NUMBERED, append, sale};
use crate::collector::FaultKind;

#[test]
fn whenever_the_agent_crashes_every_line_counts_once() {
    let mut desk = Desk::new("pos.log", &NUMBERED.replace("every: 100ms", "every: 300ms"));
    let log = desk.path("pos.log");
    append(&log, "");
    desk.look();
    let mut no = 0;
    for round in 0..60 {
        for _ in 0..round % 4 {
            no += 1;
            append(&log, sale(no));
        }
        if round % 11 == 10 {
            std::fs::rename(&log, desk.path(&format!("pos.log.{round}"))).unwrap();
            append(&log, "");
        }
        if round % 3 == 0 {
            std::thread::sleep(Duration::from_millis(300));
        }
        // The state may be written, and the tick not be accepted.
        let crash = round % 5 == 0;
        desk.look_or(crash);
        if crash || round % 7 == 0 {
            desk.crash();
        }
    }
    desk.look();
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"]), (f64::from(no), f64::from(no * (no + 1) / 2)));
}

#[test]
fn what_was_rotated_away_before_a_restart_is_read_before_there_is_a_new_file() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let (log, rotated) = (desk.path("pos.log"), desk.path("pos.log.1"));
    append(&log, "");
    desk.look();
    append(&log, sale(1));
    desk.crash();
    std::fs::rename(&log, &rotated).unwrap();
    desk.look();
    assert_eq!(desk.sales(), 1.0, "nothing has been written since");
    append(&rotated, sale(2));
    append(&log, sale(3));
    desk.look();
    desk.look();
    assert_eq!((desk.sales(), desk.events.len()), (3.0, 0), "{:?}", desk.events);
}

#[test]
fn a_tick_that_was_not_accepted_keeps_its_time() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, "");
    desk.look();
    append(&log, sale(1));
    std::thread::sleep(Duration::from_millis(110));
    desk.look_or(true);
    let at = desk.now_ms;
    let (_, pending) = Tail::load(&desk.settings, desk.dir.path().join("state")).unwrap();
    assert_eq!(pending.as_ref().unwrap().time_ms, at);
    assert!(pending.unwrap().values.contains(&("sales".to_owned(), 1.0)));
    let Look { .. } = desk.tail.finish(at + 1);
    desk.tail.close();
    let (_, pending) = Tail::load(&desk.settings, desk.dir.path().join("state")).unwrap();
    assert_eq!(pending, None, "after an orderly end nothing is accepted again");
}

#[test]
fn what_cannot_be_kept_is_not_read_on() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, "");
    desk.look();
    append(&log, sale(1));
    // A folder in the place of the file that is written.
    let fresh = desk.dir.path().join("state").join(format!("{STATE}.new"));
    std::fs::create_dir(&fresh).unwrap();
    std::thread::sleep(Duration::from_millis(110));
    for _ in 0..3 {
        let look = desk.look_or(false);
        assert_eq!((look.trouble.unwrap().kind, look.pending), (FaultKind::Denied, None));
    }
    assert_eq!(desk.sales(), 0.0);
    std::fs::remove_dir(&fresh).unwrap();
    desk.look();
    assert_eq!(desk.sales(), 1.0);
}

#[test]
fn a_state_that_is_none_is_set_aside_and_told() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    append(&desk.path("pos.log"), sale(1));
    desk.look();
    let state = desk.dir.path().join("state").join(STATE);
    std::fs::write(&state, "{").unwrap();
    desk.crash();
    desk.look();
    assert_eq!((desk.events.as_slice(), desk.sales()), (["log.state_lost".to_owned()].as_slice(), 0.0));
    assert!(state.with_file_name(format!("{STATE}.bad")).exists());
}
