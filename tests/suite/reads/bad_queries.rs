//! Queries that make no sense, or ask for too much, get a clear answer before anything is read.

use storepulse_testbed::by_hand::ByHand;

use super::{get, many, refused, send};
use crate::setting::Setting;

#[tokio::test]
async fn every_bad_parameter_is_named_with_the_way_out() {
    let setting = Setting::new().await;
    for (query, status, code, says) in [
        (
            "metrics?from=yesterday",
            400,
            "bad_query",
            "from=yesterday: neither Unix milliseconds nor RFC 3339",
        ),
        ("metrics?to=2026-01-01", 400, "bad_query", "to=2026-01-01"),
        ("metrics?from=5&to=4", 400, "bad_query", "from=5 is after to=4"),
        ("metrics?step=5m", 400, "bad_query", "needs agg: min, max, avg, last, sum, count, rate"),
        ("metrics?agg=avg", 400, "bad_query", "needs step"),
        ("metrics?step=5m&agg=median", 400, "bad_query", "\"median\" is none of min"),
        ("metrics?step=5m&agg=avg,avg", 400, "bad_query", "avg is there twice"),
        ("metrics?step=5m&agg=", 400, "bad_query", "is none of"),
        ("metrics?step=0&agg=avg", 400, "bad_query", "step=0"),
        ("metrics?step=-5&agg=avg", 400, "bad_query", "step=-5"),
        ("metrics?step=soon&agg=avg", 400, "bad_query", "10s, 5m, 1h"),
        ("metrics?step=401days&agg=avg", 400, "bad_query", "up to 400days"),
        ("metrics?from=0&step=1s&agg=avg", 400, "too_many_buckets", "11000"),
        (
            "metrics?from=-9223372036854775808&to=9223372036854775807&step=1day&agg=avg",
            400,
            "too_many_buckets",
            "format=csv",
        ),
        ("metrics?format=xml", 400, "bad_query", "json, jsonl, csv or parquet"),
        ("metrics?format=csv&limit=5", 400, "bad_query", "limit and cursor go with format=json"),
        ("metrics?limit=0", 400, "bad_query", "1 to 100000"),
        ("metrics?limit=100001", 400, "bad_query", "1 to 100000"),
        ("metrics?limit=-1", 400, "bad_query", "limit=-1"),
        ("metrics?step=1m&agg=avg,min&limit=100", 400, "bad_query", "122"),
        ("metrics?label=shelf", 400, "bad_query", "name=value"),
        ("metrics?cursor=rubbish", 400, "bad_cursor", "begin again"),
        ("metrics?cursor=", 400, "bad_cursor", "begin again"),
        ("metrics?tz=UTC", 400, "bad_query", "unknown field `tz`"),
        ("latest?from=1", 400, "bad_query", "unknown field `from`"),
        ("events?limit=1001", 400, "bad_query", "1 to 1000"),
        ("events?from=x", 400, "bad_query", "from=x"),
        ("events?cursor=e30", 400, "bad_cursor", "begin again"),
        ("losses?rejected=maybe", 400, "bad_query", "rejected"),
        ("losses?from=2&to=1", 400, "bad_query", "from=2 is after to=1"),
    ] {
        let answer = refused(&setting, query).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}: {answer:?}");
        assert!(answer.detail().contains(says), "{query}: {answer:?}");
    }
    let long = refused(&setting, &format!("metrics?cursor={}", "A".repeat(5_000))).await;
    assert_eq!(long.code(), "bad_cursor");
}

#[tokio::test]
async fn a_cursor_belongs_to_one_request_of_one_store() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(2, 50, 60_000)).await;
    let page = get(&agent, "metrics?from=0&limit=10").await;
    let next = page["next"].as_str().unwrap();
    for other in ["from=1", "from=0&device=d", "from=0&step=1h&agg=avg", ""] {
        let answer = refused(&setting, &format!("metrics?{other}&cursor={next}")).await;
        assert!(matches!(answer.code(), "bad_cursor" | "too_many_buckets"), "{other}: {answer:?}");
    }
    let sibling = ByHand::new(&setting.cloud.url(), None, Some(setting.stores[1].bearer())).unwrap();
    let answer = sibling.get(&format!("/v1/stores/T02/metrics?from=0&cursor={next}")).await.unwrap();
    assert_eq!((answer.status, answer.code()), (400, "bad_cursor"), "{answer:?}");
    let events = refused(&setting, &format!("events?cursor={next}")).await;
    assert_eq!((events.status, events.code()), (400, "bad_cursor"));
}

#[tokio::test]
async fn an_export_of_too_many_series_over_too_many_days_is_refused_before_it_begins() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(60, 2, 60_000)).await;
    let answer = refused(&setting, "metrics?from=0&format=csv").await;
    assert_eq!((answer.status, answer.code()), (413, "range_too_large"), "{answer:?}");
    assert!(answer.detail().contains("60 series over") && answer.detail().contains("20000"), "{answer:?}");
    let within = get(&agent, "metrics?from=0").await;
    assert_eq!(within["series"].as_array().unwrap().len(), 60);
}
