//! The door that listens: the database tells of every change to tenants, stores, keys, plans and operators (migration 0012).
//!
//! It has a connection of its own, since that one is never given back. What is told while it is broken is lost, so whoever
//! opens this door must believe nothing that was remembered before.
//!
//! Told is the tenant's id, or nothing for a change that may concern all; behind the id of a tenant that was erased or restored
//! stands ` data`: its rows are others than before.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use storepulse_shared::ids::TenantId;
use tokio::time::timeout;

use super::ControlTx;

/// The name of what is told (migration 0012).
const CHANNEL: &str = "storepulse_changed";
/// Behind the id of a tenant whose rows are others than before.
const DATA: &str = " data";
/// How long nothing may be heard before the connection is asked whether it lives.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long anything may take that is asked over it.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Something about tenants.
    Tenants {
        /// Of these a setting, a store, a key.
        about: BTreeSet<String>,
        /// Of these all data.
        data: BTreeSet<String>,
    },
    /// Something that may concern all.
    Everything,
}

/// Tells every process, once this is committed, that a tenant's rows are others than before.
pub(crate) async fn tell_of_other_data(tx: &mut ControlTx, tenant: &TenantId) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"select pg_notify($1, $2)::text as "told""#, CHANNEL, format!("{tenant}{DATA}"))
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}

/// The notifications, from now on.
pub(crate) struct Changes {
    listener: PgListener,
    pool: PgPool,
}

impl Changes {
    pub(super) async fn connect(login: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let login = login.clone().application_name("storepulse-cloud-changes");
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER_MAX).connect_with(login).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        // A new connection is a new door: nothing is to be missed unnoticed.
        listener.eager_reconnect(false);
        answered(listener.listen(CHANNEL)).await?;
        Ok(Self { listener, pool })
    }

    /// Waits for changes, and tells all that have come.
    ///
    /// # Errors
    /// The connection broke: changes may have been missed.
    pub(crate) async fn next(&mut self) -> Result<Changed, sqlx::Error> {
        let first = loop {
            match timeout(SILENCE_MAX, self.listener.try_recv()).await {
                Ok(Ok(Some(told))) => break told,
                Ok(Ok(None)) => return Err(sqlx::Error::WorkerCrashed),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    answered(self.listener.execute("select 1")).await?;
                }
            }
        };
        let (mut about, mut data) = (BTreeSet::new(), BTreeSet::new());
        let mut next = Some(first);
        while let Some(told) = next {
            match told.payload().strip_suffix(DATA) {
                Some(tenant) => data.insert(tenant.to_owned()),
                None => about.insert(told.payload().to_owned()),
            };
            next = self.listener.next_buffered();
        }
        Ok(if about.contains("") { Changed::Everything } else { Changed::Tenants { about, data } })
    }

    /// Gives its connection up.
    pub(crate) async fn close(self) {
        let Self { listener, pool } = self;
        drop(listener);
        // A connection that hangs ends with the process.
        let _ = timeout(ANSWER_MAX, pool.close()).await;
    }
}

async fn answered<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ANSWER_MAX, asked).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}
