//! What the cloud refused, in the hands of people: looked at, read, sent once more, discarded; and what the cloud makes of
//! it. What was told as a loss is counted once, whatever happens then.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::Value;
use storepulse_agent::spool::{self, Unreplayable};
use storepulse_shared::batch::Loss;
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::fault_vfs::{Counted, Fault, FaultDisk, Strike, Then};
use storepulse_testbed::oracle;
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::wait;

use super::picky::{Mood, Picky};
use super::*;
use crate::command_line::{agent, text};
use crate::setting::{Setting, TENANT, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(60);
/// The device that the picky cloud does not like.
const POISON: &str = "poison";

fn refused() -> Settlement {
    Settlement::Refused { why: "422 not_liked".to_owned() }
}

/// Refuses everything of the normal lane, and takes the rest.
async fn refuse_all(bench: &Bench) {
    while let Some((header, outgoing)) = bench.next().await {
        match header.lane {
            Lane::Normal => bench.settle(&outgoing, refused()).await,
            _ => bench.ack(&outgoing).await,
        }
    }
}

fn items(bench: &Bench) -> Vec<spool::QuarantineItem> {
    spool::quarantine(&bench.dir).unwrap()
}

async fn replay(bench: &Bench, item: BatchId) -> Result<BatchId, Unreplayable> {
    bench.spool().replay(item, NOW).await.unwrap()
}

#[tokio::test]
async fn a_replay_has_a_new_number_names_the_one_that_was_told_and_happens_once() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW + 5, 7.0).await;
    refuse_all(&bench).await;
    let item = items(&bench)[0].batch;
    let new = replay(&bench, item).await.unwrap();
    assert_ne!(new, item);
    let again = replay(&bench, item).await.unwrap_err();
    assert!(matches!(&again, Unreplayable::Before { batch, .. } if *batch == new.to_string()), "{again}");
    let status = bench.status().await;
    assert!(status.quarantine.is_empty(), "{:?}", status.quarantine);

    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| (h.batch, h.lane)).collect::<Vec<_>>(), [(new, Lane::Normal)]);
    assert_eq!((decode(&sent[0].1).recovers, values(&sent)), (Some(item), vec![7.0]));
    let replayed = items(&bench)[0].replayed.clone().unwrap();
    assert_eq!((replayed.batch, replayed.state), (new.to_string(), "delivered"));
    let unknown = replay(&bench, BatchId { seq: 999, ..item }).await.unwrap_err();
    assert!(matches!(unknown, Unreplayable::Unknown(_)));
}

#[tokio::test]
async fn a_replay_that_is_refused_again_is_another_item_and_no_second_loss() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 7.0).await;
    refuse_all(&bench).await;
    let first = items(&bench)[0].batch;
    for times in 1..=3 {
        let item = items(&bench).iter().rfind(|item| item.replayed.is_none()).unwrap().batch;
        replay(&bench, item).await.unwrap();
        refuse_all(&bench).await;
        let status = bench.status().await;
        assert_eq!((status.losses, status.lost_samples, status.quarantine.len()), (1, 1, 1), "{times}");
    }
    let all = items(&bench);
    let told: Vec<_> = all.iter().filter_map(|item| item.recovers.clone()).collect();
    assert_eq!((all.len(), told), (4, vec![first.to_string(); 3]), "each names what was told");
    assert!(
        all[..3].iter().all(|item| item.bytes == 0 && item.replayed.as_ref().unwrap().state == "refused")
    );
    assert!(spool::verify(&bench.dir, &mut |_, _| {}).unwrap().findings.is_empty());
}

#[tokio::test]
async fn both_halves_of_a_replay_name_what_they_recover() {
    let bench = Bench::new().await;
    for n in 0..1_000 {
        bench.append(Lane::Normal, NOW + n, n as f64).await;
    }
    refuse_all(&bench).await;
    let item = items(&bench)[0].clone();
    assert_eq!(item.samples, 125, "nothing of the family was taken");
    replay(&bench, item.batch).await.unwrap();
    let (_, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::TooLarge).await;
    let sent = bench.drain().await;
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|(_, body)| decode(body).recovers == Some(item.batch)));
    assert_eq!(values(&sent).len(), 125);
}

