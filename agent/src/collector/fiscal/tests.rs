//! The kind as a whole, against simulators of the four protocols on pseudo-terminals.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::board::DeviceState;
use crate::collector::FaultKind;
use crate::collector::rig::{Plugged, Rig, plug};

/// What the printer of a test does.
const WELL: u8 = 0;
const OUT: u8 = 1;
const SILENT: u8 = 2;
const GARBAGE: u8 = 3;
const WRONG_SUM: u8 = 4;
const HALF: u8 = 5;
const REFUSES: u8 = 6;

const CLOCK_S: i64 = 1_795_357_805;

struct Simulator {
    mode: Arc<AtomicU8>,
    /// What it was sent.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    device: Plugged,
}

impl Simulator {
    /// Answers as `answers` says, but breaks what it says as its mode wants it.
    fn plug(path: &Path, answers: impl Fn(u8, &[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let mode = Arc::new(AtomicU8::new(WELL));
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (now, list) = (Arc::clone(&mode), Arc::clone(&heard));
        let device = plug(path, move |request| {
            list.lock().unwrap().push(request.to_vec());
            let mode = now.load(Ordering::SeqCst);
            let mut answer = answers(mode, request);
            match mode {
                SILENT => answer.clear(),
                GARBAGE => answer = vec![0xfe, 0x81],
                WRONG_SUM => answer.iter_mut().last().into_iter().for_each(|last| *last ^= 0x01),
                HALF => answer.truncate(2),
                REFUSES => answer = vec![0x15],
                _ => {}
            }
            answer
        });
        Self { mode, heard, device }
    }

    async fn until_fault(&self, rig: &Rig, mode: u8, kind: FaultKind) {
        self.mode.store(mode, Ordering::SeqCst);
        rig.until_error(kind).await;
        rig.until(kind.name(), |status| status.state == Some(kind.state())).await;
        self.mode.store(WELL, Ordering::SeqCst);
        rig.until_state(DeviceState::Ok).await;
    }

    async fn until_paper(&self, rig: &Rig, mode: u8, state: f64) {
        self.mode.store(mode, Ordering::SeqCst);
        rig.until("paper", |status| {
            status.values.get("retail.printer.paper.state").is_some_and(|reading| reading.value == state)
        })
        .await;
        self.mode.store(WELL, Ordering::SeqCst);
    }

    /// Nothing but these was ever sent.
    fn heard_only(&self, allowed: impl Fn(&[u8]) -> bool) {
        for request in self.heard.lock().unwrap().iter() {
            assert!(allowed(request), "{request:02x?} must never be sent");
        }
    }
}

fn yaml(protocol: &str, path: &Path, more: &str) -> String {
    format!(
        "fiscal: {{ protocol: {protocol}, port: {}, interval: 40ms, timeout: 150ms, jitter: 1ms{more} }}",
        path.display()
    )
}

fn hka(mode: u8, request: &[u8]) -> Vec<u8> {
    if request == hka::S1 {
        let mut frame = b"S100\n1\n2\n3\n4\n5\n0412\n7\nJ1\nZ1\n143005\n221126\n\x03".to_vec();
        frame.push(frame.iter().fold(0, |sum, byte| sum ^ byte));
        frame.insert(0, 0x02);
        return frame;
    }
    let sts2 = if mode == OUT { 0x41 } else { 0x40 };
    vec![0x02, 0x60, sts2, 0x03, 0x60 ^ sts2 ^ 0x03]
}

#[tokio::test]
async fn an_hka_printer_is_read_and_its_faults_are_told_apart() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let printer = Simulator::plug(&path, hka);
    let _tasks = rig.start(&yaml("hka", &path, ""));
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    assert_eq!((values["hw.status"], values["retail.printer.paper.state"]), (1.0, 0.0));
    assert_eq!(
        (values["retail.printer.fiscal.memory.state"], values["retail.printer.document.open"]),
        (0.0, 0.0)
    );
    assert_eq!(values.len(), 5, "{values:?}");
    printer.until_paper(&rig, OUT, 2.0).await;
    printer.until_fault(&rig, SILENT, FaultKind::Timeout).await;
    printer.until_fault(&rig, GARBAGE, FaultKind::Framing).await;
    printer.until_fault(&rig, WRONG_SUM, FaultKind::Checksum).await;
    printer.until_fault(&rig, HALF, FaultKind::ShortFrame).await;
    printer.heard_only(|request| request.iter().all(|byte| *byte == 0x05));
    drop(printer.device);
    rig.until_error(FaultKind::MissingPort).await;
    let _again = Simulator::plug(&path, hka);
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn counters_are_read_if_they_are_wanted_and_a_refusal_leaves_the_status_alone() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let refuses = Arc::new(AtomicU8::new(0));
    let no = Arc::clone(&refuses);
    let printer = Simulator::plug(&path, move |mode, request| {
        if request == hka::S1 && no.load(Ordering::SeqCst) == 1 { vec![0x15] } else { hka(mode, request) }
    });
    let _tasks = rig.start(&yaml("hka", &path, ", counters: true, utc_offset: '+00:00'"));
    let status =
        rig.until("counters", |status| status.values.contains_key("retail.printer.fiscal.closings")).await;
    assert_eq!(status.values["retail.printer.fiscal.closings"].value, 412.0);
    let skew = &status.values["retail.printer.clock.skew"];
    let now_s = rig.ctx.sink.now_ms() / 1_000;
    #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
    let wanted = (CLOCK_S - now_s) as f64;
    assert!((skew.value - wanted).abs() < 30.0, "{} instead of {wanted}", skew.value);
    assert_eq!(status.values.len(), 7, "no amount of sales: {:?}", status.values.keys());
    refuses.store(1, Ordering::SeqCst);
    rig.until_error(FaultKind::Nak).await;
    assert_eq!(rig.status().state, Some(DeviceState::Ok));
    printer.heard_only(|request| request == hka::ENQ || request == hka::S1);
}

#[tokio::test]
async fn a_bematech_printer_is_read_and_its_faults_are_told_apart() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let printer = Simulator::plug(&path, |mode, _| vec![0x06, if mode == OUT { 0xc0 } else { 0x40 }, 0x00]);
    let _tasks = rig.start(&yaml("bematech", &path, ""));
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["retail.printer.paper.state"], 1.0);
    printer.until_paper(&rig, OUT, 2.0).await;
    printer.until_fault(&rig, SILENT, FaultKind::Timeout).await;
    printer.until_fault(&rig, GARBAGE, FaultKind::Framing).await;
    printer.until_fault(&rig, REFUSES, FaultKind::Nak).await;
    printer.heard_only(|request| request.chunks(7).all(|request| request == bematech::STATUS));
}

