//! The door to a tenant lends connections again and again: nothing of one transaction is left for the next.

#![expect(clippy::disallowed_methods, reason = "statements that the service does not have")]

use std::time::Duration;

use sqlx::Row as _;
use storepulse_cloud::db::{DatabaseConfig, Db};
use storepulse_shared::ids::TenantId;
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use crate::setting::{Setting, TENANT};

const LIMIT: Duration = Duration::from_secs(20);
const BACKENDS: &str = "select state from pg_stat_activity
    where usename = 'storepulse_app' and datname = current_database() and application_name = 'storepulse-cloud'";

async fn door(setting: &Setting, connections: u32) -> Db {
    Db::connect(&DatabaseConfig { connections, ..setting.db.config() }).await.unwrap()
}

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_and_its_connection_serves_on() {
    let setting = Setting::new().await;
    let db = door(&setting, 2).await;
    let statement = "insert into series_counters (tenant_id, last_id) values ($1, 7)";
    for _ in 0..5 {
        let mut dropped = db.tenant(&tenant()).await.unwrap();
        sqlx::query(statement).bind(TENANT).execute(dropped.connection()).await.unwrap();
        drop(dropped);
        // One that failed is dropped too, as every handler does.
        let mut failed = db.tenant(&tenant()).await.unwrap();
        assert!(sqlx::query("select 1 / 0").execute(failed.connection()).await.is_err());
    }
    let mut tx = db.tenant(&tenant()).await.unwrap();
    let rows = sqlx::query("select from series_counters").fetch_all(tx.connection()).await.unwrap();
    assert_eq!(rows.len(), 0);
    tx.rollback().await.unwrap();
    let at_rest = async || {
        let states = as_admin(&setting.db, BACKENDS).await?;
        Ok(states.iter().all(|state| state == "idle").then_some(()))
    };
    wait::until("all connections to be out of transactions", LIMIT, at_rest).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn no_more_connections_are_opened_than_allowed_and_each_transaction_is_bound_anew() {
    let setting = Setting::new().await;
    let db = door(&setting, 2).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (db, tenant): (Db, TenantId) = (db.clone(), format!("tenant-{}", n % 7).parse().unwrap());
        tasks.spawn(async move {
            let mut tx = db.tenant(&tenant).await.unwrap();
            let bound = sqlx::query("select current_setting('app.tenant_id'), pg_backend_pid()");
            let row = bound.fetch_one(tx.connection()).await.unwrap();
            assert_eq!(row.get::<String, _>(0), tenant.as_str());
            if n % 3 != 0 {
                tx.commit().await.unwrap();
            }
            row.get::<i32, _>(1)
        });
    }
    let mut backends = tasks.join_all().await;
    backends.sort_unstable();
    backends.dedup();
    assert!(backends.len() <= 2, "{backends:?}");
    db.close().await;
}

#[tokio::test]
async fn connections_that_broke_are_replaced() {
    let setting = Setting::new().await;
    let db = door(&setting, 2).await;
    db.tenant(&tenant()).await.unwrap().commit().await.unwrap();
    let kill = BACKENDS.replace("select state", "select pg_terminate_backend(pid)::text");
    as_admin(&setting.db, &kill).await.unwrap();
    let served = async || {
        db.tenant(&tenant()).await?.commit().await?;
        Ok(Some(()))
    };
    wait::until("a transaction on a new connection", LIMIT, served).await.unwrap();
    db.close().await;
}
