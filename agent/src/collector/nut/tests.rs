//! The whole kind against an upsd that a test scripts.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::Rig;

const LIST: &str =
    "BEGIN LIST VAR ups\nVAR ups battery.charge \"100\"\nVAR ups ups.status \"OL\"\nEND LIST VAR ups\n";

/// An upsd that says what it is told to, whatever it is asked; an empty answer is silence.
struct Scripted {
    target: String,
    says: Arc<Mutex<Vec<u8>>>,
    heard: Arc<Mutex<String>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    async fn start(says: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let says = Arc::new(Mutex::new(says.as_bytes().to_vec()));
        let heard = Arc::new(Mutex::new(String::new()));
        let mut tasks = JoinSet::new();
        let (answer, hears) = (Arc::clone(&says), Arc::clone(&heard));
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let _ = stream.read_line(&mut line).await;
                let bytes = answer.lock().unwrap().clone();
                let _ = stream.write_all(&bytes).await;
                let _ = stream.read_to_string(&mut line).await;
                hears.lock().unwrap().push_str(&line);
            }
        });
        Self { target, says, heard, _tasks: tasks }
    }

    fn now_says(&self, bytes: impl AsRef<[u8]>) {
        *self.says.lock().unwrap() = bytes.as_ref().to_vec();
    }

    fn yaml(&self) -> String {
        format!("nut: {{ target: '{}', interval: 50ms, timeout: 300ms, jitter: 1ms }}", self.target)
    }
}

#[tokio::test]
async fn values_arrive_and_nothing_but_the_list_is_asked() {
    let upsd = Scripted::start(LIST).await;
    let rig = Rig::new();
    let _running = rig.start(&upsd.yaml());
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["hw.battery.charge"], 1.0);
    assert_eq!(rig.values()["retail.ups.on_battery"], 0.0);
    rig.until("a second reading", |_| upsd.heard.lock().unwrap().lines().count() >= 4).await;
    for line in upsd.heard.lock().unwrap().lines() {
        assert!(["LIST VAR ups", "LOGOUT"].contains(&line), "{line}");
    }
}

#[tokio::test]
async fn each_refusal_is_a_fault_of_its_kind_and_the_next_list_ends_it() {
    let upsd = Scripted::start(LIST).await;
    let rig = Rig::new();
    let _running = rig.start(&upsd.yaml());
    for (says, kind, state) in [
        ("ERR DRIVER-NOT-CONNECTED\n", FaultKind::Exception, DeviceState::Fault),
        ("ERR UNKNOWN-UPS\n", FaultKind::WrongDevice, DeviceState::Fault),
        ("ERR ACCESS-DENIED\n", FaultKind::Denied, DeviceState::Unreachable),
        ("ERR UNKNOWN-COMMAND\n", FaultKind::Nak, DeviceState::Fault),
        ("HTTP/1.1 400 Bad Request\r\n", FaultKind::Framing, DeviceState::Fault),
    ] {
        upsd.now_says(says);
        rig.until_error(kind).await;
        rig.until_state(state).await;
        upsd.now_says(LIST);
        rig.until_state(DeviceState::Ok).await;
    }
}

#[tokio::test]
async fn silence_half_a_list_and_an_endless_line_are_told_apart() {
    let upsd = Scripted::start("").await;
    let rig = Rig::new();
    let _running = rig.start(&upsd.yaml());
    rig.until_state(DeviceState::Unreachable).await;
    rig.until_error(FaultKind::Timeout).await;
    upsd.now_says(&LIST[..40]);
    rig.until("half a list", |status| {
        status.errors.contains_key("short_frame") || status.errors.get("timeout") > Some(&1)
    })
    .await;
    upsd.now_says([b'x'; 10_000]);
    rig.until_error(FaultKind::TooLarge).await;
    upsd.now_says(LIST);
    rig.until_state(DeviceState::Ok).await;
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let rig = Rig::new();
    let _running = rig.start("nut: { target: '127.0.0.1:1', interval: 50ms, jitter: 1ms }");
    rig.until_error(FaultKind::Refused).await;
    rig.until_state(DeviceState::Unreachable).await;
}

#[test]
fn a_name_that_could_be_another_command_is_refused() {
    for (ups, is_good) in
        [("ups", true), ("store-ups.2", true), ("a b", false), ("a\\nLOGIN", false), ("", false)]
    {
        let kind = Rig::kind(&format!("nut: {{ target: 'x:1', ups: \"{ups}\" }}"));
        assert_eq!(kind.check().is_ok(), is_good, "{ups:?}");
    }
}
