//! A store's key is changed by its agent: once a window, two active keys at most, and always one that opens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use storepulse_cloud::commands::key;
use storepulse_cloud::db::Db;
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::{KeyHash, NewKey, PATH};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::store::{self, Agent, AgentSetup, Store};
use storepulse_testbed::wait;

use crate::setting::{Setting, database, folder, testbed};

const LIMIT: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn setup() -> AgentSetup {
    AgentSetup { devices: "  gateway:\n    host: { interval: 200ms }\n".to_owned(), ..AgentSetup::default() }
}

impl Setting {
    async fn door(&self) -> Db {
        Db::connect(&self.db.config()).await.unwrap()
    }

    async fn open_window(&self) {
        let store = &self.stores[0];
        key::open_window(&self.door().await, &store.tenant, &store.id, DAY).await.unwrap();
    }

    fn with_key(&self, key: &StoreKey) -> ByHand {
        ByHand::new(&self.cloud.url(), None, Some(format!("Bearer {}", key.expose()))).unwrap()
    }

    async fn register(&self, with: &StoreKey, new: &NewKey) -> Answer {
        ByHand::answer(self.with_key(with).request(reqwest::Method::POST, PATH).json(new)).await.unwrap()
    }

    async fn retire(&self, with: &StoreKey) -> Answer {
        ByHand::answer(self.with_key(with).request(reqwest::Method::DELETE, PATH)).await.unwrap()
    }

    async fn opens(&self, key: &StoreKey) -> bool {
        self.with_key(key).get("/v1/stores").await.unwrap().status == 200
    }

    /// Waits until a key is refused, as it must be five seconds after it was revoked.
    async fn until_refused(&self, key: &StoreKey) {
        let limit = Duration::from_secs(5);
        let refused = async || Ok((!self.opens(key).await).then_some(()));
        wait::until("the key to be refused", limit, refused).await.unwrap();
    }

