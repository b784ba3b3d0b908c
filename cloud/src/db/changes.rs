//! The door that listens: the database tells of every change to tenants, stores, keys, plans and operators (migration 0012).
//!
//! It has a connection of its own, since that one is never given back. What is told while it is broken is lost, so whoever
//! opens this door must believe nothing that was remembered before.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::time::timeout;

/// The name of what is told (migration 0012).
const CHANNEL: &str = "storepulse_changed";
/// How long nothing may be heard before the connection is asked whether it lives.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long anything may take that is asked over it.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Something about these tenants.
    Tenants(BTreeSet<String>),
    /// Something that may concern all.
    Everything,
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
        let mut tenants = BTreeSet::from([first.payload().to_owned()]);
        while let Some(more) = self.listener.next_buffered() {
            tenants.insert(more.payload().to_owned());
        }
        Ok(if tenants.contains("") { Changed::Everything } else { Changed::Tenants(tenants) })
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
