//! Revoked keys and suspended tenants: every process refuses them within five seconds, and most at once; and when a key was last
//! used, which no request writes.

use std::time::{Duration, Instant};

use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::cloud::{Cloud, CloudProcess};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::store::{self, Store};
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use crate::setting::{Setting, TENANT, database, folder, now_ms, testbed};

/// The promise.
const REVOCATION: Duration = Duration::from_secs(5);
const REVOCATIONS: usize = 20;

/// Two processes on one database, and stores that use both.
struct Two {
    db: TestDb,
    clouds: [CloudProcess; 2],
    stores: Vec<Store>,
}

impl Two {
    async fn start(stores: usize) -> Self {
        let db = database().await;
        let start = async || CloudProcess::start(testbed(), &db, &folder().await).await.unwrap();
        let clouds = [start().await, start().await];
        let ids: Vec<String> = (1..=stores).map(|no| format!("T{no:02}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let stores =
            store::onboard(&db, TENANT, &ids, &clouds[0].url(), None, &folder().await).await.unwrap();
        Self { db, clouds, stores }
    }

    fn agents(&self, store: &Store) -> [ByHand; 2] {
        let agent = |cloud: &CloudProcess| {
            ByHand::new(&cloud.url(), Some(&cloud.ca()), Some(store.bearer())).unwrap()
        };
        self.clouds.each_ref().map(agent)
    }

    /// Makes a change, and measures until both answer with this status.
    async fn until_both(&self, agents: &[ByHand; 2], change: &str, status: u16) -> Duration {
        let done = as_admin(&self.db, change).await.unwrap();
        assert_eq!(done.len(), 1, "{change}");
        let since = Instant::now();
        for agent in agents {
            wait::until("both processes to know", REVOCATION, async || {
                Ok((agent.get("/v1/stores").await?.status == status).then_some(()))
            })
            .await
            .unwrap();
        }
        since.elapsed()
    }
}

async fn opens(agents: &[ByHand; 2]) {
    for agent in agents {
        assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
    }
}

fn revoke(store: &Store) -> String {
    let id = store.key.id().unwrap();
    format!("update store_keys set revoked_at = now() where key_id = '{id}' returning key_id")
}

fn set_status(status: &str) -> String {
    format!("update tenants set status = '{status}' where tenant_id = '{TENANT}' returning tenant_id")
}

/// Prints the distribution, for `--nocapture`.
fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1];
    let mut out = std::io::stderr();
    let _ = std::io::Write::write_fmt(
        &mut out,
        format_args!("{what}: {} times, median {:?}, p99 {:?}\n", took.len(), at(50), at(99)),
    );
    assert!(at(100) <= REVOCATION, "{took:?}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_both_processes() {
    let two = Two::start(REVOCATIONS).await;
    let mut took = Vec::new();
    for store in &two.stores {
        let agents = two.agents(store);
        opens(&agents).await;
        took.push(two.until_both(&agents, &revoke(store), 401).await);
    }
    tell("revoked until refused by both", took);
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_by_both_processes_and_opens_again() {
    let two = Two::start(1).await;
    let agents = two.agents(&two.stores[0]);
    let (mut suspended, mut active) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        opens(&agents).await;
        suspended.push(two.until_both(&agents, &set_status("suspended"), 403).await);
        active.push(two.until_both(&agents, &set_status("active"), 200).await);
    }
    tell("suspended until refused by both", suspended);
    tell("active until both open", active);
}

#[tokio::test]
async fn who_is_not_told_refuses_within_five_seconds() {
    let two = Two::start(2).await;
    let silent = "do $$ begin drop trigger tell on store_keys; drop trigger tell on tenants; end $$";
    as_admin(&two.db, silent).await.unwrap();
    for store in &two.stores {
        let agents = two.agents(store);
        opens(&agents).await;
        two.until_both(&agents, &revoke(store), 401).await;
    }
}

#[tokio::test]
async fn who_was_cut_off_listens_again_and_believes_nothing_from_before() {
    let setting = Setting::new().await;
    let metrics = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    let listens = async || {
        let answer = metrics.request(reqwest::Method::GET, "/metrics").send().await?.text().await?;
        Ok(answer.contains("storepulse_cloud_listening 1\n").then_some(()))
    };
    let agent = setting.by_hand();
    for _ in 0..3 {
        wait::until("the cloud to listen", Duration::from_secs(20), listens).await.unwrap();
        assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
        let cut = "select pg_terminate_backend(pid)::text from pg_stat_activity
            where datname = current_database() and application_name = 'storepulse-cloud-changes'";
        assert_eq!(as_admin(&setting.db, cut).await.unwrap(), ["true"]);
        for (status, expected) in [("suspended", 403), ("active", 200)] {
            as_admin(&setting.db, &set_status(status)).await.unwrap();
            let known = async || Ok((agent.get("/v1/stores").await?.status == expected).then_some(()));
            wait::until("the change to be known", REVOCATION, known).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_in_the_background_and_only_of_keys_that_were_used() {
    let setting = Setting::new().await;
    let another = Cloud::start(&setting.db, None).await.unwrap();
    let used = "select key_id from store_keys where last_used_at > now() - interval '1 minute' order by 1";
    let agent = ByHand::new(&another.url(), None, Some(setting.stores[0].bearer())).unwrap();
    let epoch = storepulse_shared::ids::Epoch::random();
    for seq in 1..=50 {
        let batch = HandBatch::of(epoch, seq, &samples("m", &[now_ms()], &[1.0]));
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    }
    let versions = "select xmin::text from store_keys order by key_id";
    let before = as_admin(&setting.db, versions).await.unwrap();
    assert_eq!(as_admin(&setting.db, used).await.unwrap(), Vec::<String>::new(), "no request writes it");
    another.stop().await.unwrap();
    assert_eq!(as_admin(&setting.db, used).await.unwrap(), [setting.stores[0].key.id().unwrap()]);
    let after = as_admin(&setting.db, versions).await.unwrap();
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 1, "of two keys");
}
