//! When each key last opened something, written now and then: never by a request, and at most once a minute and key.
//!
//! A use is noticed when the key's row is read, which a busy key has done every two seconds; so what is written is at most two
//! seconds and one [`FLUSH_EVERY`] behind. A process that is killed loses what it had not written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use storepulse_shared::ids::TenantId;
use tokio_util::sync::CancellationToken;

use super::sql;
use crate::app::{App, now_ms};
use crate::db::Db;

/// How often uses are written.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// Keys in one statement.
const CHUNK: usize = 1_000;
/// Keys remembered between two times of writing. Beyond it a key's use is noticed later.
const USES_MAX: usize = 200_000;

type Pending = HashMap<[u8; 32], (TenantId, i64)>;

/// Uses that are not written yet: Unix milliseconds by the key's hash.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<Pending>);

impl KeyUses {
    /// A key opens.
    pub(super) fn note(&self, tenant: &TenantId, hash: [u8; 32]) {
        let mut pending = self.lock();
        if let Some((_, at)) = pending.get_mut(&hash) {
            *at = now_ms();
        } else if pending.len() < USES_MAX {
            pending.insert(hash, (tenant.clone(), now_ms()));
        }
    }

    /// Writes what is not written. What cannot be written now is kept for the next time.
    async fn flush(&self, db: &Db) -> Result<(), sqlx::Error> {
        let mut rows: Vec<([u8; 32], TenantId, i64)> = std::mem::take(&mut *self.lock())
            .into_iter()
            .map(|(hash, (tenant, at))| (hash, tenant, at))
            .collect();
        // In one order, as other processes do.
        rows.sort_unstable_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let mut written = 0;
        let mut outcome = Ok(());
        for chunk in rows.chunks(CHUNK) {
            outcome = write(db, chunk).await;
            if outcome.is_err() {
                break;
            }
            written += chunk.len();
        }
        let mut pending = self.lock();
        for (hash, tenant, at) in rows.drain(..).skip(written) {
            pending.entry(hash).or_insert((tenant, at));
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Every change is one call, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(db: &Db, rows: &[([u8; 32], TenantId, i64)]) -> Result<(), sqlx::Error> {
    let mut tx = db.control().await?;
    sql::note_uses(&mut tx, rows).await?;
    tx.commit().await
}

/// Until shutdown, and once more then.
pub(crate) async fn write_now_and_then(app: Arc<App>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + FLUSH_EVERY, FLUSH_EVERY);
    loop {
        let is_last = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = tick.tick() => false,
        };
        if let Err(error) = app.key_uses.flush(&app.db).await {
            tracing::warn!(%error, "the last uses of keys could not be written; they are the next time");
        }
        if is_last {
            return;
        }
    }
}
