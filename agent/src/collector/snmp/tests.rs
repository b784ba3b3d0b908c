//! The whole kind against an agent that a test scripts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::board::DeviceState;
use crate::collector::FaultKind;
use crate::collector::rig::Rig;

/// What an agent does with a question.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    Silent,
    Garbage,
    AnotherRequest,
    AnotherObject,
    Endless,
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..=127) => bytes.push(length),
        _ => {
            bytes.push(0x82);
            bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// Takes the first element off.
fn take<'a>(bytes: &mut &'a [u8]) -> (u8, &'a [u8]) {
    let (length, at) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), 3),
        0x82 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        length => (usize::from(length), 2),
    };
    let (tag, content) = (bytes[0], &bytes[at..at + length]);
    *bytes = &bytes[at + length..];
    (tag, content)
}

/// An object's name as it is on the wire, with numbers below 128 only, so that names are in the order of their bytes.
fn name(text: &str) -> Vec<u8> {
    let arcs: Vec<u8> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    [&[arcs[0] * 40 + arcs[1]], &arcs[2..]].concat()
}

type Objects = BTreeMap<Vec<u8>, Vec<u8>>;

/// Answers as RFC 3416 says.
fn answer(question: &[u8], objects: &Objects, mood: Mood) -> Vec<u8> {
    let mut message = take(&mut &*question).1;
    let version = take(&mut message).1;
    let community = take(&mut message).1;
    let (kind, mut pdu) = take(&mut message);
    let mut request = take(&mut pdu).1.to_vec();
    let _ = take(&mut pdu);
    let repetitions = if kind == 0xa5 { take(&mut pdu).1[0] } else { take(&mut pdu).1[0].max(1) };
    let mut asked = take(&mut pdu).1;
    let mut pairs = Vec::new();
    while !asked.is_empty() {
        let mut pair = take(&mut asked).1;
        let mut at = take(&mut pair).1.to_vec();
        if kind == 0xa0 {
            let value = objects.get(&at).cloned().unwrap_or_else(|| vec![0x81, 0]);
            if mood == Mood::AnotherObject {
                *at.last_mut().unwrap() ^= 1;
            }
            pairs.extend(tlv(0x30, &[tlv(6, &at), value].concat()));
            continue;
        }
        for _ in 0..repetitions {
            let next = objects
                .range::<Vec<u8>, _>((std::ops::Bound::Excluded(&at), std::ops::Bound::Unbounded))
                .next();
            let (found, value) =
                next.map_or((at.clone(), vec![0x82, 0]), |(name, value)| (name.clone(), value.clone()));
            pairs.extend(tlv(0x30, &[tlv(6, &found), value].concat()));
            if mood != Mood::Endless {
                at = found;
            }
        }
    }
    if mood == Mood::AnotherRequest {
        *request.last_mut().unwrap() ^= 1;
    }
    let pdu = [tlv(2, &request), tlv(2, &[0]), tlv(2, &[0]), tlv(0x30, &pairs)].concat();
    tlv(0x30, &[tlv(2, version), tlv(4, community), tlv(0xa2, &pdu)].concat())
}

struct Scripted {
    target: String,
    mood: Arc<Mutex<Mood>>,
    /// The tags of all questions.
    heard: Arc<Mutex<Vec<u8>>>,
    objects: Arc<Mutex<Objects>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    async fn start(objects: &[(&str, Vec<u8>)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = socket.local_addr().unwrap().to_string();
        let mood = Arc::new(Mutex::new(Mood::Answers));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let objects: Objects = objects.iter().map(|(text, value)| (name(text), value.clone())).collect();
        let objects = Arc::new(Mutex::new(objects));
        let mut tasks = JoinSet::new();
        let (moods, hears, has) = (Arc::clone(&mood), Arc::clone(&heard), Arc::clone(&objects));
        tasks.spawn(async move {
            let mut buffer = [0; 4_096];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let mood = *moods.lock().unwrap();
                let mut message = take(&mut &buffer[..length]).1;
                let (_, _, pdu) = (take(&mut message), take(&mut message), take(&mut message));
                hears.lock().unwrap().push(pdu.0);
                let says = match mood {
                    Mood::Silent => continue,
                    Mood::Garbage => b"HTTP/1.1 400 Bad Request".to_vec(),
                    mood => answer(&buffer[..length], &has.lock().unwrap(), mood),
                };
                socket.send_to(&says, from).await.unwrap();
            }
        });
        Self { target, mood, heard, objects, _tasks: tasks }
    }

