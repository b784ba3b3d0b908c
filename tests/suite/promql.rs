//! The query API of Prometheus over HTTP: a store's own series, in both spellings, and clear refusals of all else. What the
//! expressions come to is compared with Prometheus itself by `cargo peers promql`.

use reqwest::{Method, Url};
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};

use crate::setting::{Setting, now_ms};

/// A path with parameters, encoded.
fn path(path: &str, parameters: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params(&format!("http://cloud{path}"), parameters).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

async fn get(agent: &ByHand, to: &str, parameters: &[(&str, &str)]) -> Answer {
    agent.get(&path(to, parameters)).await.unwrap()
}

/// The result of a query at a time, Unix milliseconds.
async fn result(agent: &ByHand, query: &str, time: i64) -> Value {
    let time = format!("{}.{:03}", time / 1_000, time % 1_000);
    let answer = get(agent, "/api/v1/query", &[("query", query), ("time", &time)]).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("success")), "{query}: {answer:?}");
    answer.json["data"]["result"].clone()
}

fn row(device: &str, metric: &str, time: i64, value: f64, labels: &Value) -> Value {
    json!({ "device_id": device, "metric": metric, "timestamp": time, "value": value, "labels": labels })
}

async fn push(agent: &ByHand, rows: &[Value]) {
    let answer = agent.push(&json!({ "metrics": rows }).to_string(), None).await.unwrap();
    assert_eq!((answer.status, &answer.json["rejected"]), (200, &json!([])), "{answer:?}");
}

/// A minute of two devices in T01, another value in T02, and the two agents.
async fn two_stores() -> (Setting, ByHand, ByHand, i64) {
    let setting = Setting::new().await;
    let now = now_ms() / 1_000 * 1_000;
    let first = setting.by_hand();
    let second = ByHand::new(&setting.cloud.url(), None, Some(setting.stores[1].bearer())).unwrap();
    let rows = (0..=4).flat_map(|at: i32| {
        let time = now - 60_000 + i64::from(at) * 15_000;
        [
            row("fridge-1", "hw.temperature", time, f64::from(at), &json!({"sensor.type": "ntc"})),
            row("pos-1", "retail.pos.transactions", time, f64::from(at) * 30.0, &json!({})),
        ]
    });
    push(&first, &rows.collect::<Vec<_>>()).await;
    push(&second, &[row("fridge-1", "hw.temperature", now, 0.625, &json!({"secret": "of-t02"}))]).await;
    (setting, first, second, now)
}

