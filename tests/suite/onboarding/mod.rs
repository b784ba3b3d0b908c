//! A tenant with its stores and keys, and the package of each store: whole, wherever it was killed before; secret where it
//! must be, and nowhere else.

#![expect(clippy::disallowed_methods, reason = "what is registered is counted from outside the service")]

mod converges;
mod http;
mod limits;
mod package;
mod validation;

use std::path::{Path, PathBuf};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use storepulse_cloud::db::Db;
use storepulse_cloud::onboarding::{self, Contacts, How, OnboardError, Request, Results};
use storepulse_shared::key::StoreKey;
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::cluster::TestDb;

use crate::setting::{database, folder};

/// A cloud with TLS, and nobody onboarded.
struct Place {
    db: TestDb,
    door: Db,
    cloud: Cloud,
}

impl Place {
    async fn new() -> Self {
        let db = database().await;
        let cloud = Cloud::start(&db, Some(&folder().await)).await.unwrap();
        let door = Db::connect(&db.config()).await.unwrap();
        Self { db, door, cloud }
    }

    fn request(&self, tenant: &str, stores: usize) -> Request {
        Request {
            tenant: tenant.parse().unwrap(),
            company: "Retail Corp".to_owned(),
            plan: "basic".to_owned(),
            contacts: Contacts {
                email: Some("billing@retail.example".to_owned()),
                admin: Some("Juan Pérez".to_owned()),
                whatsapp: vec!["1234567890".to_owned()],
            },
            stores: onboarding::numbered_stores(stores).unwrap(),
            cloud_url: self.cloud.url(),
            ca: self.cloud.ca.as_deref().map(|path| std::fs::read_to_string(path).unwrap()),
        }
    }

    async fn onboard(&self, request: &Request, how: &How) -> Result<Results, OnboardError> {
        onboarding::run(&self.door, request, how, &mut std::io::sink()).await
    }

    /// Rows of one number.
    async fn count(&self, sql: &'static str, tenant: &str) -> i64 {
        let mut admin = PgConnection::connect_with(&self.db.admin).await.unwrap();
        let count = sqlx::query_scalar(sql).bind(tenant).fetch_one(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        count
    }

    async fn active_keys(&self, tenant: &str) -> i64 {
        self.count("select count(*) from store_keys where tenant_id = $1 and revoked_at is null", tenant)
            .await
    }

    /// Whether every key that opens something stands in the package, and every store has one.
    async fn assert_whole(&self, request: &Request, out: &Path) {
        let tenant = request.tenant.as_str();
        let stores = i64::try_from(request.stores.len()).unwrap();
        assert_eq!(self.active_keys(tenant).await, stores, "{tenant}: active keys");
        let open = "select count(*) from tenants where tenant_id = $1 and status = 'active'";
        assert_eq!(self.count(open, tenant).await, 1, "{tenant} is open");
        let made = "select count(*) from audit_entries where tenant_id = $1 and action = 'tenant.created'";
        assert_eq!(self.count(made, tenant).await, 1, "{tenant} was made once");
        let made = "select count(*) from audit_entries where tenant_id = $1 and action = 'store.created'";
        assert_eq!(self.count(made, tenant).await, stores, "{tenant}: each store was made once");
        for store in &request.stores {
            let key = key_in(&out.join(store.as_str()));
            let agent = ByHand::new(
                &request.cloud_url,
                self.cloud.ca.as_deref(),
                Some(format!("Bearer {}", key.expose())),
            );
            let answer = agent.unwrap().get(&format!("/v1/stores/{store}/status")).await.unwrap();
            assert_eq!((answer.status, &answer.json["id"]), (200, &store.as_str().into()), "{tenant}");
        }
    }
}

fn into(out: &Path) -> How {
    How { out: out.to_owned(), validate: true, stop_after: None }
}

fn unvalidated(out: &Path) -> How {
    How { validate: false, ..into(out) }
}

fn key_in(dir: &Path) -> StoreKey {
    std::fs::read_to_string(dir.join("store.key")).unwrap().trim().parse().unwrap()
}

/// Every file below a folder.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
