//! Where samples are is not to be seen: hot, compacted or both.

use storepulse_testbed::upkeep;

use super::{Series, get, many, send};
use crate::setting::{Setting, now_ms};

/// Everything that can be asked of samples.
async fn everything(setting: &Setting, to: i64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for query in [
        "from=0",
        "from=0&limit=777",
        "from=0&format=csv",
        "from=0&format=parquet",
        "from=0&format=jsonl&step=1h&agg=min,max,avg,last,sum,count,rate",
        "from=2026-01-01T00:00:00Z&metric=m003&step=1day&agg=count,sum",
        "from=0&label=shelf=5,%20%3D&limit=3",
    ] {
        let path = format!("/v1/stores/T01/metrics?to={to}&{query}");
        let answer = setting.by_hand().request(reqwest::Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        all.push(answer.bytes().await.unwrap().to_vec());
    }
    let mut latest = get(&setting.by_hand(), "latest").await;
    latest["now"] = serde_json::Value::Null;
    for series in latest["series"].as_array_mut().unwrap() {
        series["age"] = serde_json::Value::Null;
    }
    all.push(latest.to_string().into_bytes());
    all
}

#[tokio::test]
async fn hot_and_compacted_samples_are_read_alike() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    send(&agent, &many(8, 2_000, 40_000)).await;
    let to = now_ms() + 3_600_000;
    // One series has spoken neither lately nor today, one is ahead, and one is both compacted and hot.
    let old: Series = [("old".to_owned(), vec![(to - 40 * 3_600_000, 1.0)])].into();
    send(&agent, &old).await;
    let ahead: Series = [("ahead".to_owned(), vec![(to - 1_800_000, 2.0)])].into();
    send(&agent, &ahead).await;
    let hot = everything(&setting, to).await;
    upkeep::run(&setting.db).await.unwrap();
    assert!(everything(&setting, to).await == hot, "compaction can be seen");

    let more: Series = many(8, 3, 1_000);
    send(&agent, &more).await;
    let mixed = everything(&setting, to).await;
    upkeep::run(&setting.db).await.unwrap();
    assert!(everything(&setting, to).await == mixed, "late data can be seen");
}
