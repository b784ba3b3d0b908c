//! The whole kind: units on a pseudo-terminal, and over TCP.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::{Rig, plug};

/// What a unit does with a request: its number and the request without checksum go in, an answer without one comes out.
type Unit = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

fn with_crc(body: &[u8]) -> Vec<u8> {
    // The checksum of a request is the only one that the code under test makes.
    let crc = body.iter().fold(0xffff_u16, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 })
    });
    [body, &crc.to_le_bytes()].concat()
}

/// A line with units that speak when they are asked; whatever the unit gives back is sent with a checksum.
fn line(mut unit: Unit) -> impl FnMut(&[u8]) -> Vec<u8> + Send + 'static {
    let mut heard = Vec::new();
    move |bytes| {
        heard.extend_from_slice(bytes);
        if heard.len() < 8 {
            return Vec::new();
        }
        let request = std::mem::take(&mut heard);
        match unit(&request[..6]) {
            answer if answer.is_empty() => answer,
            answer => with_crc(&answer),
        }
    }
}

fn port(rig: &Rig) -> std::path::PathBuf {
    rig.dir.path().join("ttyRS485")
}

fn rtu(path: &Path, more: &str) -> String {
    format!("modbus: {{ port: {}, interval: 50ms, timeout: 200ms, jitter: 1ms, {more} }}", path.display())
}

const TEMPERATURE: &str = "registers: [{ metric: hw.temperature, table: input, address: 0, scale: 0.1 }]";

#[tokio::test]
async fn a_probe_on_a_line_is_read_with_one_request() {
    let rig = Rig::new();
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&asked);
    let _probe = plug(
        &port(&rig),
        line(Box::new(move |request| {
            seen.lock().unwrap().insert(request.to_owned());
            vec![1, 4, 4, 0xff, 0x33, 0x02, 0x22]
        })),
    );
    let _running = rig.start(&rtu(&port(&rig), "preset: xy-md02"));
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["hw.temperature"], -20.5);
    assert_eq!(rig.values()["hw.humidity"], 0.546);
    assert_eq!(*asked.lock().unwrap(), BTreeSet::from([vec![1, 4, 0, 1, 0, 2]]));
}

#[tokio::test]
async fn an_error_keeps_the_bytes_that_belong_to_it_when_a_good_answer_follows() {
    let rig = Rig::new();
    let _probe = plug(
        &port(&rig),
        line(Box::new(|request| match request[3] {
            0 => vec![1, 0x84, 2],
            _ => vec![1, 4, 2, 0xff, 0x33],
        })),
    );
    let registers = "registers: [{ metric: hw.temperature, table: input, address: 0 }, \
                     { metric: hw.humidity, table: input, address: 90 }]";
    let _running = rig.start(&rtu(&port(&rig), registers));
    rig.until_state(DeviceState::Ok).await;
    let status = rig.until("an attempt", |status| status.attempts > 1 && status.last_error.is_some()).await;
    let refusals = status.errors["exception"];
    assert!(status.attempts.abs_diff(refusals) <= 1, "a reading is one attempt: {status:?}");
    let refused = status.last_error.unwrap().bytes.unwrap();
    assert!(
        refused.asked.starts_with("01 04 00 00") && refused.answered.starts_with("01 84 02"),
        "{refused:?}"
    );
    let last = status.exchange.unwrap();
    assert!(last.asked.starts_with("01 04 00 5a") && last.answered.starts_with("01 04 02 ff 33"), "{last:?}");
}

#[tokio::test]
async fn what_a_line_does_wrong_is_told_apart_and_passes() {
    let rig = Rig::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&turn);
    let mut good = line(Box::new(|_| vec![1, 4, 2, 0xff, 0x47]));
    let _probe = plug(&port(&rig), move |bytes: &[u8]| match now.load(Ordering::SeqCst) {
        0 => good(bytes),
        1 => Vec::new(),
        2 => b"\x01\x04\x02\xff\x47\xb8\xf3".to_vec(),
        3 => b"\x01\x04\x02\xff".to_vec(),
        4 => vec![0; 200],
        5 => with_crc(&[2, 4, 2, 0, 1]),
        6 => with_crc(&[1, 3, 2, 0, 1]),
        7 => with_crc(&[1, 0x84, 2]),
        8 => with_crc(&[1, 4, 2, 0x80, 0]),
        _ => good(bytes),
    });
    let _running = rig.start(&rtu(&port(&rig), TEMPERATURE));
    rig.until_state(DeviceState::Ok).await;
    for (at, kind) in [
        (1, FaultKind::Timeout),
        (2, FaultKind::Checksum),
        (3, FaultKind::ShortFrame),
        (4, FaultKind::Framing),
        (5, FaultKind::WrongDevice),
        (6, FaultKind::Parse),
        (7, FaultKind::Exception),
    ] {
        turn.store(at, Ordering::SeqCst);
        let status = rig.until_error(kind).await;
        assert_eq!(status.state, Some(kind.state()), "{kind:?}");
        turn.store(0, Ordering::SeqCst);
        rig.until_state(DeviceState::Ok).await;
    }
    assert!(rig.status().last_error.unwrap().text.contains("illegal data address"));
    turn.store(8, Ordering::SeqCst);
    rig.until_state(DeviceState::Fault).await;
    assert!(rig.status().last_error.unwrap().text.contains("invalid number for hw.temperature"));
    turn.store(9, Ordering::SeqCst);
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["hw.temperature"], -18.5);
}