    fn yaml(&self, more: &str) -> String {
        format!("snmp: {{ target: '{}', interval: 50ms, timeout: 200ms, jitter: 1ms, {more} }}", self.target)
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn set(&self, text: &str, value: Vec<u8>) {
        self.objects.lock().unwrap().insert(name(text), value);
    }
}

const UP_TIME: &str = "1.3.6.1.2.1.1.3.0";

fn ticks(hundredths: u16) -> Vec<u8> {
    tlv(0x43, &hundredths.to_be_bytes())
}

fn printer() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (UP_TIME, ticks(12_345)),
        ("1.3.6.1.2.1.25.3.2.1.5.1", tlv(2, &[3])),
        ("1.3.6.1.2.1.25.3.5.1.2.1", tlv(4, &[0x80])),
        ("1.3.6.1.2.1.43.10.2.1.3.1.1", tlv(2, &[7])),
        ("1.3.6.1.2.1.43.10.2.1.4.1.1", tlv(0x41, &[0x01, 0x00])),
        ("1.3.6.1.2.1.43.11.1.1.8.1.1", tlv(2, &[100])),
        ("1.3.6.1.2.1.43.11.1.1.8.1.2", tlv(2, &[100])),
        ("1.3.6.1.2.1.43.11.1.1.9.1.1", tlv(2, &[42])),
        ("1.3.6.1.2.1.43.11.1.1.9.1.2", tlv(2, &[0xfd])),
    ]
}

#[tokio::test]
async fn a_printer_is_read_and_minus_three_is_no_level() {
    let agent = Scripted::start(&printer()).await;
    let rig = Rig::new();
    let _running = rig.start(&agent.yaml("views: [system, printer]"));
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    assert_eq!(values["retail.device.uptime"], 123.45);
    assert_eq!(values["retail.printer.paper.state"], 1.0);
    assert_eq!(values["retail.printer.pages"], 256.0);
    assert_eq!(values["retail.printer.supply.level{supply=\"1.1\"}"], 0.42);
    assert!(!values.keys().any(|series| series.contains("1.2")), "{values:?}");
    agent.set("1.3.6.1.2.1.25.3.5.1.2.1", tlv(4, &[0x4c]));
    rig.until("an open door", |status| {
        status.values.get("retail.printer.cover.open").is_some_and(|reading| reading.value == 1.0)
    })
    .await;
    assert_eq!(
        (rig.values()["retail.printer.paper.state"], rig.values()["retail.printer.jammed"]),
        (2.0, 1.0)
    );
    assert!(agent.heard.lock().unwrap().iter().all(|tag| [0xa0, 0xa1, 0xa5].contains(tag)), "only questions");
}

#[tokio::test]
async fn silence_is_unreachable_and_garbage_and_other_answers_have_their_kinds() {
    let agent = Scripted::start(&printer()).await;
    let rig = Rig::new();
    let _running = rig.start(&agent.yaml("views: [system, printer]"));
    rig.until_state(DeviceState::Ok).await;
    for (mood, kind, state) in [
        (Mood::Silent, FaultKind::Timeout, DeviceState::Unreachable),
        (Mood::Garbage, FaultKind::Framing, DeviceState::Fault),
        (Mood::AnotherRequest, FaultKind::WrongDevice, DeviceState::Fault),
        (Mood::AnotherObject, FaultKind::WrongDevice, DeviceState::Fault),
    ] {
        agent.is(mood);
        rig.until_error(kind).await;
        rig.until_state(state).await;
        agent.is(Mood::Answers);
        rig.until_state(DeviceState::Ok).await;
    }
}

