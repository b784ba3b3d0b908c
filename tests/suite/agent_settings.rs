//! The settings of a store reach its agent: set in the cloud, tried by the agent, confirmed or taken back by itself.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use storepulse_agent::app::{self, Listeners};
use storepulse_agent::config::Config;
use storepulse_agent::store_settings::SettingsPace;
use storepulse_shared::settings::{PATH, REPORT_PATH};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::devices::Late;
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::wait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::setting::{Setting, operator, testbed};

const LIMIT: Duration = Duration::from_secs(60);
/// Short, but long enough for several readings on a busy machine.
const PACE: SettingsPace = SettingsPace {
    trial: Duration::from_secs(4),
    ask: Duration::from_secs(3_600),
    look: Duration::from_millis(50),
};
const OF_T01: &str = "/v1/tenants/la-villa/stores/T01/agent-settings";

async fn put(who: &ByHand, path: &str, body: &Value) -> Answer {
    ByHand::answer(who.request(Method::PUT, path).json(body)).await.unwrap()
}

/// An agent in this process, whose trials are short.
struct Inside {
    agent: Agent,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    fridge: Late,
    operator: ByHand,
}

impl Inside {
    async fn start(setting: &Setting) -> Self {
        let fridge = Late::start(Duration::from_millis(300)).await.unwrap();
        let devices = format!(
            "  gateway:\n    host: {{ interval: 300ms }}\n  fridge:\n    http_json:\n      url: http://{}/\n      interval: 500ms\n      \
             jitter: 10ms\n      timeout: 5s\n      values:\n        - {{ pointer: /t, metric: hw.temperature }}\n",
            fridge.address
        );
        let setup = AgentSetup { devices, ..AgentSetup::default() };
        let agent = Agent::install(testbed(), &setting.stores[0], &setup).unwrap();
        let operator = operator(&setting.db, &setting.cloud).await;
        let (stop, tasks) = (CancellationToken::new(), JoinSet::new());
        let mut inside = Self { agent, stop, tasks, fridge, operator };
        inside.run().await;
        inside
    }

    async fn run(&mut self) {
        let config = Config::load(&self.agent.store.dir.join("agent.yaml")).unwrap();
        let listeners = Listeners::bind(&config).await.unwrap();
        self.stop = CancellationToken::new();
        let running = app::run_at_pace(config, listeners, PACE, self.stop.clone());
        self.tasks.spawn(async { running.await.unwrap() });
        self.until("all to be well", |status| {
            ["gateway", "fridge"].iter().all(|id| status["devices"][*id]["state"] == "ok")
                && status["uplink"]["state"] == "connected"
        })
        .await;
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }

    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let found = wait::until(what, LIMIT, async || {
            let status = self.agent.read_status().await?;
            if is(&status) { Ok(Some(status)) } else { anyhow::bail!("{}", status["settings"]) }
        });
        found.await.unwrap()
    }

    async fn set(&self, settings: &Value) -> u64 {
        let set = put(&self.operator, OF_T01, settings).await;
        assert_eq!((set.status, set.json["state"].as_str()), (200, Some("waiting")), "{set:?}");
        set.json["version"].as_u64().unwrap()
    }

    /// Sets it, and waits until agent and cloud know what became of it.
    async fn try_out(&self, settings: &Value, state: &str) -> Value {
        let version = self.set(settings).await;
        let is =
            |status: &Value| status["settings"]["version"] == version && status["settings"]["state"] == state;
        let status = self.until(state, is).await;
        let told = wait::until("the cloud to be told", LIMIT, async || {
            let told = self.operator.get(OF_T01).await?;
            if told.json["state"] == state { Ok(Some(told.json)) } else { anyhow::bail!("{told:?}") }
        });
        let told = told.await.unwrap();
        assert_eq!(told["why"], status["settings"]["why"]);
        status
    }

    /// The spool's file, and its epochs.
    fn spool(&self) -> (u64, Vec<String>) {
        let path = self.agent.spool_dir().join("spool.db");
        let inode = std::fs::metadata(&path).unwrap().ino();
        let db =
            rusqlite::Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut statement = db.prepare("select epoch from epochs order by no").unwrap();
        let epochs = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        (inode, epochs)
    }
}

