//! A tenant is erased and restored from an older archive under a service that runs on: nothing that the service remembers of
//! the tenant's earlier life may lead a sample to another series.

use std::path::PathBuf;
use std::time::Duration;

use storepulse_cloud::commands::archive;
use storepulse_cloud::db::Db;
use storepulse_shared::ids::{Epoch, TenantId};
use storepulse_testbed::by_hand::{Answer, ByHand, HandBatch, samples};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use crate::setting::{Setting, TENANT, now_ms};

/// A key that was away is believed again within this.
const KEY_LIMIT: Duration = Duration::from_secs(5);
/// Whoever has to wait does so within this.
const WAIT_LIMIT: Duration = Duration::from_secs(20);
const DOMAIN: &str = "pos.example.com";

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

async fn door(db: &TestDb) -> Db {
    Db::connect(&db.config()).await.unwrap()
}

async fn export(db: &TestDb) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("archive");
    archive::export(&door(db).await, &tenant(), &file, &mut Vec::new()).await.unwrap();
    (dir, file)
}

async fn erase(db: &TestDb) {
    let set = format!("update tenants set status = 'inactive' where tenant_id = '{TENANT}'");
    as_admin(db, &set).await.unwrap();
    archive::erase(&door(db).await, &tenant(), &mut Vec::new()).await.unwrap();
}

/// What it said.
async fn restore(db: &TestDb, file: &std::path::Path) -> String {
    let mut said = Vec::new();
    archive::restore(&door(db).await, file, &mut said).await.unwrap();
    String::from_utf8(said).unwrap()
}

fn hand(at: &Setting, store: usize, key_of: &Setting) -> ByHand {
    ByHand::new(&at.cloud.url(), None, Some(key_of.stores[store].bearer())).unwrap()
}

/// One sample of a series, in an epoch of its own.
async fn send(hand: &ByHand, series: &str, value: f64) -> Answer {
    let batch = HandBatch::of(Epoch::random(), 1, &samples(series, &[now_ms()], &[value]));
    let sent = wait::until("the key to open", KEY_LIMIT, async || {
        let answer = hand.send(&batch).await?;
        Ok((answer.status == 200).then_some(answer))
    });
    sent.await.unwrap()
}

/// Every sample of a store: store, series, value.
async fn stored(db: &TestDb) -> Vec<String> {
    let all = "select concat_ws(' ', store_id, metric, value) from samples order by 1";
    as_admin(db, all).await.unwrap()
}

#[tokio::test]
async fn an_older_archive_of_the_same_database_does_not_bring_ids_of_series_back_into_use() {
    let setting = Setting::new().await;
    let (one, two) = (hand(&setting, 0, &setting), hand(&setting, 1, &setting));
    send(&one, "before", 1.0).await;
    let (_dir, file) = export(&setting.db).await;
    // The service remembers a series of T01 that the archive does not know.
    send(&one, "after", 2.0).await;
    erase(&setting.db).await;
    restore(&setting.db, &file).await;

    send(&two, "fresh", 3.0).await;
    send(&one, "after", 4.0).await;
    assert_eq!(stored(&setting.db).await, ["T01 after 4", "T01 before 1", "T02 fresh 3"]);
    let ids = as_admin(&setting.db, "select concat_ws(' ', series_id, name) from series order by 1").await;
    assert_eq!(ids.unwrap(), ["1 before", "3 fresh", "4 after"]);
}

#[tokio::test]
async fn an_archive_of_another_database_makes_the_service_look_its_series_up_anew() {
    let (here, there) = (Setting::new().await, Setting::new().await);
    send(&hand(&there, 0, &there), "of.there", 1.0).await;
    let (_dir, file) = export(&there.db).await;
    send(&hand(&here, 0, &here), "of.here", 2.0).await;
    erase(&here.db).await;
    restore(&here.db, &file).await;

    // Both series had the id 1 in their database.
    send(&hand(&here, 0, &there), "of.here", 3.0).await;
    assert_eq!(stored(&here.db).await, ["T01 of.here 3", "T01 of.there 1"]);
}

#[tokio::test]
async fn a_domain_that_somebody_else_has_taken_meanwhile_stays_theirs() {
    let setting = Setting::new().await;
    let give = format!("update tenants set custom_domain = '{DOMAIN}' where tenant_id = ");
    as_admin(&setting.db, &format!("{give}'{TENANT}'")).await.unwrap();
    let (_dir, file) = export(&setting.db).await;
    erase(&setting.db).await;
    as_admin(&setting.db, "insert into tenants (tenant_id, company) values ('other', 'Other')")
        .await
        .unwrap();

    // Somebody is about to give it to another tenant, and holds the lock that setting a domain takes.
    let mut other = Session::open(&setting.db.admin).await.unwrap();
    let lock = "begin; select pg_advisory_xact_lock(hashtextextended('storepulse domains', 0))";
    other.run(lock).await.unwrap();
    let waits = async {
        let waiting = "select 1::text from pg_locks l join pg_database d on d.oid = l.database
            where l.locktype = 'advisory' and not l.granted and d.datname = current_database()";
        let held = wait::until("the restore to wait for the lock", WAIT_LIMIT, async || {
            Ok(as_admin(&setting.db, waiting).await?.pop())
        });
        held.await.unwrap();
        other.run(&format!("{give}'other'; commit")).await.unwrap();
    };
    let (said, ()) = tokio::join!(restore(&setting.db, &file), waits);
    assert!(said.contains(DOMAIN), "{said}");
    let who = format!("select tenant_id from tenants where custom_domain = '{DOMAIN}'");
    assert_eq!(as_admin(&setting.db, &who).await.unwrap(), ["other"]);
}
