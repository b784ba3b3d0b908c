//! The kind on files that are written, rotated, cut and lost, with an agent that stops and crashes.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::pan::tests::{CARDS, spellings};
use super::super::rig::Rig;
use super::super::{FaultKind, Kind};
use super::tail::{STATE, Tail};
use super::*;

/// Counts numbered lines, with the sum of their numbers in a histogram.
const NUMBERED: &str = "poll: 100ms, every: 100ms, patterns: [{ match: '.*INFO sale no=(?<no>\\d+)', counters: [sales], histograms: { no: { metric: no, bounds: [10, 1000] } } }]";

fn append(path: &Path, text: impl AsRef<[u8]>) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_ref()).unwrap();
}

fn sale(no: u32) -> String {
    format!("2026-11-21 10:30:00,123 INFO sale no={no}\n")
}

fn yaml(path: &Path, more: &str) -> String {
    format!("log_file: {{ path: '{}', {more} }}", path.display())
}

fn settings(yaml: &str) -> Settings {
    let Kind::LogFile(settings) = Rig::kind(yaml) else { panic!("{yaml}") };
    settings.check().unwrap_or_else(|why| panic!("{yaml}\n{why}"));
    settings
}

/// A log without a runtime: each look is one poll, whatever the time.
struct Desk {
    dir: tempfile::TempDir,
    tail: Tail,
    settings: Settings,
    now_ms: i64,
    /// What was accepted, by series: the last value.
    values: std::collections::BTreeMap<String, f64>,
    events: Vec<String>,
    refused: Vec<FaultKind>,
}

impl Desk {
    fn new(name: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&yaml(&dir.path().join(name), more));
        let (tail, _) = Tail::load(&settings, dir.path().join("state")).unwrap();
        let (values, events, refused) = Default::default();
        Self { dir, tail, settings, now_ms: 1_000, values, events, refused }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One look; what comes of it is accepted unless `crash`.
    fn look_or(&mut self, crash: bool) -> Look {
        self.now_ms += 100;
        std::thread::sleep(Duration::from_millis(1));
        let mut look = self.tail.look(self.now_ms);
        if let Some(pending) = look.pending.take().filter(|_| !crash) {
            self.accept(pending);
        }
        self.values.extend(std::mem::take(&mut look.again));
        self.refused.append(&mut look.refused);
        look
    }

    /// Looks until nothing changes, which must be soon.
    fn look(&mut self) -> Look {
        std::thread::sleep(self.settings.every);
        self.look_or(false);
        std::thread::sleep(self.settings.every);
        self.look_or(false)
    }

    fn accept(&mut self, pending: Pending) {
        self.values.extend(pending.values);
        self.events.extend(pending.events.into_iter().map(|(kind, _)| kind));
    }

    /// The process is gone, and another begins.
    fn crash(&mut self) {
        let (tail, pending) = Tail::load(&self.settings, self.dir.path().join("state")).unwrap();
        self.tail = tail;
        if let Some(pending) = pending {
            self.accept(pending);
        }
    }

    fn sales(&self) -> f64 {
        self.values.get("sales").copied().unwrap_or_default()
    }
}

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

#[test]
fn csv_is_read_by_the_names_of_its_header_and_by_number() {
    let more = "poll: 100ms, every: 100ms, format: csv, delimiter: ';', columns: { counters: [n], metrics: { drawer: { metric: drawer, values: { closed: 0, open: 1 } }, '3': third }, histograms: { ms: { metric: ms, bounds: [250] } }, labels: { tender: [cash, card] } }";
    let mut desk = Desk::new("j.csv", more);
    let log = desk.path("j.csv");
    append(&log, "no; tender ;third;ms;drawer\r\n1;cash;1;100;open\r\n");
    desk.look();
    append(&log, "2;cash;7;200;closed\r\n\"3\";\"card\";8;\"300\";\"open\"\r\n");
    append(&log, "4;voucher;9;1;open\n5;cash\n6;cash;x;1;open\n7;cash;1;1;ajar\n8;\"cash;1;1;open\n");
    append(&log, "9;cash;4111111111111111;50;open\n");
    append(&log, "10;cash;;;\n");
    desk.look();
    let value = |series: &str| desk.values.get(series).copied();
    assert_eq!((value("n{tender=\"cash\"}"), value("n{tender=\"card\"}")), (Some(2.0), Some(1.0)));
    assert_eq!((value("third"), value("drawer")), (Some(8.0), Some(1.0)));
    assert_eq!(
        (value("ms_sum{tender=\"cash\"}"), value("ms_count{tender=\"card\"}")),
        (Some(200.0), Some(1.0))
    );
    assert_eq!((value(RECORDS), desk.refused.as_slice()), (Some(3.0), [FaultKind::Parse; 6].as_slice()));
    // The header is that of each file.
    std::fs::rename(&log, desk.path("j.csv.1")).unwrap();
    append(&log, "tender;ms;third;drawer;no\ncash;1;1;open;1\n");
    desk.look();
    desk.crash();
    append(&log, "cash;1;2;open;1\n");
    desk.look();
    assert_eq!((desk.values["n{tender=\"cash\"}"], desk.values["third"]), (4.0, 2.0));
}

