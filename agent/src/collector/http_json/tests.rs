//! The whole kind against a server of our own.

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::Rig;
use crate::collector::web_server::WebServer;

fn block(address: std::net::SocketAddr, more: &str) -> String {
    format!(
        "http_json: {{ url: 'http://{address}/api', interval: 50ms, timeout: 300ms, jitter: 1ms, values: [{{ pointer: /t, metric: hw.temperature, scale: 0.1 }}, {{ pointer: /door, metric: retail.cabinet.door.open, states: {{ closed: 0, open: 1 }} }}]{more} }}"
    )
}

#[tokio::test]
async fn values_arrive_and_what_is_missing_is_told_and_not_zero() {
    let server = WebServer::start(0).await;
    server.page("application/json", r#"{"t":-185,"door":"open"}"#);
    let rig = Rig::new();
    let _running =
        rig.start(&block(server.address, ", headers: { X-Api-Key: s3cret }, username: u, password: p4ss"));
    rig.until_state(DeviceState::Ok).await;
    let values: Vec<_> = rig.values().into_iter().collect();
    assert_eq!(values, [("hw.temperature".to_owned(), -18.5), ("retail.cabinet.door.open".to_owned(), 1.0)]);
    let head = server.asked.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET /api HTTP/1.1\r\n") && head.contains("s3cret"), "{head}");
    assert!(head.contains("Basic dTpwNHNz"), "{head}");

    server.page("application/json", r#"{"t":null,"door":"closed"}"#);
    let status = rig.until_error(FaultKind::Parse).await;
    assert_eq!(status.last_error.as_ref().unwrap().text.split(':').next(), Some("1 values left out"));
    let status = rig.until("the door", |status| status.values["retail.cabinet.door.open"].value == 0.0).await;
    assert!(
        status.values["hw.temperature"].value == -18.5 && status.state == Some(DeviceState::Ok),
        "{status:?}"
    );
}

#[tokio::test]
async fn what_fails_is_told_by_its_kind_and_good_again() {
    let server = WebServer::start(0).await;
    let rig = Rig::new();
    let _running = rig.start(&block(server.address, ""));
    let long = "x".repeat(ANSWER_BYTES_MAX + 1);
    for (body, kind) in [
        (r#"{"t":null}"#, FaultKind::Parse),
        ("<html>", FaultKind::Parse),
        (r#"{"t":1"#, FaultKind::ShortFrame),
        (&*"[".repeat(1_000), FaultKind::TooLarge),
        (&*long, FaultKind::TooLarge),
    ] {
        server.page("application/json", body);
        rig.until("the fault", |status| {
            status.last_error.as_ref().is_some_and(|error| error.kind == kind.name())
        })
        .await;
        rig.until_state(DeviceState::Fault).await;
        server.page("application/json", r#"{"t":1,"door":"open"}"#);
        rig.until_state(DeviceState::Ok).await;
    }
    server.say("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    rig.until_error(FaultKind::Denied).await;
    drop(server);
    rig.until_error(FaultKind::Refused).await;
    rig.until_state(DeviceState::Unreachable).await;
}

#[tokio::test]
async fn a_value_keeps_its_own_time_and_an_old_one_is_a_fault() {
    let server = WebServer::start(0).await;
    let rig = Rig::new();
    let own = rig.ctx.sink.now_ms() - 600_000;
    let page = |at: i64| server.page("application/json", &format!(r#"{{"t":1,"door":"open","at":{at}}}"#));
    page(own);
    let _running = rig.start(&block(server.address, ", time: /at, time_unit: ms"));
    let status = rig.until_state(DeviceState::Ok).await;
    assert_eq!(status.values["hw.temperature"].t, own);
    page(own - 2 * 86_400_000);
    rig.until_state(DeviceState::Fault).await;
    assert_eq!(rig.status().values["hw.temperature"].t, own, "it is not given another time");
    page(1_000);
    let status = rig.until("a new time", |status| status.values["hw.temperature"].t > own).await;
    assert!(status.values["hw.temperature"].t <= rig.ctx.sink.now_ms() + 1_000);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let address = "127.0.0.1:1".parse().unwrap();
    for (more, why) in [
        (", headers: { 'a b': x }", "is no header"),
        (", headers: { Host: x }", "belongs to the connection"),
        (", token: a, username: b", "both"),
    ] {
        let error = Rig::kind(&block(address, more)).check().unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let twice =
        "http_json: { url: 'http://a/', values: [{ pointer: /a, metric: m }, { pointer: /b, metric: m }] }";
    assert!(Rig::kind(twice).check().unwrap_err().contains("two of them"));
}
