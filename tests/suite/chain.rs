//! What is read over all stores of a tenant, here by an operator who has entered it: samples store by store, and the query API of
//! Prometheus. What expressions and steps come to is tested where a store reads them ([`crate::promql`], [`crate::reads`]); it is the same code.

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::store;

use crate::setting::{Setting, folder, inside, now_ms, operator};

const METRICS: &str = "/v1/metrics";
const PROMETHEUS: &str = "/api/v1";

/// La Villa with a fridge in each of its two stores, and El Sol with the same names and other values.
struct Chain {
    setting: Setting,
    /// An operator.
    operator: ByHand,
    /// The same, inside La Villa.
    ana: ByHand,
    /// Unix milliseconds of the newest samples.
    now: i64,
}

impl Chain {
    async fn new() -> Self {
        let setting = Setting::new().await;
        let url = setting.cloud.url();
        let out = folder().await;
        let others = store::onboard(&setting.db, "el-sol", &["T01", "T02"], &url, None, &out).await.unwrap();
        let now = now_ms() / 1_000 * 1_000;
        for (store, value) in setting.stores.iter().chain(&others).zip([1.0, 2.0, 77.125, 78.125]) {
            let agent = ByHand::new(&url, None, Some(store.bearer())).unwrap();
            let row = |time: i64| {
                let labels = json!({ "of": store.tenant.as_str() });
                json!({ "device_id": "fridge-1", "metric": "hw.temperature", "timestamp": time, "value": value, "labels": labels })
            };
            let rows: Vec<Value> = [now - 60_000, now - 30_000, now].map(row).to_vec();
            let pushed = agent.push(&json!({ "metrics": rows }).to_string(), None).await.unwrap();
            assert_eq!((pushed.status, &pushed.json["rejected"]), (200, &json!([])), "{pushed:?}");
        }
        let operator = operator(&setting.db, &setting.cloud).await;
        let ana = inside(&setting.cloud, &operator, "la-villa").await;
        Self { setting, operator, ana, now }
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.ana.get(&with(path, parameters)).await.unwrap();
        let said = answer.json.to_string();
        assert!(!said.contains(".125") && !said.contains("el-sol"), "{path}: {said}");
        answer
    }

    /// The result of a query at the newest samples: labels and value.
    async fn result(&self, query: &str) -> Vec<(Value, String)> {
        let time = (self.now / 1_000).to_string();
        let answer = self.ask(&format!("{PROMETHEUS}/query"), &[("query", query), ("time", &time)]).await;
        assert_eq!((answer.status, &answer.json["status"]), (200, &json!("success")), "{query}: {answer:?}");
        let one =
            |series: &Value| (series["metric"].clone(), series["value"][1].as_str().unwrap().to_owned());
        answer.json["data"]["result"].as_array().unwrap().iter().map(one).collect()
    }

    async fn data(&self, route: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.ask(&format!("{PROMETHEUS}/{route}"), parameters).await;
        assert_eq!(answer.status, 200, "{route}: {answer:?}");
        answer.json["data"].clone()
    }
}

