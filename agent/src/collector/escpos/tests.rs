//! The kind as a whole, against a printer on a pseudo-terminal and one on TCP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::{Rig, plug};

/// What the printer of a test does.
const WELL: u8 = 0;
const OUT: u8 = 1;
const SILENT: u8 = 2;
const GARBAGE: u8 = 3;
const ENDLESS: u8 = 4;
const CLOSES: u8 = 5;
const WITHOUT_END: u8 = 6;

fn answer(mode: u8, request: &[u8]) -> Vec<u8> {
    let &[0x10, 0x04, n @ 1..=4] = request else { panic!("{request:02x?} must never be sent") };
    let n = usize::from(n) - 1;
    match mode {
        WELL => vec![0x11, [0x16, 0x12, 0x12, 0x12][n]],
        OUT => vec![[0x1e, 0x36, 0x12, 0x7e][n]],
        GARBAGE => vec![0xff, 0x00, 0x81],
        ENDLESS => vec![0x11; 4_096],
        WITHOUT_END => vec![0x10, 0x00],
        _ => Vec::new(),
    }
}

fn yaml(target: &str) -> String {
    format!(
        "escpos: {{ {target}, interval: 40ms, timeout: 150ms, jitter: 1ms, drawer: {{ open_when: low }} }}"
    )
}

/// The fault is that of this mode, and well again afterwards.
async fn until_fault(rig: &Rig, mode: &AtomicU8, wrong: u8, kind: FaultKind) {
    mode.store(wrong, Ordering::SeqCst);
    let status = rig.until_error(kind).await;
    assert_ne!(status.state, None);
    rig.until(kind.name(), |status| status.state == Some(kind.state())).await;
    mode.store(WELL, Ordering::SeqCst);
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn a_printer_on_a_serial_port_is_read_and_its_faults_are_told_apart() {
    let rig = Rig::new();
    let path = rig.dir.path().join("printer");
    let mode: &'static AtomicU8 = Box::leak(Box::new(AtomicU8::new(WELL)));
    let device = plug(&path, |request| {
        // Questions that stood in the terminal while nobody read come together.
        request.chunks(3).flat_map(|request| answer(mode.load(Ordering::SeqCst), request)).collect()
    });
    let _tasks = rig.start(&yaml(&format!("port: {}", path.display())));
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    for (series, value) in [
        ("hw.status", 1.0),
        ("retail.drawer.open", 0.0),
        ("retail.drawer.opens", 0.0),
        ("retail.printer.cover.open", 0.0),
        ("retail.printer.cutter.error", 0.0),
        ("retail.printer.error", 0.0),
        ("retail.printer.online", 1.0),
        ("retail.printer.paper.state", 0.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series}");
    }
    assert_eq!(values.len(), 8);
    mode.store(OUT, Ordering::SeqCst);
    rig.until("paper out", |s| s.values.get("retail.printer.paper.state").is_some_and(|v| v.value == 2.0))
        .await;
    let values = rig.values();
    assert_eq!((values["hw.status"], values["retail.printer.cover.open"]), (0.0, 1.0));
    until_fault(&rig, mode, SILENT, FaultKind::Timeout).await;
    until_fault(&rig, mode, GARBAGE, FaultKind::Framing).await;
    until_fault(&rig, mode, WITHOUT_END, FaultKind::ShortFrame).await;
    drop(device);
    rig.until_error(FaultKind::MissingPort).await;
    let _again = plug(&path, |request| request.chunks(3).flat_map(|request| answer(WELL, request)).collect());
    rig.until_state(DeviceState::Ok).await;
}

/// A printer on TCP that takes one connection at a time, until it is told to be gone.
fn listen(mode: &'static AtomicU8, held: &'static AtomicUsize) -> (SocketAddr, JoinHandle<()>) {
    const GONE: u8 = 255;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if mode.load(Ordering::SeqCst) == GONE {
                return;
            }
            let mut questions = 0;
            let mut request = [0; 3];
            while mode.load(Ordering::SeqCst) != CLOSES && stream.read_exact(&mut request).is_ok() {
                questions += 1;
                let _ = stream.write_all(&answer(mode.load(Ordering::SeqCst), &request));
            }
            held.fetch_max(questions, Ordering::SeqCst);
        }
    });
    (address, thread)
}

