//! What upkeep may change: where samples are. What it may not: which samples there are.

use storepulse_shared::batch::Batch;
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, frame, samples};
use storepulse_testbed::upkeep::{self, as_admin, ledger, view};

use crate::setting::{Setting, TENANT, now_ms};

const DAY_MS: i64 = 86_400_000;

async fn send(setting: &Setting, epoch: Epoch, seq: u64, batch: &Batch<'_>) {
    let answer = setting.by_hand().send(&HandBatch::of(epoch, seq, batch)).await.unwrap();
    assert_eq!((answer.status, &answer.json["rejected"]), (200, &serde_json::json!([])), "{answer:?}");
}

/// The beginning of a UTC day that lies a few days back.
fn midnight(days_ago: i64) -> i64 {
    (now_ms().div_euclid(DAY_MS) - days_ago) * DAY_MS
}

/// As the API shows them, bit by bit.
async fn read(setting: &Setting) -> Vec<upkeep::Seen> {
    let all = setting.samples().await;
    let mut all: Vec<_> = all.into_iter().map(|(name, time, value)| (name, time, value.to_bits())).collect();
    all.sort();
    all
}

/// Values of every kind, over midnight, with a gap, and some of them twice.
async fn fill(setting: &Setting, epoch: Epoch) {
    let midnight = midnight(2);
    let times: Vec<i64> = (0..600_i32).map(|n| midnight - 3_600_000 + i64::from(n) * 10_000).collect();
    let tenths: Vec<f64> = (0..600_i32).map(|n| f64::from(40 + n * n % 17) / 10.0).collect();
    let thirds: Vec<f64> = (0..600_i32).map(|n| f64::from(n - 300) / 3.0).collect();
    let huge: Vec<f64> =
        (0..600_i32).map(|n| [1e300, -5e-324, 0.1 + 0.2, -0.0, f64::MIN, f64::MAX][n as usize % 6]).collect();
    let counter: Vec<f64> =
        (0..600_i32).map(|n| f64::from(if n < 400 { 52_300 + n * 3 } else { n })).collect();
    let of = |series: &str, values: &[f64], range: std::ops::Range<usize>| {
        frame(series, &times[range.clone()], &values[range])
    };
    let frames = |range: std::ops::Range<usize>| Batch {
        frames: vec![
            of("tenths", &tenths, range.clone()),
            of("thirds", &thirds, range.clone()),
            of("huge", &huge, range.clone()),
            of("counter", &counter, range),
        ],
        ..Batch::default()
    };
    send(setting, epoch, 1, &frames(0..250)).await;
    send(setting, epoch, 2, &frames(300..600)).await;
    // The same series and milliseconds again, with other values: the last received counts.
    send(setting, epoch, 3, &samples("tenths", &times[10..20], &[99.5; 10])).await;
}

#[tokio::test]
async fn compaction_changes_nothing_that_can_be_read() {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    fill(&setting, epoch).await;
    let (api, seen) = (read(&setting).await, view(&setting.db, TENANT, "T01").await.unwrap());
    assert_eq!((api.len(), seen.len()), (4 * 550, 4 * 550));
    assert_eq!(api, seen);
    assert!(ledger(&setting.db, TENANT, "T01").await.unwrap().balances());

    let report = upkeep::run(&setting.db).await.unwrap();
    assert_eq!((report.store_days, report.batches, report.samples, report.replaced), (1, 3, 2_210, 10));
    assert_eq!(read(&setting).await, api);
    assert_eq!(view(&setting.db, TENANT, "T01").await.unwrap(), seen);
    let after = ledger(&setting.db, TENANT, "T01").await.unwrap();
    assert!(after.balances() && after.hot == 0 && after.compacted == 2_200, "{after:?}");

    // The number is still received, whatever became of its row.
    let again = HandBatch::of(epoch, 3, &samples("tenths", &[midnight(2)], &[1.0]));
    let answer = setting.by_hand().send(&again).await.unwrap();
    assert_eq!((answer.status, &answer.json["duplicate"]), (200, &serde_json::json!(true)));
}