#[tokio::test]
async fn a_query_answers_as_prometheus_does() {
    let (setting, agent, _, now) = two_stores().await;
    let metric = json!({ "__name__": "hw_temperature", "device": "fridge-1", "kind": "push", "sensor_type": "ntc", "store": "T01" });
    let seconds = now / 1_000;
    let expected = json!([{ "metric": metric, "value": [seconds, "4"] }]);
    for query in
        ["hw_temperature", r#"{__name__="hw.temperature"}"#, r#"{"hw.temperature", "sensor.type"="ntc"}"#]
    {
        assert_eq!(result(&agent, query, now).await, expected, "{query}");
    }
    assert_eq!(
        result(&agent, "rate(retail_pos_transactions[1m])", now).await,
        json!([{ "metric": { "device": "pos-1", "kind": "push", "store": "T01" }, "value": [seconds, "2"] }])
    );
    assert_eq!(result(&agent, "1 + 1", 1_500).await, json!([1.5, "2"]));

    let form = format!("query=hw_temperature&start={}&end={seconds}&step=30", seconds - 60);
    let request = agent.request(Method::POST, "/api/v1/query_range");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form);
    let answer = ByHand::answer(request).await.unwrap();
    let values = json!([[seconds - 60, "0"], [seconds - 30, "2"], [seconds, "4"]]);
    assert_eq!(
        answer.json,
        json!({ "status": "success", "data": { "resultType": "matrix", "result": [{ "metric": metric, "values": values }] } })
    );
    setting.cloud.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_keys_own_store_is_seen() {
    let (_setting, first, second, now) = two_stores().await;
    let everything = r#"{__name__=~".+"}"#;
    for query in
        [everything, r#"{store="T02"}"#, r#"{secret="of-t02"}"#, "hw_temperature", "sum(hw_temperature)"]
    {
        let seen = result(&first, query, now).await.to_string();
        assert!(
            !seen.contains("of-t02") && !seen.contains("0.625") && !seen.contains("T02"),
            "{query}: {seen}"
        );
    }
    assert_eq!(result(&first, &format!("count({everything})"), now).await[0]["value"][1], "2");
    assert_eq!(result(&second, everything, now).await[0]["value"][1], "0.625");
    for to in ["/api/v1/series", "/api/v1/labels", "/api/v1/label/secret/values", "/api/v1/metadata"] {
        let seen = get(&first, to, &[("match[]", everything)]).await;
        assert_eq!(seen.status, 200, "{to}");
        assert!(!seen.json.to_string().contains("secret"), "{to}: {seen:?}");
    }
}

#[tokio::test]
async fn series_and_labels_are_listed() {
    let (_setting, agent, _, now) = two_stores().await;
    let data =
        async |to: &str, parameters: &[(&str, &str)]| get(&agent, to, parameters).await.json["data"].clone();
    assert_eq!(
        data("/api/v1/labels", &[]).await,
        json!(["__name__", "device", "kind", "sensor_type", "store"])
    );
    assert_eq!(
        data("/api/v1/label/__name__/values", &[]).await,
        json!(["hw_temperature", "retail_pos_transactions"])
    );
    assert_eq!(
        data("/api/v1/label/device/values", &[("match[]", "hw_temperature")]).await,
        json!(["fridge-1"])
    );
    assert_eq!(
        data("/api/v1/series", &[("match[]", r#"{device=~"pos.*"}"#), ("match[]", "nothing")]).await,
        json!([{ "__name__": "retail_pos_transactions", "device": "pos-1", "kind": "push", "store": "T01" }])
    );
    assert_eq!(
        data("/api/v1/metadata", &[("metric", "hw_temperature")]).await,
        json!({ "hw_temperature": [{ "type": "gauge", "help": "temperature", "unit": "Cel" }] })
    );
    assert_eq!(data("/api/v1/status/buildinfo", &[]).await["version"], "2.42.0");

    // Two metrics that share an identifier are both there, and each can be had alone.
    push(&agent, &[row("fridge-1", "hw_temperature", now, 9.0, &json!({"sensor.type": "ntc"}))]).await;
    let names = |result: Value| -> Vec<String> {
        let all = result.as_array().unwrap().iter();
        all.map(|one| one["metric"]["__name__"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(result(&agent, "hw_temperature", now).await), ["hw.temperature", "hw_temperature"]);
    assert_eq!(names(result(&agent, r#"{__name__="hw.temperature"}"#, now).await), ["hw.temperature"]);
}

#[tokio::test]
async fn bad_queries_are_refused_in_prometheus_words() {
    let (_setting, agent, _, now) = two_stores().await;
    let now = (now / 1_000).to_string();
    for (query, status, kind, says) in [
        ("", 400, "bad_data", "\"query\""),
        ("hw_temperature[5m", 400, "bad_data", "parse error"),
        (r#"hw_temperature{device=~"("}"#, 400, "bad_data", "("),
        (r#"{device=~".*"}"#, 400, "bad_data", "at least one non-empty matcher"),
        (
            "histogram_fraction(0, 1, hw_temperature)",
            400,
            "bad_data",
            "function histogram_fraction() is outside of the subset",
        ),
        ("limitk(1, hw_temperature)", 400, "bad_data", "limitk() is outside of the subset"),
        ("hw_temperature offset 1e300", 400, "bad_data", "out of range"),
        (r#"sum({__name__=~".+"}) + on(a) group_left(a) vector(1)"#, 400, "bad_data", "ON and GROUP"),
        (r#"vector(1) * on() {__name__=~".+"}"#, 422, "execution", "many-to-many matching not allowed"),
        ("count_over_time(hw_temperature[30d:1ms])", 422, "execution", "more than 3000000 values"),
    ] {
        let answer = get(&agent, "/api/v1/query", &[("query", query), ("time", &now)]).await;
        assert_eq!((answer.status, &answer.json["errorType"]), (status, &json!(kind)), "{query}: {answer:?}");
        assert_eq!(answer.json["status"], "error");
        assert!(answer.json["error"].as_str().unwrap().contains(says), "{query}: {answer:?}");
    }
    for (to, parameters, status, says) in [
        ("query", vec![("query", "1"), ("time", "yesterday")], 400, "valid timestamp"),
        ("query", vec![("query", "1"), ("timeout", "soon")], 400, "valid duration"),
        ("query", vec![("query", "hw_temperature"), ("timeout", "0")], 503, "timed out"),
        (
            "query_range",
            vec![("query", "1"), ("start", "0"), ("end", "11001"), ("step", "1")],
            400,
            "11,000 points",
        ),
        (
            "query_range",
            vec![("query", "1"), ("start", "2"), ("end", "1"), ("step", "1")],
            400,
            "before start",
        ),
        (
            "query_range",
            vec![("query", "1"), ("start", "1"), ("end", "2"), ("step", "0")],
            400,
            "zero or negative",
        ),
        ("query_range", vec![("query", "1"), ("start", "1"), ("end", "2")], 400, "\"step\""),
        (
            "query_range",
            vec![("query", "hw_temperature[1m]"), ("start", "1"), ("end", "2"), ("step", "1")],
            400,
            "range vector",
        ),
        ("series", vec![], 400, "no match[]"),
        ("series", vec![("match[]", "sum(a)")], 400, "a selector"),
        ("series", vec![("match[]", "a"); 65], 400, "65 times"),
        ("label/a-b/values", vec![], 400, "invalid label name"),
        ("label/%FF/values", vec![], 400, ""),
        ("metadata", vec![("limit", "x")], 400, "must be a number"),
    ] {
        let answer = get(&agent, &format!("/api/v1/{to}"), &parameters).await;
        assert_eq!(answer.status, status, "{to} {parameters:?}: {answer:?}");
        assert!(answer.json["error"].as_str().unwrap().contains(says), "{to} {parameters:?}: {answer:?}");
    }
    let form = agent.request(Method::POST, "/api/v1/query").body("query=1&".repeat(100_000));
    let answer = ByHand::answer(form).await.unwrap();
    assert_eq!((answer.status, &answer.json["errorType"]), (413, &json!("bad_data")));
    assert_eq!(get(&agent, "/api/v1/query", &[("query", "1")]).await.status, 200, "the next one is answered");
}

#[tokio::test]
async fn without_a_key_nothing_is_answered() {
    let (setting, ..) = two_stores().await;
    let nobody = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    for to in
        ["query", "query_range", "series", "labels", "label/device/values", "metadata", "status/buildinfo"]
    {
        let answer = get(&nobody, &format!("/api/v1/{to}"), &[("query", "1")]).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{to}");
    }
}
