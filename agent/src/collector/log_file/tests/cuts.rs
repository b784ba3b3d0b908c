//! Files that are cut while they are read.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::super::TRUNCATIONS;
use super::{Desk, NUMBERED, append, sale};

#[test]
fn a_file_that_was_cut_begins_anew_and_that_is_told() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, sale(1).repeat(20));
    desk.look();
    append(&log, sale(2));
    desk.look();
    File::create(&log).unwrap();
    append(&log, sale(3));
    desk.look();
    assert_eq!((desk.sales(), desk.values[TRUNCATIONS]), (2.0, 1.0));
    assert_eq!(desk.events, ["log.truncated"]);
    // Cut, and longer than before when it is looked at: the beginning is another.
    File::create(&log).unwrap();
    append(&log, sale(4_000).repeat(40));
    desk.look();
    assert_eq!((desk.sales(), desk.values[TRUNCATIONS]), (42.0, 2.0));
    // And while nobody looked.
    desk.crash();
    File::create(&log).unwrap();
    append(&log, sale(5));
    desk.look();
    assert_eq!((desk.sales(), desk.values[TRUNCATIONS]), (43.0, 3.0));
}

#[test]
fn a_writer_that_goes_on_behind_a_cut_leaves_a_hole_that_is_skipped() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, sale(1));
    desk.look();
    append(&log, sale(1));
    desk.look();
    let file = File::create(&log).unwrap();
    file.write_all_at(sale(2).as_bytes(), 200_000).unwrap();
    desk.look();
    assert_eq!((desk.sales(), desk.refused.len()), (2.0, 0));
}
