//! Events and losses: filtered, in pages, each once.

use std::collections::BTreeMap;

use serde_json::json;
use storepulse_shared::batch::{Batch, Event, Lane, Loss};
use storepulse_shared::ids::{Epoch, LossId};
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{HandBatch, samples};

use super::get;
use crate::setting::{Setting, now_ms};

/// Follows `next` to the end.
async fn all(setting: &Setting, what: &str, list: &str, limit: usize) -> Vec<serde_json::Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&setting.by_hand(), &format!("{what}&limit={limit}{cursor}")).await;
        let records = page[list].as_array().unwrap();
        assert!(records.len() <= limit);
        all.extend(records.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        assert_eq!(records.len(), limit, "a page that is not the last one is full");
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn events_come_newest_first_and_every_one_once() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let event = |n: i64| Event {
        device: if n % 3 == 0 { "fridge" } else { "door" }.into(),
        // Four of the same millisecond.
        t: now - 1_000 * (n / 4),
        kind: if n % 2 == 0 { "open" } else { "closed" }.into(),
        text: format!("no {n}").into(),
    };
    for (seq, range) in [(1, 0..30), (2, 30..50)] {
        let content = Batch { events: range.map(event).collect(), ..Batch::default() };
        let mut batch = HandBatch::of(epoch, seq, &content);
        batch.header.lane = Lane::Critical;
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    }
    for limit in [1, 3, 4, 7, 50, 1_000] {
        let events = all(&setting, "events?", "events", limit).await;
        assert_eq!(events.len(), 50, "in pages of {limit}");
        assert!(events.windows(2).all(|pair| pair[0]["t"].as_i64() >= pair[1]["t"].as_i64()));
        let mut texts: Vec<_> = events.iter().map(|e| e["text"].as_str().unwrap()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 50, "an event was told twice in pages of {limit}");
    }
    let newest = &get(&agent, "events?limit=1&kind=open&device=fridge").await["events"][0];
    assert_eq!(
        (&newest["text"], &newest["t"], &newest["clock"]),
        (&"no 0".into(), &now.into(), &"ok".into())
    );
    assert_eq!(newest["batch"], format!("{epoch}/1"));
    assert!(newest["received"].is_string());
    assert_eq!(all(&setting, "events?kind=open", "events", 9).await.len(), 25);
    assert_eq!(all(&setting, "events?device=fridge", "events", 9).await.len(), 17);
    let in_range = format!("events?from={}&to={}", now - 2_000, now - 1_000);
    assert_eq!(all(&setting, &in_range, "events", 3).await.len(), 8);
}

#[tokio::test]
async fn what_was_lost_and_what_was_rejected_can_be_seen() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    let (epoch, now) = (Epoch::random(), now_ms());
    let loss = |no: u64, reason: &str, seqs: &[(u64, u64)]| Loss {
        id: LossId { epoch, no },
        lane: Lane::Bulk,
        from: now - 20_000 - 1_000 * no as i64,
        to: now - 10_000 - 1_000 * no as i64,
        samples: 30,
        events: 2,
        reason: reason.to_owned(),
        seqs: BTreeMap::from([(epoch, SeqSet::from_ranges(seqs).unwrap())]),
    };
    let mut content = samples("m", &[now, now + 7_200_000], &[1.0, 2.0]);
    content.losses = (1..=24).map(|no| loss(no, "spool_full", &[(10 + no, 10 + no)])).collect();
    content.losses.push(loss(25, "quarantined", &[(50, 50)]));
    assert_eq!(agent.send(&HandBatch::of(epoch, 1, &content)).await.unwrap().status, 200);
    let mut content = samples("m", &[now + 1], &[1.0]);
    content.recovers = Some(storepulse_shared::ids::BatchId { epoch, seq: 50 });
    assert_eq!(agent.send(&HandBatch::of(epoch, 2, &content)).await.unwrap().status, 200);

    for limit in [1, 5, 26, 100] {
        let losses = all(&setting, "losses?", "losses", limit).await;
        assert_eq!(losses.len(), 26, "in pages of {limit}");
        let mut ids: Vec<_> = losses.iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 26, "a loss was told twice in pages of {limit}");
    }
    let rejected = all(&setting, "losses?rejected=true", "losses", 10).await;
    assert_eq!(rejected.len(), 1);
    let shown = &rejected[0];
    assert_eq!(
        json!([
            shown["epoch"],
            shown["seq"],
            shown["path"],
            shown["reason"],
            shown["samples"],
            shown["from"]
        ]),
        json!([epoch.to_string(), 1, "/frames/0/t/1", "rejected:time_ahead", 1, now + 7_200_000])
    );
    assert_eq!(all(&setting, "losses?rejected=false", "losses", 10).await.len(), 25);
    assert_eq!(all(&setting, "losses?reason=rejected:time_ahead", "losses", 10).await, rejected);
    let quarantined = all(&setting, "losses?reason=quarantined", "losses", 10).await;
    assert_eq!(
        quarantined[0]["recovered"],
        json!({"samples": 1, "events": 0, "seqs": { epoch.to_string(): [[50, 50]] }})
    );
    // The first loss ends 11 s ago, the last one 35 s ago; the sample that was rejected lies ahead.
    let old = all(&setting, &format!("losses?to={}", now - 44_500), "losses", 10).await;
    assert_eq!(old.len(), 1, "{old:?}");
    let recent = all(&setting, &format!("losses?from={}&rejected=false", now - 12_500), "losses", 10).await;
    assert_eq!(recent.len(), 2, "{recent:?}");
}
