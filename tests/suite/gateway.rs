//! What a POS terminal or a second agent can do at the gateway: the same as at the cloud, with a push token.

use std::time::Duration;

use storepulse_shared::batch::{Event, Lane, Loss};
use storepulse_shared::ids::{Epoch, LossId};
use storepulse_shared::key::PushToken;
use storepulse_shared::seqs::SeqSet;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::store::{Agent, AgentSetup};

use crate::setting::{Setting, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(60);

struct Gateway {
    setting: Setting,
    agent: Agent,
    tokens: Vec<PushToken>,
}

impl Gateway {
    async fn start() -> Self {
        let setting = Setting::new().await;
        let tokens = vec![PushToken::issue(), PushToken::issue()];
        let list: Vec<String> = tokens
            .iter()
            .enumerate()
            .map(|(n, token)| format!("{{ name: pos-{n}, token: {} }}", token.expose()))
            .collect();
        let agent = Agent::start(testbed(), &setting.stores[0], &AgentSetup::default()).await.unwrap();
        let more = format!("push: {{ listen: '{}', tokens: [{}] }}\n", agent.push, list.join(", "));
        let mut gateway = Self { setting, agent, tokens };
        gateway.agent.stop().await.unwrap();
        gateway.agent.configure(&AgentSetup { more, ..AgentSetup::default() }).unwrap();
        gateway.agent.restart().await.unwrap();
        gateway
    }

    fn sender(&self, n: usize) -> ByHand {
        self.with(Some(format!("Bearer {}", self.tokens[n].expose())))
    }

    fn with(&self, bearer: Option<String>) -> ByHand {
        ByHand::new(&format!("http://{}", self.agent.push), None, bearer).unwrap()
    }

    async fn stop(mut self) -> Setting {
        self.agent.until_drained(LIMIT).await.unwrap();
        self.agent.stop().await.unwrap();
        self.setting
    }
}

#[tokio::test]
async fn a_second_agents_batch_is_forwarded_unchanged_under_its_own_number() {
    let gateway = Gateway::start().await;
    let (epoch, now) = (Epoch::random(), now_ms());
    let batch = HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]));
    for duplicate in [false, true] {
        let answer = gateway.sender(0).send(&batch).await.unwrap();
        assert_eq!((answer.status, &answer.json["duplicate"]), (200, &duplicate.into()), "{answer:?}");
        assert_eq!(answer.json["through"], serde_json::json!({ epoch.to_string(): 1 }));
    }
    let setting = gateway.stop().await;
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
    let status = setting.status().await;
    let epochs: Vec<_> = status["streams"].as_array().unwrap().iter().map(|s| s["epoch"].clone()).collect();
    assert!(epochs.contains(&epoch.to_string().into()), "{status}");
    assert_eq!(status["missing"], 0);
}

#[tokio::test]
async fn a_sender_cannot_name_the_epoch_of_another_or_of_the_gateway() {
    let gateway = Gateway::start().await;
    let (epoch, now) = (Epoch::random(), now_ms());
    let batch = HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]));
    assert_eq!(gateway.sender(0).send(&batch).await.unwrap().status, 200);
    let own: Epoch =
        gateway.agent.read_status().await.unwrap()["spool"]["epoch"].as_str().unwrap().parse().unwrap();

    for foreign in [epoch, own] {
        let stranger = gateway.sender(1);
        let batch = HandBatch::of(foreign, 2, &samples("m", &[now], &[9.0]));
        let answer = stranger.send(&batch).await.unwrap();
        assert_eq!((answer.status, answer.code()), (403, "epoch_not_yours"));
        assert_eq!(stranger.close(&batch).await.unwrap().status, 403);
        let mut content = samples("m", &[now], &[9.0]);
        content.losses = vec![Loss {
            id: LossId { epoch: Epoch::random(), no: 1 },
            lane: Lane::Bulk,
            from: now,
            to: now,
            samples: 1,
            events: 0,
            reason: "spool_full".into(),
            seqs: [(foreign, SeqSet::from_ranges(&[(1, 9)]).unwrap())].into(),
        }];
        let answer = stranger.send(&HandBatch::of(Epoch::random(), 1, &content)).await.unwrap();
        assert_eq!(
            (answer.status, answer.code()),
            (403, "epoch_not_yours"),
            "a loss must not close what is not its own"
        );
        let mut after = HandBatch::of(Epoch::random(), 1, &samples("m", &[now], &[9.0]));
        after.header.after = Some(storepulse_shared::ids::BatchId { epoch: foreign, seq: 1 });
        assert_eq!(stranger.send(&after).await.unwrap().status, 403);
    }
    assert_eq!(gateway.stop().await.samples().await, [("m".into(), now, 1.0)]);
}

