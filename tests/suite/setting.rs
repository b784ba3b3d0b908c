//! What tests stand on: the run's folder and server, made by whoever comes first, deleted when the process ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::json;
use storepulse_cloud::app::PeopleConfig;
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::cluster::{Cluster, TestDb};
use storepulse_testbed::run_dir::RunDir;
use storepulse_testbed::store::{self, Store};
use tokio::sync::OnceCell;

static SHARED: OnceCell<(RunDir, Cluster)> = OnceCell::const_new();
static FOLDERS: AtomicU32 = AtomicU32::new(0);

async fn shared() -> &'static (RunDir, Cluster) {
    let made = SHARED.get_or_try_init(async || {
        let run_dir = RunDir::create("test")?;
        let cluster = Cluster::start(&run_dir, false).await?;
        anyhow::Ok((run_dir, cluster))
    });
    made.await.expect("a private PostgreSQL for the tests")
}

/// A migrated database with nothing in it.
pub(crate) async fn database() -> TestDb {
    shared().await.1.database().await.expect("a database of one's own")
}

/// A folder of one's own.
pub(crate) async fn folder() -> PathBuf {
    let name = format!("{}", FOLDERS.fetch_add(1, Ordering::Relaxed));
    shared().await.0.part(&name).expect("a folder of one's own")
}

/// The binary that plays agent and cloud as child processes.
pub(crate) fn testbed() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_storepulse-testbed"))
}

/// A cloud without TLS in this process, with the stores T01 and T02 of the tenant `la-villa`.
pub(crate) struct Setting {
    pub(crate) db: TestDb,
    pub(crate) cloud: Cloud,
    pub(crate) stores: Vec<Store>,
}

pub(crate) const TENANT: &str = "la-villa";

impl Setting {
    pub(crate) async fn new() -> Self {
        Self::reaching(PeopleConfig::default()).await
    }

    /// The same, with a cloud that reaches people so.
    pub(crate) async fn reaching(people: PeopleConfig) -> Self {
        let db = database().await;
        let cloud = Cloud::start_reaching(people, &db).await.expect("a cloud");
        let out = folder().await;
        let stores = store::onboard(&db, TENANT, &["T01", "T02"], &cloud.url(), None, &out).await;
        Self { db, cloud, stores: stores.expect("an onboarded tenant") }
    }

    /// The agent of T01, by hand.
    pub(crate) fn by_hand(&self) -> ByHand {
        ByHand::new(&self.cloud.url(), None, Some(self.stores[0].bearer())).expect("a client")
    }

    /// The status of T01 as its agent reads it.
    pub(crate) async fn status(&self) -> serde_json::Value {
        self.by_hand().get("/v1/stores/T01/status").await.expect("a status").json
    }

    /// Every sample of T01 as its agent reads them: series name, time, value.
    pub(crate) async fn samples(&self) -> Vec<(String, i64, f64)> {
        let path = format!("/v1/stores/T01/metrics?from=0&to={}", i64::MAX);
        let answer = self.by_hand().get(&path).await.expect("samples");
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut all = Vec::new();
        for series in answer.json["series"].as_array().expect("series") {
            for sample in series["samples"].as_array().expect("samples") {
                let name = series["name"].as_str().expect("a name").to_owned();
                all.push((name, sample[0].as_i64().expect("a time"), sample[1].as_f64().expect("a value")));
            }
        }
        all
    }
}

/// An operator called ana, with a key of her own.
pub(crate) async fn operator(db: &TestDb, cloud: &Cloud) -> ByHand {
    let door = Db::connect(&db.config()).await.expect("a door");
    let key = commands::operator::issue(&door, "ana").await.expect("an operator's key");
    door.close().await;
    ByHand::new(&cloud.url(), None, Some(format!("Bearer {}", key.expose()))).expect("a client")
}

/// An operator who has entered a tenant.
pub(crate) async fn inside(cloud: &Cloud, operator: &ByHand, tenant: &str) -> ByHand {
    let entry = operator.request(Method::POST, &format!("/v1/tenants/{tenant}/entries"));
    let entry = ByHand::answer(entry.json(&json!({ "reason": "a test" }))).await.expect("an answer");
    let token = entry.json["token"].as_str().unwrap_or_else(|| panic!("{entry:?}"));
    ByHand::new(&cloud.url(), None, Some(format!("Bearer {token}"))).expect("a client")
}

/// Now, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    storepulse_cloud::app::now_ms()
}
