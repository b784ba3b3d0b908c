//! The account of a store's delivery, as the cloud gives it and as the agent sees it from its side.

use std::collections::BTreeMap;
use std::time::Duration;

use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::ids::{BatchId, Epoch, LossId};
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::wait;

use crate::setting::{Setting, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(30);

async fn account(agent: &ByHand, query: &str) -> serde_json::Value {
    let answer = agent.get(&format!("/v1/stores/T01/delivery{query}")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

fn loss(epoch: Epoch, no: u64, seqs: &[(u64, u64)]) -> Loss {
    Loss {
        id: LossId { epoch, no },
        lane: Lane::Bulk,
        from: now_ms() - 2_000,
        to: now_ms() - 1_000,
        samples: 30,
        events: 2,
        reason: "spool_full".into(),
        seqs: BTreeMap::from([(epoch, SeqSet::from_ranges(seqs).unwrap())]),
    }
}

#[tokio::test]
async fn what_was_sealed_is_received_void_or_missing_and_the_loss_says_why() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let told = loss(epoch, 1, &[(2, 4)]);
    for seq in [1, 3, 9] {
        let mut content = samples("m", &[now], &[1.0]);
        if seq == 9 {
            content.losses = vec![told.clone()];
        }
        let mut batch = HandBatch::of(epoch, seq, &content);
        batch.header.sealed = 10;
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    }
    let account = account(&agent, "").await;
    assert_eq!(account["store"], "T01");
    let of = &account["epochs"][0];
    assert_eq!(of["epoch"], epoch.to_string());
    assert_eq!(of["sealed"], 10);
    assert_eq!(
        of["received"],
        serde_json::json!({"count": 3, "ranges": [[1, 1], [3, 3], [9, 9]], "ranges_left_off": 0})
    );
    assert_eq!(of["void"], serde_json::json!({"count": 2, "ranges": [[2, 2], [4, 4]], "ranges_left_off": 0}));
    assert_eq!(
        of["missing"],
        serde_json::json!({"count": 5, "ranges": [[5, 8], [10, 10]], "ranges_left_off": 0})
    );
    assert_eq!((&of["through"], &of["forked"], &of["flat"]), (&4.into(), &false.into(), &false.into()));
    assert!(of["first_received"].is_string() && of["last_received"].is_string(), "{of}");
    let shown = &of["losses"][0];
    assert_eq!(shown["id"], told.id.to_string());
    assert_eq!(
        (&shown["lane"], &shown["reason"], &shown["seq"]),
        (&"bulk".into(), &"spool_full".into(), &9.into())
    );
    assert_eq!((&shown["from"], &shown["to"]), (&told.from.into(), &told.to.into()));
    assert_eq!((&shown["samples"], &shown["events"]), (&30.into(), &2.into()));
    assert_eq!(shown["seqs"], serde_json::json!({ epoch.to_string(): [[2, 4]] }));
    assert_eq!(shown["delivered_after_all"], serde_json::json!({ epoch.to_string(): [[3, 3]] }));
    assert_eq!(
        of["reasons"],
        serde_json::json!([{"reason": "spool_full", "losses": 1, "samples": 30, "events": 2}])
    );
    let totals = &account["totals"];
    for (what, count) in [("sealed", 10), ("received", 3), ("void", 2), ("missing", 5), ("lost_samples", 30)]
    {
        assert_eq!(totals[what], count, "{what}: {totals}");
    }
}

#[tokio::test]
async fn an_epoch_that_only_its_successor_told_of_is_missing_whole() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (old, new, now) = (Epoch::random(), Epoch::random(), now_ms());
    let mut batch = HandBatch::of(new, 1, &samples("m", &[now], &[1.0]));
    batch.header.after = Some(BatchId { epoch: old, seq: 4 });
    agent.send(&batch).await.unwrap();
    let account = account(&agent, &format!("?epoch={old}")).await;
    assert_eq!(account["epochs"].as_array().unwrap().len(), 1);
    let of = &account["epochs"][0];
    assert_eq!(
        (&of["missing"]["ranges"], &of["received"]["count"]),
        (&serde_json::json!([[1, 4]]), &0.into())
    );
    assert_eq!(
        (&of["first_received"], &of["last_received"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(account["totals"]["epochs"], 2);
}

#[tokio::test]
async fn epochs_and_losses_come_in_pages_and_every_one_once() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let now = now_ms();
    let mut sent = Vec::new();
    for _ in 0..5 {
        let epoch = Epoch::random();
        agent.send(&HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]))).await.unwrap();
        sent.push(epoch.to_string());
    }
    let mut content = samples("m", &[now], &[1.0]);
    let newest: Epoch = sent[4].parse().unwrap();
    content.losses = (1..=230).map(|no| loss(newest, no, &[(10_000 + no, 10_000 + no)])).collect();
    agent.send(&HandBatch::of(newest, 2, &content)).await.unwrap();

    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = account(&agent, &query).await;
        let epochs = page["epochs"].as_array().unwrap();
        assert!(epochs.len() <= 2);
        seen.extend(epochs.iter().map(|e| e["epoch"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&before={next}");
    }
    sent.reverse();
    assert_eq!(seen, sent);

    let mut ids = Vec::new();
    let mut query = format!("?epoch={newest}");
    loop {
        let page = account(&agent, &query).await;
        let of = &page["epochs"][0];
        assert_eq!(of["reasons"][0]["losses"], 230);
        assert!(of["losses"].as_array().unwrap().len() <= 100, "more than a page");
        ids.extend(of["losses"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()));
        let Some(next) = of["losses_next"].as_str() else { break };
        query = format!("?epoch={newest}&losses_before={next}");
    }
    assert_eq!(ids.len(), 230);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 230, "a loss was told twice");
}

#[tokio::test]
async fn the_account_is_of_the_keys_own_store_and_of_what_is_asked_for() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let nobodys = agent.get("/v1/stores/X99/delivery").await.unwrap();
    let siblings = agent.get("/v1/stores/T02/delivery").await.unwrap();
    assert_eq!((nobodys.status, &nobodys.json), (404, &siblings.json));
    for (query, named) in [
        ("limit=0", "1 to 100"),
        ("limit=101", "1 to 100"),
        ("limits=1", "limits"),
        ("before=x", "before"),
        ("losses_before=x", "needs epoch"),
        ("epoch=0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11", "no epoch of this store"),
    ] {
        let answer = agent.get(&format!("/v1/stores/T01/delivery?{query}")).await.unwrap();
        assert_eq!((answer.status, answer.code()), (400, "bad_query"), "{query}");
        assert!(answer.detail().contains(named), "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn the_agent_tells_of_each_epoch_what_is_sealed_what_the_cloud_has_and_what_waits() {
    let setting = Setting::new().await;
    let setup = AgentSetup { push: true, ..AgentSetup::default() };
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    let sender = ByHand::new(&format!("http://{}", agent.push), None, None).unwrap();
    let row = |n: i64| {
        let time = now_ms() - 1_000 + n;
        format!(r#"{{"metrics":[{{"device_id":"d","metric":"m","value":{n},"timestamp":{time}}}]}}"#)
    };
    assert_eq!(sender.push(&row(1), None).await.unwrap().status, 200);
    agent.until_drained(LIMIT).await.unwrap();
    let status = agent.read_status().await.unwrap();
    let of = &status["spool"]["epochs"][0];
    assert_eq!((&of["epoch"], &of["forwarded"]), (&status["spool"]["epoch"], &false.into()));
    assert!(of["sealed"].as_u64().unwrap() >= 1 && of["sealed"] == of["through"], "{of}");
    assert_eq!(of["waiting_batches"], 0);

    // The same numbers as the cloud's account of them.
    let account = account(&setting.by_hand(), "").await;
    assert_eq!(account["epochs"][0]["epoch"], of["epoch"]);
    assert_eq!(account["epochs"][0]["sealed"], of["sealed"]);
    assert_eq!(account["totals"]["missing"], 0);

    agent.stop().await.unwrap();
    let nowhere = AgentSetup { cloud_url: Some("http://127.0.0.1:9".to_owned()), ..setup };
    agent.configure(&nowhere).unwrap();
    agent.restart().await.unwrap();
    let sender = ByHand::new(&format!("http://{}", agent.push), None, None).unwrap();
    assert_eq!(sender.push(&row(2), None).await.unwrap().status, 200);
    let waits = wait::until("a batch that waits", LIMIT, async || {
        let status = agent.read_status().await?;
        let epochs = status["spool"]["epochs"].as_array().cloned().unwrap_or_default();
        Ok(epochs.into_iter().find(|e| e["waiting_batches"].as_u64() > Some(0)))
    });
    let of = waits.await.unwrap();
    assert_eq!((&of["through"], &of["waiting_samples"]), (&0.into(), &1.into()), "{of}");
    agent.stop().await.unwrap();
}
