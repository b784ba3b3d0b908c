//! The whole kind, with scales on pseudo-terminals.

use std::sync::{Arc, Mutex};

use super::*;
use crate::board::DeviceState;
use crate::collector::FaultKind;
use crate::collector::rig::{Plugged, Rig, plug};

/// What the scale says next, to change it at any time.
type Says = Arc<Mutex<Vec<u8>>>;

struct Scale {
    rig: Rig,
    says: Says,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    plugged: Option<Plugged>,
    _tasks: tokio::task::JoinSet<()>,
}

/// A scale that says the same to everything, and notes what it was asked.
fn device(says: &Says, asked: &Arc<Mutex<Vec<Vec<u8>>>>) -> impl FnMut(&[u8]) -> Vec<u8> + Send + 'static {
    let (says, asked) = (Arc::clone(says), Arc::clone(asked));
    move |request| {
        asked.lock().unwrap().push(request.to_owned());
        // A scale of CAS acknowledges first.
        match request {
            [0x05] if says.lock().unwrap().first() == Some(&0x01) => vec![0x06],
            _ => says.lock().unwrap().clone(),
        }
    }
}

fn scale(protocol: &str, says: &[u8]) -> Scale {
    let rig = Rig::new();
    let (says, asked) = (Says::new(Mutex::new(says.to_owned())), Arc::default());
    let port = rig.dir.path().join("scale");
    let plugged = Some(plug(&port, device(&says, &asked)));
    let tasks = rig.start(&format!(
        "scale: {{ port: {}, protocol: {protocol}, interval: 50ms, timeout: 100ms, jitter: 1ms, weight: true }}",
        port.display()
    ));
    Scale { rig, says, asked, plugged, _tasks: tasks }
}

impl Scale {
    fn says(&self, bytes: &[u8]) {
        *self.says.lock().unwrap() = bytes.to_owned();
    }

    async fn until(&self, series: &str, value: f64) {
        let what = format!("{series} {value}");
        let is =
            |device: &crate::board::DeviceStatus| device.values.get(series).is_some_and(|v| v.value == value);
        self.rig.until(&what, is).await;
    }

