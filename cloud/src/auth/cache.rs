//! Remembers found keys for two seconds, so that a busy store costs one look-up and a revoked key still
//! stops within five. Unknown keys are not remembered: the checksum keeps most of them from the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use storepulse_shared::key::StoreKey;

use super::sql::{self, KeyRow};
use crate::db::Db;

/// How long a key is believed without looking again.
const TTL: Duration = Duration::from_secs(2);
/// Keys remembered at most; beyond it the expired ones go, then all.
const KEYS_MAX: usize = 100_000;

type Hash = [u8; 32];

/// The keys seen lately.
#[derive(Debug, Default)]
pub(crate) struct KeyCache {
    seen: Mutex<HashMap<Hash, (Instant, Arc<KeyRow>)>>,
}

impl KeyCache {
    /// The row of an active key, or `None`.
    pub(super) async fn find(&self, db: &Db, key: &StoreKey) -> Result<Option<Arc<KeyRow>>, sqlx::Error> {
        let hash = key.hash();
        let now = Instant::now();
        if let Some((at, row)) = self.lock().get(&hash)
            && now.duration_since(*at) < TTL
        {
            return Ok(Some(Arc::clone(row)));
        }
        let mut tx = db.control().await?;
        let found = sql::find_key(&mut tx, key.tenant(), &hash, key.origin()).await?.map(Arc::new);
        drop(tx);
        if let Some(row) = &found {
            let mut seen = self.lock();
            if seen.len() >= KEYS_MAX {
                seen.retain(|_, (at, _)| now.duration_since(*at) < TTL);
            }
            if seen.len() >= KEYS_MAX {
                seen.clear();
            }
            seen.insert(hash, (now, Arc::clone(row)));
        }
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, (Instant, Arc<KeyRow>)>> {
        // A panic while holding it leaves the map whole: every change is one call.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