#[tokio::test]
async fn only_a_push_token_opens_a_gateway() {
    let gateway = Gateway::start().await;
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    let unknown = format!("Bearer {}", PushToken::issue().expose());
    for bearer in [None, Some(String::new()), Some("Bearer x".to_owned()), Some(unknown)] {
        let answer = gateway.with(bearer).send(&batch).await.unwrap();
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"));
    }
    let key = Some(gateway.setting.stores[0].bearer());
    let answer = gateway.with(key).send(&batch).await.unwrap();
    assert_eq!(
        (answer.status, answer.code()),
        (403, "store_key_refused"),
        "a store key never leaves its box"
    );
    let nothing = gateway.sender(0).get("/status").await.unwrap();
    assert_eq!(nothing.status, 404, "a push token reads nothing");
    let token = gateway.tokens[0].expose().to_owned();
    let log = gateway.agent.said();
    assert_eq!(gateway.stop().await.samples().await, []);
    assert!(!log.contains(&token));
}

#[tokio::test]
async fn a_malformed_batch_is_refused_closed_and_goes_on_under_a_new_number() {
    let gateway = Gateway::start().await;
    let sender = gateway.sender(0);
    let (epoch, now) = (Epoch::random(), now_ms());
    let bad = HandBatch::of_text(epoch, 1, 1, r#"{"v":1,"frames":[]}"#);
    let answer = sender.send(&bad).await.unwrap();
    assert_eq!((answer.status, answer.code(), answer.names_a_batch()), (400, "malformed_body", true));
    assert_eq!(sender.send(&bad).await.unwrap().status, 400);
    let reused = HandBatch::of(epoch, 1, &samples("m", &[now], &[1.0]));
    assert_eq!(sender.send(&reused).await.unwrap().status, 410);
    let mut fresh = HandBatch::of(epoch, 2, &samples("m", &[now], &[1.0]));
    fresh.header.sealed = 2;
    let answer = sender.send(&fresh).await.unwrap();
    assert_eq!(answer.json["through"], serde_json::json!({ epoch.to_string(): 2 }));
    let setting = gateway.stop().await;
    assert_eq!(setting.samples().await, [("m".into(), now, 1.0)]);
    assert_eq!(setting.status().await["missing"], 0, "the cloud does not wait for the closed number");
}

#[tokio::test]
async fn what_is_pushed_flat_becomes_the_gateways_own_and_a_keyed_push_is_taken_once() {
    let gateway = Gateway::start().await;
    let sender = gateway.sender(0);
    let now = now_ms();
    let row = |metric: &str, value: u32| {
        format!(
            r#"{{"metrics":[{{"device_id":"POS01","metric":"{metric}","value":{value},"timestamp":{now}}}]}}"#
        )
    };
    let first = sender.push(&row("a", 1), Some("k")).await.unwrap();
    assert_eq!((first.status, &first.json["processed"]), (200, &1.into()));
    assert_eq!(sender.push(&row("a", 1), Some("k")).await.unwrap().json, first.json);
    assert_eq!(sender.push(&row("a", 2), Some("k")).await.unwrap().code(), "idempotency_conflict");
    assert_eq!(
        gateway.sender(1).push(&row("b", 3), Some("k")).await.unwrap().status,
        200,
        "keys are each sender's own"
    );
    for bad in ["", "{}", &row("a b", 1)] {
        assert_eq!(sender.push(bad, None).await.unwrap().code(), "malformed_body");
    }
    let big = " ".repeat(2 << 20);
    assert_eq!(sender.push(&big, None).await.unwrap().code(), "body_too_large");
    let setting = gateway.stop().await;
    assert_eq!(setting.samples().await, [("a".into(), now, 1.0), ("b".into(), now, 3.0)]);
}

#[tokio::test]
async fn an_event_that_is_pushed_arrives() {
    let gateway = Gateway::start().await;
    let now = now_ms();
    let mut content = samples("m", &[now], &[1.0]);
    content.events =
        vec![Event { device: "d".into(), t: now, kind: "printer.jam".into(), text: "paper jam".into() }];
    assert_eq!(
        gateway.sender(0).send(&HandBatch::of(Epoch::random(), 1, &content)).await.unwrap().status,
        200
    );
    let setting = gateway.stop().await;
    assert_eq!(setting.status().await["events"][0]["text"], "paper jam");
}
