//! Remembers found credentials for two seconds, so that a busy store costs one look-up and a revoked key still
//! stops within five, even if nobody tells of it. Where the database tells of a change ([`crate::changes`]), what is
//! remembered is not believed any more at once.
//!
//! Unknown ones are not remembered: the checksum keeps most of them from the database, and [`super::failures`] the rest.
//! That one has opened before stays known after it is not believed, so that a flood of others does not keep it out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    seen: Mutex<HashMap<Hash, Memory<T>>>,
    /// How often something was forgotten.
    forgotten: AtomicU64,
}

#[derive(Debug)]
struct Memory<T> {
    /// `None`: not believed any more.
    believed_from: Option<Instant>,
    row: Arc<T>,
}

impl<T> Memory<T> {
    fn is_believed(&self) -> bool {
        self.believed_from.is_some_and(|at| at.elapsed() < TTL)
    }
}

/// What is known of a credential.
#[derive(Debug)]
pub(super) enum Known<T> {
    /// It opens this.
    Opens(Arc<T>),
    /// It did open something. Look again.
    DidOpen,
    /// Nothing.
    Nothing,
}

/// When a look-up began: what it finds may be older than what was forgotten since.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsOf(u64);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { seen: Mutex::default(), forgotten: AtomicU64::new(0) }
    }
}

impl<T> Seen<T> {
    pub(super) fn get(&self, hash: &Hash) -> Known<T> {
        match self.lock().get(hash) {
            Some(memory) if memory.is_believed() => Known::Opens(Arc::clone(&memory.row)),
            Some(_) => Known::DidOpen,
            None => Known::Nothing,
        }
    }

    /// To be asked before the database is.
    pub(super) fn as_of(&self) -> AsOf {
        AsOf(self.forgotten.load(Ordering::Acquire))
    }

    pub(super) fn put(&self, hash: Hash, row: T, as_of: AsOf) -> Arc<T> {
        let (now, row) = (Instant::now(), Arc::new(row));
        let mut seen = self.lock();
        if seen.len() >= SEEN_MAX {
            seen.retain(|_, memory| memory.is_believed());
        }
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        let is_current = self.forgotten.load(Ordering::Acquire) == as_of.0;
        seen.insert(hash, Memory { believed_from: is_current.then_some(now), row: Arc::clone(&row) });
        row
    }

    /// It opens nothing any more.
    pub(super) fn remove(&self, hash: &Hash) {
        self.lock().remove(hash);
    }

    /// Those rows are not believed any more.
    pub(crate) fn doubt(&self, is_meant: impl Fn(&T) -> bool) {
        let mut seen = self.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        for memory in seen.values_mut().filter(|memory| is_meant(&memory.row)) {
            memory.believed_from = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, Memory<T>>> {
        // A panic while holding it leaves the map whole: every change is one call.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(seen: &Seen<u8>, hash: u8) -> bool {
        matches!(seen.get(&[hash; 32]), Known::Opens(_))
    }

    #[test]
    fn what_is_doubted_is_looked_up_again_and_is_still_known_to_have_opened() {
        let seen = Seen::default();
        seen.put([1; 32], 10, seen.as_of());
        seen.put([2; 32], 20, seen.as_of());
        seen.doubt(|row| *row == 10);
        assert!(!opens(&seen, 1) && opens(&seen, 2));
        assert!(matches!(seen.get(&[1; 32]), Known::DidOpen));
        seen.remove(&[1; 32]);
        assert!(matches!(seen.get(&[1; 32]), Known::Nothing));
    }

    #[test]
    fn a_row_that_was_read_before_a_change_is_not_believed_after_it() {
        let seen = Seen::default();
        let as_of = seen.as_of();
        seen.doubt(|_| true);
        seen.put([1; 32], 10, as_of);
        assert!(!opens(&seen, 1));
        seen.put([1; 32], 10, seen.as_of());
        assert!(opens(&seen, 1));
    }
}