#[tokio::test]
async fn a_replay_survives_the_end_of_the_agent_and_so_does_its_mark() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 7.0).await;
    refuse_all(&bench).await;
    let item = items(&bench)[0].batch;
    let new = replay(&bench, item).await.unwrap();
    bench.reopen(LIMITS);
    assert!(matches!(replay(&bench, item).await, Err(Unreplayable::Before { .. })));
    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| (h.batch, h.resumed)).collect::<Vec<_>>(), [(new, true)]);
    assert_eq!(values(&sent), [7.0]);
    bench.reopen(LIMITS);
    assert!(bench.drain().await.is_empty());
}

/// Opens the spool and replays the item; `true` once that was answered as done.
async fn open_and_replay(dir: &Path, item: BatchId) -> bool {
    // A child that another test is starting holds our lock too, until it has become another program.
    let opened = wait::until("the lock", LIMIT, async || match Spool::open(dir, LIMITS, NOW) {
        Err(SpoolError::Open { path, .. }) if path.ends_with("spool.lock") => Ok(None),
        opened => Ok(Some(opened)),
    });
    let Ok((spool, thread)) = opened.await.unwrap() else { return false };
    let replayed = spool.replay(item, NOW).await.is_ok_and(|replayed| replayed.is_ok());
    drop(spool);
    thread.join();
    replayed
}

#[tokio::test]
async fn a_power_cut_at_any_step_of_a_replay_leaves_its_content_there_once() {
    let home = folder().await;
    let (mut stayed, mut moved) = (0, 0);
    for at in 1.. {
        let mut bench = Bench { dir: home.join(at.to_string()), spool: None };
        bench.reopen(LIMITS);
        bench.append(Lane::Normal, NOW, 7.0).await;
        refuse_all(&bench).await;
        let item = items(&bench)[0].batch;
        bench.close();

        let strike = Strike { fault: Fault::PowerCut(Then::LiveOn), at, counted: Counted::All };
        let disk = FaultDisk::attach(&bench.dir, Some(strike), at).unwrap();
        let replayed = open_and_replay(&bench.dir, item).await;
        let struck = disk.struck();
        disk.mend();
        disk.cut();
        drop(disk);

        bench.reopen(LIMITS);
        let left = items(&bench).remove(0);
        let sent = values(&bench.drain().await);
        if left.replayed.is_some() {
            moved += 1;
            assert_eq!(sent, [7.0], "step {at}");
        } else {
            stayed += 1;
            assert!(!replayed && sent.is_empty(), "step {at}: {sent:?}");
            let body = spool::quarantined_body(&bench.dir, left.id).unwrap();
            assert_eq!(decode(&body).samples(), 1, "step {at}");
        }
        if !struck {
            assert!(replayed, "nothing stood in its way");
            break;
        }
    }
    assert!(stayed > 5 && moved > 1, "{stayed} cuts before and {moved} after its commit");
}

#[tokio::test]
async fn what_is_discarded_stays_told_and_its_number_known() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 7.0).await;
    refuse_all(&bench).await;
    let item = items(&bench)[0].batch;
    assert!(bench.spool().discard_quarantined(item, NOW).await.unwrap());
    assert!(!bench.spool().discard_quarantined(item, NOW).await.unwrap());
    assert!(items(&bench).is_empty());
    assert_eq!(bench.status().await.lost_samples, 1);
    bench.reopen(LIMITS);
    assert!(!bench.dir.join("spool-damaged-1.db").exists(), "no number is missed");
    assert!(bench.drain().await.is_empty());
}

#[tokio::test]
async fn losses_that_a_discarded_item_carries_are_told_by_another_batch() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 7.0).await;
    let (normal, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, refused()).await;
    let (critical, outgoing) = bench.next().await.unwrap();
    let told = decode(&gzip::inflate(&outgoing.body, 1 << 20).unwrap()).losses[0].id;
    bench.settle(&outgoing, refused()).await;
    assert_eq!(items(&bench).len(), 2);
    bench.drain().await;
    assert!(bench.spool().discard_quarantined(critical.batch, NOW).await.unwrap());
    let sent = bench.drain().await;
    let losses = decode(&sent[0].1).losses;
    assert!(losses.iter().any(|loss| loss.id == told && loss.seqs.contains_key(&normal.batch.epoch)));
}

