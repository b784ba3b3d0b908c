//! The whole kind against a broker of a few lines: what it is told, and what becomes of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::Kind;
use super::super::fault::FaultKind;
use super::super::rig::Rig;
use crate::board::DeviceState;

/// A broker that takes one client after another.
struct Broker {
    listener: TcpListener,
}

/// A client that has said who it is.
struct Client {
    stream: TcpStream,
    /// Its CONNECT.
    hello: Vec<u8>,
}

impl Broker {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn yaml(&self, rest: &str) -> String {
        let port = self.listener.local_addr().unwrap().port();
        format!("mqtt: {{ broker: '127.0.0.1:{port}', {rest} }}")
    }

    async fn client(&self) -> Client {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let hello = packet(&mut stream).await.unwrap();
        assert_eq!(hello[0], 0x10, "the first packet is CONNECT");
        Client { stream, hello }
    }

    /// One that is let in, and whose subscription is taken.
    async fn subscriber(&self) -> Client {
        let mut client = self.client().await;
        client.say(&[0x20, 2, 0, 0]).await;
        client.subscription().await;
        client
    }
}

impl Client {
    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads its SUBSCRIBE, takes it, and says which topics there are.
    async fn subscription(&mut self) -> Vec<String> {
        let asked = packet(&mut self.stream).await.unwrap();
        assert_eq!(asked[0], 0x82, "SUBSCRIBE");
        let mut topics = Vec::new();
        let mut rest = &asked[4..];
        while let [high, low, after @ ..] = rest {
            let (topic, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            topics.push(String::from_utf8(topic.to_vec()).unwrap());
            rest = &after[1..];
        }
        let mut answer = vec![0x90, u8::try_from(2 + topics.len()).unwrap(), asked[2], asked[3]];
        answer.extend(topics.iter().map(|_| 1));
        self.say(&answer).await;
        topics
    }

    async fn publish(&mut self, topic: &str, payload: &str, retained: bool) {
        let bytes = publish(topic, payload, u8::from(retained), None);
        self.say(&bytes).await;
    }
}

/// PUBLISH with these flags, and a packet identifier if its quality of service is not 0.
fn publish(topic: &str, payload: &str, flags: u8, id: Option<u16>) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend_from_slice(payload.as_bytes());
    let mut bytes = vec![0x30 | flags];
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).unwrap();
        length /= 128;
        bytes.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// A short packet: its first byte, its length, and the rest.
async fn packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).await?;
    // A SUBSCRIBE of several topics is longer than 127 bytes.
    let mut length = usize::from(bytes[1] & 0x7f);
    if bytes[1] & 0x80 != 0 {
        length += usize::from(stream.read_u8().await?) << 7;
    }
    let at = bytes.len();
    bytes.resize(at + length, 0);
    stream.read_exact(&mut bytes[at..]).await?;
    Ok(bytes)
}

const FRIDGE: &str = "format: zigbee2mqtt, topic: zigbee2mqtt/fridge";

#[tokio::test]
async fn values_arrive_and_every_connection_has_its_subscription() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.client().await;
    let hello = String::from_utf8_lossy(&client.hello).into_owned();
    assert!(hello.contains("MQTT") && hello.contains("storepulse-device-1"), "{hello:?}");
    client.say(&[0x20, 2, 0, 0]).await;
    assert_eq!(
        client.subscription().await,
        ["zigbee2mqtt/fridge", "zigbee2mqtt/fridge/availability", "zigbee2mqtt/bridge/state"]
    );
    assert_eq!(rig.status().state, None);
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":4.5,"humidity":80}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values(), [("hw.humidity".to_owned(), 0.8), ("hw.temperature".to_owned(), 4.5)].into());
    drop(client);
    let lost = rig.until_state(DeviceState::Unreachable).await;
    assert_eq!(lost.errors["refused"], 1);
    let mut client = broker.client().await;
    client.say(&[0x20, 2, 0, 0]).await;
    assert_eq!(client.subscription().await.len(), 3);
    // It measured a moment ago: nothing but the broker was away.
    rig.until_state(DeviceState::Ok).await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":5.5}"#, false).await;
    rig.until("5.5", |status| status.values["hw.temperature"].value == 5.5).await;
}

