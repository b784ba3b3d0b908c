//! What is counted of a file that grows: whole lines, each once, in small pieces.

use std::time::Duration;

use super::super::RECORDS;
use super::{Desk, NUMBERED, append, sale};
use crate::collector::FaultKind;

#[test]
fn lines_are_counted_once_they_are_whole() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, sale(1));
    desk.look();
    assert_eq!(
        (desk.sales(), desk.values["no_count"]),
        (0.0, 0.0),
        "what was there is old, and counters begin at 0"
    );
    append(&log, sale(2));
    append(&log, &sale(3)[..20]);
    desk.look();
    assert_eq!(desk.sales(), 1.0);
    append(&log, &sale(3)[20..]);
    append(&log, "\tat pos.Tender.run(Tender.java:17)\nCaused by: INFO nothing\n\n");
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"], desk.values[RECORDS]), (2.0, 5.0, 2.0));
    assert_eq!((desk.values["no_bucket{le=\"10\"}"], desk.refused.len()), (2.0, 0));
}

#[test]
fn a_log_can_be_read_from_its_beginning() {
    let mut desk = Desk::new("pos.log", &format!("start: beginning, {NUMBERED}"));
    append(&desk.path("pos.log"), format!("\u{feff}{}{}", sale(1), sale(2)));
    append(&desk.path("pos.log.1"), sale(7));
    desk.look();
    assert_eq!(desk.sales(), 2.0);
}

#[test]
fn a_line_that_was_begun_before_the_first_look_is_not_read_in_part() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, "half of a line, ");
    desk.look();
    append(&log, sale(1));
    append(&log, sale(2));
    desk.look();
    assert_eq!(desk.sales(), 1.0);
}

#[test]
fn a_backlog_is_read_a_mebibyte_a_poll_and_long_lines_are_skipped() {
    let mut desk = Desk::new("pos.log", &format!("start: beginning, {NUMBERED}"));
    let log = desk.path("pos.log");
    let filler = format!("{}\n", "x".repeat(10_000));
    for _ in 0..300 {
        append(&log, &filler);
    }
    append(&log, "y".repeat(100_000));
    append(&log, format!("\n\u{fffd}\n{}", sale(1)));
    append(&log, b"\xff\xfe bytes that are no text\n");
    append(&log, format!("{}{}", "z".repeat(16_384), "\r\n"));
    append(&log, sale(2));
    let mut looks = 0;
    while desk.sales() < 2.0 {
        looks += 1;
        assert!(looks < 20);
        std::thread::sleep(Duration::from_millis(110));
        desk.look_or(false);
    }
    assert!(looks >= 4, "{looks}");
    assert_eq!(desk.refused, [FaultKind::TooLarge]);
}
