//! Connections of one role, as many as are allowed, lent for one transaction each in the order of asking.
//!
//! The pool asks the server whether a connection lives, both when it is lent and when it comes back: two round trips beside
//! the four of a whole batch. So a connection whose transaction has ended in order rests here, outside of the pool, and is
//! asked only if it has rested for long. One that was left in any other state goes back to the pool, which rolls back first.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Executor as _, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a resting connection is believed to live without being asked.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a connection may be away from the pool; then it is closed, as the pool closes its own.
const AWAY_MAX: Duration = Duration::from_secs(1800);

/// The connections.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: PgPool,
    wait_max: Duration,
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    /// Who has one of these may have a connection: it rests here, is idle in the pool, or can still be opened. Closed
    /// when nothing may rest here any more.
    slots: Arc<Semaphore>,
    resting: Mutex<Vec<Away>>,
}

/// A connection outside of the pool.
#[derive(Debug)]
struct Away {
    connection: PoolConnection<Postgres>,
    left_pool: Instant,
    used: Instant,
}

/// A connection with a transaction. Dropped without [`Lent::commit`] or [`Lent::rollback`], the transaction is rolled
/// back by the pool.
#[derive(Debug)]
pub(super) struct Lent {
    // In this order: the connection is gone before its slot is free.
    away: Away,
    shelf: Arc<Shelf>,
    slot: OwnedSemaphorePermit,
}

impl Connections {
    /// Over this pool, which must roll back what comes home to it ([`come_home`]).
    pub(super) fn new(pool: PgPool, wait_max: Duration) -> Self {
        let slots = Arc::new(Semaphore::new(pool.options().get_max_connections() as usize));
        Self { pool, wait_max, shelf: Arc::new(Shelf { slots, resting: Mutex::default() }) }
    }

    /// How many there may be.
    pub(super) fn count(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// How many are open: lent, and at rest here or in the pool.
    pub(super) fn open(&self) -> (u32, u32) {
        let free = u32::try_from(self.shelf.slots.available_permits()).unwrap_or(u32::MAX);
        let lent = self.count().saturating_sub(free);
        (lent, self.pool.size().saturating_sub(lent))
    }

    /// Begins a transaction with this statement.
    ///
    /// # Errors
    /// No connection could be had in time, or the server refused.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Lent, sqlx::Error> {
        let slot = tokio::time::timeout(self.wait_max, Arc::clone(&self.shelf.slots).acquire_owned()).await;
        let slot = slot.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let away = match self.rested().await {
            Some(away) => away,
            None => Away::of(self.pool.acquire().await?),
        };
        let mut lent = Lent { away, shelf: Arc::clone(&self.shelf), slot };
        lent.execute(statement).await?;
        Ok(lent)
    }

    /// The one that was used last, if it lives.
    async fn rested(&self) -> Option<Away> {
        loop {
            let mut away = self.shelf.lock().pop()?;
            if away.used.elapsed() < TRUSTED || away.connection.ping().await.is_ok() {
                return Some(away);
            }
            away.connection.close_on_drop();
        }
    }

    /// Closes all, after what is lent has come back.
    pub(super) async fn close(&self) {
        self.shelf.slots.close();
        let resting = std::mem::take(&mut *self.shelf.lock());
        for mut away in resting {
            away.connection.close_on_drop();
        }
        self.pool.close().await;
    }
}

/// What the pool does with a connection that comes back to it: whatever was begun is rolled back.
///
/// # Errors
/// The connection is broken, and will be closed.
pub(super) async fn come_home(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    connection.execute("rollback").await.map(|_| true)
}

impl Away {
    fn of(connection: PoolConnection<Postgres>) -> Self {
        let now = Instant::now();
        Self { connection, left_pool: now, used: now }
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Vec<Away>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// Makes the transaction durable.
    ///
    /// # Errors
    /// The outcome is unknown if the connection broke.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("commit").await
    }

    /// Gives it up.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("rollback").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.execute(statement).await?;
        let Self { mut away, shelf, slot } = self;
        away.used = Instant::now();
        // Held until it rests, so that nothing comes to rest after the shelf was cleared.
        let mut resting = shelf.lock();
        if shelf.slots.is_closed() || away.left_pool.elapsed() > AWAY_MAX {
            away.connection.close_on_drop();
        } else {
            resting.push(away);
        }
        drop(resting);
        drop(slot);
        Ok(())
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        (&mut **self).execute(statement).await.map(|_| ())
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.away.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.away.connection
    }
}
