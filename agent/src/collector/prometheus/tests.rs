//! The whole kind against a server of our own.

use super::*;
use crate::board::DeviceState;
use crate::collector::rig::Rig;
use crate::collector::web_server::WebServer;

const PAGE: &str = "# TYPE up gauge\nup{job=\"till\",owner=\"Ana\"} 1\nother 5\nsale_total{job=\"a\"} 7\n";

fn block(address: std::net::SocketAddr) -> String {
    format!(
        "prometheus: {{ url: 'http://{address}/metrics', metrics: [up, 'sale_*'], labels: [job], interval: 50ms, timeout: 300ms, jitter: 1ms, token: s3cret }}"
    )
}

#[tokio::test]
async fn values_arrive_and_what_fails_is_told_by_its_kind() {
    let server = WebServer::start(0).await;
    let address = server.address;
    server.page("text/plain; version=0.0.4", PAGE);
    let rig = Rig::new();
    let _running = rig.start(&block(address));
    rig.until_state(DeviceState::Ok).await;
    let values: Vec<_> = rig.values().into_iter().collect();
    assert_eq!(values, [("sale_total{job=\"a\"}".to_owned(), 7.0), ("up{job=\"till\"}".to_owned(), 1.0)]);
    let head = server.asked.lock().unwrap()[0].to_lowercase();
    assert!(
        head.starts_with("get /metrics http/1.1\r\n") && head.contains("authorization: bearer s3cret\r\n"),
        "{head}"
    );

    for (says, kind) in [
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", FaultKind::Exception),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n",
            FaultKind::Exception,
        ),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", FaultKind::Denied),
        ("SSH-2.0-OpenSSH\r\n", FaultKind::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nup 1\n", FaultKind::ShortFrame),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nup 1\n", FaultKind::TooLarge),
        ("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n<html>\n</html>", FaultKind::Parse),
        ("", FaultKind::Timeout),
    ] {
        let before = rig.status().errors.get(kind.name()).copied().unwrap_or_default();
        server.say(says);
        let status = rig
            .until(says, |status| status.errors.get(kind.name()).copied().unwrap_or_default() > before)
            .await;
        assert_eq!(status.last_error.unwrap().kind, kind.name(), "{says}");
        server.page("text/plain", PAGE);
        rig.until_state(DeviceState::Ok).await;
    }
    let text = format!("{:?}", rig.status());
    assert!(!text.contains("evil") && !text.contains("OpenSSH") && !text.contains("s3cret"), "{text}");

    drop(server);
    rig.until_error(FaultKind::Refused).await;
    rig.until_state(DeviceState::Unreachable).await;
    let server = WebServer::start(address.port()).await;
    server.page("text/plain", "up{job=\"till\"} 2\n");
    rig.until_state(DeviceState::Ok).await;
    assert_eq!(rig.values()["up{job=\"till\"}"], 2.0);
}

#[tokio::test]
async fn a_page_without_end_stops_at_the_limit() {
    let server = WebServer::start(0).await;
    server.say_for_ever("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nup 1\n");
    let rig = Rig::new();
    let _running = rig.start(&block(server.address));
    rig.until_error(FaultKind::TooLarge).await;
}

#[tokio::test]
async fn an_explosion_of_labels_is_cut_and_told() {
    let server = WebServer::start(0).await;
    let page: String = (0..10_000).map(|n| format!("up{{job=\"j{n}\"}} {n}\n")).collect();
    server.page("text/plain", &page);
    let rig = Rig::new();
    let _running = rig.start(&block(server.address));
    rig.until_error(FaultKind::TooManySeries).await;
    let status = rig.until_state(DeviceState::Ok).await;
    assert_eq!(status.samples % 200, 0, "200 a reading: {}", status.samples);
}

#[tokio::test]
async fn samples_keep_their_own_times_and_free_text_is_refused() {
    let server = WebServer::start(0).await;
    let rig = Rig::new();
    let own = rig.ctx.sink.now_ms() - 3_600_000;
    server.page("text/plain", &format!("up{{job=\"x\"}} 3 {own}\nsale_a{{job=\"Ana Díaz\"}} 1\nsale_b 2\n"));
    let _running = rig.start(&block(server.address));
    let status = rig.until_error(FaultKind::Parse).await;
    assert!(!format!("{status:?}").contains("Ana"));
    rig.until_state(DeviceState::Ok).await;
    let status = rig.status();
    assert_eq!(status.values["up{job=\"x\"}"].t, own);
    assert!(status.values["sale_b"].t > own && status.values.len() == 2);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (more, why) in [
        ("token: a, username: b", "both"),
        ("password: b", "without a username"),
        ("metrics: []", "which are taken"),
        ("url: 'http://a:b@c/'", "password"),
    ] {
        let mut fields = vec!["url: 'http://a/'", "metrics: [up]"];
        fields.retain(|field| !more.starts_with(field.split(':').next().unwrap()));
        fields.push(more);
        let error = Rig::kind(&format!("prometheus: {{ {} }}", fields.join(", "))).check().unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
