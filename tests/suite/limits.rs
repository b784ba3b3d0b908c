//! Limits: what is beyond them is refused from its head, told when to come back, and lost by nobody.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_shared::batch::{Lane, header};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::upkeep::{as_admin, view};
use storepulse_testbed::wait;
use tokio::task::JoinSet;

use crate::setting::{Setting, TENANT, now_ms, operator, testbed};

/// A change of a plan counts within this time.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

impl Setting {
    /// With limits of the tenant's own.
    async fn limited(limits: Value) -> Self {
        let setting = Self::new().await;
        setting.limit(limits).await;
        setting
    }

    async fn limit(&self, limits: Value) {
        let ana = operator(&self.db, &self.cloud).await;
        let change =
            ana.request(Method::PATCH, &format!("/v1/tenants/{TENANT}")).json(&json!({ "limits": limits }));
        let changed = ByHand::answer(change).await.unwrap();
        assert_eq!((changed.status, &changed.json["limits"]), (200, &limits), "{changed:?}");
    }

    fn second_store(&self) -> ByHand {
        ByHand::new(&self.cloud.url(), None, Some(self.stores[1].bearer())).unwrap()
    }
}

fn batch(epoch: Epoch, seq: u64) -> HandBatch {
    HandBatch::of(epoch, seq, &samples("m", &[now_ms()], &[1.0]))
}

fn flat(rows: usize) -> String {
    let row = |n| json!({"device_id": "d", "metric": format!("m{n}"), "value": 1, "timestamp": now_ms()});
    json!({ "metrics": (0..rows).map(row).collect::<Vec<Value>>() }).to_string()
}

/// Status, seconds of `Retry-After`, body.
async fn send(agent: &ByHand, batch: &HandBatch) -> (u16, Option<u64>, Value) {
    let request = agent.request(Method::POST, "/v1/metrics/batch").header("Content-Encoding", "gzip");
    let request = request.header(header::NAME, batch.header.to_string()).body(batch.body.clone());
    let answer = request.send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").map(|s| s.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), retry_after, answer.json().await.unwrap())
}

#[tokio::test]
async fn limits_of_a_tenant_are_checked_when_they_are_written_and_null_is_as_the_plan_says() {
    let setting = Setting::limited(json!({"store": {"requests": ["50/1h"]}})).await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let change = async |limits: Value| {
        let request = ana.request(Method::PATCH, &format!("/v1/tenants/{TENANT}"));
        ByHand::answer(request.json(&json!({ "limits": limits }))).await.unwrap()
    };
    for (limits, allowed) in [
        (json!({"stores": {}}), "tenant, store, key and daily"),
        (json!({"store": {"requests": ["many"]}}), "limits.store.requests[0]"),
        (json!({"daily": {"bytes": "x".repeat(10_000)}}), "bytes"),
    ] {
        let refused = change(limits).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_value"), "{refused:?}");
        assert!(refused.detail().contains(allowed), "{refused:?}");
    }
    let shown = ana.get(&format!("/v1/tenants/{TENANT}")).await.unwrap();
    assert_eq!(
        shown.json["limits"],
        json!({"store": {"requests": ["50/1h"]}}),
        "what was refused changed nothing"
    );
    assert_eq!(change(Value::Null).await.json["limits"], Value::Null);
}

#[tokio::test]
async fn of_ten_times_the_limit_the_limit_is_taken_and_the_other_store_loses_nothing() {
    let setting = Setting::limited(json!({"store": {"requests": ["50/1h"]}})).await;
    let mut sending = JoinSet::new();
    for _ in 0..10 {
        let agent = setting.by_hand();
        sending.spawn(async move {
            let (epoch, mut taken) = (Epoch::random(), 0);
            for seq in 1..=50 {
                let (status, ..) = send(&agent, &batch(epoch, seq)).await;
                assert!(matches!(status, 200 | 429), "{status}");
                taken += usize::from(status == 200);
            }
            taken
        });
    }
    let other = setting.second_store();
    let epoch = Epoch::random();
    for seq in 1..=50 {
        assert_eq!(send(&other, &batch(epoch, seq)).await.0, 200);
    }
    assert_eq!(sending.join_all().await.iter().sum::<usize>(), 50);
}