#[tokio::test]
async fn a_salvaged_replay_that_is_refused_is_no_second_loss() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 7.0).await;
    refuse_all(&bench).await;
    let item = items(&bench)[0].batch;
    replay(&bench, item).await.unwrap();
    bench.reopen(LIMITS);
    bench.seal(Lane::Bulk, 1.0).await;
    let wal = format!("{}-wal", spool::FILE);
    let damaged = bench.killed(|dir| std::fs::remove_file(dir.join(wal)).unwrap()).await;
    damaged.salvage().await;
    refuse_all(&damaged).await;
    let again = items(&damaged);
    let told: Vec<_> = again.iter().map(|item| item.recovers.clone()).collect();
    assert_eq!(told, [Some(item.to_string())]);
    let losses = damaged.status().await.latest_losses;
    assert_eq!(losses.iter().map(|loss| &*loss.reason).collect::<Vec<_>>(), ["spool_damaged"]);
}

/// A number that was told as lost by a batch made by hand.
fn telling(lost: BatchId, reason: &str) -> Batch<'static> {
    let mut seqs = SeqSet::new();
    seqs.insert(lost.seq);
    let (from, to) = (now_ms() - 1_000, now_ms());
    let id = LossId { epoch: lost.epoch, no: 1 };
    let seqs = [(lost.epoch, seqs)].into();
    let loss =
        Loss { id, lane: Lane::Normal, from, to, samples: 2, events: 0, reason: reason.to_owned(), seqs };
    Batch { losses: vec![loss], ..Batch::default() }
}

fn recovering(lost: BatchId) -> Batch<'static> {
    Batch { recovers: Some(lost), ..samples("m", &[now_ms() - 500], &[1.0]) }
}

async fn account(by_hand: &ByHand, store: &str) -> Value {
    by_hand.get(&format!("/v1/stores/{store}/delivery")).await.unwrap().json
}

#[tokio::test]
async fn a_loss_is_recovered_by_its_own_store_only_whichever_of_the_two_comes_first() {
    let setting = Setting::new().await;
    let [own, other] = [0, 1]
        .map(|store| ByHand::new(&setting.cloud.url(), None, Some(setting.stores[store].bearer())).unwrap());
    let epoch = Epoch::random();
    let lost = BatchId { epoch, seq: 1 };
    let foreign = HandBatch::of(Epoch::random(), 1, &recovering(lost));
    assert_eq!(other.send(&foreign).await.unwrap().status, 200);
    let told = HandBatch::of(epoch, 2, &telling(lost, "quarantined"));
    let replay = HandBatch::of(epoch, 3, &recovering(lost));
    assert_eq!(own.send(&replay).await.unwrap().status, 200);
    assert_eq!(account(&own, "T01").await["totals"]["recovered_samples"], 0, "nothing is told yet");
    for _ in 0..2 {
        assert_eq!(own.send(&told).await.unwrap().status, 200);
        assert_eq!(own.send(&replay).await.unwrap().status, 200);
        let account = account(&own, "T01").await;
        assert_eq!(
            (&account["totals"]["lost_samples"], &account["totals"]["missing"]),
            (&2.into(), &0.into())
        );
        assert_eq!(account["totals"]["recovered_samples"], 1, "{account}");
        let recovered = &account["epochs"][0]["losses"][0]["recovered"];
        let numbers = serde_json::json!({ epoch.to_string(): [[1, 1]] });
        assert_eq!((&recovered["samples"], &recovered["seqs"]), (&1.into(), &numbers), "{account}");
    }
    // What another store says of the same number is nothing to this one, nor this one's to it.
    let foreign = account(&other, "T02").await;
    assert_eq!(foreign["totals"]["recovered_samples"], 0, "{foreign}");
    let of_other_reason = HandBatch::of(Epoch::random(), 1, &telling(lost, "spool_full"));
    assert_eq!(other.send(&of_other_reason).await.unwrap().status, 200);
    assert_eq!(account(&other, "T02").await["totals"]["recovered_samples"], 0);
}

