//! One reader starves neither ingest nor other tenants.

use std::time::Duration;

use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::{store, wait};

use super::{many, send};
use crate::setting::{Setting, folder, now_ms};

const LIMIT: Duration = Duration::from_secs(30);

/// With the testbed's eight connections two read at once, and one of each tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_holds_up_its_own_tenant_s_reads_only_and_until_it_goes() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let out = folder().await;
    let stores =
        store::onboard(&setting.db, "el-sol", &["T01"], &setting.cloud.url(), None, &out).await.unwrap();
    let other = ByHand::new(&setting.cloud.url(), None, Some(stores[0].bearer())).unwrap();
    let all = many(20, 12_000, 5_000);
    for n in 0..12 {
        let part = |(name, samples): (&String, &Vec<(i64, f64)>)| {
            (name.clone(), samples[n * 1_000..(n + 1) * 1_000].to_vec())
        };
        send(&agent, &all.iter().map(part).collect()).await;
    }
    let export = agent.request(reqwest::Method::GET, "/v1/stores/T01/metrics?from=0&format=jsonl");
    let stalled = export.send().await.unwrap();
    assert_eq!(stalled.status(), 200);

    let waiting = agent.request(reqwest::Method::GET, "/v1/stores/T01/latest").send().await.unwrap();
    assert_eq!(waiting.status(), 503);
    assert_eq!(waiting.headers()["retry-after"], "2");
    assert_eq!(waiting.headers()["content-type"], "application/problem+json");
    assert_eq!(other.get("/v1/stores/T01/latest").await.unwrap().status, 200, "another tenant reads");
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(agent.send(&batch).await.unwrap().status, 200, "and ingest goes on");
    assert_eq!(agent.get("/v1/stores/T01/status").await.unwrap().status, 200, "as do the small reads");

    drop(stalled);
    let free = wait::until("the turn to come back", LIMIT, async || {
        let answer = agent.get("/v1/stores/T01/latest").await?;
        Ok((answer.status == 200).then_some(()))
    });
    free.await.unwrap();
}
