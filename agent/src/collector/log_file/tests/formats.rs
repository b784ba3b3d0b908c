//! What lines become: CSV, JSON, and card numbers, which become nothing.

use super::super::RECORDS;
use super::super::tail::STATE;
use super::{Desk, append};
use crate::collector::FaultKind;
use crate::collector::pan::tests::{CARDS, spellings};

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
