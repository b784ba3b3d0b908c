//! Bad input gets a clear error, and nothing is lost by it: the next good batch is stored.

use storepulse_shared::batch::Batch;
use storepulse_shared::gzip;
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{Answer, ByHand, HandBatch, samples};

use crate::setting::{Setting, now_ms};

/// What a refusal must be.
struct Expected {
    status: u16,
    code: &'static str,
    /// A piece of the detail.
    says: &'static str,
    /// Whether the number is closed by it.
    closes: bool,
}

const fn closing(status: u16, code: &'static str, says: &'static str) -> Expected {
    Expected { status, code, says, closes: true }
}

const fn passing(status: u16, code: &'static str, says: &'static str) -> Expected {
    Expected { status, code, says, closes: false }
}

fn check(answer: &Answer, expected: &Expected, what: &str) {
    assert_eq!((answer.status, answer.code()), (expected.status, expected.code), "{what}: {answer:?}");
    assert!(answer.detail().contains(expected.says), "{what}: {answer:?}");
    assert_eq!(answer.names_a_batch(), expected.closes, "{what}: {answer:?}");
}

type Case = (&'static str, u32, Vec<u8>, Expected);

/// Bodies that are whole on arrival, and no JSON that could be read.
fn unreadable() -> Vec<Case> {
    let good = gzip::compress(br#"{"v":1}"#);
    let twice = [good.clone(), good.clone()].concat();
    let bomb = gzip::compress(&vec![b' '; 40 << 20]);
    vec![
        ("not gzip", 0, b"hello".to_vec(), closing(400, "bad_gzip", "not gzip")),
        ("truncated gzip", 0, good[..good.len() - 3].to_vec(), closing(400, "bad_gzip", "truncated")),
        ("two gzip streams", 0, twice, closing(400, "bad_gzip", "exactly one")),
        ("a gzip bomb", 0, bomb, closing(413, "inflated_too_large", "16777216")),
        ("not JSON", 0, gzip::compress(b"hello"), closing(400, "malformed_body", "expected value")),
        ("an empty batch", 0, good, closing(400, "malformed_body", "empty batch")),
    ]
}

fn one_frame(frame: &str) -> Vec<u8> {
    gzip::compress(format!(r#"{{"v":1,"frames":[{frame}]}}"#).as_bytes())
}

fn of_device_d(times: &str, series: &str) -> Vec<u8> {
    one_frame(&format!(r#"{{"device":"d","kind":"k","t":{times},"m":{series}}}"#))
}

/// Bodies that are JSON, and no batch.
fn malformed() -> Vec<Case> {
    let body = |says| closing(400, "malformed_body", says);
    let odd_device = one_frame(r#"{"device":"../../etc","kind":"k","t":[1],"m":{"a":[1]}}"#);
    let long_metric = of_device_d("[1]", &format!(r#"{{"{}":[1]}}"#, "x".repeat(600)));
    let sql = of_device_d("[1]", r#"{"a'; drop table streams; --":[1]}"#);
    vec![
        ("different lengths", 2, of_device_d("[1,1]", r#"{"a":[1]}"#), body("1 values for 2 times")),
        ("duplicate keys", 2, of_device_d("[1]", r#"{"a":[1],"a":[2]}"#), body("duplicate key")),
        ("a step of 0", 2, of_device_d("[1,0]", r#"{"a":[1,1]}"#), body("step 0")),
        ("a step below 0", 2, of_device_d("[5,-1]", r#"{"a":[1,1]}"#), body("step -1")),
        ("NaN", 1, of_device_d("[1]", r#"{"a":[NaN]}"#), body("frames[0].m")),
        ("an infinity", 1, of_device_d("[1]", r#"{"a":[1e400]}"#), body("out of range")),
        ("an unknown field", 0, gzip::compress(br#"{"v":1,"extra":1}"#), body("unknown field")),
        ("an absurd device", 1, odd_device, body("not a device id")),
        ("an absurd metric", 1, long_metric, body("600 bytes")),
        ("SQL for a metric", 1, sql, body("not a metric name")),
    ]
}

/// Batches that are well-formed, and cannot be taken.
fn too_much() -> Vec<Case> {
    let now = now_ms();
    let values = vec!["1"; 10_500].join(",");
    let times = format!("[{now}{}]", ",1".repeat(10_499));
    let large = of_device_d(&times, &format!(r#"{{"a":[{values}],"b":[{values}]}}"#));
    let long = of_device_d(&format!("[{now},172800000]"), r#"{"a":[1,1]}"#);
    vec![
        (
            "a wrong count",
            7,
            of_device_d("[1]", r#"{"a":[1]}"#),
            closing(400, "sample_count", "samples=7, the body has 1"),
        ),
        ("too many samples", 21_000, large, closing(413, "too_many_samples", "20000")),
        ("a span of two days", 2, long, closing(422, "span_too_long", "172800000")),
    ]
}

#[tokio::test]
async fn a_malformed_batch_is_refused_with_its_reason_and_its_number_is_closed() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let epoch = Epoch::random();
    let cases: Vec<Case> = [unreadable(), malformed(), too_much()].into_iter().flatten().collect();
    let last = cases.len() as u64 + 1;
    for (seq, (what, count, body, expected)) in (1..).zip(cases) {
        let batch = HandBatch::with_body(epoch, seq, count, body);
        check(&agent.send(&batch).await.unwrap(), &expected, what);
        let again = agent.send(&batch).await.unwrap();
        assert_eq!((again.status, again.code()), (410, "batch_closed"), "{what}");
    }
    let now = now_ms();
    let answer = agent.send(&HandBatch::of(epoch, last, &samples("m", &[now], &[1.0]))).await.unwrap();
    assert_eq!(answer.json["through"][epoch.to_string()], last, "no number stays open: {answer:?}");
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
}

#[tokio::test]
async fn what_was_damaged_on_the_way_closes_nothing() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let good = HandBatch::of(Epoch::random(), 1, &samples("m", &[now], &[1.0]));
    let post = || agent.request(reqwest::Method::POST, "/v1/metrics/batch");
    let name = "storepulse-batch";

    let mut flipped = good.clone();
    flipped.body[12] ^= 1;
    check(
        &agent.send(&flipped).await.unwrap(),
        &passing(400, "body_damaged", "send it again"),
        "a flipped bit",
    );
    let stripped = post().header(name, good.header.to_string()).body(good.body.clone());
    let expected = passing(400, "content_encoding_missing", "Content-Encoding");
    check(&ByHand::answer(stripped).await.unwrap(), &expected, "a stripped header");
    let zstd = post()
        .header(name, good.header.to_string())
        .header("Content-Encoding", "zstd")
        .body(good.body.clone());
    check(&ByHand::answer(zstd).await.unwrap(), &passing(415, "unknown_encoding", "gzip or none"), "zstd");
    for header in ["", "nonsense", &good.header.to_string().replace("lane=normal", "lane=fast")] {
        let request = post().header(name, header).header("Content-Encoding", "gzip").body(good.body.clone());
        check(
            &ByHand::answer(request).await.unwrap(),
            &passing(400, "bad_batch_header", "StorePulse-Batch"),
            header,
        );
    }
    let twice = post()
        .header(name, good.header.to_string())
        .header(name, good.header.to_string())
        .body(good.body.clone());
    check(
        &ByHand::answer(twice).await.unwrap(),
        &passing(400, "bad_batch_header", "more than once"),
        "twice",
    );

    assert_eq!(agent.send(&good).await.unwrap().status, 200);
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_with_the_limit() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let batch = HandBatch::with_body(Epoch::random(), 1, 1, vec![7; 10 << 20]);
    let answer = agent.send(&batch).await.unwrap();
    check(&answer, &closing(413, "body_too_large", "1048576"), "10 MB");
    assert_eq!(answer.json["limit"], 1 << 20);
    let flat = agent.push(&" ".repeat(10 << 20), None).await.unwrap();
    check(&flat, &passing(413, "body_too_large", "1048576"), "10 MB, flat");
}

#[tokio::test]
async fn samples_of_impossible_times_are_rejected_one_by_one() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let hour = 3_600_000;
    let times = [now - 2 * hour, now, now + 2 * hour, now + 3 * hour];
    let batch = HandBatch::of(epoch, 1, &samples("m", &times, &[1.0, 2.0, 3.0, 4.0]));
    for duplicate in [false, true] {
        let answer = agent.send(&batch).await.unwrap();
        assert_eq!((answer.status, &answer.json["processed"]), (200, &2.into()), "{answer:?}");
        assert_eq!(answer.json["duplicate"], duplicate);
        let rejected = serde_json::json!([{"path": "/frames/0/t/2-3", "reason": "time_ahead", "samples": 2}]);
        assert_eq!(answer.json["rejected"], rejected, "a duplicate repeats what was rejected");
    }
    assert_eq!(setting.samples().await.len(), 2);
    let status = setting.status().await;
    assert_eq!(
        status["losses"],
        serde_json::json!([{"reason": "rejected:time_ahead", "losses": 1, "samples": 2}])
    );

    // The offset is added first; and whoever is unsure of the clock may be ahead.
    let mut shifted = HandBatch::of(epoch, 2, &samples("n", &[now + 2 * hour], &[1.0]));
    shifted.header.offset_ms = -2 * hour;
    assert_eq!(agent.send(&shifted).await.unwrap().json["processed"], 1);
    let mut unsure = HandBatch::of(epoch, 3, &samples("o", &[now + 2 * hour], &[1.0]));
    unsure.header.clock = storepulse_shared::batch::Clock::Unsure;
    assert_eq!(agent.send(&unsure).await.unwrap().json["processed"], 1);

    let ancient = HandBatch::of(epoch, 4, &samples("m", &[0], &[1.0]));
    let answer = agent.send(&ancient).await.unwrap();
    assert_eq!((answer.status, &answer.json["processed"]), (200, &0.into()));
    assert_eq!(answer.json["rejected"][0]["reason"], "outside_retention");
}

#[tokio::test]
async fn series_beyond_the_limit_of_a_device_are_rejected_and_the_others_stored() {
    let setting = Setting::new().await;
    let now = now_ms();
    let mut content = Batch::default();
    content.frames.push(storepulse_testbed::by_hand::frame("m", &[now], &[1.0]));
    content.frames[0].columns = (0..250)
        .map(|n| storepulse_shared::batch::Column { series: format!("m{n:03}").into(), values: vec![1.0] })
        .collect();
    let answer = setting.by_hand().send(&HandBatch::of(Epoch::random(), 1, &content)).await.unwrap();
    assert_eq!((answer.status, &answer.json["processed"]), (200, &200.into()));
    let rejected = answer.json["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 50);
    assert!(rejected.iter().all(|r| r["reason"] == "series_limit"));
}

#[tokio::test]
async fn flat_bodies_that_are_wrong_are_refused_with_their_place() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let row = |device: &str, metric: &str, value: &str, time: &str| {
        format!(
            r#"{{"metrics":[{{"device_id":"{device}","metric":"{metric}","value":{value},"timestamp":{time}}}]}}"#
        )
    };
    for (body, says) in [
        ("not json".to_owned(), "body: expected"),
        (r#"{"metrics":[]}"#.to_owned(), "empty batch"),
        (row("d d", "m", "1", "1"), "metrics[0].device_id"),
        (row("d", "m m", "1", "1"), "metrics[0].metric"),
        (row("d", "m", "NaN", "1"), "metrics[0].value"),
        (row("d", "m", "\"1\"", "1"), "metrics[0].value"),
        (row("d", "m", "1", "\"yesterday\""), "metrics[0].timestamp"),
        (row("d", "m", "1", "1").replace("device_id", "device"), "unknown field `device`"),
    ] {
        let answer = agent.push(&body, None).await.unwrap();
        check(&answer, &passing(400, "malformed_body", says), &body);
    }
    let agent_form = r#"{"v":1,"frames":[{"device":"d","kind":"k","t":[1],"m":{"a":[1]}}]}"#;
    let answer = agent.push(agent_form, None).await.unwrap();
    check(
        &answer,
        &passing(400, "batch_header_missing", "StorePulse-Batch"),
        "the agent form without its header",
    );
    let long = "k".repeat(129);
    for key in ["", &long] {
        let answer = agent.push(&row("d", "m", "1", "1"), Some(key)).await.unwrap();
        check(&answer, &passing(400, "bad_idempotency_key", "1 to 128"), key);
    }
    assert_eq!(setting.samples().await, []);
}

#[tokio::test]
async fn a_tenant_header_that_names_another_tenant_is_refused() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now], &[1.0]));
    let send = |tenant: &'static str| {
        let request = agent
            .request(reqwest::Method::POST, "/v1/metrics/batch")
            .header("X-Tenant-ID", tenant)
            .header("Content-Encoding", "gzip")
            .header("StorePulse-Batch", batch.header.to_string());
        ByHand::answer(request.body(batch.body.clone()))
    };
    let refused = send("el-sol").await.unwrap();
    check(&refused, &passing(403, "tenant_mismatch", "X-Tenant-ID"), "another tenant");
    assert_eq!(send("la-villa").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_with_the_parameter() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    for (query, says) in [
        ("from=yesterday", "from"),
        ("form=1", "unknown field `form`"),
        ("from=5&to=4", "from=5 is after to=4"),
    ] {
        let answer = agent.get(&format!("/v1/stores/T01/metrics?{query}")).await.unwrap();
        check(&answer, &passing(400, "bad_query", says), query);
    }
}