    fn new_key(&self) -> StoreKey {
        StoreKey::issue(&self.stores[0].tenant, &self.stores[0].id)
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("spool/key.json")
}

fn written(dir: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(file(dir)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Waits until the agent sends with a key that was retired nothing, and returns that key.
async fn until_settled(agent: &Agent, configured: &StoreKey) -> StoreKey {
    let dir = agent.store.dir.clone();
    let settled = wait::until("the key to be changed", LIMIT, async || {
        let written = written(&dir);
        let is_settled = written["next"].is_null() && written["retire"].is_null();
        let key = written["key"].as_str().filter(|_| is_settled);
        Ok(key.map(|key| key.parse::<StoreKey>().unwrap()))
    });
    let key = settled.await.unwrap_or_else(|e| panic!("{e:#}\n{}", agent.said()));
    assert_eq!((key.tenant(), key.store()), (configured.tenant(), configured.store()));
    key
}

async fn until_connected_with(agent: &Agent, key: &StoreKey) {
    let connected = wait::until("the agent to send with its key", LIMIT, async || {
        let before = agent.read_status().await?;
        let is_used = before["identity"]["key_id"] == key.id().unwrap();
        Ok((is_used && before["uplink"]["state"] == "connected").then_some(()))
    });
    connected.await.unwrap_or_else(|e| panic!("{e:#}\n{}", agent.said()));
    agent.until_drained_once(LIMIT).await.unwrap();
}

#[tokio::test]
async fn an_agent_changes_its_key_when_an_operator_opens_a_window_and_only_once() {
    let setting = Setting::new().await;
    let old = setting.stores[0].key.clone();
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup()).await.unwrap();
    until_connected_with(&agent, &old).await;
    setting.open_window().await;
    let new = until_settled(&agent, &old).await;
    assert_ne!(new, old);
    setting.until_refused(&old).await;
    until_connected_with(&agent, &new).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(file(&agent.store.dir)).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(setting.register(&new, &NewKey::of(&setting.new_key())).await.code(), "no_rotation_window");

    agent.kill().unwrap();
    agent.restart().await.unwrap();
    until_connected_with(&agent, &new).await;
    assert!(
        !agent.said().contains(new.expose()) && !agent.said().contains(old.expose()),
        "no log shows a key"
    );
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_kill_at_any_step_leaves_a_key_that_opens_and_the_next_start_goes_on() {
    let setting = Setting::new().await;
    let store = &setting.stores[0];
    let mut agent = Agent::start(testbed(), store, &setup()).await.unwrap();
    let mut used = store.key.clone();
    for step in ["next", "retire", "key"] {
        setting.open_window().await;
        // A restart forgets the pause after the rotation before.
        agent.kill().unwrap();
        agent.restart().await.unwrap();
        let (dir, before) = (agent.store.dir.clone(), used.expose().to_owned());
        let reached = wait::until(step, LIMIT, async || {
            let written = written(&dir);
            let is_further = written["key"].as_str().is_some_and(|key| key != before);
            Ok(((step != "key" && !written[step].is_null()) || is_further).then_some(()))
        });
        reached.await.unwrap_or_else(|e| panic!("{e:#}\n{}", agent.said()));
        agent.kill().unwrap();
        agent.restart().await.unwrap();
        let next = until_settled(&agent, &store.key).await;
        assert_ne!(next, used, "{step}");
        setting.until_refused(&used).await;
        until_connected_with(&agent, &next).await;
        used = next;
    }
    agent.stop().await.unwrap();
}

/// What the cloud and the file hold when power fails, and the agent is started upon it.
#[tokio::test]
async fn every_state_that_a_crash_can_leave_ends_with_one_key_in_use() {
    for (registered, retired, file_says) in [
        (false, false, "next"),
        (true, false, "next"),
        // The file was restored from a copy: the cloud is further than it.
        (true, true, "next"),
        (true, false, "retire"),
        (true, true, "retire"),
    ] {
        let setting = Setting::new().await;
        let store = &setting.stores[0];
        let (old, new) = (store.key.clone(), setting.new_key());
        setting.open_window().await;
        if registered {
            assert_eq!(setting.register(&old, &NewKey::of(&new)).await.status, 200);
        }
        if retired {
            let answer = setting.retire(&new).await;
            assert_eq!((answer.status, &answer.json["retired"]), (200, &old.id().unwrap().into()));
            setting.until_refused(&old).await;
        }
        let mut json = serde_json::json!({ "configured": KeyHash(old.hash()) });
        if file_says == "next" {
            json["next"] = new.expose().into();
        } else {
            json["key"] = new.expose().into();
            json["retire"] = true.into();
        }
        std::fs::create_dir_all(store.dir.join("spool")).unwrap();
        std::fs::write(file(&store.dir), json.to_string()).unwrap();
        let mut agent = Agent::start(testbed(), store, &setup()).await.unwrap();
        let used = until_settled(&agent, &old).await;
        assert_eq!(used, new, "{registered} {retired} {file_says}");
        setting.until_refused(&old).await;
        until_connected_with(&agent, &new).await;
        agent.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_was_made_for_a_window_that_has_closed_is_dropped_and_the_old_one_stays() {
    let setting = Setting::new().await;
    let store = &setting.stores[0];
    let json =
        serde_json::json!({ "configured": KeyHash(store.key.hash()), "next": setting.new_key().expose() });
    std::fs::create_dir_all(store.dir.join("spool")).unwrap();
    std::fs::write(file(&store.dir), json.to_string()).unwrap();
    let mut agent = Agent::start(testbed(), store, &setup()).await.unwrap();
    let dir = store.dir.clone();
    let dropped = wait::until("the key to be dropped", LIMIT, async || {
        Ok(written(&dir)["next"].is_null().then_some(()))
    });
    dropped.await.unwrap();
    until_connected_with(&agent, &store.key).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn an_operator_who_configures_another_key_is_obeyed() {
    let setting = Setting::new().await;
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup()).await.unwrap();
    let old = setting.stores[0].key.clone();
    until_connected_with(&agent, &old).await;
    setting.open_window().await;
    until_settled(&agent, &old).await;
    setting.until_refused(&old).await;
    // The key of the package opens nothing any more, so onboarding makes another one.
    let out = setting.stores[0].dir.parent().unwrap();
    let again =
        store::onboard(&setting.db, "la-villa", &["T01"], &setting.cloud.url(), None, out).await.unwrap();
    assert_ne!(again[0].key, old);
    until_connected_with(&agent, &again[0].key).await;
    agent.stop().await.unwrap();
}

#[tokio::test]
async fn a_window_is_for_one_key_and_two_are_active_at_most() {
    let setting = Setting::new().await;
    let (door, store) = (setting.door().await, setting.stores[0].clone());
    let (first, second) = (setting.new_key(), setting.new_key());
    let register = async |with: &StoreKey, new: &StoreKey| {
        let answer = setting.register(with, &NewKey::of(new)).await;
        (answer.status, answer.code().to_owned())
    };
    let turned_down = |code: &str| (409, code.to_owned());
    assert_eq!(register(&store.key, &first).await, turned_down("no_rotation_window"));
    setting.open_window().await;
    let siblings = &setting.stores[1].key;
    assert_eq!(register(&store.key, siblings).await, turned_down("key_refused"), "a sibling's key");
    for _ in 0..2 {
        assert_eq!(register(&store.key, &first).await, (200, String::new()));
    }
    assert_eq!(register(&store.key, &second).await, turned_down("no_rotation_window"));
    let refused = key::open_window(&door, &store.tenant, &store.id, DAY).await.unwrap_err().to_string();
    assert!(refused.contains("two active keys"), "{refused}");

    // The old key cannot throw out the new one; the new one retires the old one, once.
    assert_eq!(setting.retire(&store.key).await.json["retired"], serde_json::Value::Null);
    assert!(setting.opens(&first).await);
    assert_eq!(setting.retire(&first).await.json["retired"], store.key.id().unwrap());
    assert_eq!(setting.retire(&first).await.json["retired"], serde_json::Value::Null);
    setting.until_refused(&store.key).await;
    setting.open_window().await;
    assert_eq!(register(&first, &store.key).await, turned_down("key_refused"), "a revoked key comes back");
    assert_eq!(register(&first, &second).await.0, 200);
}

#[tokio::test]
async fn a_compromised_key_that_is_revoked_loses_its_window() {
    let setting = Setting::new().await;
    let (door, store) = (setting.door().await, setting.stores[0].clone());
    let id = store.key.id().unwrap();
    setting.open_window().await;
    let taken = setting.new_key();
    assert_eq!(setting.register(&store.key, &NewKey::of(&taken)).await.status, 200);
    let followers = key::revoke(&door, &store.tenant, &store.id, id, true).await.unwrap();
    assert_eq!(followers, [taken.id().unwrap()], "what was registered over it is named");
    setting.open_window().await;
    key::revoke(&door, &store.tenant, &store.id, taken.id().unwrap(), true).await.unwrap();
    for key in [&store.key, &taken] {
        let answer = setting.register(key, &NewKey::of(&setting.new_key())).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let out = store.dir.parent().unwrap();
    let again =
        store::onboard(&setting.db, "la-villa", &["T01"], &setting.cloud.url(), None, out).await.unwrap();
    let answer = setting.register(&again[0].key, &NewKey::of(&setting.new_key())).await;
    assert_eq!(answer.code(), "no_rotation_window", "revoking has closed it");
}

#[tokio::test]
async fn a_new_authority_in_the_ca_file_is_trusted_without_a_restart() {
    let db = database().await;
    let (old, new) = (folder().await, folder().await);
    // An authority that has signed nothing that we reach.
    Cloud::start(&db, Some(&old)).await.unwrap().stop().await.unwrap();
    let cloud = Cloud::start(&db, Some(&new)).await.unwrap();
    let out = folder().await;
    let stores: Vec<Store> =
        store::onboard(&db, "la-villa", &["T01"], &cloud.url(), cloud.ca.as_deref(), &out).await.unwrap();
    let ca_file = stores[0].dir.join("ca.pem");
    std::fs::copy(storepulse_cloud::tls::ca_file(&old), &ca_file).unwrap();
    let mut agent = Agent::start(testbed(), &stores[0], &setup()).await.unwrap();
    let state = async |wanted: &str| {
        let seen = wait::until(wanted, LIMIT, async || {
            Ok((agent.read_status().await?["uplink"]["state"] == wanted).then_some(()))
        });
        seen.await.unwrap_or_else(|e| panic!("{e:#}\n{}", agent.said()));
    };
    state("failing").await;
    // Rubbish changes nothing, and does not end it.
    std::fs::write(&ca_file, "rubbish").unwrap();
    state("failing").await;
    std::fs::copy(cloud.ca.as_deref().unwrap(), &ca_file).unwrap();
    state("connected").await;
    agent.stop().await.unwrap();
}