fn with(path: &str, parameters: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params(&format!("http://cloud{path}"), parameters).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

fn labels(store: &str) -> Value {
    json!({ "__name__": "hw_temperature", "device": "fridge-1", "kind": "push", "of": "la-villa", "store": store })
}

#[tokio::test]
async fn a_query_sees_every_store_of_the_tenant_and_nothing_foreign() {
    let chain = Chain::new().await;
    let both = [(labels("T01"), "1".to_owned()), (labels("T02"), "2".to_owned())];
    for query in [
        "hw_temperature",
        r#"{__name__=~".+"}"#,
        r#"{device="fridge-1"}"#,
        r#"{device="fridge-1",store!="T03"}"#,
    ] {
        assert_eq!(chain.result(query).await, both, "{query}");
    }
    assert_eq!(chain.result(r#"hw_temperature{store="T02"}"#).await, both[1..]);
    assert_eq!(chain.result(r#"{store=~"T0[13]"}"#).await, both[..1]);
    assert_eq!(chain.result(r#"hw_temperature{store="T03"}"#).await, []);
    assert_eq!(chain.result(r#"{of="el-sol"}"#).await, [], "names of another tenant");
    let by_store = [(json!({ "store": "T01" }), "3".to_owned()), (json!({ "store": "T02" }), "6".to_owned())];
    assert_eq!(chain.result("sum by (store) (sum_over_time(hw_temperature[1m]))").await, by_store);
    assert_eq!(chain.result("sum(hw_temperature)").await, [(json!({}), "3".to_owned())]);
    let apart = r#"hw_temperature{store="T02"} - on (device) hw_temperature{store="T01"}"#;
    assert_eq!(chain.result(apart).await, [(json!({ "device": "fridge-1" }), "1".to_owned())]);

    let seconds = chain.now / 1_000;
    let form = format!("query=sum(hw_temperature)&start={}&end={seconds}&step=30", seconds - 60);
    let request = chain.ana.request(Method::POST, &format!("{PROMETHEUS}/query_range"));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form);
    let answer = ByHand::answer(request).await.unwrap();
    let values = json!([[seconds - 60, "3"], [seconds - 30, "3"], [seconds, "3"]]);
    assert_eq!(answer.json["data"]["result"], json!([{ "metric": {}, "values": values }]), "{answer:?}");
}

#[tokio::test]
async fn series_labels_and_metadata_are_those_of_all_stores() {
    let chain = Chain::new().await;
    let everything = ("match[]", r#"{__name__=~".+"}"#);
    assert_eq!(chain.data("series", &[everything]).await, json!([labels("T01"), labels("T02")]));
    assert_eq!(chain.data("labels", &[]).await, json!(["__name__", "device", "kind", "of", "store"]));
    assert_eq!(chain.data("label/store/values", &[]).await, json!(["T01", "T02"]));
    assert_eq!(chain.data("label/store/values", &[("match[]", r#"{store="T02"}"#)]).await, json!(["T02"]));
    assert_eq!(chain.data("label/of/values", &[]).await, json!(["la-villa"]));
    let metadata = chain.data("metadata", &[]).await;
    assert_eq!(metadata["hw_temperature"][0]["unit"], "Cel", "{metadata}");
    assert_eq!(metadata.as_object().unwrap().len(), 1, "{metadata}");
    assert_eq!(chain.data("status/buildinfo", &[]).await["version"], "2.42.0");
}

#[tokio::test]
async fn an_operator_reads_a_tenant_only_inside_and_whatever_its_status_is() {
    let chain = Chain::new().await;
    let paths = [
        METRICS.to_owned(),
        format!("{PROMETHEUS}/query?query=1"),
        format!("{PROMETHEUS}/labels"),
        format!("{PROMETHEUS}/label/store/values"),
        format!("{PROMETHEUS}/metadata"),
        format!("{PROMETHEUS}/status/buildinfo"),
    ];
    let status = chain.operator.request(Method::PUT, "/v1/tenants/la-villa/status");
    let suspended = ByHand::answer(status.json(&json!({ "status": "suspended" }))).await.unwrap();
    assert_eq!(suspended.status, 200, "{suspended:?}");
    for path in paths {
        assert_eq!(chain.ask(&path, &[]).await.status, 200, "{path}");
        let refused = chain.operator.get(&path).await.unwrap();
        assert_eq!((refused.status, refused.code()), (401, "unauthorized"), "{path}: an operator's key");
    }
}

#[tokio::test]
async fn samples_are_read_store_by_store_and_each_series_says_its_store() {
    let chain = Chain::new().await;
    let now = chain.now;
    let series = |store: &str, value: f64| {
        let samples = [now - 60_000, now - 30_000, now].map(|time| json!([time, value]));
        json!({ "store": store, "device": "fridge-1", "kind": "push", "name": "hw.temperature{of=\"la-villa\"}", "unit": "Cel", "samples": samples })
    };
    let all = chain.ask(METRICS, &[]).await;
    assert_eq!(all.json["series"], json!([series("T01", 1.0), series("T02", 2.0)]), "{all:?}");
    let one = chain.ask(METRICS, &[("store", "T02")]).await;
    assert_eq!(one.json["series"], json!([series("T02", 2.0)]), "{one:?}");
    assert_eq!(chain.ask(METRICS, &[("store", "X99")]).await.code(), "not_found");

    let summed = chain.ask(METRICS, &[("step", "1h"), ("agg", "count,sum")]).await.json;
    let summed: Vec<(&Value, i64, f64)> = summed["series"].as_array().unwrap().iter().map(totals).collect();
    assert_eq!(summed, [(&json!("T01"), 3, 3.0), (&json!("T02"), 3, 6.0)]);

    // Page by page, a page a sample; the last of a store is followed by the first of the next.
    let (from, to) = ((now - 60_000).to_string(), now.to_string());
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = vec![("from", from.as_str()), ("to", to.as_str()), ("limit", "1")];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = chain.ask(METRICS, &parameters).await.json;
        let found = &page["series"][0];
        pages.push((found["store"].clone(), found["samples"].clone()));
        match page["next"].as_str() {
            Some(next) if pages.len() < 7 => cursor = Some(next.to_owned()),
            _ => break,
        }
    }
    let expected = [("T01", 1.0), ("T02", 2.0)].into_iter().flat_map(|(store, value)| {
        [now - 60_000, now - 30_000, now].map(|time| (json!(store), json!([[time, value]])))
    });
    assert_eq!(pages, expected.collect::<Vec<_>>());
    let elsewhere = inside(&chain.setting.cloud, &chain.operator, "el-sol").await;
    let page = format!("{METRICS}?from={from}&to={to}&limit=1&cursor={}", cursor.unwrap());
    assert_eq!(elsewhere.get(&page).await.unwrap().code(), "bad_cursor");
    let own = chain.setting.by_hand();
    let status =
        async |query: &str| own.get(&format!("/v1/stores/T01/metrics?{query}")).await.unwrap().status;
    assert_eq!((status("store=T01").await, status("store=T02").await), (200, 404));
}

fn totals(series: &Value) -> (&Value, i64, f64) {
    let buckets = series["buckets"].as_array().unwrap();
    let count = buckets.iter().map(|bucket| bucket[1].as_i64().unwrap()).sum();
    (&series["store"], count, buckets.iter().map(|bucket| bucket[2].as_f64().unwrap()).sum())
}

#[tokio::test]
async fn files_of_all_stores_have_a_column_for_the_store() {
    let chain = Chain::new().await;
    let file = async |format: &str| -> Bytes {
        let path = format!("{METRICS}?from=0&format={format}");
        let answer = chain.ana.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{format}");
        let name = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!(name, format!("attachment; filename=\"la-villa-metrics.{format}\""));
        answer.bytes().await.unwrap()
    };
    let stores = ["T01", "T01", "T01", "T02", "T02", "T02"];

    let csv = file("csv").await;
    let mut reader = csv::Reader::from_reader(&*csv);
    assert_eq!(
        reader.headers().unwrap(),
        vec!["time", "t", "store", "device", "kind", "name", "unit", "value"]
    );
    let read: Vec<String> = reader.records().map(|record| record.unwrap()[2].to_owned()).collect();
    assert_eq!(read, stores);

    let lines = file("jsonl").await;
    let lines = std::str::from_utf8(&lines).unwrap().lines();
    let read: Vec<Value> =
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["store"].clone()).collect();
    assert_eq!(read, stores);

    let reader = SerializedFileReader::new(file("parquet").await).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let read: Vec<String> = rows.map(|row| row.unwrap().get_string(1).unwrap().clone()).collect();
    assert_eq!(read, stores);
}

#[tokio::test]
async fn what_is_too_much_is_refused_with_the_way_out() {
    let chain = Chain::new().await;
    let range = [("query", "hw_temperature"), ("start", "0"), ("end", "11001"), ("step", "1")];
    let refused = chain.ask(&format!("{PROMETHEUS}/query_range"), &range).await;
    assert_eq!((refused.status, &refused.json["errorType"]), (400, &json!("bad_data")), "{refused:?}");
    let steps = [("from", "0"), ("step", "1s"), ("agg", "avg")];
    assert_eq!(chain.ask(METRICS, &steps).await.code(), "too_many_buckets");

    // More series than a request may look at, as a chain of hundreds of stores has.
    let mut admin = Session::open(&chain.setting.db.admin).await.unwrap();
    let many =
        "insert into series (tenant_id, series_id, store_id, device_id, device_kind, name, metric, labels)
        select 'la-villa', 1000000 + n, 'T02', 'pos-' || n, 'push', 'retail.pos.up', 'retail.pos.up', '{}'
        from generate_series(1, 50001) n";
    admin.run(many).await.unwrap();
    let refused = chain.ask(METRICS, &[]).await;
    assert_eq!((refused.status, refused.code()), (413, "too_many_series"), "{refused:?}");
    assert!(refused.detail().contains("choose a store"), "{refused:?}");
    assert_eq!(chain.ask(METRICS, &[("store", "T01")]).await.status, 200);
    assert_eq!(chain.ask(METRICS, &[("metric", "hw.temperature")]).await.status, 200);
    for (route, parameter) in [("query", "query"), ("series", "match[]")] {
        let all = [(parameter, r#"{__name__=~".+"}"#)];
        let refused = chain.ask(&format!("{PROMETHEUS}/{route}"), &all).await;
        assert_eq!((refused.status, &refused.json["errorType"]), (422, &json!("execution")), "{refused:?}");
        assert!(refused.json["error"].as_str().unwrap().contains("name a metric, or stores"), "{refused:?}");
    }
    assert_eq!(chain.result("count(hw_temperature)").await[0].1, "2", "those of a metric are few");
    assert_eq!(chain.result(r#"count({store="T01"})"#).await[0].1, "1", "those of a store are few");
}
