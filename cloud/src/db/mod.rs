//! The doors to PostgreSQL, and no other way in: a transaction bound to one tenant, one on the control tables, and the
//! notifications of changes. The pools are private to this folder, so a query without a tenant cannot be written.
//!
//! Row-level security holds even where a `where tenant_id = …` is forgotten, and the `where` is there even so.

mod changes;
mod check;
mod connections;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Postgres, Transaction};
use storepulse_shared::ids::TenantId;
use time::Date;

pub(crate) use self::changes::{Changed, Changes, tell_of_other_data};
pub use self::check::{CheckError, SettingsWaiver};
use self::connections::{Connections, Lent};

/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a reader may do something else, such as sending what it has read, before its transaction is ended.
const IDLE_READ_MAX: Duration = Duration::from_secs(120);

/// Connections for tenants, stores, and whatever is changed of them.
const CONTROL_CONNECTIONS: u32 = 4;
/// Connections for looking keys up: one statement at a time, for all who ask.
const LOOK_CONNECTIONS: u32 = 1;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Logs in as `storepulse_app`.
    pub app: PgConnectOptions,
    /// Logs in as `storepulse_control`.
    pub control: PgConnectOptions,
    /// Connections that ingest and reads share.
    pub connections: u32,
    /// Whether the settings that make a commit durable may be off: the testbed's own waiver.
    pub waiver: SettingsWaiver,
}

impl DatabaseConfig {
    /// Statements that take longer are told in the log; a second, unless this says otherwise.
    #[must_use]
    pub fn telling_of_statements_slower_than(mut self, limit: Duration) -> Self {
        let tell =
            |login: PgConnectOptions| login.log_slow_statements(tracing::log::LevelFilter::Warn, limit);
        self.app = tell(self.app);
        self.control = tell(self.control);
        self
    }
}

/// Why the service will not use a database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, or a statement failed.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// It is not safe to serve from.
    #[error("refusing to start: {0}")]
    Unsafe(#[from] CheckError),
}

/// The database, through its doors.
#[derive(Debug, Clone)]
pub struct Db {
    app: Connections,
    control: PgPool,
    looks: PgPool,
    control_login: PgConnectOptions,
    origin: Arc<Origin>,
}

/// Where rows come from. After a restore or a fail-over there is another server behind the connections, and a tenant that was
/// erased and restored has other rows: what was remembered before (ids of series, for example) must not be believed.
#[derive(Debug, Default)]
struct Origin {
    seen: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// When the server was started.
    started: String,
    /// How often all rows became others.
    of_all: u64,
    /// How often those of one tenant did.
    of_tenants: HashMap<TenantId, u64>,
}

impl Origin {
    async fn look(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let started = sqlx::query_scalar!(r#"select pg_postmaster_start_time()::text as "started!""#);
        let started = started.fetch_one(connection).await?;
        let mut seen = self.seen();
        if seen.started != started {
            seen.started = started;
            seen.of_all += 1;
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Generations> {
        // Every change is one call, so a panic leaves nothing half done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Db {
    /// Connects both roles and checks that nothing about them or the schema can bypass row-level security.
    ///
    /// # Errors
    /// [`DbError::Unsafe`] names what was found and how to mend it.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, DbError> {
        let origin = Arc::new(Origin::default());
        let pool = |connections| {
            let origin = Arc::clone(&origin);
            PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT).after_connect(
                move |connection, _| {
                    let origin = Arc::clone(&origin);
                    Box::pin(async move { origin.look(connection).await })
                },
            )
        };
        let named = |options: &PgConnectOptions| options.clone().application_name("storepulse-cloud");
        let app = pool(config.connections)
            .after_release(|connection, _| Box::pin(connections::come_home(connection)))
            .connect_with(named(&config.app));
        let app = Connections::new(app.await?, ACQUIRE_TIMEOUT);
        let control = pool(CONTROL_CONNECTIONS).connect_with(named(&config.control)).await?;
        // Planned once: for few keys the server would find it worth while to plan each statement anew, which takes longer than to
        // run it.
        let look = named(&config.control).options([("plan_cache_mode", "force_generic_plan")]);
        let looks = pool(LOOK_CONNECTIONS).connect_lazy_with(look);
        let db = Self { app, control, looks, control_login: config.control.clone(), origin };
        db.check(config.waiver).await?;
        Ok(db)
    }

    /// A transaction that sees this tenant's rows and no others.
    ///
    /// # Errors
    /// No connection could be had, or the server refused.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<TenantTx, sqlx::Error> {
        Self::bound(self.app.begin("begin").await?, tenant).await
    }

    /// The same for reading only, and all of it at one moment, whatever others commit meanwhile.
    ///
    /// # Errors
    /// No connection could be had, or the server refused.
    pub async fn snapshot(&self, tenant: &TenantId) -> Result<TenantTx, sqlx::Error> {
        let tx = self.app.begin("begin isolation level repeatable read read only").await?;
        Self::bound(tx, tenant).await
    }

    /// A snapshot for answering somebody: no statement of it runs longer than `statement_max`, and the server ends it if
    /// nothing is asked in it for [`IDLE_READ_MAX`].
    ///
    /// # Errors
    /// No connection could be had, or the server refused.
    pub async fn read(&self, tenant: &TenantId, statement_max: Duration) -> Result<TenantTx, sqlx::Error> {
        let mut tx = self.app.begin("begin isolation level repeatable read read only").await?;
        sqlx::query!(
            "select set_config('app.tenant_id', $1, true) as bound, set_config('statement_timeout', $2, true) as statement,
                set_config('idle_in_transaction_session_timeout', $3, true) as idle",
            tenant.as_str(),
            statement_max.as_millis().max(1).to_string(),
            IDLE_READ_MAX.as_millis().to_string(),
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(TenantTx { tx, tenant: tenant.clone() })
    }

    /// How many connections ingest and reads share.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.app.count()
    }

    async fn bound(mut tx: Lent, tenant: &TenantId) -> Result<TenantTx, sqlx::Error> {
        sqlx::query!("select set_config('app.tenant_id', $1, true) as bound", tenant.as_str())
            .fetch_one(&mut *tx)
            .await?;
        Ok(TenantTx { tx, tenant: tenant.clone() })
    }

    /// Grows whenever a tenant's rows may have become others: with another server behind the connections, and when the
    /// tenant was erased or restored. Read it after a transaction has begun.
    #[must_use]
    pub(crate) fn generation(&self, tenant: &TenantId) -> u64 {
        let seen = self.origin.seen();
        seen.of_all + seen.of_tenants.get(tenant).copied().unwrap_or_default()
    }

    /// What was remembered of this tenant's rows is not to be believed any more.
    pub(crate) fn doubt_rows_of(&self, tenant: TenantId) {
        *self.origin.seen().of_tenants.entry(tenant).or_default() += 1;
    }

    /// The same for everybody's rows.
    pub(crate) fn doubt_all_rows(&self) {
        self.origin.seen().of_all += 1;
    }

    /// A transaction on the control tables: tenants, stores, keys. It reaches no tenant's data.
    ///
    /// # Errors
    /// No connection could be had, or the server refused.
    pub async fn control(&self) -> Result<ControlTx, sqlx::Error> {
        Ok(ControlTx { tx: self.control.begin().await? })
    }

    /// A connection for looking at the control tables, a statement at a time.
    ///
    /// # Errors
    /// No connection could be had.
    pub(crate) async fn look(&self) -> Result<ControlLook, sqlx::Error> {
        Ok(ControlLook { connection: self.looks.acquire().await? })
    }

    /// Tells of changes to tenants, stores, keys, plans and operators from now on.
    ///
    /// # Errors
    /// No connection could be had.
    pub(crate) async fn changes(&self) -> Result<Changes, sqlx::Error> {
        Changes::connect(&self.control_login).await
    }

    /// Whether both roles can still be served: for readiness.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn check(&self, waiver: SettingsWaiver) -> Result<(), DbError> {
        let mut app = self.app.begin("begin read only").await?;
        check::roles_and_schema(&mut app, "storepulse_app").await?;
        check::settings(&mut app, waiver).await?;
        app.commit().await?;
        check::roles_and_schema(&mut *self.control.acquire().await?, "storepulse_control").await?;
        check::schema_version(&self.control).await?;
        Ok(())
    }

