//! How many wait for providers at once, of all and of one tenant: a provider that does not answer takes nothing from anybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storepulse_shared::ids::TenantId;

/// Of all tenants.
const ALL_MAX: usize = 64;
/// Of one.
const OF_ONE_MAX: usize = 8;

/// Who waits.
#[derive(Debug, Default, Clone)]
pub(crate) struct Turns(Arc<Mutex<HashMap<TenantId, usize>>>);

/// One that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    tenant: TenantId,
}

impl Turns {
    /// `None` where too many wait already.
    pub(super) fn take(&self, tenant: &TenantId) -> Option<Turn> {
        let mut waiting = self.lock();
        let of_all: usize = waiting.values().sum();
        let of_one = waiting.get(tenant).copied().unwrap_or_default();
        if of_all >= ALL_MAX || of_one >= OF_ONE_MAX {
            return None;
        }
        waiting.insert(tenant.clone(), of_one + 1);
        Some(Turn { turns: self.clone(), tenant: tenant.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.lock();
        if let Some(of_one) = waiting.get_mut(&self.tenant) {
            *of_one -= 1;
            if *of_one == 0 {
                waiting.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_whose_provider_hangs_takes_no_turn_of_another() {
        let turns = Turns::default();
        let [slow, other]: [TenantId; 2] = ["slow", "other"].map(|id| id.parse().unwrap());
        let held: Vec<_> = (0..OF_ONE_MAX).map(|_| turns.take(&slow).unwrap()).collect();
        assert!(turns.take(&slow).is_none());
        assert!(turns.take(&other).is_some());
        drop(held);
        assert!(turns.take(&slow).is_some());
        assert!(turns.lock().is_empty(), "nobody waits, and nobody is remembered");
    }
}
