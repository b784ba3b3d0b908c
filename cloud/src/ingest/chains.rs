//! Streams whose earlier epochs miss nothing, so that their answers need not look.
//!
//! A complete chain stays complete: numbers are only ever added to `received` and `void`. Only another database behind
//! the connections (a restore) can take them away, and then everything here is forgotten.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use storepulse_shared::ids::{Epoch, StoreId, TenantId};

/// Streams remembered at most; beyond it all are forgotten, and looked at once more.
const STREAMS_MAX: usize = 200_000;

type Stream = (TenantId, StoreId, Epoch);

/// The streams known to be complete.
#[derive(Debug, Default)]
pub(crate) struct CompleteChains {
    inner: Mutex<(u64, HashSet<Stream>)>,
}

impl CompleteChains {
    pub(super) fn holds(&self, stream: &Stream, generation: u64) -> bool {
        let inner = self.lock();
        inner.0 == generation && inner.1.contains(stream)
    }

    pub(super) fn note(&self, stream: Stream, generation: u64) {
        let mut inner = self.lock();
        if inner.0 != generation || inner.1.len() >= STREAMS_MAX {
            *inner = (generation, HashSet::new());
        }
        inner.1.insert(stream);
    }

    pub(super) fn forget(&self, stream: &Stream) {
        self.lock().1.remove(stream);
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashSet<Stream>)> {
        // Every change is one call, so a panic leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