#[tokio::test]
async fn a_retained_message_is_history() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.subscriber().await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":1}"#, true).await;
    // What is no time of this week is no time.
    let long_ago = r#"{"temperature":2,"last_seen":"2024-05-01T12:00:00Z"}"#;
    client.publish("zigbee2mqtt/fridge", long_ago, true).await;
    // A message of which the reading is seen shows that the ones before it have been read.
    client.publish("zigbee2mqtt/fridge", r#"{"linkquality":255}"#, false).await;
    let status = rig.until("the link", |status| !status.values.is_empty()).await;
    assert_eq!((status.samples, status.state, status.errors.len()), (1, None, 0));

    let now = rig.ctx.sink.now_ms();
    let three_hours_ago = now - 3 * 3_600_000;
    let old = format!(r#"{{"temperature":3,"last_seen":{three_hours_ago}}}"#);
    client.publish("zigbee2mqtt/fridge", &old, true).await;
    let status = rig.until_state(DeviceState::Stale).await;
    assert_eq!(status.values["hw.temperature"].t, three_hours_ago);
    let fresh = format!(r#"{{"temperature":4,"last_seen":{}}}"#, now - 5_000);
    client.publish("zigbee2mqtt/fridge", &fresh, true).await;
    let status = rig.until_state(DeviceState::Ok).await;
    assert_eq!(status.values["hw.temperature"].t, now - 5_000);
}

#[tokio::test]
async fn a_message_that_is_delivered_twice_is_one_sample() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.subscriber().await;
    let said = format!(r#"{{"temperature":4,"last_seen":{}}}"#, rig.ctx.sink.now_ms());
    for flags in [0x02, 0x0a] {
        client.say(&publish("zigbee2mqtt/fridge", &said, flags, Some(7))).await;
    }
    client.publish("zigbee2mqtt/fridge", r#"{"linkquality":255}"#, false).await;
    let status = rig.until("the link", |status| status.values.len() == 2).await;
    assert_eq!(status.samples, 2);
    for _ in 0..2 {
        assert_eq!(packet(&mut client.stream).await.unwrap(), [0x40, 2, 0, 7], "PUBACK");
    }
}

#[tokio::test]
async fn silence_is_stale_and_a_battery_does_not_hide_it() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(&format!("{FRIDGE}, stale_after: 300ms")));
    let mut client = broker.subscriber().await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":4}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
    rig.until_state(DeviceState::Stale).await;
    client.publish("zigbee2mqtt/fridge", r#"{"battery":50}"#, false).await;
    rig.until("the battery", |status| status.values.contains_key("hw.battery.charge")).await;
    assert_eq!(rig.status().state, Some(DeviceState::Stale));
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":4}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn who_is_said_to_be_offline_is_unreachable_until_it_is_online_or_measures() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.subscriber().await;
    client.publish("zigbee2mqtt/bridge/state", r#"{"state":"offline"}"#, true).await;
    assert_eq!(rig.until_state(DeviceState::Unreachable).await.errors["timeout"], 1);
    client.publish("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#, false).await;
    // It has not measured anything yet.
    rig.until_state(DeviceState::Stale).await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":4}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
    client.publish("zigbee2mqtt/fridge/availability", "offline", false).await;
    rig.until_state(DeviceState::Unreachable).await;
    client.publish("zigbee2mqtt/fridge/availability", "online", false).await;
    rig.until_state(DeviceState::Ok).await;
    client.publish("zigbee2mqtt/fridge/availability", "perhaps", false).await;
    rig.until_error(FaultKind::Parse).await;
}

#[tokio::test]
async fn garbage_is_a_fault_that_tells_nothing_of_it() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.subscriber().await;
    client.publish("zigbee2mqtt/fridge", "4111111111111111", false).await;
    let status = rig.until_state(DeviceState::Fault).await;
    assert_eq!(status.errors["parse"], 1);
    assert!(!status.last_error.unwrap().text.contains("4111"));
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":-127}"#, false).await;
    rig.until("the probe", |status| status.errors["parse"] == 2).await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":4}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn who_is_not_let_in_is_denied() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(&format!("{FRIDGE}, username: till, password: wrong")));
    let mut client = broker.client().await;
    let hello = String::from_utf8_lossy(&client.hello).into_owned();
    assert!(hello.contains("till") && hello.contains("wrong"));
    client.say(&[0x20, 2, 0, 5]).await;
    rig.until_error(FaultKind::Denied).await;
    assert_eq!(rig.until_state(DeviceState::Unreachable).await.errors["denied"], 1);
    // Let in, but not to these topics.
    let mut client = broker.client().await;
    client.say(&[0x20, 2, 0, 0]).await;
    let asked = packet(&mut client.stream).await.unwrap();
    client.say(&[0x90, 5, asked[2], asked[3], 0x80, 1, 1]).await;
    rig.until("two refusals", |status| status.errors["denied"] == 2).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection_and_what_came_before_it_is_kept() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(FRIDGE));
    let mut client = broker.subscriber().await;
    let mut bytes = publish("zigbee2mqtt/fridge", r#"{"temperature":4}"#, 0, None);
    // No more than its length: nothing of it is waited for.
    bytes.extend([0x30, 0x80, 0x80, 0x40]);
    client.say(&bytes).await;
    let status = rig.until_error(FaultKind::TooLarge).await;
    assert_eq!(status.values["hw.temperature"].value, 4.0);
    let mut client = broker.subscriber().await;
    client.publish("zigbee2mqtt/fridge", r#"{"temperature":5}"#, false).await;
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn what_is_no_broker_is_framing_and_one_that_hangs_is_a_timeout() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml(&format!("{FRIDGE}, timeout: 1s")));
    let mut client = broker.client().await;
    // As MQTT, this is an acknowledgement of 84 bytes.
    client.say(format!("HTTP/1.1 400 Bad Request\r\n\r\n{}", "x".repeat(100)).as_bytes()).await;
    rig.until_error(FaultKind::Framing).await;
    drop(client);
    let silent = broker.client().await;
    rig.until_error(FaultKind::Timeout).await;
    drop(silent);
    let mut client = broker.client().await;
    client.say(&[0x20, 2, 0, 0]).await;
    // The subscription is not answered.
    rig.until("two timeouts", |status| status.errors["timeout"] == 2).await;
}

#[tokio::test]
async fn a_name_that_is_not_there_is_dns() {
    let rig = Rig::new();
    let _kind = rig.start(&format!("mqtt: {{ broker: nothing.invalid, {FRIDGE} }}"));
    rig.until_error(FaultKind::Dns).await;
    rig.until_state(DeviceState::Unreachable).await;
}

#[tokio::test]
async fn a_time_without_a_zone_is_one_with_the_offset_of_the_configuration() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml("format: tasmota, topic: tele/freezer, utc_offset: '-05:00'"));
    let mut client = broker.subscriber().await;
    let at_ms = (rig.ctx.sink.now_ms() / 1_000 - 60) * 1_000;
    let there = time::OffsetDateTime::from_unix_timestamp(at_ms / 1_000 - 5 * 3_600).unwrap();
    let said = format!(
        r#"{{"Time":"{}T{:02}:{:02}:{:02}","DS18B20":{{"Temperature":-18.4}},"TempUnit":"C"}}"#,
        there.date(),
        there.hour(),
        there.minute(),
        there.second()
    );
    client.publish("tele/freezer/SENSOR", &said, true).await;
    let status = rig.until_state(DeviceState::Ok).await;
    assert_eq!(status.values[r#"hw.temperature{hw.name="DS18B20"}"#].t, at_ms);
}

#[tokio::test]
async fn more_sensors_than_a_device_may_have_are_counted() {
    let (rig, broker) = (Rig::new(), Broker::start().await);
    let _kind = rig.start(&broker.yaml("format: tasmota, topic: tele/freezer"));
    let mut client = broker.subscriber().await;
    let sensors: Vec<String> = (0..300).map(|n| format!(r#""S{n}":{{"Temperature":{n}}}"#)).collect();
    client.publish("tele/freezer/SENSOR", &format!("{{{}}}", sensors.join(",")), false).await;
    let status = rig.until_error(FaultKind::TooManySeries).await;
    assert_eq!(status.samples.max(200), 200);
    tokio::time::timeout(Duration::from_secs(5), rig.until_state(DeviceState::Ok)).await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let check = |rest: &str| match Rig::kind(&format!("mqtt: {{ broker: b, {rest} }}")) {
        kind @ Kind::Mqtt(_) => kind.check(),
        _ => unreachable!(),
    };
    assert_eq!(check(FRIDGE), Ok(()));
    for (rest, why) in [
        ("format: json, topic: a", "values"),
        ("format: shelly, topic: a, values: [{ pointer: /a, metric: b }]", "values"),
        ("format: shelly, topic: a, time: /ts", "time"),
        ("format: json, topic: a, values: [{ pointer: a, metric: b }]", "pointer"),
        ("format: json, topic: a, values: [{ pointer: /a, metric: 'b c' }]", "metric name"),
        ("format: shelly, topic: 'a/#'", "topic"),
        ("format: shelly, topic: a, availability: ['+']", "topic"),
        ("format: shelly, topic: a, password: b", "username"),
        ("format: shelly, topic: a, keep_alive: 10ms", "at least 1s"),
    ] {
        let error = check(rest).unwrap_err();
        assert!(error.contains(why), "{rest}: {error}");
    }
    for bad in ["format: zigbee, topic: a", "format: shelly, topic: a, utc_offset: CET", "topic: a"] {
        assert!(serde_yaml::from_str::<Kind>(&format!("mqtt: {{ broker: b, {bad} }}")).is_err(), "{bad}");
    }
}
