//! The kind on a socket.

use tokio::net::UdpSocket;

use super::super::FaultKind;
use super::super::rig::Rig;
use crate::board::DeviceState;

/// An address that nobody listens on.
fn free() -> std::net::SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn sender() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn what_is_sent_is_told_and_silence_is_stale() {
    let rig = Rig::new();
    let address = free();
    let _running =
        rig.start(&format!("statsd: {{ listen: '{address}', flush: 1s, stale_after: 2s, labels: [lane] }}"));
    let sender = sender().await;
    rig.until_state(DeviceState::Stale).await;
    for _ in 0..10 {
        sender.send_to(b"tx:1|c|#lane:3\nq:7|g\nms:320|ms\n", address).await.unwrap();
    }
    rig.until("the counter", |status| {
        status.values.get("tx{lane=\"3\"}").is_some_and(|reading| reading.value == 10.0)
    })
    .await;
    let values = rig.values();
    assert_eq!((values["q"], values["ms_count"], values["ms_bucket{le=\"500\"}"]), (7.0, 10.0, 10.0));
    assert_eq!(rig.status().state, Some(DeviceState::Ok));
    rig.until_state(DeviceState::Stale).await;
    sender.send_to(b"tx:1|c|#lane:3", address).await.unwrap();
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["tx{lane=\"3\"}"], 11.0);
}

#[tokio::test]
async fn garbage_and_endless_datagrams_are_counted_and_disturb_nothing() {
    let rig = Rig::new();
    let address = free();
    let _running = rig.start(&format!("statsd: {{ listen: '{address}', flush: 1s }}"));
    let sender = sender().await;
    let mut good = 0.0;
    // Until the socket is open, what is sent is refused.
    while rig.status().errors.len() < 2 {
        let _ = sender.send_to(&[b'x'; 9_000], address).await;
        let _ = sender.send_to(b"\xff\xfe\n:|\nx:1|c|@7\n\n", address).await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..100 {
        sender.send_to(b"garbage\nok:1|c\nmore garbage", address).await.unwrap();
        good += 1.0;
    }
    rig.until("good lines among the bad", |status| {
        status.values.get("ok").is_some_and(|reading| reading.value == good)
    })
    .await;
    let errors = rig.status().errors;
    assert!(errors["parse"] >= 200 && errors["too_large"] >= 1, "{errors:?}");
}

#[tokio::test]
async fn an_address_that_somebody_has_is_taken_when_it_is_free() {
    let rig = Rig::new();
    let holder = sender().await;
    let address = holder.local_addr().unwrap();
    let _running = rig.start(&format!("statsd: {{ listen: '{address}', flush: 1s }}"));
    rig.until_error(FaultKind::BusyPort).await;
    assert_eq!(rig.status().state, Some(DeviceState::Unreachable));
    drop(holder);
    let sender = sender().await;
    while rig.status().values.is_empty() {
        let _ = sender.send_to(b"tx:1|c", address).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(rig.status().state, Some(DeviceState::Ok));
}

#[tokio::test]
async fn who_may_not_send_is_left_out() {
    let rig = Rig::new();
    let address = free();
    let _running = rig.start(&format!("statsd: {{ listen: '{address}', from: [127.0.0.2], flush: 1s }}"));
    let (stranger, friend) = (sender().await, UdpSocket::bind("127.0.0.2:0").await.unwrap());
    while rig.status().values.is_empty() {
        let _ = stranger.send_to(b"evil:1|c", address).await;
        let _ = friend.send_to(b"good:1|c", address).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(rig.status().errors["denied"] >= 1);
    assert!(!rig.values().contains_key("evil") && rig.values().contains_key("good"));
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_told() {
    let rig = Rig::new();
    let address = free();
    let mut running = rig.start(&format!("statsd: {{ listen: '{address}', flush: 1h }}"));
    let sender = sender().await;
    while rig.status().errors.is_empty() {
        let _ = sender.send_to(b"bad", address).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for _ in 0..50 {
        sender.send_to(b"tx:1|c", address).await.unwrap();
    }
    rig.ctx.stop.cancel();
    while running.join_next().await.is_some() {}
    assert_eq!(rig.values()["tx"], 50.0);
}

#[test]
fn off_loopback_it_must_be_said_who_may_send() {
    for (yaml, why) in [
        ("{ listen: '0.0.0.0:8125' }", "from: [addresses] is required"),
        ("{ labels: [le] }", "is not a label"),
        ("{ labels: ['a b'] }", "is not a label"),
        ("{ flush: 10ms }", "at least 1s"),
    ] {
        let error = Rig::kind(&format!("statsd: {yaml}")).check().unwrap_err();
        assert!(error.contains(why), "{yaml}: {error}");
    }
    Rig::kind("statsd: { listen: '0.0.0.0:8125', from: [10.0.0.5] }").check().unwrap();
    Rig::kind("statsd: {}").check().unwrap();
}
