//! A tenant as a file: nothing of it is lost or altered on the way out, away and back, and nobody else is touched.

use std::path::PathBuf;
use std::time::Duration;

use storepulse_cloud::commands::{archive, verify};
use storepulse_cloud::db::Db;
use storepulse_shared::batch::{Batch, Event};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, samples};
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::{isolation, upkeep, wait};

use crate::isolation::world;
use crate::setting::{Setting, TENANT, now_ms};

const DAY_MS: i64 = 86_400_000;
/// A key that was away is believed again within this.
const KEY_LIMIT: Duration = Duration::from_secs(5);

/// Two days of a store, compacted but for the last batch, with an event and numbers that JSON likes to spoil.
async fn filled() -> (Setting, Epoch) {
    let setting = Setting::new().await;
    let epoch = Epoch::random();
    let midnight = (now_ms().div_euclid(DAY_MS) - 2) * DAY_MS;
    let times: Vec<i64> = (0..60).map(|n| midnight - 1_800_000 + n * 60_000).collect();
    let odd = [-0.0, 0.1 + 0.2, 1e300, 5e-324, 9_007_199_254_740_993.0, -1.0 / 3.0];
    let values: Vec<f64> = odd.iter().copied().cycle().take(60).collect();
    let event = Event {
        device: "fridge-1".into(),
        t: midnight,
        kind: "fridge.door_open".into(),
        text: "\u{202e}puerta \"abierta\" \\ \u{1f6aa}".into(),
    };
    for (seq, batch) in [
        (1, samples("odd", &times, &values)),
        (2, Batch { events: vec![event], ..samples("other", &times, &values) }),
        (4, samples("odd", &times[..10], &values[..10])),
    ] {
        let answer = setting.by_hand().send(&HandBatch::of(epoch, seq, &batch)).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        if seq == 2 {
            upkeep::run(&setting.db).await.unwrap();
        }
    }
    (setting, epoch)
}

struct Doors {
    db: Db,
    admin: Session,
    dir: tempfile::TempDir,
}

impl Doors {
    async fn open(setting: &Setting) -> Self {
        let db = Db::connect(&setting.db.config()).await.unwrap();
        let admin = Session::open(&setting.db.admin).await.unwrap();
        Self { db, admin, dir: tempfile::tempdir().unwrap() }
    }

    async fn export(&self, name: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        archive::export(&self.db, &TENANT.parse().unwrap(), &file, &mut Vec::new()).await.unwrap();
        file
    }

    async fn status(&mut self, status: &str) {
        let set = format!("update tenants set status = '{status}' where tenant_id = '{TENANT}'");
        self.admin.run(&set).await.unwrap();
    }

    async fn erase(&self) -> Result<(), String> {
        let done = archive::erase(&self.db, &TENANT.parse().unwrap(), &mut Vec::new()).await;
        done.map_err(|e| format!("{e:#}"))
    }

    async fn restore(&self, file: &std::path::Path) -> Result<(), String> {
        archive::restore(&self.db, file, &mut Vec::new()).await.map_err(|e| format!("{e:#}"))
    }

    async fn verify(&self) {
        let request = verify::Request { tenant: Some(TENANT.parse().unwrap()), json: true };
        let mut said = Vec::new();
        let ended = verify::run(&self.db, &request, &mut said, &mut Vec::new()).await;
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(&said));
    }
}

/// The rows of an archive, without those that every export adds to.
fn rows(file: &std::path::Path) -> Vec<String> {
    use std::io::Read as _;
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let (mut kept, mut is_audit) = (Vec::new(), false);
    for line in text.lines() {
        is_audit = if line.starts_with("T ") { line == "T audit_entries" } else { is_audit };
        if !is_audit && line.starts_with("R ") {
            // Restoring is a change of the tenant's row.
            let row: serde_json::Value = serde_json::from_str(&line[2..]).unwrap();
            let is_tenant = row.get("company").is_some();
            kept.push(if is_tenant { row["company"].to_string() } else { line.to_owned() });
        }
    }
    kept
}