#[tokio::test]
async fn a_silent_unit_does_not_starve_the_others_on_its_line() {
    let rigs = Rig::new();
    let others = Rig::with(rigs.ctx.ports.clone());
    let _units = plug(
        &port(&rigs),
        line(Box::new(|request| if request[0] == 7 { vec![7, 4, 2, 0, 215] } else { Vec::new() })),
    );
    let silent = format!("{TEMPERATURE}, unit: 9");
    let _silent = rigs.start(&rtu(&port(&rigs), &silent));
    rigs.until_state(DeviceState::Unreachable).await;
    let _spoken = others.start(&rtu(&port(&rigs), &format!("{TEMPERATURE}, unit: 7")));
    let status = others.until("twenty readings", |status| status.samples >= 20).await;
    assert_eq!(status.values["hw.temperature"].value, 21.5);
    assert!(status.errors.is_empty(), "{:?}", status.errors);
    assert_eq!(rigs.status().state, Some(DeviceState::Unreachable));
}

#[tokio::test]
async fn what_is_left_of_a_bad_answer_is_not_the_next_units() {
    let babbling = Rig::new();
    let other = Rig::with(babbling.ctx.ports.clone());
    // Unit 3 goes on talking long after what it said was known to be wrong: piece by piece, as on a line.
    let (began, begins) = std::sync::mpsc::channel();
    let units = plug(
        &port(&babbling),
        line(Box::new(move |request| {
            if request[0] == 7 {
                return vec![7, 4, 2, 0, 215];
            }
            began.send(()).unwrap();
            vec![3, 0x55]
        })),
    );
    let babble = std::thread::spawn(move || {
        while begins.recv().is_ok() {
            (0..30).for_each(|_| units.say(&[0x55; 4]));
        }
    });
    let _babbling = babbling.start(&rtu(&port(&babbling), &format!("{TEMPERATURE}, unit: 3")));
    babbling.until_error(FaultKind::Framing).await;
    let _other = other.start(&rtu(&port(&babbling), &format!("{TEMPERATURE}, unit: 7")));
    let status = other.until("twenty readings", |status| status.samples >= 20).await;
    // A thread of a busy machine may pause for as long as a line does when all has been said.
    assert!(status.errors.values().sum::<u64>() <= 1, "{:?}", status.errors);
    drop((_babbling, _other, babble));
}

#[tokio::test]
async fn what_a_device_refuses_does_not_cost_the_rest() {
    let rig = Rig::new();
    let _device = plug(
        &port(&rig),
        line(Box::new(|request| match request[1..6] {
            [4, 0, 0, 0, 3] => vec![1, 4, 6, 0, 215, 0x80, 0, 0, 1],
            [function, ..] => vec![1, function | 0x80, 2],
            [] => Vec::new(),
        })),
    );
    let registers = "registers: [
        { metric: t1, table: input, address: 0, scale: 0.1 }, { metric: t2, table: input, address: 1, scale: 0.1 },
        { metric: s, table: input, address: 2, states: { 0: 0 } }, { metric: door, table: discrete, address: 9 }]";
    let _running = rig.start(&rtu(&port(&rig), registers));
    let status = rig.until("two readings", |status| status.samples >= 2).await;
    assert_eq!(status.state, Some(DeviceState::Ok));
    assert_eq!(rig.values().into_iter().collect::<Vec<_>>(), [("t1".to_owned(), 21.5)]);
    assert!(status.errors["exception"] >= 1 && status.errors["parse"] >= 1, "{:?}", status.errors);
}

#[tokio::test]
async fn an_unplugged_line_is_missing_and_comes_back() {
    let rig = Rig::new();
    let answer = || line(Box::new(|_| vec![1, 4, 2, 0, 215]));
    let probe = plug(&port(&rig), answer());
    let _running = rig.start(&rtu(&port(&rig), TEMPERATURE));
    rig.until_state(DeviceState::Ok).await;
    drop(probe);
    rig.until_error(FaultKind::MissingPort).await;
    let _probe = plug(&port(&rig), answer());
    rig.until_state(DeviceState::Ok).await;
}

/// A server that answers with what the closure makes of the request; it says how many connections it had.
async fn server(
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, answer) = (Arc::clone(&connections), Arc::new(answer));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            open.spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(12) = stream.read(&mut buffer).await {
                    let bytes = answer(&buffer[..12]);
                    // Nothing to say means that it hangs up.
                    if bytes.is_empty() || stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (target, connections, tasks)
}

fn tcp(target: &str, more: &str) -> String {
    format!("modbus: {{ tcp: '{target}', interval: 50ms, timeout: 200ms, jitter: 1ms, {more} }}")
}

fn reply(request: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&request[..2], &[0, 0], &length, body].concat()
}