/// An agent that reaches the cloud through something picky, with two samples of the poison in quarantine.
async fn with_poison() -> (Setting, Picky, Agent) {
    let setting = Setting::new().await;
    let picky = Picky::start(&setting.cloud.url(), Mood::Dislikes(POISON)).await;
    let setup = AgentSetup { cloud_url: Some(picky.url.clone()), push: true, ..AgentSetup::default() };
    let agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    let row = |device: &str, value: i64| {
        let time = now_ms() - 60_000 + value;
        format!(r#"{{"device_id":"{device}","metric":"m","value":{value},"timestamp":{time}}}"#)
    };
    let rows = [row("good", 1), row(POISON, 11), row("good", 2), row(POISON, 12), row("good", 3)];
    let sender = ByHand::new(&format!("http://{}", agent.push), None, None).unwrap();
    let body = format!(r#"{{"metrics":[{}]}}"#, rows.join(","));
    assert_eq!(sender.push(&body, None).await.unwrap().status, 200);
    until_quarantined(&agent, 2).await;
    (setting, picky, agent)
}

/// Waits until so many items with content are in quarantine, and nothing waits.
async fn until_quarantined(agent: &Agent, count: usize) {
    let settled = wait::until("the quarantine", LIMIT, async || {
        let status = agent.read_status().await?;
        let items = status["spool"]["quarantine"].as_array().map_or(0, Vec::len);
        let waiting = storepulse_testbed::store::waiting(&status);
        anyhow::ensure!(items == count && waiting == 0, "{}", status["spool"]);
        Ok(Some(()))
    });
    settled.await.unwrap_or_else(|error| panic!("{error:#}\n{}", agent.said()));
}

fn quarantine(dir: &Path, args: &[&str]) -> Output {
    agent(dir, &[&["quarantine"], args].concat())
}

fn succeed(dir: &Path, args: &[&str]) -> String {
    let output = quarantine(dir, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output));
    text(&output)
}

fn fail(dir: &Path, args: &[&str], says: &str) {
    let output = quarantine(dir, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output));
    assert!(text(&output).contains(says), "{args:?}: {}", text(&output));
}