#[tokio::test]
async fn late_data_takes_the_same_road_and_the_last_received_counts() {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    let start = midnight(3);
    let mut expected = std::collections::BTreeMap::new();
    // Each pass fills a piece of the same day, some of it anew, before and behind what is there; compaction in between.
    for (pass, (from, to)) in
        [(100, 200), (300, 400), (0, 50), (190, 310), (600, 610), (620, 630), (640, 650)]
            .into_iter()
            .enumerate()
    {
        let times: Vec<i64> = (from..to).map(|n| start + n * 60_000).collect();
        let values: Vec<f64> =
            times.iter().map(|t| ((t / 60_000) % 13) as f64 + pass as f64 / 100.0).collect();
        expected.extend(times.iter().copied().zip(values.iter().map(|v| v.to_bits())));
        send(&setting, epoch, pass as u64 + 1, &samples("m", &times, &values)).await;
        let wanted: Vec<_> = expected.iter().map(|(t, v)| ("m".to_owned(), *t, *v)).collect();
        assert_eq!(read(&setting).await, wanted, "before pass {pass} is compacted");
        assert_eq!(view(&setting.db, TENANT, "T01").await.unwrap(), wanted);
        upkeep::run(&setting.db).await.unwrap();
        assert_eq!(read(&setting).await, wanted, "after pass {pass} was compacted");
        assert_eq!(view(&setting.db, TENANT, "T01").await.unwrap(), wanted);
        assert!(ledger(&setting.db, TENANT, "T01").await.unwrap().balances());
    }
    let parts = as_admin(&setting.db, "select count(*)::text from series_days").await.unwrap();
    assert!(parts[0].parse::<u32>().unwrap() <= 4, "{parts:?} parts of one day");
}

#[tokio::test]
async fn what_is_too_old_goes_is_counted_and_its_series_follows() {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    send(&setting, epoch, 1, &samples("old", &[midnight(50), midnight(50) + 1], &[1.0, 2.0])).await;
    send(&setting, epoch, 2, &samples("new", &[midnight(5)], &[3.0])).await;
    upkeep::run(&setting.db).await.unwrap();
    assert_eq!(read(&setting).await.len(), 3);
    as_admin(&setting.db, "update tenants set retention_days = 30 returning tenant_id").await.unwrap();
    let report = upkeep::run(&setting.db).await.unwrap();
    assert_eq!((report.expired, report.series_removed), (2, 0));
    assert_eq!(read(&setting).await, [("new".to_owned(), midnight(5), 3.0_f64.to_bits())]);
    let after = ledger(&setting.db, TENANT, "T01").await.unwrap();
    assert!(after.balances() && after.expired == 2, "{after:?}");

    // Its series is retired once it is two days old, and gone after two more.
    let age =
        |column: &str| format!("update series set {column} = {column} - interval '3 days' returning name");
    as_admin(&setting.db, &age("created_at")).await.unwrap();
    upkeep::run(&setting.db).await.unwrap();
    let retired = "select name from series where retired_at is not null";
    assert_eq!(as_admin(&setting.db, retired).await.unwrap(), ["old"]);
    as_admin(&setting.db, &age("retired_at")).await.unwrap();
    assert_eq!(upkeep::run(&setting.db).await.unwrap().series_removed, 1);
    assert_eq!(as_admin(&setting.db, "select name from series").await.unwrap(), ["new"]);
}

#[tokio::test]
async fn only_partitions_that_are_old_and_empty_are_dropped() {
    let setting = Setting::new().await;
    let partitions =
        "select relname::text from pg_class where relname ~ '^sample_batches_[0-9]+$' order by 1";
    as_admin(&setting.db, "select make_partitions(current_date - 9, current_date - 8)::text").await.unwrap();
    let before = as_admin(&setting.db, partitions).await.unwrap();
    // A row that nobody expects there any more, of a day whose partition is old.
    send(&setting, Epoch::random(), 1, &samples("m", &[midnight(1)], &[1.0])).await;
    let moved = "update sample_batches set received_day = current_date - 9 returning tenant_id";
    as_admin(&setting.db, moved).await.unwrap();
    as_admin(&setting.db, "select drop_partitions(current_date - 2)::text").await.unwrap();
    let after = as_admin(&setting.db, partitions).await.unwrap();
    assert_eq!(before.len() - after.len(), 1, "{before:?} {after:?}");
    let forced = "select relname::text from pg_class
        where relname ~ '^(sample_batches|series_days)_' and relkind = 'r' and not (relrowsecurity and relforcerowsecurity)";
    assert_eq!(as_admin(&setting.db, forced).await.unwrap(), [""; 0]);
    upkeep::run(&setting.db).await.unwrap();
    assert_eq!(view(&setting.db, TENANT, "T01").await.unwrap().len(), 1);
    assert_eq!(as_admin(&setting.db, partitions).await.unwrap().len(), after.len() - 1);
}

#[tokio::test]
async fn two_processes_do_not_do_it_at_once() {
    let setting = Setting::new().await;
    let lock = "select pg_advisory_lock(hashtext('storepulse upkeep'))::text, pg_sleep(3)";
    let other = as_admin(&setting.db, lock);
    let ours = async {
        let held = "select count(*)::text from pg_locks where locktype = 'advisory' and granted";
        while as_admin(&setting.db, held).await.unwrap() != ["1"] {}
        upkeep::run(&setting.db).await
    };
    let (_, ours) = tokio::join!(other, ours);
    assert!(ours.unwrap_err().to_string().contains("another process"));
}