    /// Makes the partitions of the inbox for the days around today; returns how many were missing.
    ///
    /// # Errors
    /// The server refused.
    pub async fn make_partitions(&self) -> Result<i32, sqlx::Error> {
        let made = sqlx::query_scalar!(
            r#"select make_partitions(
                timezone('utc', now())::date - 1,
                timezone('utc', now())::date + 7
            ) as "made!""#
        );
        made.fetch_one(&self.control).await
    }

    /// Makes the partitions of the inbox for these days; returns how many were missing.
    ///
    /// # Errors
    /// The server refused: more than 400 days, for example.
    pub async fn make_partitions_of(&self, first: Date, last: Date) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar!(r#"select make_partitions($1, $2) as "made!""#, first, last)
            .fetch_one(&self.control)
            .await
    }

    /// Makes the months of `series_days` around these days; returns how many were missing.
    ///
    /// # Errors
    /// The server refused.
    pub async fn make_months(&self, first: Date, last: Date) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar!(r#"select make_months($1, $2) as "made!""#, first, last)
            .fetch_one(&self.control)
            .await
    }

    /// Drops the partitions before this day that are empty; returns how many.
    ///
    /// # Errors
    /// The server refused.
    pub async fn drop_partitions(&self, before: Date) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar!(r#"select drop_partitions($1) as "dropped!""#, before)
            .fetch_one(&self.control)
            .await
    }

    /// Bytes in the DEFAULT partition of the inbox, which must stay empty.
    ///
    /// # Errors
    /// The server refused.
    pub async fn default_partition_bytes(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(r#"select pg_relation_size('public.sample_batches_default') as "bytes!""#)
            .fetch_one(&self.control)
            .await
    }

    /// Connections that requests share: in use, idle.
    #[must_use]
    pub fn connections_open(&self) -> (u32, u32) {
        self.app.open()
    }

    /// Closes all connections, after what is running has ended.
    pub async fn close(&self) {
        self.app.close().await;
        self.control.close().await;
        self.looks.close().await;
    }
}

/// A transaction bound to one tenant. Dropped without [`TenantTx::commit`], it leaves no trace.
#[derive(Debug)]
pub struct TenantTx {
    tx: Lent,
    tenant: TenantId,
}

impl TenantTx {
    /// The tenant, for the `where` of every query.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.tenant.as_str()
    }

    /// The connection, for queries in `sql.rs` files.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The outcome is unknown if the connection broke.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }

    /// Gives it up, and the connection back at once.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.tx.rollback().await
    }
}

/// A connection for single statements that read the control tables.
#[derive(Debug)]
pub(crate) struct ControlLook {
    connection: PoolConnection<Postgres>,
}

impl ControlLook {
    /// The connection, for queries in `sql.rs` files.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// It is not to be used again.
    pub(crate) fn give_up(mut self) {
        self.connection.close_on_drop();
    }
}

/// A transaction on the control tables.
#[derive(Debug)]
pub struct ControlTx {
    tx: Transaction<'static, Postgres>,
}

impl ControlTx {
    /// The connection, for queries in `sql.rs` files.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The outcome is unknown if the connection broke.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.tx.commit().await
    }
}