    async fn until_counted(&self, series: &str) {
        let is =
            |device: &crate::board::DeviceStatus| device.values.get(series).is_some_and(|v| v.value > 0.0);
        self.rig.until(series, is).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_of_each_protocol_is_asked_for_its_weight_and_nothing_else() {
    let bytes_of_cas: &[&[u8]] = &[b"\x05", b"\x11"];
    for (protocol, says, kg, asked) in [
        ("toledo_8217", &b"\x0201.234\r"[..], 1.234, &[&b"W"[..]][..]),
        ("nci", b"\n02.000LB\r\nS00\r\x03", 0.9072, &[b"W\r"]),
        ("cas", b"\x01\x02S 01.234kg\x65\x03\x04", 1.234, bytes_of_cas),
        ("toledo_br", b"\x0201234\x03", 1.234, &[b"\x05"]),
        ("toledo_br_p06", b"\x0201.234\x03", 1.234, &[b"\x02"]),
    ] {
        let scale = scale(protocol, says);
        scale.until("retail.scale.weight", kg).await;
        scale.until_counted("retail.scale.reads").await;
        scale.rig.until_state(DeviceState::Ok).await;
        for request in scale.asked.lock().unwrap().iter() {
            assert!(asked.contains(&request.as_slice()), "{protocol}: {request:02x?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_that_moves_or_is_overloaded_is_well_and_says_so() {
    let scale = scale("toledo_8217", b"\x02?\x41\r");
    scale.until_counted("retail.scale.unstable").await;
    scale.says(b"\x02?\x42\r");
    scale.until_counted("retail.scale.overload").await;
    scale.says(b"\x02?\x44\r");
    scale.until_counted("retail.scale.underload").await;
    scale.says(b"\x02?\x50\r");
    scale.until("retail.scale.zero", 1.0).await;
    let values = scale.rig.values();
    assert_eq!(values["retail.scale.reads"], 0.0);
    assert!(!values.contains_key("retail.scale.weight"), "no answer is not zero");
    assert_eq!(scale.rig.until_state(DeviceState::Ok).await.errors.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_garbage_are_errors_of_their_kind_and_pass() {
    let scale = scale("cas", b"");
    scale.rig.until_error(FaultKind::Timeout).await;
    scale.rig.until_state(DeviceState::Unreachable).await;
    scale.says(b"\x01\x02S 09.234kg\x65\x03\x04");
    scale.rig.until_error(FaultKind::Checksum).await;
    scale.rig.until_state(DeviceState::Fault).await;
    scale.says(b"\x15");
    scale.rig.until_error(FaultKind::Nak).await;
    scale.says(b"4111111111111111\r");
    let status = scale.rig.until_error(FaultKind::Framing).await;
    scale.says(b"\x01\x02S 01.2");
    scale.rig.until_error(FaultKind::ShortFrame).await;
    assert!(!format!("{status:?}").contains("4111"), "what it said is nowhere: {status:?}");
    scale.says(b"\x01\x02S 01.234kg\x65\x03\x04");
    scale.until("retail.scale.weight", 1.234).await;
    scale.rig.until_state(DeviceState::Ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_that_is_unplugged_is_missing_and_comes_back() {
    let mut scale = scale("toledo_br", b"\x0201234\x03");
    scale.rig.until_state(DeviceState::Ok).await;
    scale.plugged = None;
    scale.rig.until_error(FaultKind::MissingPort).await;
    scale.rig.until_state(DeviceState::Unreachable).await;
    scale.says(b"\x0200500\x03");
    scale.plugged = Some(plug(&scale.rig.dir.path().join("scale"), device(&scale.says, &scale.asked)));
    scale.until("retail.scale.weight", 0.5).await;
    scale.rig.until_state(DeviceState::Ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_that_talks_by_itself_is_heard_and_not_written_to() {
    let rig = Rig::new();
    let written = Arc::new(Mutex::new(0));
    let writes = Arc::clone(&written);
    let port = rig.dir.path().join("scale");
    let plugged = plug(&port, move |bytes| {
        *writes.lock().unwrap() += bytes.len();
        Vec::new()
    });
    let _tasks = rig.start(&format!(
        "scale: {{ port: {}, protocol: cas_stream, interval: 10ms, stale_after: 200ms, idle_below: 0.5kg }}",
        port.display()
    ));
    let frame = b"ST,GS,1\xc5,0000.005 kg\r\n";
    let talks = |status: &crate::board::DeviceStatus| {
        plugged.say(frame);
        status.values.get("retail.scale.reads").is_some_and(|reads| reads.value > 3.0)
    };
    rig.until("frames", talks).await;
    assert_eq!(rig.values()["retail.scale.idle.weight"], 0.005);
    assert_eq!(rig.values()["retail.scale.zero"], 1.0);
    rig.until_state(DeviceState::Stale).await;
    let babbles = |status: &crate::board::DeviceStatus| {
        plugged.say(b"\xff\xfe4111111111111111\r\n");
        status.state == Some(DeviceState::Fault)
    };
    let status = rig.until("babble", babbles).await;
    assert!(status.errors["framing"] > 0 && !format!("{status:?}").contains("4111"), "{status:?}");
    let talks = |status: &crate::board::DeviceStatus| {
        plugged.say(frame);
        status.state == Some(DeviceState::Ok)
    };
    rig.until("frames again", talks).await;
    assert_eq!(*written.lock().unwrap(), 0);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let check = |more: &str| Rig::kind(&format!("scale: {{ port: /dev/ttyS0, {more} }}")).check();
    assert_eq!(check("protocol: cas_stream"), Ok(()));
    assert!(check("protocol: cas_stream, stale_after: 5s").unwrap_err().contains("stale_after"));
    assert!(check("protocol: toledo_br, decimals: 5").unwrap_err().contains("decimals"));
    assert_eq!(Protocol::Nci.line(), Line::seven_e_one(9_600));
}