#[tokio::test]
async fn a_printer_on_tcp_is_asked_four_questions_a_connection_and_a_refusal_says_so() {
    let mode: &'static AtomicU8 = Box::leak(Box::new(AtomicU8::new(WELL)));
    let held: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let (address, thread) = listen(mode, held);
    let rig = Rig::new();
    let _tasks = rig.start(&yaml(&format!("tcp: '{address}'")));
    rig.until_state(DeviceState::Ok).await;
    rig.until("a second connection", |_| held.load(Ordering::SeqCst) == 4).await;
    let busy = |status: &crate::board::DeviceStatus| format!("{status:?}").contains("busy or wedged");
    mode.store(CLOSES, Ordering::SeqCst);
    assert!(busy(&rig.until_error(FaultKind::Refused).await));
    until_fault(&rig, mode, SILENT, FaultKind::Timeout).await;
    until_fault(&rig, mode, GARBAGE, FaultKind::Framing).await;
    until_fault(&rig, mode, ENDLESS, FaultKind::TooLarge).await;
    mode.store(255, Ordering::SeqCst);
    let status = rig.until("a refusal", |status| format!("{status:?}").contains("the host answers")).await;
    assert!(busy(&status));
    assert_eq!(held.load(Ordering::SeqCst), 4, "never more than four questions a connection");
    thread.join().unwrap();
}

#[test]
fn a_host_that_cannot_be_reached_is_not_called_busy() {
    for (kind, text, busy) in [
        (FaultKind::Refused, "10.0.0.1:9100: Connection refused (os error 111)", true),
        (FaultKind::Refused, "10.0.0.1:9100: No route to host (os error 113)", false),
        (FaultKind::Dns, "printer has no address", false),
    ] {
        assert_eq!(not_taken(Fault::new(kind, text)).text.contains("busy or wedged"), busy, "{text}");
    }
}

#[test]
fn a_drawer_counts_when_it_is_opened_and_its_level_is_configured() {
    let mut drawer = Drawer::default();
    let opens = [true, false, true, true, false, true].map(|open| drawer.take(open));
    assert_eq!(opens, [0, 0, 1, 1, 1, 2]);
    let read = |yaml: &str, byte| {
        let settings: Settings = serde_yaml::from_str(yaml).unwrap();
        let way = Way::Tcp(String::new());
        let (tape, watch, drawer) = (&Tape::default(), Watch::default(), Drawer::default());
        let mut printer = Printer { settings: &settings, way, tape, watch, drawer };
        let reading = printer.reading(Status::of([byte, 0x12, 0x12, 0x12]));
        // People see the pin, whatever is configured.
        assert_eq!(reading.seen, [("drawer_pin", f64::from(u8::from(byte == 0x16)))]);
        reading.values.into_iter().find(|(series, _)| series == "retail.drawer.open").map(|(_, open)| open)
    };
    let (high, low) = (0x16, 0x12);
    assert_eq!(read("{ tcp: 'p:9100' }", high), None, "nobody said which level is open");
    assert_eq!(read("{ tcp: 'p:9100', drawer: { open_when: high } }", high), Some(1.0));
    assert_eq!(read("{ tcp: 'p:9100', drawer: { open_when: high } }", low), Some(0.0));
    assert_eq!(read("{ tcp: 'p:9100', drawer: { open_when: low } }", low), Some(1.0));
}

#[test]
fn it_is_reached_in_one_way() {
    for (yaml, why) in [
        ("{}", "either port or tcp"),
        ("{ port: /dev/ttyUSB0, tcp: 'p:9100' }", "either port or tcp"),
        ("{ tcp: printer }", "not host:port"),
        ("{ tcp: ':9100' }", "not host:port"),
        ("{ tcp: 'printer:lpt' }", "not host:port"),
    ] {
        let error = serde_yaml::from_str::<Settings>(yaml).unwrap().check().unwrap_err();
        assert!(error.contains(why), "{yaml}: {error}");
    }
    for yaml in ["{ port: /dev/ttyUSB0 }", "{ tcp: 'p:9100' }", "{ tcp: '[::1]:9100' }"] {
        serde_yaml::from_str::<Settings>(yaml).unwrap().check().unwrap();
    }
}
