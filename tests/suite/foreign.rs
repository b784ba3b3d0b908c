//! Prometheus remote write and OTLP in: what is good is stored as it was written, what is bad is refused alone and clearly.

use reqwest::Method;
use serde_json::Value;
use storepulse_shared::gzip;
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::foreign::{
    OTLP_PATH, STALE, WRITE_PATH, bytes, export, fixed64, gauge, of_till, series, snappy, write,
};

use crate::setting::{Setting, now_ms};

const DAY: i64 = 24 * 3_600_000;
const UP: [(&str, &str); 3] = [("__name__", "up"), ("instance", "pos-01:9100"), ("job", "pos")];
const UP_SERIES: &str = r#"up{instance="pos-01:9100",job="pos"}"#;

async fn write_series(setting: &Setting, all: &[Vec<u8>]) -> Answer {
    write(&setting.by_hand(), snappy(&all.concat()).unwrap()).await.unwrap()
}

async fn batches(setting: &Setting) -> i64 {
    let status = setting.status().await;
    let streams = status["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["received"].as_i64().unwrap()).sum()
}

fn losses(status: &Value) -> Vec<(&str, i64)> {
    let losses = status["losses"].as_array().unwrap();
    losses.iter().map(|l| (l["reason"].as_str().unwrap(), l["samples"].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn a_remote_written_series_is_read_back_as_it_was_written() {
    let setting = Setting::new().await;
    let now = now_ms();
    let quoted = [("__name__", "http:rate5m"), ("path", "a\"b\\c\n€"), ("z", "")];
    let answer =
        write_series(&setting, &[series(&UP, &[(now - 1, 0.0), (now, 1.0)]), series(&quoted, &[(now, 2.5)])])
            .await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let read = setting.by_hand().get("/v1/stores/T01/metrics").await.unwrap().json;
    let all: Vec<_> = read["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| ["device", "kind", "name"].map(|field| s[field].as_str().unwrap()))
        .collect();
    let rate = "http:rate5m{path=\"a\\\"b\\\\c\\n€\"}";
    assert_eq!(all, [["pos-01:9100", "prometheus", UP_SERIES], ["prometheus", "prometheus", rate]]);
    assert_eq!(read["series"][0]["samples"], serde_json::json!([[now - 1, 0.0], [now, 1.0]]));
}

#[tokio::test]
async fn a_request_tried_again_is_stored_once() {
    let setting = Setting::new().await;
    let now = now_ms();
    let body = [series(&UP, &[(now, 1.0)]), series(&[("__name__", "bad name")], &[(now, 1.0)])];
    let answers = [write_series(&setting, &body).await, write_series(&setting, &body).await];
    assert_eq!(answers[0].json, answers[1].json, "also what is refused is said again");
    let text = of_till(&gauge("m", now, "1"));
    let http = setting.by_hand();
    for body in [gzip::compress(text.as_bytes()), gzip::compress(text.as_bytes())] {
        let post = http.request(Method::POST, OTLP_PATH).header("Content-Type", "application/json");
        let answer = ByHand::answer(post.header("Content-Encoding", "gzip").body(body)).await.unwrap();
        assert_eq!((answer.status, answer.json.to_string().as_str()), (200, "{}"));
    }
    assert_eq!(export(&http, text).await.unwrap().status, 200, "another compression is no other content");
    assert_eq!(batches(&setting).await, 2);
    assert_eq!(losses(&setting.status().await), [("rejected:bad_series", 1)]);
}

#[tokio::test]
async fn what_has_no_value_is_no_sample_and_no_fault() {
    let setting = Setting::new().await;
    let now = now_ms();
    let nothing = [(now, f64::NAN), (now + 1, f64::INFINITY), (now + 2, STALE), (now + 3, f64::NEG_INFINITY)];
    assert_eq!(write_series(&setting, &[series(&UP, &nothing)]).await.status, 204);
    assert_eq!(write_series(&setting, &[]).await.status, 204, "Prometheus sends metadata alone, too");
    assert_eq!(batches(&setting).await, 0, "nothing of it touches the database");
    let sample = (now + 4, 3.0);
    assert_eq!(write_series(&setting, &[series(&UP, &[nothing[2], sample])]).await.status, 204);
    assert_eq!(setting.samples().await, [(UP_SERIES.to_owned(), sample.0, sample.1)]);
    let flagged =
        format!(r#"{{"name":"f","gauge":{{"dataPoints":[{{"timeUnixNano":"{now}000000","flags":1}}]}}}}"#);
    let answer = export(&setting.by_hand(), of_till(&flagged)).await.unwrap();
    assert_eq!((answer.status, answer.json), (200, serde_json::json!({})));
    let answer = export(&setting.by_hand(), of_till(&gauge("n", now, "\"NaN\""))).await.unwrap();
    assert_eq!(answer.json["partialSuccess"]["rejectedDataPoints"], "1", "{answer:?}");
    let client = reqwest::Client::new();
    let text =
        client.get(format!("{}/metrics", setting.cloud.url())).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("storepulse_cloud_samples_without_value_total 7\n"), "{text}");
}

#[tokio::test]
async fn a_bad_series_or_time_is_refused_alone_and_told() {
    let setting = Setting::new().await;
    let now = now_ms();
    let body = [
        series(&UP, &[(now - 2_000 * DAY, 1.0), (now, 1.0), (now + 2 * 3_600_000, 2.0), (i64::MAX, 3.0)]),
        series(&[("__name__", "no name")], &[(now, 1.0)]),
        series(&[("job", "nameless")], &[(now, 1.0)]),
    ];
    let answer = write_series(&setting, &body).await;
    assert_eq!((answer.status, answer.code()), (400, "samples_refused"));
    for says in ["1 samples are stored", "2 bad_series (no name:", "2 outside_retention", "1 time_ahead"] {
        assert!(answer.detail().contains(says), "{says}: {answer:?}");
    }
    assert_eq!(setting.samples().await, [(UP_SERIES.to_owned(), now, 1.0)]);
    let status = setting.status().await;
    let told = [("rejected:bad_series", 2), ("rejected:outside_retention", 2), ("rejected:time_ahead", 1)];
    assert_eq!(losses(&status), told);
}

#[tokio::test]
async fn samples_of_several_days_are_stored_and_of_too_many_refused() {
    let setting = Setting::new().await;
    let now = now_ms();
    let old: Vec<(i64, f64)> = (0..20).rev().map(|days| (now - days * DAY, 1.0)).collect();
    assert_eq!(write_series(&setting, &[series(&UP, &old)]).await.status, 204);
    let read: Vec<_> = setting.samples().await.into_iter().map(|(_, time, value)| (time, value)).collect();
    assert_eq!(read, old);
    let ages: Vec<(i64, f64)> = (0..200).map(|n| (now - n * 2 * DAY, 1.0)).collect();
    let answer = write_series(&setting, &[series(&UP, &ages)]).await;
    assert_eq!((answer.status, answer.code()), (422, "span_too_long"));
    assert!(answer.detail().contains("31 days"), "{answer:?}");
}

#[tokio::test]
async fn an_explosion_of_series_is_refused_with_the_limit() {
    let setting = Setting::new().await;
    let now = now_ms();
    let labels: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let of = |n: &String| series(&[("__name__", "m"), ("instance", "one"), ("n", n)], &[(now, 1.0)]);
    let answer = write_series(&setting, &labels.iter().map(of).collect::<Vec<_>>()).await;
    assert_eq!((answer.status, answer.code()), (400, "samples_refused"));
    assert!(answer.detail().contains("100 series_limit (a device has at most 200 series"), "{answer:?}");
    assert_eq!(setting.samples().await.len(), 200);
    assert_eq!(losses(&setting.status().await), [("rejected:series_limit", 100)]);
}

#[tokio::test]
async fn a_broken_remote_write_is_refused_clearly() {
    let setting = Setting::new().await;
    let now = now_ms();
    let good = series(&UP, &[(now, 1.0)]);
    let whole = snappy(&good).unwrap();
    let many: Vec<(i64, f64)> = (0..20_001).map(|n| (now + n, 1.0)).collect();
    let noise: Vec<u8> = (0..1_200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases = [
        ("no snappy", b"hello".to_vec(), 400, "bad_snappy"),
        ("no body", Vec::new(), 400, "bad_snappy"),
        ("snappy cut off", whole[..whole.len() - 2].to_vec(), 400, "bad_snappy"),
        ("a promise that cannot be kept", vec![0x80, 0x80, 0xc0, 0x07, 0, 0], 400, "bad_snappy"),
        ("a bomb", snappy(&vec![0; 40 << 20]).unwrap(), 413, "body_too_large"),
        ("a smaller bomb", snappy(&vec![0; 17 << 20]).unwrap(), 413, "inflated_too_large"),
        ("too many bytes", noise, 413, "body_too_large"),
        ("protobuf cut off", snappy(&good[..good.len() - 1]).unwrap(), 400, "bad_protobuf"),
        ("no protobuf", snappy(b"{\"metrics\":[]}").unwrap(), 400, "bad_protobuf"),
        ("too many samples", snappy(&series(&UP, &many)).unwrap(), 413, "too_many_samples"),
    ];
    for (what, body, status, code) in cases {
        let answer = write(&setting.by_hand(), body).await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, code), "{what}: {answer:?}");
        assert_ne!(answer.detail(), "", "{what}");
    }
    // Eight million empty series, and series with a million empty labels: read without a place for each.
    for (empties, what) in
        [([0x0a, 0].repeat(8 << 20), "series"), (bytes(1, &[0x0a, 0].repeat(7 << 20)), "labels")]
    {
        let body = snappy(&empties[..empties.len().min(16 << 20)]).unwrap();
        assert_eq!(write(&setting.by_hand(), body).await.unwrap().status, 204, "{what}");
    }
    assert_eq!(batches(&setting).await, 0);
    assert_eq!(write(&setting.by_hand(), whole).await.unwrap().status, 204);
}

#[tokio::test]
async fn what_speaks_another_version_is_told_what_is_understood() {
    let setting = Setting::new().await;
    let http = setting.by_hand();
    let cases = [
        (
            WRITE_PATH,
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "snappy",
            "remote write 1.0",
        ),
        (WRITE_PATH, "application/json", "snappy", "remote write 1.0"),
        (WRITE_PATH, "application/x-protobuf", "zstd", "snappy"),
        (OTLP_PATH, "text/plain", "gzip", "application/x-protobuf or application/json"),
        (OTLP_PATH, "application/json", "zstd", "gzip or none"),
    ];
    for (path, content_type, encoding, says) in cases {
        let request = http.request(Method::POST, path).header("Content-Type", content_type);
        let answer = ByHand::answer(request.header("Content-Encoding", encoding).body("x")).await.unwrap();
        assert_eq!(answer.status, 415, "{path} {content_type} {encoding}");
        assert!(answer.detail().contains(says), "{answer:?}");
    }
}

#[tokio::test]
async fn only_the_stores_own_key_writes_and_into_its_own_store() {
    let setting = Setting::new().await;
    let now = now_ms();
    let body = || snappy(&series(&UP, &[(now, 1.0)])).unwrap();
    let [first, second] = [&setting.stores[0], &setting.stores[1]].map(|store| store.bearer());
    let wrong = format!("{}x", &first[..first.len() - 1]);
    for bearer in [None, Some(wrong), Some("Bearer nothing".to_owned())] {
        let stranger = ByHand::new(&setting.cloud.url(), None, bearer).unwrap();
        assert_eq!(write(&stranger, body()).await.unwrap().status, 401);
        assert_eq!(export(&stranger, of_till(&gauge("m", now, "1"))).await.unwrap().status, 401);
    }
    let other = ByHand::new(&setting.cloud.url(), None, Some(second)).unwrap();
    assert_eq!(write(&other, body()).await.unwrap().status, 204);
    assert_eq!(setting.samples().await, [], "T01 has nothing of it");
    assert_eq!(other.get("/v1/stores/T02/metrics").await.unwrap().json["series"][0]["name"], UP_SERIES);
}

#[tokio::test]
async fn an_exporter_is_told_what_was_refused_of_its_data_points() {
    let setting = Setting::new().await;
    let now = now_ms();
    let delta = format!(
        r#"{{"name":"d","sum":{{"aggregationTemporality":1,"dataPoints":[{{"timeUnixNano":"{now}000000","asInt":"1"}}]}}}}"#
    );
    let metrics =
        [gauge("good", now, "1.5"), delta, gauge("bad name", now, "1"), gauge("late", now + DAY, "1")];
    let answer = export(&setting.by_hand(), of_till(&metrics.join(","))).await.unwrap();
    assert_eq!(answer.status, 200);
    let partial = &answer.json["partialSuccess"];
    assert_eq!(partial["rejectedDataPoints"], "3");
    let message = partial["errorMessage"].as_str().unwrap();
    for says in ["1 not_cumulative (d: set the temporality", "1 bad_series (bad name:", "1 time_ahead"] {
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(setting.samples().await, [(r#"good{service.name="till"}"#.to_owned(), now, 1.5)]);
}

#[tokio::test]
async fn a_broken_otlp_request_is_refused_in_its_own_encoding() {
    let setting = Setting::new().await;
    let http = setting.by_hand();
    for (body, says) in
        [("{", "bad_json"), ("[]", "bad_json"), (r#"{"resourceMetrics":7}"#, "expected a list")]
    {
        let answer = export(&http, body).await.unwrap();
        assert_eq!((answer.status, answer.json["code"].as_i64()), (400, Some(3)));
        assert!(answer.json["message"].as_str().unwrap().contains(says), "{answer:?}");
    }
    let post = |body: Vec<u8>, encoding: &str| {
        let request = http.request(Method::POST, OTLP_PATH).header("Content-Type", "application/x-protobuf");
        request.header("Content-Encoding", encoding).body(body)
    };
    let bomb = gzip::compress(&vec![0; 17 << 20]);
    for (body, encoding, status) in
        [(b"\x0a\x05".to_vec(), "identity", 400), (b"x".to_vec(), "gzip", 400), (bomb, "gzip", 413)]
    {
        let response = post(body, encoding).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
            (status, "application/x-protobuf")
        );
        assert_eq!(response.bytes().await.unwrap()[..2], [0x08, 3], "google.rpc.Status, invalid argument");
    }
    let now = now_ms();
    let point = [fixed64(3, now.cast_unsigned() * 1_000_000), fixed64(4, 2.5_f64.to_bits())].concat();
    let metric = [bytes(1, b"m"), bytes(5, &bytes(1, &point))].concat();
    let response = post(bytes(1, &bytes(2, &bytes(2, &metric))), "identity").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, 0));
    assert_eq!(setting.samples().await, [("m".to_owned(), now, 2.5)]);
}