#[tokio::test]
async fn over_tcp_one_connection_serves_all_readings() {
    let rig = Rig::new();
    let (target, connections, _server) = server(|request| reply(request, &[1, 4, 2, 0xff, 0x47])).await;
    let _running = rig.start(&tcp(&target, TEMPERATURE));
    let status = rig.until("five readings", |status| status.samples >= 5).await;
    assert_eq!(status.values["hw.temperature"].value, -18.5);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_between_readings_costs_none() {
    let rig = Rig::new();
    // Every connection answers once; the next question finds it closed.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 12];
            if stream.read_exact(&mut request).await.is_ok() {
                let _ = stream.write_all(&reply(&request, &[1, 4, 2, 0xff, 0x47])).await;
            }
        }
    });
    let _running = rig.start(&tcp(&target, TEMPERATURE));
    let status = rig.until("five readings", |status| status.samples >= 5).await;
    assert!(status.errors.is_empty(), "{:?}", status.errors);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_taken_for_the_next() {
    let rig = Rig::new();
    let count = AtomicU16::new(0);
    // First comes an answer to a question that nobody asked, with a value that must not appear, then the true one.
    let (target, _, _server) = server(move |request| {
        let old = u16::from_be_bytes([request[0], request[1]]).wrapping_sub(1).to_be_bytes();
        let fresh = count.fetch_add(1, Ordering::SeqCst).min(9);
        let stale = [&old[..], &[0, 0, 0, 5, 1, 4, 2, 0x03, 0xe7]].concat();
        [stale, reply(request, &[1, 4, 2, 0, u8::try_from(fresh).unwrap()])].concat()
    })
    .await;
    let _running = rig.start(&tcp(&target, TEMPERATURE));
    let status = rig.until("twelve readings", |status| status.samples >= 12).await;
    assert_eq!(status.values["hw.temperature"].value, 0.9);
    assert!(status.errors.is_empty(), "{:?}", status.errors);
}

#[tokio::test]
async fn what_a_server_does_wrong_is_told_apart_and_passes() {
    let rig = Rig::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&turn);
    let (target, _, _server) = server(move |request| match now.load(Ordering::SeqCst) {
        0 => reply(request, &[1, 4, 2, 0xff, 0x47]),
        1 => Vec::new(),
        2 => reply(request, &[1, 4]),
        3 => reply(request, &[9, 4, 2, 0, 1]),
        4 => reply(request, &[1, 4, 4, 0, 1, 0, 2]),
        5 => reply(request, &[1, 0x84, 11]),
        6 => [0, 0, 0, 0, 0, 5, 1, 4, 2, 0, 1].repeat(2_000),
        _ => b"\xff".to_vec(),
    })
    .await;
    let _running = rig.start(&tcp(&target, TEMPERATURE));
    rig.until_state(DeviceState::Ok).await;
    for (at, kind) in [
        (1, FaultKind::Refused),
        (2, FaultKind::Framing),
        (3, FaultKind::WrongDevice),
        (4, FaultKind::Parse),
        (5, FaultKind::Exception),
        (6, FaultKind::TooLarge),
        (7, FaultKind::ShortFrame),
    ] {
        turn.store(at, Ordering::SeqCst);
        rig.until_error(kind).await;
        turn.store(0, Ordering::SeqCst);
        rig.until_state(DeviceState::Ok).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_unreachable() {
    let rig = Rig::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let _running = rig.start(&tcp(&target, TEMPERATURE));
    rig.until_error(FaultKind::Timeout).await;
    drop(listener);
    rig.until_error(FaultKind::Refused).await;
    assert_eq!(rig.status().state, Some(DeviceState::Unreachable));
}

#[test]
fn a_mistake_is_named() {
    let check = |yaml: &str| {
        let settings: Settings = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"));
        settings.check()
    };
    for (yaml, why) in [
        (format!("{{ {TEMPERATURE} }}"), "either port or tcp"),
        (format!("{{ port: a, tcp: b, {TEMPERATURE} }}"), "either port or tcp"),
        (format!("{{ port: a, unit: 0, {TEMPERATURE} }}"), "1 to 247"),
        (format!("{{ port: a, unit: 248, {TEMPERATURE} }}"), "1 to 247"),
        ("{ port: a }".to_owned(), "nothing to read"),
        ("{ port: a, preset: xymd }".to_owned(), "is not one of"),
        ("{ port: a, registers: [{ metric: m, table: coil, address: 1 }, { metric: m, table: coil, address: 2 }] }".to_owned(), "both \"m\""),
    ] {
        let error = check(&yaml).unwrap_err();
        assert!(error.contains(why), "{yaml}: {error}");
    }
    for yaml in [
        "{ tcp: a, unit: 255, preset: jci-tc3 }",
        "{ port: a, preset: xy-md02, registers: [{ metric: hw.temperature, table: input, address: 7 }] }",
    ] {
        assert_eq!(check(yaml), Ok(()), "{yaml}");
    }
    assert_eq!(
        ["a", "a:1502", "[::1]", "[::1]:5"].map(with_port),
        ["a:502", "a:1502", "[::1]:502", "[::1]:5"]
    );
}