/// Answers with the number that it was asked with, after DC2 and, for Hasar, ACK.
fn argentina(maker: Maker, printer: u16, request: &[u8]) -> Vec<u8> {
    // Our ACK has no answer.
    let Some(at) = request.iter().rposition(|byte| *byte == 0x02) else { return Vec::new() };
    let mut frame =
        format!("\x02{}\x2a\x1c{printer:04X}\x1c0600\x03", char::from(request[at + 1])).into_bytes();
    let sum: u16 = frame.iter().map(|byte| u16::from(*byte)).sum();
    frame.extend(format!("{sum:04X}").bytes());
    frame.insert(0, 0x12);
    if maker == Maker::Hasar {
        frame.insert(0, 0x06);
    }
    frame
}

#[tokio::test]
async fn a_hasar_printer_is_read_gets_our_ack_and_counts_in_even_numbers() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let printer = Simulator::plug(&path, |mode, request| {
        argentina(Maker::Hasar, if mode == OUT { 0xc120 } else { 0xc080 }, request)
    });
    let _tasks = rig.start(&yaml("hasar", &path, ""));
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    assert_eq!((values["retail.printer.online"], values["retail.printer.cover.open"]), (1.0, 0.0));
    assert_eq!(
        (values["retail.printer.paper.state"], values["retail.printer.fiscal.close.needed"]),
        (0.0, 0.0)
    );
    printer.until_paper(&rig, OUT, 1.0).await;
    printer.until_fault(&rig, SILENT, FaultKind::Timeout).await;
    printer.until_fault(&rig, WRONG_SUM, FaultKind::Checksum).await;
    printer.until_fault(&rig, REFUSES, FaultKind::Nak).await;
    let heard: Vec<u8> = printer.heard.lock().unwrap().concat();
    assert!(heard.contains(&0x06), "the answer is acknowledged");
    let numbers: Vec<u8> = heard.windows(3).filter(|w| w[0] == 0x02 && w[2] == 0x2a).map(|w| w[1]).collect();
    assert!(numbers.len() > 3 && numbers.iter().all(|number| number % 2 == 0), "{numbers:02x?}");
}

#[tokio::test]
async fn an_epson_printer_that_is_still_at_work_is_waited_for() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    // Each piece that it says is "still at work", until it has said so for longer than one answer may take.
    let printer = Simulator::plug(&path, |mode, request| {
        if mode == OUT { argentina(Maker::Epson, 0x4000, request) } else { Vec::new() }
    });
    let mut tasks = rig.start(&yaml("epson", &path, ""));
    rig.until("the question", |_| !printer.heard.lock().unwrap().is_empty()).await;
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        printer.device.say(b"\x12");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(printer.heard.lock().unwrap().len(), 1, "it is not asked again");
    let answer = argentina(Maker::Epson, 0x4000, &printer.heard.lock().unwrap()[0]);
    printer.device.say(&answer);
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["retail.printer.paper.state"], 2.0);
    printer.mode.store(OUT, Ordering::SeqCst);
    rig.until_state(DeviceState::Ok).await;
    printer.heard_only(|request| !request.contains(&0x06));
    tasks.abort_all();
}

#[tokio::test]
async fn a_port_without_handshake_lines_says_so() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let printer = Simulator::plug(&path, hka);
    let _tasks = rig.start(&yaml("hka", &path, ", handshake: rts_cts"));
    rig.until_error(FaultKind::Unsupported).await;
    assert!(printer.heard.lock().unwrap().is_empty(), "nothing is sent without the handshake");
}

#[test]
fn settings_that_do_nothing_are_refused() {
    for (yaml, why) in [
        ("{ protocol: epson, port: p, counters: true }", "protocol hka only"),
        ("{ protocol: hka, port: p, utc_offset: '-04:00' }", "for counters"),
    ] {
        let error = serde_yaml::from_str::<Settings>(yaml).unwrap().check().unwrap_err();
        assert!(error.contains(why), "{yaml}: {error}");
    }
}