#[tokio::test]
async fn who_is_refused_is_told_the_limit_and_the_time_and_keeps_its_number() {
    let setting = Setting::limited(json!({"store": {"samples": ["3/1h"]}})).await;
    let agent = setting.by_hand();
    let epoch = Epoch::random();
    for seq in 1..=3 {
        assert_eq!(send(&agent, &batch(epoch, seq)).await.0, 200);
    }
    let refused = batch(epoch, 4);
    for _ in 0..3 {
        let (status, retry_after, problem) = send(&agent, &refused).await;
        assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("3 samples in 3600 s of the store"), "{detail}");
        assert_eq!((&problem["limit"], &problem["batch"]), (&json!(3), &Value::Null));
        // The hour has to end, and then a third of what was sent in it.
        assert!(retry_after.is_some_and(|s| (3_600..=4_800).contains(&s)), "{retry_after:?}");
    }
    assert_eq!(setting.status().await["missing"], 0, "what was refused has left no trace");

    setting.limit(json!({"store": {"samples": ["4/1h"]}})).await;
    wait::until("the batch to be taken", CHANGE_LIMIT, async || {
        let (status, _, answer) = send(&agent, &refused).await;
        anyhow::ensure!(status == 200, "{answer}");
        assert_eq!((&answer["processed"], &answer["duplicate"]), (&json!(1), &json!(false)));
        Ok(Some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_changed_plan_counts_within_five_seconds() {
    let setting = Setting::new().await;
    let agent = setting.by_hand();
    assert_eq!(send(&agent, &batch(Epoch::random(), 1)).await.0, 200);
    for (limits, status) in [(json!({"tenant": {"bytes": ["1/1h"]}}), 429), (json!({}), 200)] {
        let set = format!("update plans set limits = '{limits}' where plan = 'enterprise' returning plan");
        as_admin(&setting.db, &set).await.unwrap();
        wait::until("the plan to count", CHANGE_LIMIT, async || {
            Ok((send(&agent, &batch(Epoch::random(), 1)).await.0 == status).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn when_the_day_is_used_up_the_critical_lane_passes_and_another_process_knows_it() {
    let setting = Setting::limited(json!({"daily": {"samples": 5}})).await;
    let agent = setting.by_hand();
    let epoch = Epoch::random();
    for seq in 1..=5 {
        assert_eq!(send(&agent, &batch(epoch, seq)).await.0, 200);
    }
    let (status, retry_after, problem) = send(&agent, &batch(epoch, 6)).await;
    assert_eq!((status, problem["code"].as_str()), (429, Some("rate_limited")));
    assert!(problem["detail"].as_str().unwrap().contains("5 samples a day of the tenant"), "{problem}");
    let until_midnight = 86_400 - (now_ms() / 1_000) % 86_400;
    assert!(retry_after.unwrap().abs_diff(until_midnight.unsigned_abs()) <= 2, "{retry_after:?}");
    let mut critical = batch(epoch, 7);
    critical.header.lane = Lane::Critical;
    assert_eq!(send(&agent, &critical).await.0, 200);
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200, "reading passes");

    let another = Cloud::start(&setting.db, None).await.unwrap();
    let agent = ByHand::new(&another.url(), None, Some(setting.stores[1].bearer())).unwrap();
    let mut seq = 0;
    wait::until("the other process to know", LIMIT, async || {
        seq += 1;
        Ok((send(&agent, &batch(epoch, seq)).await.0 == 429).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_agent_holds_what_is_refused_and_delivers_it_later() {
    let setting = Setting::limited(json!({"store": {"requests": ["1/2s"]}})).await;
    let setup = AgentSetup { push: true, ..AgentSetup::default() };
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    let sender = ByHand::new(&format!("http://{}", agent.push), None, None).unwrap();
    let mut pushed = 0;
    wait::until("the cloud to refuse", LIMIT, async || {
        assert_eq!(sender.push(&flat(1), None).await.unwrap().status, 200);
        pushed += 1;
        Ok((refusals(&setting, "rate_limited").await > 0.0).then_some(()))
    })
    .await
    .unwrap();
    agent.until_drained(2 * LIMIT).await.unwrap();
    agent.stop().await.unwrap();
    let seen = view(&setting.db, TENANT, "T01").await.unwrap();
    let times: std::collections::BTreeSet<i64> =
        seen.iter().filter(|(metric, ..)| metric == "m0").map(|(_, time, _)| *time).collect();
    assert_eq!(times.len(), pushed, "every pushed value has a time of its own");
    let losses = setting.by_hand();
    setting.limit(json!({})).await;
    let account = wait::until("reading", LIMIT, async || {
        let answer = losses.get("/v1/stores/T01/delivery").await?;
        Ok((answer.status == 200).then_some(answer.json))
    });
    assert_eq!(account.await.unwrap()["totals"]["missing"], 0);
}

#[tokio::test]
async fn what_no_header_tells_is_owed() {
    let setting = Setting::limited(json!({"store": {"samples": ["10/1h"]}})).await;
    let agent = setting.by_hand();
    assert_eq!(agent.push(&flat(25), None).await.unwrap().status, 200, "nobody could know");
    // Flat bodies say nothing, so they pass; they are charged for what they turn out to be.
    let (status, retry_after, _) = send(&agent, &batch(Epoch::random(), 1)).await;
    assert_eq!(status, 429);
    assert!(retry_after.unwrap() > 2 * 3_600, "{retry_after:?}: two hours and a half are paid off first");
}

#[tokio::test]
async fn prometheus_is_answered_so_that_it_keeps_its_samples() {
    let setting = Setting::limited(json!({"key": {"requests": ["1/1h"]}})).await;
    let agent = setting.by_hand();
    assert_eq!(agent.push(&flat(1), None).await.unwrap().status, 200);
    for (path, status) in [("/api/v1/write", 503), ("/v1/metrics", 429)] {
        let answer = ByHand::answer(agent.request(Method::POST, path).body("")).await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, "rate_limited"), "{path}");
    }
}

#[tokio::test]
async fn refusals_are_counted_and_one_entry_of_the_audit_tells_them() {
    let setting = Setting::limited(json!({"key": {"requests": ["1/1h"]}})).await;
    let agent = setting.by_hand();
    for seq in 1..=30 {
        send(&agent, &batch(Epoch::random(), seq)).await;
    }
    assert_eq!(refusals(&setting, "rate_limited").await, 29.0);
    let entries = "select actor || ' ' || subject || ' ' || (detail -> 'refused' ->> 'rate_limited')
        from audit_entries where action = 'request.refused'";
    let told = wait::until("the audit", LIMIT, async || {
        Ok(Some(as_admin(&setting.db, entries).await?).filter(|told| !told.is_empty()))
    });
    let key = setting.stores[0].key.id().unwrap();
    let told = told.await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(&format!("key:{key} store:T01 ")), "{told:?}");
    send(&agent, &batch(Epoch::random(), 1)).await;
    assert_eq!(as_admin(&setting.db, entries).await.unwrap().len(), 1);
}

#[tokio::test]
async fn keys_that_open_nothing_are_limited_by_address_and_one_that_has_opened_is_not() {
    let setting = Setting::new().await;
    as_admin(&setting.db, "update tenants set accept_imported_keys = true returning tenant_id")
        .await
        .unwrap();
    let agent = setting.by_hand();
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
    let mut refused = 0;
    let guesser = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    for no in 0..700 {
        let guess = format!("Bearer store_{TENANT}_T01_guess{no}");
        let request = guesser.request(Method::GET, "/v1/stores").header("Authorization", guess);
        let answer = ByHand::answer(request).await.unwrap();
        match answer.status {
            401 => assert_eq!(refused, 0, "looked up again after {refused} refusals"),
            429 => refused += 1,
            status => panic!("{status}"),
        }
    }
    assert!(refused >= 90, "{refused} of 700 refused");
    // It is looked up again.
    let touch = "update tenants set company = company returning tenant_id";
    as_admin(&setting.db, touch).await.unwrap();
    for _ in 0..5 {
        assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
    }
}

/// How often requests were refused for this reason.
pub(crate) async fn refusals(setting: &Setting, reason: &str) -> f64 {
    let client = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    let text = client.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let name = format!("storepulse_cloud_refusals_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0.0, |value| value.parse().unwrap())
}
