//! One private PostgreSQL a run, and a migrated database of its own for whoever asks.
//!
//! Databases are clones of a template that was migrated once. They are entered as `storepulse_app` and
//! `storepulse_control`; the superuser makes databases and, in the isolation suite, breaks them on purpose.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use storepulse_cloud::db::{DatabaseConfig, SettingsWaiver};
use storepulse_cloud::embedded::{Embedded, Options};
use storepulse_cloud::schema;

use crate::run_dir::RunDir;

const TEMPLATE: &str = "storepulse_template";
/// Connections of one test's service.
const CONNECTIONS: u32 = 8;

/// The server of a run.
#[derive(Debug)]
pub struct Cluster {
    server: Embedded,
    waiver: SettingsWaiver,
    made: AtomicU32,
}

/// A database of one's own.
#[derive(Debug, Clone)]
pub struct TestDb {
    /// Its name.
    pub name: String,
    /// Logs in as the superuser.
    pub admin: PgConnectOptions,
    /// Logs in as `storepulse_app`.
    pub app: PgConnectOptions,
    /// Logs in as `storepulse_control`.
    pub control: PgConnectOptions,
    waiver: SettingsWaiver,
}

impl Cluster {
    /// Starts the server and migrates the template. Without durability unless that is what is tested.
    ///
    /// # Errors
    /// There is no PostgreSQL, or it does not start.
    pub async fn start(run_dir: &RunDir, durable: bool) -> anyhow::Result<Self> {
        let options = Options { dir: run_dir.pg(), durable, ephemeral: true, connections: 300 };
        let server = Embedded::start(options).await?;
        let waiver = if durable { SettingsWaiver::None } else { SettingsWaiver::WorthlessData };
        server.create_database(TEMPLATE).await?;
        let admin = server.admin(TEMPLATE);
        schema::bootstrap(&admin, &server.role_passwords()).await?;
        schema::migrate(&admin).await?;
        Ok(Self { server, waiver, made: AtomicU32::new(0) })
    }

    /// A migrated database with nothing in it.
    ///
    /// # Errors
    /// The server refused.
    pub async fn database(&self) -> anyhow::Result<TestDb> {
        let name = format!("storepulse_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect_with(&self.server.admin("postgres")).await?;
        let statement = AssertSqlSafe(format!("create database {name} template {TEMPLATE}"));
        sqlx::raw_sql(statement).execute(&mut connection).await.context("clone the template")?;
        connection.close().await?;
        Ok(TestDb {
            admin: self.server.admin(&name),
            app: self.server.app(&name),
            control: self.server.control(&name),
            name,
            waiver: self.waiver,
        })
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.server_pid()
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl TestDb {
    /// A database of a durable server that somebody else has started and migrated.
    #[must_use]
    pub fn durable(server: &Embedded, name: &str) -> Self {
        Self {
            admin: server.admin(name),
            app: server.app(name),
            control: server.control(name),
            name: name.to_owned(),
            waiver: SettingsWaiver::None,
        }
    }

    /// What the service needs to use it.
    #[must_use]
    pub fn config(&self) -> DatabaseConfig {
        DatabaseConfig {
            app: self.app.clone(),
            control: self.control.clone(),
            connections: CONNECTIONS,
            waiver: self.waiver,
        }
    }

    /// Whether the settings that make commits durable are waived.
    #[must_use]
    pub fn is_waived(&self) -> bool {
        self.waiver == SettingsWaiver::WorthlessData
    }
}