fn listed(dir: &Path) -> Vec<Value> {
    let output = quarantine(dir, &["ls", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    json["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_the_cloud_refused_is_delivered_once_when_the_cause_is_gone() {
    let (setting, picky, mut agent) = with_poison().await;
    let dir = agent.store.dir.clone();
    let first = listed(&dir);
    assert_eq!(first.len(), 2);
    for item in &first {
        assert_eq!((&item["samples"], &item["lane"]), (&1.into(), &"normal".into()), "{item}");
        assert!(item["refusal"].as_str().unwrap().starts_with("422 not_liked"), "{item}");
    }

    // Refused again: there again, and counted once.
    let said = succeed(&dir, &["replay", "--all"]);
    assert_eq!(said.matches("goes on as").count(), 2, "{said}");
    until_quarantined(&agent, 2).await;
    let id = |item: &Value| item["id"].as_i64().unwrap().to_string();
    fail(&dir, &["replay", &id(&first[0])], "was replayed as");
    let second: Vec<Value> = listed(&dir).into_iter().filter(|item| item["replayed"].is_null()).collect();
    assert_eq!(second.len(), 2);
    assert_eq!(second[0]["recovers"], first[0]["batch"]);
    let by_hand = setting.by_hand();
    let totals = account(&by_hand, "T01").await["totals"].clone();
    assert_eq!((&totals["lost_samples"], &totals["missing"]), (&2.into(), &0.into()), "{totals}");
    assert_eq!(totals["recovered_samples"], 0);

    // The cause is gone: one by its short number, then the rest.
    picky.be(Mood::Kind);
    succeed(&dir, &["replay", &id(&second[0])]);
    until_quarantined(&agent, 1).await;
    let one = account(&by_hand, "T01").await;
    assert_eq!(one["totals"]["recovered_samples"], 1, "{one}");
    succeed(&dir, &["replay", "--all"]);
    until_quarantined(&agent, 0).await;
    let all = account(&by_hand, "T01").await;
    let totals = &all["totals"];
    assert_eq!((&totals["lost_samples"], &totals["recovered_samples"]), (&2.into(), &2.into()), "{all}");
    assert_eq!(totals["missing"], 0);
    let told = all["epochs"][0]["losses"].as_array().unwrap();
    let recovered: i64 = told.iter().map(|loss| loss["recovered"]["samples"].as_i64().unwrap()).sum();
    assert!(recovered == 2 && told.iter().all(|loss| loss["reason"] == "quarantined"), "{all}");
    let stored = oracle::stored(&setting.db, TENANT, "T01", "m").await.unwrap();
    assert_eq!(stored[POISON], [(11, 1), (12, 1)].into());
    assert_eq!(stored["good"], [(1, 1), (2, 1), (3, 1)].into());
    fail(&dir, &["replay", "--all"], "all that is in quarantine was replayed");
    let screen = succeed(&dir, &["ls"]);
    assert!(screen.matches(": delivered").count() >= 2, "{screen}");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_killed_while_its_replay_is_on_the_way_delivers_it_once() {
    let (setting, picky, mut agent) = with_poison().await;
    let dir = agent.store.dir.clone();
    // The cloud takes it, and the agent never learns that.
    picky.be(Mood::Mute);
    succeed(&dir, &["replay", "--all"]);
    let by_hand = setting.by_hand();
    let taken = wait::until("the cloud to take one", LIMIT, async || {
        let account = account(&by_hand, "T01").await;
        Ok((account["totals"]["recovered_samples"] != 0).then_some(()))
    });
    taken.await.unwrap();
    agent.kill().unwrap();
    fail(&dir, &["replay", "--all"], "all that is in quarantine was replayed");
    picky.be(Mood::Kind);
    agent.restart().await.unwrap();
    until_quarantined(&agent, 0).await;
    let stored = oracle::stored(&setting.db, TENANT, "T01", "m").await.unwrap();
    assert_eq!(stored[POISON], [(11, 1), (12, 1)].into());
    let totals = account(&by_hand, "T01").await["totals"].clone();
    assert_eq!((&totals["recovered_samples"], &totals["missing"]), (&2.into(), &0.into()), "{totals}");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_item_is_written_out_as_it_was_sent_and_nothing_is_overwritten() {
    let (_setting, _picky, mut agent) = with_poison().await;
    let (dir, out) = (agent.store.dir.clone(), folder().await);
    let items = listed(&dir);
    let said = succeed(&dir, &["export", "--all", "--out", &out.join("new").display().to_string()]);
    assert!(said.contains("nothing was removed"), "{said}");
    for item in &items {
        let batch = item["batch"].as_str().unwrap();
        let file = out.join(format!("new/quarantine-{}.json", batch.replace('/', "-")));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(decode(text.trim_end().as_bytes()).frames[0].device, POISON);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    fail(&dir, &["export", "--all", "--out", &out.join("new").display().to_string()], "is there already");
    let one = out.join("one.json").display().to_string();
    let batch = items[0]["batch"].as_str().unwrap();
    succeed(&dir, &["export", batch, "--out", &one]);
    fail(&dir, &["export", batch, "--out", &one], "is there already");
    assert_eq!(listed(&dir), items, "nothing was removed");
    agent.stop().await.unwrap();
    let stopped = out.join("stopped.json").display().to_string();
    succeed(&dir, &["export", batch, "--out", &stopped]);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&stopped).unwrap());
}

#[tokio::test]
async fn items_are_removed_with_yes_only_and_by_the_running_agent_only() {
    let (setting, _picky, mut agent) = with_poison().await;
    let dir = agent.store.dir.clone();
    let id = listed(&dir)[0]["id"].as_i64().unwrap().to_string();
    fail(&dir, &["rm", &id], "repeat it with --yes");
    fail(&dir, &["rm", "4711", "--yes"], "\"4711\" is not in quarantine");
    fail(&dir, &["export", "x", "--out", "here"], "\"x\" is not in quarantine");
    assert_eq!(listed(&dir).len(), 2);
    agent.kill().unwrap();
    assert_eq!(listed(&dir).len(), 2, "looking needs no agent");
    // The socket of a killed agent is still there, and nobody behind it.
    for args in [&["rm", &id, "--yes"][..], &["replay", &id]] {
        fail(&dir, args, "start it with `storepulse-agent run`");
    }
    agent.restart().await.unwrap();
    let said = succeed(&dir, &["rm", &id, "--yes"]);
    assert!(said.contains("its loss stays told"), "{said}");
    succeed(&dir, &["rm", "--all", "--yes"]);
    fail(&dir, &["rm", "--all", "--yes"], "nothing is in quarantine");
    assert!(succeed(&dir, &["ls"]).contains("nothing is in quarantine"));
    let totals = account(&setting.by_hand(), "T01").await["totals"].clone();
    assert_eq!((&totals["lost_samples"], &totals["missing"]), (&2.into(), &0.into()), "{totals}");
    assert_eq!(quarantine(&dir, &["replay"]).status.code(), Some(64), "which?");
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn the_control_socket_is_the_agents_alone_and_goes_with_it() {
    let setting = Setting::new().await;
    let mut agent = Agent::start(testbed(), &setting.stores[0], &AgentSetup::default()).await.unwrap();
    let socket = agent.spool_dir().join("control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    agent.stop().await.unwrap();
    assert!(!socket.exists());
}
