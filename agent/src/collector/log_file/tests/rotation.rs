//! Files that come, are renamed, copied and deleted, by whatever names.

use std::path::Path;
use std::time::Duration;

use super::{Desk, NUMBERED, append, sale};
use crate::collector::FaultKind;

#[test]
fn a_file_that_comes_later_into_a_folder_that_was_there_is_read_from_its_beginning() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    assert!(desk.look_or(false).trouble.is_none(), "the first time it may be a rotation");
    assert_eq!(desk.look_or(false).trouble.unwrap().kind, FaultKind::MissingPort);
    assert!(desk.values.is_empty(), "no answer is not zero");
    desk.crash();
    append(&desk.path("pos.log"), sale(1));
    desk.look();
    assert_eq!(desk.sales(), 1.0);
}

#[test]
fn rotation_by_rename_loses_no_line_whenever_it_happens() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, "");
    desk.look();
    let mut no = 0;
    let write = |path: &Path, no: &mut u32| {
        *no += 1;
        append(path, sale(*no));
    };
    for round in 0..6 {
        write(&log, &mut no);
        if round % 2 == 0 {
            desk.look();
        }
        write(&log, &mut no);
        std::fs::rename(&log, desk.path(&format!("pos.log.{round}"))).unwrap();
        if round % 3 == 0 {
            desk.look();
        }
        // The writer goes on in the old file for a while.
        write(&desk.path(&format!("pos.log.{round}")), &mut no);
        write(&log, &mut no);
        if round % 2 == 1 {
            desk.look();
            write(&desk.path(&format!("pos.log.{round}")), &mut no);
        }
        if round == 3 {
            desk.crash();
        }
    }
    desk.look();
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"]), (f64::from(no), f64::from(no * (no + 1) / 2)));
    assert!(desk.events.is_empty(), "{:?}", desk.events);
}

#[test]
fn files_that_were_made_and_rotated_away_between_two_polls_are_read() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&desk.path("pos.log.3"), sale(1_000));
    append(&log, sale(1_000));
    desk.look();
    let mut no = 0;
    for _ in 0..4 {
        for at in (1..9).rev() {
            let _ = std::fs::rename(
                desk.path(&format!("pos.log.{at}")),
                desk.path(&format!("pos.log.{}", at + 1)),
            );
        }
        no += 1;
        append(&log, sale(no));
        std::fs::rename(&log, desk.path("pos.log.1")).unwrap();
    }
    no += 1;
    append(&log, sale(no));
    append(&desk.path("pos.log.1.gz"), sale(1_000));
    append(&desk.path("pos.log.err"), sale(1_000));
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"]), (5.0, 15.0));
}

#[test]
fn deletion_and_creation_begin_a_new_file_and_the_old_is_finished() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, sale(1));
    desk.look();
    append(&log, sale(2));
    std::fs::remove_file(&log).unwrap();
    desk.look();
    assert_eq!(desk.sales(), 1.0, "it is still open");
    append(&log, sale(3));
    desk.look();
    assert_eq!(desk.sales(), 2.0);
    // While nobody looks: what stood behind the last look is gone.
    std::fs::remove_file(&log).unwrap();
    append(&desk.path("other"), "keeps the inode from being used again");
    append(&log, sale(4));
    desk.crash();
    desk.look();
    assert_eq!(desk.sales(), 3.0);
    assert!(
        desk.events.iter().all(|kind| kind == "log.gone" || kind == "log.truncated"),
        "{:?}",
        desk.events
    );
    assert_eq!(desk.events.len(), 1);
}

#[test]
fn the_newest_of_many_names_is_read_and_the_one_before_to_its_end() {
    let mut desk = Desk::new("pos-*.log", NUMBERED);
    append(&desk.path("pos-20.log"), sale(1));
    append(&desk.path("pos-21.log"), sale(1));
    desk.look();
    append(&desk.path("pos-21.log"), sale(2));
    desk.look();
    append(&desk.path("pos-21.log"), sale(3));
    std::thread::sleep(Duration::from_millis(10));
    append(&desk.path("pos-22.log"), sale(4));
    append(&desk.path("pos-22.log.gz"), sale(9));
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"]), (3.0, 9.0));
    std::thread::sleep(Duration::from_millis(10));
    append(&desk.path("pos-21.log"), sale(5));
    desk.look();
    assert_eq!((desk.sales(), desk.values["no_sum"]), (4.0, 14.0), "back, and not from its beginning");
}

#[test]
fn a_copy_in_the_place_of_a_file_is_that_file() {
    let mut desk = Desk::new("pos.log", NUMBERED);
    let log = desk.path("pos.log");
    append(&log, sale(1).repeat(3));
    desk.look();
    // The inodes of a share can be others after it was mounted again.
    std::fs::copy(&log, desk.path("copy")).unwrap();
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(desk.path("copy"), &log).unwrap();
    desk.crash();
    append(&log, sale(2));
    desk.look();
    assert_eq!((desk.sales(), desk.events.len()), (1.0, 0));
}
