//! The overview of a tenant's stores, as the operator's command shows it.

use std::collections::BTreeMap;

use serde_json::json;
use storepulse_cloud::commands::store;
use storepulse_cloud::db::Db;
use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::ids::{Epoch, LossId};
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{HandBatch, samples};

use crate::setting::{Setting, TENANT, now_ms};

async fn shown(setting: &Setting, json: bool) -> String {
    let db = Db::connect(&setting.db.config()).await.unwrap();
    let mut out = Vec::new();
    store::show_overview(&db, &TENANT.parse().unwrap(), json, &mut out).await.unwrap();
    db.close().await;
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn the_overview_tells_of_each_store_what_came_what_is_missing_and_what_is_lost() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let loss = |no: u64, reason: &str, seq: u64| Loss {
        id: LossId { epoch, no },
        lane: Lane::Bulk,
        from: now - 2_000,
        to: now - 1_000,
        samples: 3,
        events: 0,
        reason: reason.to_owned(),
        seqs: BTreeMap::from([(epoch, SeqSet::from_ranges(&[(seq, seq)]).unwrap())]),
    };
    // Number 2 is lost; 3 was lost and arrived before that; 4 was quarantined and replayed; 6 and 7 are due.
    for seq in [1, 3, 5] {
        let mut content = samples("m", &[now + seq as i64, now + 7_200_000], &[1.0, 2.0]);
        if seq == 5 {
            content.losses =
                vec![loss(1, "spool_full", 2), loss(2, "spool_full", 3), loss(3, "quarantined", 4)];
        }
        let mut batch = HandBatch::of(epoch, seq, &content);
        batch.header.sealed = 8;
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    }
    let mut replayed = samples("m", &[now + 10, now + 11, now + 12], &[1.0, 2.0, 3.0]);
    replayed.recovers = Some(storepulse_shared::ids::BatchId { epoch, seq: 4 });
    assert_eq!(agent.send(&HandBatch::of(epoch, 8, &replayed)).await.unwrap().status, 200);

    let all: serde_json::Value = serde_json::from_str(&shown(&setting, true).await).unwrap();
    assert_eq!(all["tenant"], TENANT);
    let stores = all["stores"].as_array().unwrap();
    assert_eq!(stores.len(), 2);
    let (first, second) = (&stores[0], &stores[1]);
    let of = |names: &[&str]| json!(names.iter().map(|name| first[*name].clone()).collect::<Vec<_>>());
    assert_eq!(
        of(&["id", "status", "epochs", "missing", "samples", "forked"]),
        json!(["T01", "active", 1, 2, 6, false])
    );
    assert_eq!(
        of(&["samples_today", "open_losses", "lost_samples", "rejected_samples"]),
        json!([6, 1, 3, 3])
    );
    assert!(first["bytes_today"].as_i64().unwrap() > 100 && first["last_received"].is_string(), "{first}");
    assert_eq!(
        json!([
            second["id"],
            second["last_received"],
            second["samples"],
            second["missing"],
            second["epochs"]
        ]),
        json!(["T02", null, 0, 0, 0])
    );
    let table = shown(&setting, false).await;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("STORE  STATUS") && lines.len() == 3, "{table}");
    assert!(lines[2].starts_with("T02    active  never"), "{table}");
}

#[tokio::test]
async fn a_tenant_that_is_not_there_is_an_error_and_its_stores_are_listed_otherwise() {
    let setting = Setting::new().await;
    let db = Db::connect(&setting.db.config()).await.unwrap();
    let mut out = Vec::new();
    let error = store::list(&db, &"nobody".parse().unwrap(), true, &mut out).await.unwrap_err();
    assert_eq!(error.to_string(), "tenant nobody does not exist");
    store::list(&db, &TENANT.parse().unwrap(), true, &mut out).await.unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(listed["stores"][1]["id"], "T02");
    db.close().await;
}