#[tokio::test]
async fn a_table_that_does_not_end_is_left_and_the_rest_is_read() {
    let agent = Scripted::start(&printer()).await;
    agent.is(Mood::Endless);
    let rig = Rig::new();
    let _running = rig.start(&agent.yaml("views: [system, printer]"));
    rig.until_error(FaultKind::Parse).await;
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["retail.device.uptime"], 123.45);
}

#[tokio::test]
async fn an_explosion_of_interfaces_and_names_that_are_free_text_are_limited_and_counted() {
    let mut objects = vec![(UP_TIME, ticks(1))];
    let names: Vec<(String, String)> = (1..=100_u8)
        .map(|at| (format!("1.3.6.1.2.1.31.1.1.1.1.{at}"), format!("1.3.6.1.2.1.2.2.1.8.{at}")))
        .collect();
    for (at, (if_name, status)) in names.iter().enumerate() {
        let text = if at == 0 { "4111111111111111".to_owned() } else { format!("eth{at}") };
        objects.push((if_name, tlv(4, text.as_bytes())));
        objects.push((status, tlv(2, &[1])));
    }
    let agent = Scripted::start(&objects).await;
    let rig = Rig::new();
    let _running = rig.start(&agent.yaml("views: [interfaces], interfaces_max: 10"));
    rig.until_state(DeviceState::Ok).await;
    let values = rig.values();
    assert_eq!(values.keys().filter(|series| series.starts_with("hw.network.up")).count(), 9);
    assert_eq!(values["hw.network.up{interface=\"eth9\"}"], 1.0);
    let status = rig.until_error(FaultKind::Parse).await;
    assert_eq!(status.errors["too_many_series"], 1, "told once");
    assert!(!format!("{status:?}").contains("4111"), "{status:?}");
}

#[tokio::test]
async fn an_object_that_is_not_there_is_counted_and_the_others_are_read() {
    let agent = Scripted::start(&printer()).await;
    let rig = Rig::new();
    let oids = "views: [], oids: [{ metric: a, oid: 1.3.6.1.2.1.1.3.0, scale: 0.01 }, { metric: b, oid: 1.3.6.1.9.9.0 }]";
    let _running = rig.start(&agent.yaml(oids));
    rig.until_state(DeviceState::Ok).await;
    rig.until_error(FaultKind::Unsupported).await;
    assert_eq!(rig.values().get("a"), Some(&123.45));
    assert!(!rig.values().contains_key("b"));
}

#[tokio::test]
async fn nobody_there_is_refused() {
    let rig = Rig::new();
    let _running = rig.start("snmp: { target: '127.0.0.1:1', interval: 50ms, timeout: 100ms, jitter: 1ms }");
    rig.until_error(FaultKind::Refused).await;
    rig.until_state(DeviceState::Unreachable).await;
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let user = "v3: { user: me, auth: { protocol: sha256, password: long enough }, privacy: { protocol: aes128, password: long enough } }";
    for (more, is_good) in [
        (String::new(), true),
        ("version: 1".to_owned(), true),
        ("version: 2c, community: { file: secret }".to_owned(), true),
        ("version: 3".to_owned(), false),
        (format!("version: 3, {user}"), true),
        (format!("version: 2c, {user}"), false),
        (
            "version: 3, v3: { user: me, privacy: { protocol: aes128, password: long enough } }".to_owned(),
            false,
        ),
        ("version: 3, v3: { user: me, auth: { protocol: sha1, password: short } }".to_owned(), false),
        ("views: []".to_owned(), false),
        ("views: [system, system]".to_owned(), false),
        ("interfaces_max: 0".to_owned(), false),
        ("oids: [{ metric: a, oid: 1.3.6.1 }, { metric: a, oid: 1.3.6.2 }]".to_owned(), false),
        ("oids: [{ metric: 'a b', oid: 1.3.6.1 }]".to_owned(), false),
    ] {
        let kind = Rig::kind(&format!("snmp: {{ target: 'x:1', {more} }}"));
        assert_eq!(kind.check().is_ok(), is_good, "{more}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let kind = Rig::kind(
        "snmp: { target: 'x:1', version: 3, community: hush-hush, v3: { user: me, auth: { protocol: sha1, password: hush-hush } } }",
    );
    assert!(!format!("{kind:?}").contains("hush"), "{kind:?}");
}
