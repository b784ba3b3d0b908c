//! The logins of people who read one tenant each in SQL, made by the product.
//!
//! Roles are the server's, and the tests of a run share one: who comes first makes them, for all.

use std::collections::BTreeMap;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::bi;
use storepulse_shared::ids::TenantId;

use super::session::{Session, quote};
use super::world::{PREFIX, World};
use crate::cluster::TestDb;

/// Loopback, and a server that ends with the run.
const PASSWORD: &str = "worthless";

/// A login for each tenant.
#[derive(Debug)]
pub(super) struct Readers(BTreeMap<&'static str, PgConnectOptions>);

impl Readers {
    /// Makes those that are missing.
    pub(super) async fn open(db: &TestDb) -> anyhow::Result<Self> {
        // Locks belong to one database, and here all worlds meet.
        let mut meeting = Session::open(&db.admin.clone().database("postgres")).await?;
        meeting.run("select pg_advisory_lock(hashtext('readers'))").await?;
        let mut logins = BTreeMap::new();
        let mut admin = Session::open(&db.admin).await?;
        for tenant in World::tenants().into_iter().chain([PREFIX]) {
            let id: TenantId = tenant.parse().context("a tenant's id")?;
            let role = bi::role_name(&id);
            let there = format!("select 1::text from pg_roles where rolname = {}", quote(&role));
            if meeting.run(&there).await?.rows.is_empty() {
                let allow = "insert into tenant_settings (tenant_id, type, name, value) values";
                let allow =
                    format!("{allow} ({}, 'features', 'bi', 'true') on conflict do nothing", quote(tenant));
                admin.run(&allow).await?;
                bi::create(&db.admin, &id, PASSWORD).await?;
                // Several worlds read at once.
                meeting.run(&format!("alter role \"{role}\" connection limit -1")).await?;
            }
            logins.insert(tenant, db.app.clone().username(&role).password(PASSWORD));
        }
        admin.close().await?;
        meeting.close().await?;
        Ok(Self(logins))
    }

    /// A session as the reader of a tenant, which has put off what a session may put off.
    pub(super) async fn session(&self, tenant: &str) -> anyhow::Result<Session> {
        let login = self.0.get(tenant).with_context(|| format!("nobody reads {tenant}"))?;
        let mut session = Session::open(login).await?;
        session.run("set default_transaction_read_only = off; set statement_timeout = 0").await?;
        Ok(session)
    }

    /// How the reader of a tenant logs in.
    pub(super) fn login(&self, tenant: &str) -> anyhow::Result<&PgConnectOptions> {
        self.0.get(tenant).with_context(|| format!("nobody reads {tenant}"))
    }
}
