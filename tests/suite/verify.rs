//! `storepulse-cloud verify`: a healthy database gives no finding, and each thing that is broken in it gives its own.

use serde_json::Value;
use storepulse_cloud::commands::verify::{self, Request};
use storepulse_cloud::db::Db;
use storepulse_shared::batch::{Batch, Event};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, samples};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::upkeep;

use crate::isolation::world;
use crate::setting::{Setting, TENANT, now_ms};

const DAY_MS: i64 = 86_400_000;

/// What it said: findings, totals, and whether it ended well.
struct Said {
    findings: Vec<Value>,
    totals: Value,
    ended: Result<(), String>,
}

async fn verify(db: &TestDb, tenant: Option<&str>) -> Said {
    let door = Db::connect(&db.config()).await.unwrap();
    let request = Request { tenant: tenant.map(|id| id.parse().unwrap()), json: true };
    let (mut out, mut progress) = (Vec::new(), Vec::new());
    let ended = verify::run(&door, &request, &mut out, &mut progress).await.map_err(|e| e.to_string());
    door.close().await;
    let mut findings: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let totals = findings.pop().unwrap();
    Said { findings, totals, ended }
}

/// Two days of two series: compacted, and then some more in the inbox; one number of four is missing.
async fn filled() -> Setting {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    let midnight = (now_ms().div_euclid(DAY_MS) - 2) * DAY_MS;
    let times: Vec<i64> = (0..60).map(|n| midnight - 1_800_000 + n * 60_000).collect();
    let values: Vec<f64> = (0..60).map(|n| f64::from(n) / 4.0).collect();
    let event = Event {
        device: "fridge-1".into(),
        t: midnight,
        kind: "fridge.door_open".into(),
        text: "the door is open".into(),
    };
    for (seq, batch) in [
        (1, samples("tenths", &times, &values)),
        (2, Batch { events: vec![event], ..samples("other", &times, &values) }),
        (4, samples("tenths", &times[..10], &values[..10])),
    ] {
        let answer = setting.by_hand().send(&HandBatch::of(epoch, seq, &batch)).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        if seq == 2 {
            upkeep::run(&setting.db).await.unwrap();
        }
    }
    setting
}

async fn as_admin(db: &TestDb, statement: &str) {
    let mut admin = Session::open(&db.admin).await.unwrap();
    // Foreign keys look away, as they do in a restore of single tables.
    let done = admin.run(&format!("set session_replication_role = replica; {statement}")).await.unwrap();
    assert!(done.affected > 0, "{statement} changed nothing");
    admin.close().await.unwrap();
}