/// What is left of these rows: a mark, and the number of the last series.
fn erased(before: &[String]) -> Vec<String> {
    let counter = before.iter().find(|row| row.contains("last_id")).cloned();
    [Some("\"(erased)\"".to_owned()), counter].into_iter().flatten().collect()
}

#[tokio::test]
async fn what_was_exported_and_erased_is_restored_to_the_last_bit_and_takes_batches_again() {
    let (setting, epoch) = filled().await;
    let mut doors = Doors::open(&setting).await;
    let file = doors.export("whole").await;
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    let before = rows(&file);
    assert!(before.len() > 12, "{before:#?}");

    let refused = doors.erase().await.unwrap_err();
    assert!(refused.contains("only an inactive one"), "{refused}");
    doors.status("inactive").await;
    doors.erase().await.unwrap();
    let left = rows(&doors.export("erased").await);
    assert_eq!(left, erased(&before), "{left:#?}");

    doors.restore(&file).await.unwrap();
    assert_eq!(rows(&doors.export("again").await), before);
    doors.verify().await;
    let twice = doors.restore(&file).await.unwrap_err();
    assert!(twice.contains("is in this database already"), "{twice}");

    // The receipts are back too: what was stored is a duplicate, what was missing is taken.
    let batch = samples("odd", &[now_ms()], &[1.0]);
    let hand = setting.by_hand();
    let again = wait::until("the restored key to open", KEY_LIMIT, async || {
        let answer = hand.send(&HandBatch::of(epoch, 2, &batch)).await?;
        Ok((answer.status == 200).then_some(answer))
    });
    assert_eq!(again.await.unwrap().json["duplicate"], true);
    let taken = hand.send(&HandBatch::of(epoch, 3, &batch)).await.unwrap();
    assert_eq!((taken.status, &taken.json["duplicate"]), (200, &false.into()), "{taken:?}");
}

#[tokio::test]
async fn an_interrupted_restore_is_run_again_and_an_altered_archive_changes_nothing() {
    let (setting, _) = filled().await;
    let mut doors = Doors::open(&setting).await;
    let file = doors.export("whole").await;
    let before = rows(&file);
    doors.status("inactive").await;
    doors.erase().await.unwrap();

    let bytes = std::fs::read(&file).unwrap();
    let cut = doors.dir.path().join("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    assert!(doors.restore(&cut).await.is_err());
    assert_eq!(rows(&doors.export("still-erased").await), erased(&before));

    doors.restore(&file).await.unwrap();
    // As if it had been killed half-way: some rows are there, and the mark is not replaced yet.
    doors
        .admin
        .run(&format!(
            "delete from series_days where series_id = 1; delete from events;
            update tenants set company = '(being restored)', status = 'inactive' where tenant_id = '{TENANT}'"
        ))
        .await
        .unwrap();
    doors.restore(&file).await.unwrap();
    assert_eq!(rows(&doors.export("again").await), before);
    doors.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_touched() {
    let world = world().await;
    let (database, victim) = (world.db.clone(), world.victim.tenant.clone());
    // A cloud that runs writes on its own: when a key was last used, how much of a month is used up.
    world.stop().await.unwrap();
    let mut admin = Session::open(&database.admin).await.unwrap();
    let others = isolation::snapshot::of_all_but(&mut admin, victim.as_str()).await.unwrap();
    let db = Db::connect(&database.config()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("victim");
    archive::export(&db, &victim, &file, &mut Vec::new()).await.unwrap();
    admin.run(&format!("update tenants set status = 'inactive' where tenant_id = '{victim}'")).await.unwrap();
    archive::erase(&db, &victim, &mut Vec::new()).await.unwrap();
    archive::restore(&db, &file, &mut Vec::new()).await.unwrap();
    assert_eq!(isolation::snapshot::of_all_but(&mut admin, victim.as_str()).await.unwrap(), others);
    db.close().await;
}
