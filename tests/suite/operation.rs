//! What the operator sees in `/metrics`, and partitions that are made although something went wrong with others.

use std::time::Duration;

use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, samples};
use storepulse_testbed::cloud::{Cloud, http_client};
use storepulse_testbed::upkeep::{self, as_admin};
use storepulse_testbed::wait;

use crate::setting::{Setting, TENANT, now_ms};

async fn metrics(setting: &Setting) -> String {
    let client = http_client(None).unwrap();
    let answer = client.get(format!("{}/metrics", setting.cloud.url())).send().await.unwrap();
    answer.text().await.unwrap()
}

/// The value of a line of the exposition.
fn value(text: &str, line: &str) -> Option<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix(&format!("storepulse_cloud_{line} ")));
    line.map(|value| value.parse().unwrap())
}

async fn send(setting: &Setting, epoch: Epoch, seq: u64) -> u16 {
    // The same body each time, within a day: a number is sent again as it was.
    let midnight = now_ms() / 86_400_000 * 86_400_000;
    let batch = HandBatch::of(epoch, seq, &samples("m", &[midnight], &[1.0]));
    setting.by_hand().send(&batch).await.unwrap().status
}

#[tokio::test]
async fn metrics_tell_of_requests_upkeep_partitions_and_connections_and_of_no_tenant() {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    assert_eq!((send(&setting, epoch, 1).await, send(&setting, epoch, 1).await), (200, 200));
    setting.by_hand().get("/v1/stores/T01/status").await.unwrap();
    setting.by_hand().get("/v1/stores/T02/status").await.unwrap();
    setting.by_hand().get("/nowhere/la-villa").await.unwrap();
    let text = metrics(&setting).await;
    let count = |labels: &str| value(&text, &format!("request_duration_seconds_count{{{labels}}}"));
    assert_eq!(count(r#"method="POST",route="/v1/metrics/batch",status="200""#), Some(2.0), "{text}");
    assert_eq!(count(r#"method="GET",route="/v1/stores/{store_id}/status",status="200""#), Some(1.0));
    assert_eq!(count(r#"method="GET",route="/v1/stores/{store_id}/status",status="404""#), Some(1.0));
    assert_eq!(count(r#"method="GET",route="none",status="404""#), Some(1.0), "{text}");
    assert!(value(&text, "database_connections_idle") >= Some(1.0), "{text}");
    let midnight = (now_ms() / 86_400_000 * 86_400) as f64;
    assert_eq!(value(&text, "inbox_oldest_day_timestamp_seconds"), Some(midnight), "{text}");
    assert_eq!(value(&text, "series_days_default_partition_bytes"), Some(0.0));
    for secret in [TENANT, "T01", &epoch.to_string()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }

    upkeep::run(&setting.db).await.unwrap();
    as_admin(
        &setting.db,
        "update upkeep_jobs set outcome = '2 failed' where job = 'retention' returning job",
    )
    .await
    .unwrap();
    let killed = "update upkeep_jobs set outcome = null where job = 'partitions' returning job";
    as_admin(&setting.db, killed).await.unwrap();
    // Numbers of the database are kept for some seconds.
    let told = async || {
        let text = metrics(&setting).await;
        let finished = value(&text, r#"upkeep_job_finished_timestamp_seconds{job="compaction"}"#);
        Ok(finished.map(|finished| (finished, text)))
    };
    let (finished, text) = wait::until("upkeep in /metrics", Duration::from_secs(30), told).await.unwrap();
    assert!((now_ms() as f64 / 1000.0 - finished).abs() < 60.0, "{text}");
    let of = |name: &str, job: &str| value(&text, &format!("upkeep_job_{name}{{job=\"{job}\"}}"));
    assert_eq!((of("failed", "compaction"), of("running", "compaction")), (Some(0.0), Some(0.0)));
    assert_eq!((of("failed", "retention"), of("running", "retention")), (Some(1.0), Some(0.0)));
    assert_eq!((of("failed", "partitions"), of("running", "partitions")), (Some(0.0), Some(1.0)));
}

#[tokio::test]
async fn a_day_in_the_default_partition_does_not_stop_the_days_after_it() {
    let setting = Setting::new().await;
    let drop = "do $$ declare p text; begin
        for p in select relname from pg_class where relname ~ '^sample_batches_[0-9]+$' and relkind = 'r'
        loop execute format('drop table %I', p); end loop; end $$";
    as_admin(&setting.db, drop).await.unwrap();
    assert_eq!(send(&setting, Epoch::random(), 1).await, 200, "it goes to the DEFAULT partition");
    // Starting makes partitions first.
    Cloud::start(&setting.db, None).await.expect("the service starts").stop().await.unwrap();
    let made =
        "select count(*)::text from pg_class where relname ~ '^sample_batches_[0-9]+$' and relkind = 'r'";
    assert_eq!(as_admin(&setting.db, made).await.unwrap(), ["8"], "of nine days, all but today");
    upkeep::run(&setting.db).await.unwrap();
    upkeep::run(&setting.db).await.unwrap();
    assert_eq!(as_admin(&setting.db, made).await.unwrap(), ["9"], "compacted, today has its place again");
}
