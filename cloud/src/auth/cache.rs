//! Remembers found credentials for two seconds, so that a busy store costs one look-up and a revoked key still
//! stops within five. Unknown ones are not remembered: the checksum keeps most of them from the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a credential is believed without looking again.
const TTL: Duration = Duration::from_secs(2);
/// Credentials remembered at most; beyond it the expired ones go, then all.
const SEEN_MAX: usize = 100_000;

type Hash = [u8; 32];

/// What credentials opened lately, by the SHA-256 of each.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    seen: Mutex<HashMap<Hash, (Instant, Arc<T>)>>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { seen: Mutex::default() }
    }
}

impl<T> Seen<T> {
    pub(super) fn get(&self, hash: &Hash) -> Option<Arc<T>> {
        let seen = self.lock();
        let (at, row) = seen.get(hash)?;
        (at.elapsed() < TTL).then(|| Arc::clone(row))
    }

    pub(super) fn put(&self, hash: Hash, row: T) -> Arc<T> {
        let (now, row) = (Instant::now(), Arc::new(row));
        let mut seen = self.lock();
        if seen.len() >= SEEN_MAX {
            seen.retain(|_, (at, _)| now.duration_since(*at) < TTL);
        }
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(hash, (now, Arc::clone(&row)));
        row
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, (Instant, Arc<T>)>> {
        // A panic while holding it leaves the map whole: every change is one call.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
