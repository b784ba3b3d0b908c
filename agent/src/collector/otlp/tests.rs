//! What the decoders read, and the whole kind against requests of our own.

use std::path::Path;

use storepulse_shared::gzip;

use super::point::Points;
use super::totals::Totals;
use super::vectors::{
    EXPONENTIAL, EXPONENTIAL_JSON, GAUGE, GAUGE_JSON, HISTOGRAM, HISTOGRAM_JSON, SUM, SUM_JSON, SUMMARY,
    SUMMARY_JSON,
};
use super::*;
use crate::collector::rig::Rig;

const NOW_MS: i64 = 1_763_700_000_000;
const TILL: &str = r#"service.name="till""#;

type Decode = fn(&[u8], &mut Points<'_>) -> Result<(), FaultKind>;

/// Series and value of a request, all of one time, and how many were left out.
fn decoded(body: &[u8], decode: Decode) -> (Vec<(String, f64)>, usize) {
    let labels = ["service.name", "s", "b", "i", "d"].map(str::to_owned);
    let mut points = Points::new(&labels);
    decode(body, &mut points).unwrap();
    let (ticks, left_out, _) = points.finish(&Totals::default(), NOW_MS);
    assert!(ticks.iter().all(|tick| tick.time_ms == NOW_MS), "{ticks:?}");
    (ticks.into_iter().flat_map(|tick| tick.values).collect(), left_out.count())
}

#[test]
fn protobuf_and_json_say_the_same() {
    let till = |suffix: &str, le: &str, value| (format!("m{suffix}{{{le}{TILL}}}"), value);
    let number = format!(r#"m{{b="true",d="0.5",i="-3",s="x",{TILL}}}"#);
    let histogram = vec![
        till("_bucket", r#"le="+Inf","#, 12.0),
        till("_bucket", r#"le="1","#, 3.0),
        till("_bucket", r#"le="2","#, 7.0),
        till("_count", "", 12.0),
        till("_sum", "", 9.0),
    ];
    let summary = vec![till("_count", "", 2.0), till("_sum", "", 8.0), till("", r#"quantile="0.5","#, 4.0)];
    for (protobuf, json, expected) in [
        (GAUGE, GAUGE_JSON, (vec![(number, 2.5)], 0)),
        (SUM, SUM_JSON, (vec![till("", "", 7.0)], 0)),
        (HISTOGRAM, HISTOGRAM_JSON, (histogram, 0)),
        (SUMMARY, SUMMARY_JSON, (summary, 0)),
        (EXPONENTIAL, EXPONENTIAL_JSON, (vec![], 1)),
    ] {
        assert_eq!(decoded(protobuf, super::protobuf::decode), expected);
        assert_eq!(decoded(json, super::text::decode), expected);
    }
}

#[test]
fn a_body_cut_off_anywhere_is_noticed() {
    for (body, decode) in [(GAUGE, super::protobuf::decode as Decode), (GAUGE_JSON, super::text::decode)] {
        for cut in 1..body.len() {
            let decoded = decode(&body[..cut], &mut Points::new(&[]));
            assert_eq!(decoded, Err(FaultKind::ShortFrame), "cut at {cut}");
        }
    }
}

#[test]
fn json_that_is_no_request_is_refused() {
    let point = |members: &str| {
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{{members}}}]}}}}]}}]}}]}}"#
        )
    };
    for bad in [
        "[]",
        "1",
        r#"{"resourceMetrics":{}}"#,
        r#"{"resourceMetrics":[1]}"#,
        &point(r#""timeUnixNano":"now""#),
        &point(r#""timeUnixNano":-1"#),
        &point(r#""asDouble":"x""#),
        &point(r#""asDouble":true"#),
        &point(r#""attributes":[{"key":1}]"#),
        &point(r#""asInt":"99999999999999999999""#),
    ] {
        assert_eq!(
            super::text::decode(bad.as_bytes(), &mut Points::new(&[])),
            Err(FaultKind::Parse),
            "{bad}"
        );
    }
    for good in ["{}", r#"{"resourceMetrics":null}"#, r#"{"resourceMetrics":[{}],"more":1}"#, &point("")] {
        super::text::decode(good.as_bytes(), &mut Points::new(&[])).unwrap();
    }
}

/// A free port, which somebody else could take before we do; the tests would say so.
async fn port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A running kind, and what it answers.
struct Running {
    rig: Rig,
    address: SocketAddr,
    _tasks: tokio::task::JoinSet<()>,
}

impl Running {
    async fn start(more: &str) -> Self {
        let address = port().await;
        let rig = Rig::new();
        let tasks = rig.start(&format!("otlp: {{ listen: '{address}', labels: [service.name]{more} }}"));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { rig, address, _tasks: tasks }
    }

    async fn post(&self, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.post(format!("http://{}/v1/metrics", self.address)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned())
    }

    async fn json(&self, body: &str) -> (u16, String) {
        self.post(&[("content-type", "application/json; charset=utf-8")], body.as_bytes().to_owned()).await
    }
}

/// With the time of now.
fn fresh(json: &[u8], rig: &Rig) -> String {
    let now = rig.ctx.sink.now_ms();
    String::from_utf8(json.to_owned()).unwrap().replace("1763700000000", &now.to_string())
}

#[tokio::test]
async fn what_is_exported_is_durable_and_answered_as_the_protocol_says() {
    let running = Running::start("").await;
    assert_eq!(running.json(&fresh(GAUGE_JSON, &running.rig)).await, (200, "{}".to_owned()));
    running.rig.until_state(DeviceState::Ok).await;
    assert_eq!(running.rig.values()[&format!("m{{{TILL}}}")], 2.5);
    assert!(running.rig.dir.path().join("spool.db").exists());

    let protobuf = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    assert_eq!(running.post(&protobuf, gzip::compress(HISTOGRAM)).await, (200, String::new()));
    assert_eq!(running.rig.values()[&format!("m_count{{{TILL}}}")], 12.0);

    let (status, answer) = running.json(&fresh(EXPONENTIAL_JSON, &running.rig)).await;
    assert!(status == 200 && answer.contains(r#""rejectedDataPoints":"1""#), "{status} {answer}");
    let (status, answer) = running.post(&protobuf, gzip::compress(EXPONENTIAL)).await;
    assert!(
        status == 200 && answer.contains("\u{8}\u{1}\u{12}") && answer.contains("of a kind"),
        "{answer:?}"
    );
    running.rig.until_error(FaultKind::Unsupported).await;
}

#[tokio::test]
async fn bad_requests_are_refused_and_counted_by_kind() {
    let running = Running::start("").await;
    let json = ("content-type", "application/json");
    let bomb = gzip::compress(&vec![b' '; 5 << 20]);
    for (headers, body, status, kind) in [
        (&[json][..], b"<html>".to_vec(), 400, FaultKind::Parse),
        (&[json], GAUGE_JSON[..50].to_vec(), 400, FaultKind::ShortFrame),
        (&[json], "[".repeat(100).into_bytes(), 413, FaultKind::TooLarge),
        (&[json], vec![b' '; (1 << 20) + 1], 413, FaultKind::TooLarge),
        (&[json, ("content-encoding", "gzip")], bomb, 413, FaultKind::TooLarge),
        (&[json, ("content-encoding", "gzip")], b"{}".to_vec(), 400, FaultKind::Checksum),
        (&[json, ("content-encoding", "br")], b"{}".to_vec(), 415, FaultKind::Unsupported),
        (&[("content-type", "text/plain")], b"{}".to_vec(), 415, FaultKind::Unsupported),
        (&[json, ("authorization", "Bearer store_x")], b"{}".to_vec(), 403, FaultKind::Denied),
    ] {
        let (told, answer) = running.post(headers, body).await;
        assert_eq!(told, status, "{headers:?} {answer}");
        assert_eq!(running.rig.status().last_error.unwrap().kind, kind.name(), "{headers:?}");
    }
    assert!(running.rig.status().state.is_none(), "a bad request says nothing of the device");
    assert_eq!(running.json("{}").await.0, 200);
}

#[tokio::test]
async fn a_spool_that_takes_nothing_is_told_to_come_again() {
    let running = Running::start("").await;
    let database = rusqlite::Connection::open(running.rig.dir.path().join("spool.db")).unwrap();
    assert_eq!(running.json(&fresh(SUM_JSON, &running.rig)).await.0, 200);
    database.execute_batch("alter table open_ticks rename to hidden").unwrap();
    let (status, answer) = running.json(&fresh(SUM_JSON, &running.rig)).await;
    assert!(status == 503 && answer.contains("come again"), "{status} {answer}");
    database.execute_batch("alter table hidden rename to open_ticks").unwrap();
    assert_eq!(running.json(&fresh(SUM_JSON, &running.rig)).await.0, 200);
    assert_eq!(running.rig.values()[&format!("m{{{TILL}}}")], 14.0, "what was refused was not added");
}

#[tokio::test]
async fn an_explosion_of_labels_is_cut_and_told() {
    let running = Running::start("").await;
    let point = |n: usize| {
        format!(
            r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s{n}"}}}}],"asDouble":{n}}}"#
        )
    };
    let all: Vec<String> = (0..3_000).map(point).collect();
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{}]}}}}]}}]}}]}}"#,
        all.join(",")
    );
    let (status, answer) = running.json(&body).await;
    assert!(status == 200 && answer.contains(r#""rejectedDataPoints":"2800""#), "{status} {answer}");
    let status = running.rig.until_error(FaultKind::TooManySeries).await;
    assert_eq!(status.samples, 200);
}

#[tokio::test]
async fn silence_makes_it_stale_and_a_sign_of_life_good_again() {
    let running = Running::start(", stale_after: 50ms").await;
    running.rig.until_state(DeviceState::Stale).await;
    assert_eq!(running.json(&fresh(GAUGE_JSON, &running.rig)).await.0, 200);
    running.rig.until("a value", |status| status.samples == 1).await;
    running.rig.until_state(DeviceState::Stale).await;
}

#[tokio::test]
async fn a_token_or_an_address_lets_in_and_nothing_else() {
    let token = storepulse_shared::key::PushToken::issue();
    let tokens = format!(", tokens: [{{ name: pos, token: {} }}]", token.expose());
    let running = Running::start(&tokens).await;
    assert_eq!(running.json("{}").await.0, 401);
    let bearer = format!("Bearer {}", token.expose());
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    assert_eq!(running.post(&headers, b"{}".to_vec()).await.0, 200);
    assert!(!format!("{:?}", running.rig.status()).contains(token.expose()));

    let running = Running::start(", from: [192.168.1.0/24]").await;
    assert_eq!(running.json("{}").await.0, 403);
    let running = Running::start(", from: [127.0.0.1]").await;
    assert_eq!(running.json("{}").await.0, 200);
}

#[tokio::test]
async fn a_port_that_somebody_has_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::new();
    let _running = rig.start(&format!("otlp: {{ listen: '{}' }}", taken.local_addr().unwrap()));
    rig.until_error(FaultKind::BusyPort).await;
    rig.until_state(DeviceState::Unreachable).await;
}

#[test]
fn off_loopback_somebody_must_be_listed() {
    let check = |more: &str| Rig::kind(&format!("otlp: {{ listen: '0.0.0.0:4318'{more} }}")).check();
    assert!(check("").unwrap_err().contains("not loopback"));
    assert!(check(", from: [10.0.0.0/8]").is_ok());
    assert!(check(", from: [10.0.0.0/8], labels: [a-b]").unwrap_err().contains("labels"));
    assert!(check(", tokens: [{ name: a }]").unwrap_err().contains("neither"));
    let mut kind = Rig::kind("otlp: { tokens: [{ name: a, token_file: t }] }");
    assert_eq!(kind.paths(), [Path::new("t")]);
}
