//! The accounts of this process, found by whose they are. Only who has proved a key has one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use storepulse_shared::ids::{StoreId, TenantId};
use tokio::sync::Notify;

use super::allowance::{Allowance, Counted, Shared};
use super::quota::Quota;
use super::rules::{Effective, Limits};

/// Accounts kept, at most. Beyond it those that no remembered key holds are forgotten, and if that does not help, all: who was
/// at its limit may then come once more.
const ACCOUNTS_MAX: usize = 200_000;

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    Tenant(TenantId),
    Store(TenantId, StoreId),
    Key([u8; 32]),
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct Limiter {
    since: Instant,
    accounts: Mutex<HashMap<Owner, Shared>>,
    quotas: Mutex<HashMap<TenantId, Arc<Quota>>>,
    /// Somebody was charged whose day counts.
    pub(super) asked: Arc<Notify>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            accounts: Mutex::default(),
            quotas: Mutex::default(),
            asked: Arc::default(),
        }
    }
}

impl Limiter {
    /// The allowance of a key whose row has just been read.
    pub(crate) fn allowance(
        &self,
        (tenant, store, key): (&TenantId, &StoreId, &[u8; 32]),
        (of_tenant, of_plan): (&Limits, &Limits),
    ) -> Allowance {
        let limits = Effective::of(of_tenant, of_plan);
        let owners =
            [Owner::Tenant(tenant.clone()), Owner::Store(tenant.clone(), store.clone()), Owner::Key(*key)];
        let accounts = {
            let mut accounts = lock(&self.accounts);
            if accounts.len() + owners.len() > ACCOUNTS_MAX {
                accounts.retain(|_, account| Arc::strong_count(account) > 1);
            }
            if accounts.len() + owners.len() > ACCOUNTS_MAX {
                accounts.clear();
            }
            owners.map(|owner| Arc::clone(accounts.entry(owner).or_default()))
        };
        let quota = limits.has_quota().then(|| {
            let mut quotas = lock(&self.quotas);
            (Arc::clone(quotas.entry(tenant.clone()).or_default()), Arc::clone(&self.asked))
        });
        Allowance::counted(Counted { limits, accounts, quota, since: self.since })
    }

    /// The days that count, of tenants that still have a quota; the others are forgotten.
    pub(super) fn quotas(&self) -> Vec<(TenantId, Arc<Quota>)> {
        let mut quotas = lock(&self.quotas);
        quotas.retain(|_, quota| Arc::strong_count(quota) > 1);
        quotas.iter().map(|(tenant, quota)| (tenant.clone(), Arc::clone(quota))).collect()
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one call, so a panic leaves nothing half done.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::account::{Book, Cost};
    use super::super::charge::Charge;
    use super::*;

    fn counted(limiter: &Limiter, store: &str, key: u8, limits: &Value) -> Counted {
        let (tenant, store) = ("acme".parse().unwrap(), store.parse().unwrap());
        let limits = Limits::parse(limits).unwrap();
        let allowance = limiter.allowance((&tenant, &store, &[key; 32]), (&limits, &Limits::default()));
        allowance.into_counted().unwrap()
    }

    fn batch(book: Book, samples: u64) -> Charge {
        Charge { book, cost: Cost { requests: 1, samples, bytes: 0 } }
    }

    #[test]
    fn ten_times_the_limit_of_a_store_is_cut_to_it_and_the_other_store_has_its_own() {
        let limiter = Limiter::default();
        let limits = json!({"store": {"requests": ["100/1s"]}});
        let stores = ["T01", "T02"].map(|store| counted(&limiter, store, store.as_bytes()[2], &limits));
        let mut accepted = [0, 0];
        for now_ms in 0..60_000 {
            accepted[0] += u64::from(stores[0].charge_at(batch(Book::Ordinary, 1), now_ms, 0).is_ok());
            if now_ms % 20 == 0 {
                accepted[1] += u64::from(stores[1].charge_at(batch(Book::Ordinary, 1), now_ms, 0).is_ok());
            }
        }
        assert!((5_880..=6_120).contains(&accepted[0]), "{accepted:?} of 6,000");
        assert_eq!(accepted[1], 3_000, "below its limit nothing is refused");
    }

    #[test]
    fn what_one_scope_refuses_is_taken_from_none_and_the_longest_wait_is_told() {
        let limiter = Limiter::default();
        let limits = json!({"tenant": {"samples": ["100/10s"]}, "store": {"requests": ["5/1s"]}});
        let store = counted(&limiter, "T01", 1, &limits);
        store.charge_at(batch(Book::Ordinary, 90), 0, 0).unwrap();
        for _ in 0..50 {
            let exceeded = store.charge_at(batch(Book::Ordinary, 20), 0, 0).unwrap_err();
            assert_eq!(exceeded.which, "100 samples in 10 s of the tenant");
            assert!((10..=20).contains(&exceeded.retry_after.as_secs()), "{exceeded:?}");
        }
        for _ in 0..4 {
            store.charge_at(batch(Book::Ordinary, 0), 0, 0).unwrap();
        }
        let exceeded = store.charge_at(batch(Book::Ordinary, 0), 0, 0).unwrap_err();
        assert_eq!(exceeded.which, "5 requests in 1 s of the store");
    }

    #[test]
    fn the_critical_lane_and_reading_have_books_of_their_own_and_no_day() {
        let limiter = Limiter::default();
        let limits = json!({"key": {"requests": ["1/1s"]}, "daily": {"samples": 10}});
        let key = counted(&limiter, "T01", 1, &limits);
        key.charge_at(batch(Book::Ordinary, 10), 0, 0).unwrap();
        assert!(key.charge_at(batch(Book::Ordinary, 0), 5_000, 0).unwrap_err().is_daily);
        for book in [Book::Critical, Book::Reading] {
            key.charge_at(batch(book, 1_000), 0, 0).unwrap();
            assert!(!key.charge_at(batch(book, 1_000), 0, 0).unwrap_err().is_daily);
        }
    }

    #[test]
    fn accounts_outlive_the_row_of_their_key_and_other_limits_count_at_once() {
        let limiter = Limiter::default();
        let key = counted(&limiter, "T01", 1, &json!({"key": {"requests": ["2/1m"]}}));
        key.charge_at(batch(Book::Ordinary, 0), 0, 0).unwrap();
        drop(key);
        let key = counted(&limiter, "T01", 1, &json!({"key": {"requests": ["3/1m"]}}));
        key.charge_at(batch(Book::Ordinary, 0), 0, 0).unwrap();
        key.charge_at(batch(Book::Ordinary, 0), 0, 0).unwrap();
        assert!(key.charge_at(batch(Book::Ordinary, 0), 0, 0).is_err());
    }
}