#[test]
fn json_is_read_by_pointers() {
    let more = "poll: 100ms, every: 100ms, format: json, start: beginning, fields: { counters: [n], metrics: { /pos/q: queue, /up: up, /paper: { metric: paper, values: { OK: 0, OUT: 2 } } }, labels: { /pos/type: { label: type, values: [sale] } } }";
    let mut desk = Desk::new("e.jsonl", more);
    let log = desk.path("e.jsonl");
    append(
        &log,
        "{\"ts\":1763700000123,\"pos\":{\"type\":\"sale\",\"q\":7.5},\"up\":true,\"paper\":\"OUT\",\"pan\":4111111111111111}\n",
    );
    append(&log, "{\"pos\":{\"type\":\"sale\",\"q\":null}}\n");
    append(
        &log,
        "{\"pos\":{\"type\":\"void\"}}\n[1]\n{\"pos\":\nnot json\n{\"pos\":{\"type\":\"sale\",\"q\":{}}}\n",
    );
    // However a card number is written, it becomes no value.
    append(&log, "{\"pos\":{\"type\":\"sale\",\"q\":4.111111111111111e15}}\n");
    append(&log, "{\"pos\":{\"type\":\"sale\",\"q\":\"\\u0034111111111111111\"}}\n");
    desk.look();
    let value = |series: &str| desk.values.get(series).copied();
    assert_eq!((value("n{type=\"sale\"}"), value("queue")), (Some(2.0), Some(7.5)));
    assert_eq!((value("up"), value("paper")), (Some(1.0), Some(2.0)));
    assert_eq!(desk.refused, [FaultKind::Parse; 7]);
}

#[test]
fn card_numbers_are_gone_before_anything_is_matched_or_kept() {
    let more = "poll: 100ms, every: 100ms, patterns: [{ match: 'card (?<no>.*)', metrics: { no: card }, counters: [cards] }, { match: 'card \\*', counters: [clean] }]";
    let mut desk = Desk::new("pos.log", more);
    let log = desk.path("pos.log");
    append(&log, "");
    desk.look();
    let mut lines = 0.0;
    for text in CARDS.iter().flat_map(|card| spellings(card)) {
        append(&log, format!("card {text}\n"));
        lines += 1.0;
    }
    desk.look();
    assert_eq!(desk.values["clean"], lines);
    assert_eq!((desk.values["cards"], desk.values.get("card")), (0.0, None));
    let state = std::fs::read_to_string(desk.dir.path().join("state").join(STATE)).unwrap();
    for card in CARDS {
        assert!(!state.contains(card), "{state}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (more, why) in [
        ("format: csv", "needs columns"),
        ("patterns: []", "needs patterns"),
        ("poll: 10ms, patterns: [{ match: a, counters: [c] }]", "at least 100ms"),
        ("format: json, fields: { counters: [c], metrics: { a: b } }", "is not a JSON pointer"),
        ("format: csv, delimiter: '\"', columns: { counters: [c] }", "delimiter"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], metrics: { a: c } }]", "would be one series"),
        (
            "patterns: [{ match: '(?<a>.)(?<b>.)', counters: [c], labels: { a: [A, B, C, D, E, F, G, H, I, J, K, L, M, O, P], b: [A, B, C, D, E, F, G, H, I, J, K, L, M, O, P] } }]",
            "more than 200 series",
        ),
    ] {
        let Kind::LogFile(settings) = Rig::kind(&yaml(Path::new("/x"), more)) else { panic!() };
        let error = settings.check().unwrap_err();
        assert!(error.contains(why), "{more}\n{error}");
    }
    for (more, why) in [
        ("patterns: [{ match: a }]", "does nothing"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { b: [x] } }]", "no group"),
        (
            "patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: ['4111111111111111'] } }]",
            "needs values",
        ),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: [1, 2] } }]", "in quotes"),
        ("patterns: [{ match: '(?<a>.)', counters: [c], labels: { a: ['x y'] } }]", "needs values"),
        ("patterns: [{ match: '(', counters: [c] }]", "regular expression"),
    ] {
        let text = yaml(Path::new("/x"), more);
        let error = serde_yaml::from_str::<Kind>(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{more}\n{error}");
    }
    let glob = settings_error("/var/*/pos.log");
    assert!(glob.contains("in its last part only"), "{glob}");
}

fn settings_error(path: &str) -> String {
    let Kind::LogFile(settings) =
        Rig::kind(&yaml(Path::new(path), "patterns: [{ match: a, counters: [c] }]"))
    else {
        panic!()
    };
    settings.check().unwrap_err()
}

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
