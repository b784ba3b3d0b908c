//! How much reading goes on at once, so that readers starve neither ingest nor each other.
//!
//! A read that decodes samples is admitted first. At most a quarter of the database's connections read, of one tenant at
//! most half of these, and the others wait a little. What one admitted read may take (samples, time) is its own affair:
//! [`crate::store::metrics`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storepulse_shared::ids::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::ApiError;

/// Of so many connections, one is for reads.
const CONNECTIONS_PER_READ: usize = 4;
/// How long a reader waits for its turn before it is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// When it is told to come back.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Tenants whose turns are remembered before those without a reader are forgotten.
const TENANTS_REMEMBERED: usize = 256;

/// The turns of readers.
#[derive(Debug)]
pub(crate) struct ReadBudget {
    all: Arc<Semaphore>,
    of_one_tenant: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl ReadBudget {
    /// For a service with so many connections.
    pub(crate) fn of(connections: u32) -> Self {
        let all = (usize::try_from(connections).unwrap_or(usize::MAX) / CONNECTIONS_PER_READ).max(1);
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            of_one_tenant: (all / 2).max(1),
            tenants: Mutex::default(),
        }
    }

    /// Waits for a turn. A tenant waits for its own readers first, so that it holds up nobody else.
    ///
    /// # Errors
    /// It took longer than [`WAIT_MAX`]: 503 with `Retry-After`.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Result<Turn, ApiError> {
        self.turn_within(tenant, WAIT_MAX).await
    }

    async fn turn_within(&self, tenant: &TenantId, wait: Duration) -> Result<Turn, ApiError> {
        let of_tenant = self.of_tenant(tenant);
        let turn = async {
            let of_tenant = of_tenant.acquire_owned().await;
            (of_tenant, Arc::clone(&self.all).acquire_owned().await)
        };
        match tokio::time::timeout(wait, turn).await {
            Ok((Ok(of_tenant), Ok(of_all))) => Ok(Turn { _of_tenant: of_tenant, _of_all: of_all }),
            // Nobody closes a semaphore; if somebody did, there would be no turns any more.
            Ok(_) | Err(_) => Err(ApiError::Overloaded { retry_after: RETRY_AFTER }),
        }
    }

    fn of_tenant(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= TENANTS_REMEMBERED {
            tenants.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns =
            tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one_tenant)));
        Arc::clone(turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    async fn try_turn(budget: &ReadBudget, name: &str) -> Option<Turn> {
        budget.turn_within(&tenant(name), Duration::from_millis(5)).await.ok()
    }

    #[tokio::test]
    async fn a_tenant_with_all_its_turns_waits_and_another_is_let_in() {
        let budget = ReadBudget::of(16);
        let first = try_turn(&budget, "la-villa").await;
        let second = try_turn(&budget, "la-villa").await;
        assert!(first.is_some() && second.is_some());
        assert!(try_turn(&budget, "la-villa").await.is_none(), "half of them for one tenant");
        let other = try_turn(&budget, "el-sol").await;
        assert!(other.is_some());
        drop(first);
        let third = try_turn(&budget, "la-villa").await;
        assert!(third.is_some());
        let last = try_turn(&budget, "el-prado").await;
        assert!(last.is_some());
        assert!(try_turn(&budget, "la-loma").await.is_none(), "four in all");
    }

    #[tokio::test]
    async fn tenants_without_a_reader_are_forgotten() {
        let budget = ReadBudget::of(4);
        for n in 0..2 * TENANTS_REMEMBERED {
            assert!(try_turn(&budget, &format!("t{n}")).await.is_some());
        }
        assert!(budget.tenants.lock().unwrap().len() <= TENANTS_REMEMBERED);
    }
}