#[tokio::test]
async fn a_healthy_database_gives_no_finding_but_the_gap_that_it_has() {
    let setting = filled().await;
    let said = verify(&setting.db, None).await;
    assert_eq!(said.ended, Ok(()), "{:?}", said.findings);
    assert_eq!(said.findings.len(), 1, "{:?}", said.findings);
    let gap = &said.findings[0];
    assert_eq!((&gap["check"], &gap["wrong"]), (&"gap".into(), &false.into()));
    assert_eq!((&gap["tenant"], &gap["store"]), (&TENANT.into(), &"T01".into()));
    assert!(gap["what"].as_str().unwrap().ends_with("1 missing: 3 to 3"), "{gap}");
    let totals: [u64; 8] =
        ["tenants", "stores", "epochs", "batches", "samples", "parts", "compacted", "missing"]
            .map(|name| said.totals[name].as_u64().unwrap());
    assert_eq!(totals, [1, 2, 1, 1, 10, 4, 120, 1], "{}", said.totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_of_everything_that_can_be_sent_is_healthy() {
    let world = world().await;
    let said = verify(&world.db, None).await;
    let wrong: Vec<_> = said.findings.iter().filter(|finding| finding["wrong"] == true).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(said.ended.is_ok() && said.totals["tenants"].as_u64() >= Some(4), "{}", said.totals);
    world.stop().await.unwrap();
}

/// What is broken, and what must be found: the check, and something that its text names.
#[rustfmt::skip]
const BROKEN: [(&str, &str, &str); 22] = [
    ("update streams set received = received - '{[4,5)}', batches = batches - 1", "receipt", "its number is not received"),
    ("update streams set received = received - '{[4,5)}', void = '{[4,5)}', batches = batches - 1", "receipt", "its number is void"),
    ("delete from streams", "receipt", "its number is not received"),
    ("insert into sample_batches select tenant_id, store_id, epoch, seq, received_day + 1, received_at, body_digest, clock, n, t_min, t_max, series_ids, run_lengths, t_offsets, vals from sample_batches", "twice", "2 times"),
    ("update sample_batches set vals = vals[2:]", "batch", "not equally many"),
    ("update sample_batches set n = n + 1", "ledger", "+1"),
    ("update sample_batches set t_max = t_max + 1", "batch", "t_min and t_max"),
    ("update sample_batches set series_ids = '{77}'", "series", "series 77"),
    ("update streams set batches = batches + 1, day_batches = day_batches + 1", "stream", "4 batches are counted, 3 numbers are received"),
    ("update streams set day_samples = day_samples - 3", "stream", "over its days"),
    ("update streams set samples = samples + 5, day_samples = day_samples + 5", "ledger", "135 samples were received"),
    ("delete from sample_batches", "ledger", "-10"),
    ("delete from store_tallies", "ledger", "batches were received"),
    ("update store_tallies set replaced_samples = 1", "ledger", "should be in series_days"),
    ("delete from series_days where part = (select min(part) from series_days) and day = (select min(day) from series_days)", "ledger", "should be in series_days"),
    ("update series_days set vals = set_byte(vals, length(vals) - 1, 255 - get_byte(vals, length(vals) - 1)) where series_id = 1", "part", "checksum"),
    ("update series_days set t_last = t_last + 1 where series_id = 1", "part", "its row says"),
    ("update series_days set day = day + 400 where series_id = 1", "part", "its times are of"),
    ("insert into series_days select tenant_id, series_id, day, part + 1, n, checksum, t_first, t_last, clock, times, vals from series_days", "overlap", "the one before ends at"),
    ("update series_counters set last_id = 1", "counter", "there is a series 2"),
    ("delete from series where series_id = 2", "orphan", "of series 2"),
    ("update events set epoch = gen_random_uuid()", "orphan", "has no stream"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_broken_is_found_and_named() {
    // A copy for each is cheaper than to fill each anew.
    for (breakage, check, text) in BROKEN {
        let setting = filled().await;
        as_admin(&setting.db, breakage).await;
        let said = verify(&setting.db, Some(TENANT)).await;
        let found = said.findings.iter().any(|finding| {
            finding["check"] == check
                && finding["wrong"] == true
                && finding["tenant"] == TENANT
                && finding["what"].as_str().unwrap().contains(text)
                && !finding["remedy"].as_str().unwrap().is_empty()
        });
        assert!(found, "{breakage}: {:#?}", said.findings);
        assert!(said.ended.unwrap_err().contains("wrong"));
    }
}

#[tokio::test]
async fn many_findings_of_one_kind_are_counted_and_an_unknown_tenant_is_an_error() {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    for seq in 1..=25_u32 {
        let batch = samples("m", &[now_ms() - 60_000 + i64::from(seq)], &[1.0]);
        let sent = HandBatch::of(epoch, u64::from(seq), &batch);
        assert_eq!(setting.by_hand().send(&sent).await.unwrap().status, 200);
    }
    as_admin(&setting.db, "update sample_batches set t_max = t_max + 1").await;
    let said = verify(&setting.db, None).await;
    assert_eq!(said.findings.len(), 21);
    assert_eq!(
        (&said.findings[20]["what"], &said.totals["wrong"]),
        (&"and 5 more of this kind".into(), &25.into())
    );
    let nobody = verify(&setting.db, Some("nobody")).await;
    assert_eq!(nobody.ended, Err("tenant nobody does not exist".to_owned()));
}
