//! The road by hand: a spool becomes a file, a person carries it, the cloud takes it once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use storepulse_cloud::commands::import::{self, Request};
use storepulse_cloud::db::Db;
use storepulse_shared::export::{ExportReader, ExportWriter};
use storepulse_shared::key::StoreKey;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::oracle::{self, Totals};
use storepulse_testbed::store::{Agent, AgentSetup, Store};
use storepulse_testbed::wait;

use crate::command_line::{agent, text};
use crate::setting::{Setting, folder, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(30);

/// An agent that takes pushes and reaches no cloud.
async fn offline(store: &Store) -> Agent {
    let setup =
        AgentSetup { cloud_url: Some("http://127.0.0.1:9".to_owned()), push: true, ..AgentSetup::default() };
    Agent::start(testbed(), store, &setup).await.unwrap()
}

/// Pushes a sample, and waits until it is sealed.
async fn push_and_seal(running: &Agent, value: u32) {
    let sender = ByHand::new(&format!("http://{}", running.push), None, None).unwrap();
    let time = now_ms() - 60_000 + i64::from(value);
    let row =
        format!(r#"{{"metrics":[{{"device_id":"d","metric":"m","value":{value},"timestamp":{time}}}]}}"#);
    assert_eq!(sender.push(&row, None).await.unwrap().status, 200);
    let sealed = wait::until("everything to be sealed", LIMIT, async || {
        let status = running.read_status().await?;
        let lanes = status["spool"]["lanes"].as_array().cloned().unwrap_or_default();
        Ok(lanes.iter().all(|lane| lane["open_rows"] == 0).then_some(()))
    });
    sealed.await.unwrap();
}

fn export(dir: &Path, file: &Path) -> String {
    let output = agent(dir, &["spool", "export", "--out", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    text(&output)
}

async fn import(db: &TestDb, store: &str, files: &[&PathBuf]) -> anyhow::Result<serde_json::Value> {
    let door = Db::connect(&db.config()).await?;
    let request = Request {
        tenant: "la-villa".parse()?,
        store: store.parse()?,
        files: files.iter().map(|file| (*file).clone()).collect(),
        json: true,
    };
    let mut out = Vec::new();
    let done = import::run(&door, &request, db.config().waiver, &mut out).await;
    door.close().await;
    done.map(|()| serde_json::from_slice(&out).unwrap())
}

async fn totals(db: &TestDb) -> Totals {
    oracle::totals(db, "la-villa", "T01").await.unwrap()
}

fn counts(report: &serde_json::Value) -> [u64; 3] {
    ["received", "duplicate", "refused"].map(|what| report[what].as_u64().unwrap())
}

#[tokio::test]
async fn what_waits_is_carried_while_the_agent_runs_and_the_link_finds_it_there() {
    let setting = Setting::new().await;
    let mut running = offline(&setting.stores[0]).await;
    let dir = running.store.dir.clone();
    push_and_seal(&running, 1).await;
    running.kill().unwrap();
    running.restart().await.unwrap();
    push_and_seal(&running, 2).await;
    let file = folder().await.join("stick.export");
    let before = running.read_status().await.unwrap()["spool"]["lanes"].clone();
    assert!(export(&dir, &file).contains("nothing was removed"));
    assert_eq!(running.read_status().await.unwrap()["spool"]["lanes"], before);

    let key = running.store.key.clone();
    let mut reader =
        ExportReader::open(std::fs::read(&file).unwrap().leak() as &[u8], &[key.hash()]).unwrap();
    let mut headers = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        headers.push(batch.header);
    }
    let newest = headers.last().unwrap().batch.epoch;
    assert!(headers.iter().all(|h| h.resumed == (h.batch.epoch != newest)), "{headers:?}");
    assert!(headers.iter().any(|h| h.resumed), "{headers:?}");

    let carried = headers.len() as u64;
    assert_eq!(counts(&import(&setting.db, "T01", &[&file]).await.unwrap()), [carried, 0, 0]);
    assert_eq!(counts(&import(&setting.db, "T01", &[&file, &file]).await.unwrap()), [0, 2 * carried, 0]);
    let stored = totals(&setting.db).await;
    assert_eq!((stored.samples, stored.batches, stored.missing), (2, i64::try_from(carried).unwrap(), 0));

    // The link comes back, and delivers the same numbers.
    running.stop().await.unwrap();
    running.configure(&AgentSetup { cloud_url: Some(setting.cloud.url()), ..AgentSetup::default() }).unwrap();
    running.restart().await.unwrap();
    running.until_drained(LIMIT).await.unwrap();
    let status = running.read_status().await.unwrap();
    assert!(status["uplink"]["acked_batches"].as_u64().unwrap() >= carried, "{status}");
    running.stop().await.unwrap();
    let after = totals(&setting.db).await;
    assert_eq!((after.samples, after.missing), (2, 0));
    let values: Vec<f64> = setting.samples().await.into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(values, [1.0, 2.0]);
}

#[tokio::test]
async fn a_file_that_cannot_be_believed_is_refused_whole_and_says_why() {
    let setting = Setting::new().await;
    let mut running = offline(&setting.stores[0]).await;
    push_and_seal(&running, 1).await;
    running.stop().await.unwrap();
    let out = folder().await;
    let good = out.join("good.export");
    export(&running.store.dir, &good);
    let bytes = std::fs::read(&good).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let truncated = write("truncated.export", &bytes[..bytes.len() - 200]);
    let mut flipped = bytes.clone();
    let in_a_body = flipped.len() - 100;
    flipped[in_a_body] ^= 1;
    let altered = write("altered.export", &flipped);
    let page = write("page.export", b"<html>");
    let strangers = StoreKey::issue(running.store.key.tenant(), running.store.key.store());
    let forged = ExportWriter::begin(Vec::new(), &strangers, 0).unwrap().finish().unwrap();
    let forged = write("forged.export", &forged);
    for (store, file, why) in [
        ("T01", &truncated, "truncated"),
        ("T01", &altered, "was altered or damaged"),
        ("T01", &page, "no export of a spool"),
        ("T01", &forged, "which is not active: export again"),
        ("T02", &good, "it is of store T01 of tenant la-villa, not of store T02"),
        ("X99", &good, "store X99 of tenant la-villa does not exist"),
        ("T01", &out.join("nowhere.export"), "No such file"),
    ] {
        // A good file beside a bad one is not imported either.
        let error = format!("{:#}", import(&setting.db, store, &[&good, file]).await.unwrap_err());
        assert!(error.contains(why), "{error}");
        let names_it = store != "T01" || error.contains(&file.display().to_string());
        assert!(names_it && !error.contains(running.store.key.expose()), "{error}");
    }
    assert_eq!(totals(&setting.db).await.batches, 0);
    assert_eq!(counts(&import(&setting.db, "T01", &[&good]).await.unwrap())[0], 1);
}

#[tokio::test]
async fn a_carried_batch_has_the_verdict_that_the_link_would_have_given_it() {
    let setting = Setting::new().await;
    let store = &setting.stores[0];
    let by_hand = setting.by_hand();
    let (epoch, now) = (storepulse_shared::ids::Epoch::random(), now_ms());
    let batch = |seq: u64, value: f64| {
        HandBatch::of(epoch, seq, &samples("m", &[now + i64::try_from(seq).unwrap()], &[value]))
    };
    let (known, closed, fresh) = (batch(1, 1.0), batch(2, 2.0), batch(3, 3.0));
    let broken = HandBatch::of_text(epoch, 4, 1, "{\"v\":1,");
    assert_eq!(by_hand.send(&known).await.unwrap().status, 200);
    assert_eq!(by_hand.close(&closed).await.unwrap().status, 410);
    let other_body = batch(1, 9.0);
    let mut writer = ExportWriter::begin(Vec::new(), &store.key, now).unwrap();
    for batch in [&known, &closed, &fresh, &broken, &other_body] {
        writer.add(&batch.header.to_string(), &batch.body).unwrap();
    }
    let file = folder().await.join("mixed.export");
    std::fs::write(&file, writer.finish().unwrap()).unwrap();
    let report = import(&setting.db, "T01", &[&file]).await.unwrap();
    assert_eq!(counts(&report), [1, 1, 3], "{report}");
    let codes: Vec<_> =
        report["files"][0]["refusals"].as_array().unwrap().iter().map(|r| &r["code"]).collect();
    assert_eq!(codes, ["batch_closed", "malformed_body", "batch_conflict"]);
    assert_eq!(setting.samples().await.len(), 2);
    assert_eq!(setting.status().await["missing"], 0, "a refused number is closed");
}

#[tokio::test]
async fn ls_and_verify_show_every_batch_and_what_is_not_whole() {
    let setting = Setting::new().await;
    let mut running = offline(&setting.stores[0]).await;
    let dir = running.store.dir.clone();
    push_and_seal(&running, 1).await;
    let listed = agent(&dir, &["spool", "ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let sealed: Vec<_> =
        listed["batches"].as_array().unwrap().iter().filter(|b| b["state"] == "sealed").collect();
    assert_eq!(sealed.iter().map(|b| b["samples"].as_u64().unwrap()).sum::<u64>(), 1, "{listed}");
    assert!(sealed.iter().all(|b| b["bytes"].as_u64() > Some(0) && b["sealed_ms"].is_i64()), "{listed}");
    let screen = text(&agent(&dir, &["spool", "ls"]));
    assert!(
        screen.contains("normal   sealed") && screen.contains(sealed[0]["batch"].as_str().unwrap()),
        "{screen}"
    );
    let verified = agent(&dir, &["spool", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified));

    running.stop().await.unwrap();
    let db = rusqlite::Connection::open(running.spool_dir().join(storepulse_agent::spool::FILE)).unwrap();
    let changed = db.execute(
        "update bodies set body = zeroblob(length(body)) where batch_id = (select min(batch_id) from bodies)",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(db);
    let verified = agent(&dir, &["spool", "verify"]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    assert!(text(&verified).contains("BAD ") && text(&verified).contains("is not what was sealed"));
    let none = folder().await;
    std::fs::copy(dir.join("agent.yaml"), none.join("agent.yaml")).unwrap();
    std::fs::copy(dir.join("store.key"), none.join("store.key")).unwrap();
    let verified = agent(&none, &["spool", "verify"]);
    assert!(verified.status.code() == Some(1) && text(&verified).contains("there is no spool yet"));
}
