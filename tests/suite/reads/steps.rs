//! Samples summed up in steps of time.

use serde_json::json;

use super::{Series, get, many, send};
use crate::setting::{Setting, now_ms};

const MINUTE: i64 = 60_000;

#[tokio::test]
async fn the_counts_of_all_steps_are_all_samples_and_sums_and_extremes_are_theirs() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let sent = many(5, 400, 61_000);
    send(&agent, &sent).await;
    let answer =
        get(&agent, "metrics?from=2026-01-01T00:00:00Z&step=1h&agg=count,sum,min,max,last,avg").await;
    assert_eq!(answer["step"], 3_600_000);
    assert_eq!(answer["agg"], json!(["count", "sum", "min", "max", "last", "avg"]));
    assert_eq!(answer.get("next"), None, "no pages were asked for");
    let series = answer["series"].as_array().unwrap();
    assert_eq!(series.len(), 5);
    for of in series {
        let samples = &sent[of["name"].as_str().unwrap()];
        let buckets = of["buckets"].as_array().unwrap();
        assert!(buckets.len() >= 7, "{of}");
        let mut rest = samples.as_slice();
        for bucket in buckets {
            let start = bucket[0].as_i64().unwrap();
            assert_eq!(start % 3_600_000, 0);
            let n = rest.partition_point(|(t, _)| *t < start + 3_600_000);
            let (inside, later) = rest.split_at(n);
            let values: Vec<f64> = inside.iter().map(|(_, v)| *v).collect();
            assert!(inside.iter().all(|(t, _)| *t >= start) && n > 0, "{bucket}");
            let sum: f64 = values.iter().sum();
            // The values rise.
            let expected = json!([start, n, sum, values[0], values[n - 1], values[n - 1], sum / n as f64]);
            assert_eq!(*bucket, expected);
            rest = later;
        }
        assert!(rest.is_empty(), "{} samples are in no bucket", rest.len());
    }
}

#[tokio::test]
async fn what_was_not_sampled_is_absent_and_a_rate_is_of_counters_without_gaps_and_restarts() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let base = (now_ms() - 60 * MINUTE).div_euclid(10 * MINUTE) * 10 * MINUTE;
    let at = |minute: i64, value: f64| (base + minute * MINUTE, value);
    // Three a minute; restarted in minute 3, silent from 4 to 21.
    let counter =
        vec![at(0, 100.0), at(1, 103.0), at(2, 106.0), at(3, 2.0), at(4, 5.0), at(21, 56.0), at(22, 59.0)];
    let sent: Series = [
        ("retail.scanner.scans".to_owned(), counter.clone()),
        ("things".to_owned(), counter.clone()),
        ("hw.temperature".to_owned(), counter),
    ]
    .into();
    send(&agent, &sent).await;
    let answer = get(&agent, &format!("metrics?from={base}&step=10m&agg=rate,count")).await;
    let buckets = |name: &str| {
        let series = answer["series"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
        series["buckets"].clone()
    };
    // 3 + 3 + 2 + 3 in 240 s; after the gap 3 in 60 s.
    let of_counter = json!([[base, 11.0 / 240.0, 5], [base + 20 * MINUTE, 0.05, 2]]);
    assert_eq!(buckets("retail.scanner.scans"), of_counter);
    assert_eq!(buckets("things"), of_counter, "what is not in the catalogue may be a counter");
    assert_eq!(buckets("hw.temperature"), json!([[base, null, 5], [base + 20 * MINUTE, null, 2]]));
}

#[tokio::test]
async fn steps_come_in_pages_of_whole_series() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let sent = many(9, 120, 60_000);
    send(&agent, &sent).await;
    let to = now_ms();
    let query = format!("metrics?from={}&to={to}&step=10m&agg=sum,rate", to - 130 * MINUTE);
    let whole = get(&agent, &query).await;
    let (mut series, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = get(&agent, &format!("{query}&limit=60{cursor}")).await;
        series.extend(page["series"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(series, *whole["series"].as_array().unwrap());
    assert!((5..=9).contains(&pages), "{pages} pages of two series each");
}