fn attempts(status: &Value, device: &str) -> u64 {
    status["devices"][device]["attempts"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn versions_are_counted_named_by_acks_and_read_with_the_stores_key_only() {
    let setting = Setting::new().await;
    let (ana, agent) = (operator(&setting.db, &setting.cloud).await, setting.by_hand());
    let none = agent.get(PATH).await.unwrap();
    assert_eq!((none.status, none.json), (200, json!({ "version": 0, "settings": {} })));
    let report = json!({ "version": 1, "state": "confirmed" });
    assert_eq!(put(&agent, REPORT_PATH, &report).await.code(), "no_settings");
    assert_eq!(ana.get(OF_T01).await.unwrap().json["state"], "none");

    let first = json!({ "devices": { "gateway": { "interval": "30s" } } });
    assert_eq!(put(&ana, OF_T01, &first).await.json["version"], 1);
    let second = json!({ "devices": { "gateway": { "enabled": false } }, "batches": { "max_age": "1m" } });
    let set = put(&ana, OF_T01, &second).await;
    assert_eq!((&set.json["version"], &set.json["settings"]), (&json!(2), &second));
    let read = agent.get(PATH).await.unwrap();
    assert_eq!(read.json, json!({ "version": 2, "settings": second }));
    let asked =
        async |tag: &str| agent.request(Method::GET, PATH).header(IF_NONE_MATCH, tag).send().await.unwrap();
    let same = asked("\"2\"").await;
    assert_eq!((same.status().as_u16(), same.headers()[ETAG].to_str().unwrap()), (304, "\"2\""));
    assert_eq!(asked("\"1\"").await.status().as_u16(), 200);

    let flat = json!({ "metrics": [{ "device_id": "POS01", "metric": "retail.pos.up", "value": 1, "timestamp": crate::setting::now_ms() }] });
    let named = wait::until("an ack that names the version", LIMIT, async || {
        let ack = ByHand::answer(agent.request(Method::POST, "/v1/metrics/batch").json(&flat)).await?;
        Ok((ack.json["settings"] == 2).then_some(()))
    });
    named.await.unwrap();

    let why = "agent.yaml:7:3: \u{1b}[31mred";
    let report = json!({ "version": 2, "state": "reverted", "why": why, "news": 1 });
    assert_eq!(put(&agent, REPORT_PATH, &report).await.status, 204);
    let state = setting.status().await["agent_settings"].clone();
    assert_eq!(
        (&state["version"], &state["state"], &state["why"]),
        (&json!(2), &json!("reverted"), &json!(why.replace('\u{1b}', " ")))
    );
    let overview = agent.get("/v1/overview").await.unwrap().json;
    assert_eq!(overview["stores"][0]["agent_settings"]["state"], "reverted", "{overview}");
    // A database that was restored knows less than the agent: it never gives a version twice.
    assert_eq!(put(&agent, REPORT_PATH, &json!({ "version": 9, "state": "confirmed" })).await.status, 204);
    assert_eq!(ana.get(OF_T01).await.unwrap().json["state"], "waiting");
    assert_eq!(put(&ana, OF_T01, &json!({})).await.json["version"], 10);
    for bad in
        [json!({ "version": 0, "state": "trying" }), json!({ "version": 1, "state": "fine" }), json!([])]
    {
        assert_eq!(put(&agent, REPORT_PATH, &bad).await.status, 400, "{bad}");
    }
    let audit = ana.get("/v1/tenants/la-villa/audit").await.unwrap().json.to_string();
    assert_eq!(audit.matches("agent_settings.set").count(), 3, "{audit}");
}

#[tokio::test]
async fn what_may_not_be_set_from_the_cloud_is_refused_there_and_says_what_may() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for (bad, says) in [
        (json!({ "cloud": { "url": "https://evil.example" } }), "devices.<device> (enabled, interval"),
        (json!({ "devices": { "till": { "password": "x" } } }), "devices.till.password cannot be set"),
        (json!({ "devices": { "till": { "port": "/dev/sda" } } }), "the rest is set in agent.yaml"),
        (json!({ "batches": { "max_samples": 1 } }), "max_age, bulk_max_age, offline_max_age"),
    ] {
        let refused = put(&ana, OF_T01, &bad).await;
        assert_eq!((refused.status, refused.detail().contains(says)), (422, true), "{bad}: {refused:?}");
    }
    assert_eq!(put(&ana, OF_T01, &json!([])).await.status, 400);
    assert_eq!(put(&ana, &OF_T01.replace("T01", "T99"), &json!({})).await.status, 404);
    assert_eq!(put(&setting.by_hand(), OF_T01, &json!({})).await.status, 401, "a store's key sets nothing");
    assert_eq!(ana.get(OF_T01).await.unwrap().json["version"], 0);
}

#[tokio::test]
async fn what_goes_well_is_confirmed_and_only_what_has_changed_was_started_anew() {
    let setting = Setting::new().await;
    let mut inside = Inside::start(&setting).await;
    let spool = inside.spool();
    let good = json!({ "devices": { "gateway": { "interval": "2s" } }, "batches": { "max_age": "1s" } });
    let status = inside.try_out(&good, "confirmed").await;
    assert_eq!((&status["settings"]["in_use"], &status["settings"]["why"]), (&json!(1), &Value::Null));
    let (applied, decided) = (&status["settings"]["applied_ms"], &status["settings"]["decided_ms"]);
    let took = decided.as_i64().unwrap() - applied.as_i64().unwrap();
    assert!((4_000..20_000).contains(&took), "tried for {took} ms");
    assert_eq!(inside.spool(), spool, "the same file and the same epochs");
    // What was counted before a collector was started anew is counted on.
    assert!(attempts(&status, "gateway") > 3, "{status}");
    // It stays across a start.
    inside.stop().await;
    inside.run().await;
    let status = inside.until("a start", |status| status["settings"]["state"] == "confirmed").await;
    assert_eq!(status["settings"]["in_use"], 1);
    let before = attempts(&inside.agent.read_status().await.unwrap(), "gateway");
    inside.until("the fridge to be read often", |status| attempts(status, "fridge") > 12).await;
    let after = attempts(&inside.agent.read_status().await.unwrap(), "gateway");
    assert!(after - before < 12, "the gateway is read every two seconds: {before}, {after}");
    inside.stop().await;
}

#[tokio::test]
async fn what_makes_a_device_worse_is_taken_back_and_not_tried_again() {
    let setting = Setting::new().await;
    let mut inside = Inside::start(&setting).await;
    let spool = inside.spool();
    let bad = json!({ "devices": { "fridge": { "timeout": "100ms" }, "gateway": { "enabled": false } } });
    let status = inside.try_out(&bad, "reverted").await;
    let why = status["settings"]["why"].as_str().unwrap();
    assert!(why.starts_with("fridge was ok and is unreachable"), "{why}");
    assert_eq!((&status["settings"]["in_use"], &status["settings"]["off"]), (&json!(0), &json!([])));
    inside
        .until("all to be well again", |status| {
            ["gateway", "fridge"].iter().all(|id| status["devices"][*id]["state"] == "ok")
        })
        .await;
    assert_eq!(inside.spool(), spool);
    inside.stop().await;
    inside.run().await;
    let status = inside.agent.read_status().await.unwrap();
    assert_eq!(status["settings"]["state"], "reverted", "it is not tried again: {status}");
    // The next version has its own trial.
    let good = json!({ "devices": { "fridge": { "timeout": "4s" } } });
    assert_eq!(inside.try_out(&good, "confirmed").await["settings"]["in_use"], 2);
    inside.stop().await;
    drop(inside.fridge);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_place_and_nothing_is_started_anew() {
    let setting = Setting::new().await;
    let mut inside = Inside::start(&setting).await;
    for (bad, says) in [
        (
            json!({ "devices": { "fridge": { "interval": "soon" } } }),
            "devices.fridge.interval: \"soon\" is not a duration",
        ),
        (json!({ "devices": { "gateway": { "stale_after": "1m" } } }), "unknown field `stale_after`"),
        (json!({ "devices": { "nobody": { "enabled": true } } }), "it names fridge, gateway"),
        (json!({ "devices": { "fridge": { "interval": "1ms" } } }), "1s at least"),
    ] {
        let status = inside.try_out(&bad, "refused").await;
        let why = status["settings"]["why"].as_str().unwrap();
        assert!(why.contains(says) && why.contains("agent.yaml"), "{bad}: {why}");
        assert_eq!(status["settings"]["applied_ms"], Value::Null);
    }
    inside.stop().await;
}

#[tokio::test]
async fn a_device_that_is_switched_off_is_silent_until_it_is_switched_on() {
    let setting = Setting::new().await;
    let mut inside = Inside::start(&setting).await;
    let status = inside.try_out(&json!({ "devices": { "fridge": { "enabled": false } } }), "confirmed").await;
    assert_eq!(status["settings"]["off"], json!(["fridge"]));
    assert!(
        status["devices"]["fridge"].is_null() && status["devices"]["gateway"]["state"] == "ok",
        "{status}"
    );
    inside.try_out(&json!({}), "confirmed").await;
    inside.until("the fridge to be read", |status| status["devices"]["fridge"]["state"] == "ok").await;
    let told = wait::until("the events", LIMIT, async || {
        let events = setting.status().await["events"].to_string();
        Ok((events.contains("device.switched_off") && events.contains("device.switched_on")).then_some(()))
    });
    told.await.unwrap();
    inside.stop().await;
}

#[tokio::test]
async fn without_the_cloud_a_trial_fails() {
    let setting = Setting::new().await;
    let mut inside = Inside::start(&setting).await;
    let version = inside.set(&json!({ "batches": { "max_age": "2s" } })).await;
    inside.until("a trial", |status| status["settings"]["state"] == "trying").await;
    setting.cloud.stop().await.unwrap();
    let reverted = |status: &Value| {
        status["settings"]["state"] == "reverted" && status["settings"]["version"] == version
    };
    let status = inside.until("the old settings", reverted).await;
    let why = status["settings"]["why"].as_str().unwrap();
    assert!(why.starts_with("the cloud was not reached: "), "{why}");
    inside.stop().await;
}

/// With the trial that every agent has, of which no test waits for the end.
#[tokio::test]
async fn an_agent_that_is_killed_during_a_trial_starts_with_what_it_had_before() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let setup = AgentSetup {
        devices: "  gateway:\n    host: { interval: 300ms }\n".to_owned(),
        ..AgentSetup::default()
    };
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    assert_eq!(
        put(&ana, OF_T01, &json!({ "devices": { "gateway": { "interval": "1h" } } })).await.status,
        200
    );
    let tried = wait::until("a trial", LIMIT, async || {
        let status = agent.read_status().await?;
        Ok((status["settings"]["state"] == "trying").then_some(()))
    });
    tried.await.unwrap();
    agent.kill().unwrap();
    agent.restart().await.unwrap();
    let status = agent.read_status().await.unwrap();
    assert_eq!(
        (&status["settings"]["state"], &status["settings"]["in_use"]),
        (&json!("reverted"), &json!(0)),
        "{status}"
    );
    assert_eq!(status["settings"]["why"], "the agent ended during the trial");
    let told = wait::until("the cloud to be told", LIMIT, async || {
        let state = setting.status().await["agent_settings"].clone();
        Ok((state["state"] == "reverted").then_some(()))
    });
    told.await.unwrap();
    agent.stop().await.unwrap();
}
