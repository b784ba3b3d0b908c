//! Wrong passwords, counted by the address that they come from and by whom they are said to be of; and, in the same way, what strangers
//! ask for that costs others something.
//!
//! Nobody is locked out: an account has no count of its own, so however often strangers try it, its owner signs in from her own
//! address; and whoever tries one account leaves the others of her own address alone, where a whole shop may share one. What strangers
//! can try is bounded by their addresses and by how many passwords are hashed at once ([`super::password`]). A right password costs
//! nothing, and forgives nothing that its address did before: otherwise whoever has one account could guess at all others.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::app::App;
use crate::auth::network;
use crate::problem::ApiError;

/// Wrong ones that an address has at once, for one account.
const AT_ONCE: f64 = 20.0;
/// And how long until it has one more.
const ONE_MORE: Duration = Duration::from_secs(6);
/// What one of an account costs its address as a whole: it has eight times as many.
const OF_ADDRESS: f64 = 0.125;
/// Counts kept at most; beyond it those who have failed least are forgotten.
const COUNTS_MAX: usize = 100_000;

/// An address, and an account's hash; none is the address as a whole.
type Whose = (IpAddr, Option<u64>);

/// The attempts that are left.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    left: Mutex<HashMap<Whose, Left>>,
    accounts: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    attempts: f64,
    at: Instant,
}

impl Left {
    fn now(self, now: Instant) -> f64 {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() / ONE_MORE.as_secs_f64();
        (self.attempts + grown).min(AT_ONCE)
    }
}

impl Attempts {
    /// Takes one before the password is looked at, so that many at once are not more than one after the other. Without an account it
    /// is of the address.
    ///
    /// # Errors
    /// None is left; when there is one again.
    pub(crate) fn take(
        &self,
        from: Option<IpAddr>,
        account: Option<&str>,
        now: Instant,
    ) -> Result<(), Duration> {
        let costs = self.costs(from, account);
        let mut all = self.lock();
        for least in [AT_ONCE, AT_ONCE / 2.0] {
            if all.len() >= COUNTS_MAX {
                all.retain(|_, left| left.now(now) < least);
            }
        }
        let left =
            |all: &HashMap<Whose, Left>, whose: &Whose| all.get(whose).map_or(AT_ONCE, |left| left.now(now));
        for (whose, cost) in costs.iter().flatten() {
            let attempts = left(&all, whose);
            if attempts < *cost {
                return Err(ONE_MORE.mul_f64(cost - attempts));
            }
        }
        for (whose, cost) in costs.into_iter().flatten() {
            let attempts = left(&all, &whose) - cost;
            all.insert(whose, Left { attempts, at: now });
        }
        Ok(())
    }

    /// The password was right: what was taken for it is given back.
    pub(crate) fn give_back(&self, from: Option<IpAddr>, account: Option<&str>) {
        let mut all = self.lock();
        for (whose, cost) in self.costs(from, account).into_iter().flatten() {
            if let Some(left) = all.get_mut(&whose) {
                left.attempts = (left.attempts + cost).min(AT_ONCE);
            }
        }
    }

    fn costs(&self, from: Option<IpAddr>, account: Option<&str>) -> [Option<(Whose, f64)>; 2] {
        let address = network(from);
        match account {
            Some(account) => {
                let account = self.accounts.hash_one(account);
                [Some(((address, Some(account)), 1.0)), Some(((address, None), OF_ADDRESS))]
            }
            None => [Some(((address, None), 1.0)), None],
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Left>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more thing that costs others something may be asked for from this address.
pub(crate) fn take_strangers_turn(app: &App, from: Option<IpAddr>) -> Result<(), ApiError> {
    app.strangers.take(from, None, Instant::now()).map_err(|retry_after| ApiError::Limited {
        status: StatusCode::TOO_MANY_REQUESTS,
        detail: "too much was asked for from this address; come back after Retry-After".to_owned(),
        limit: 0,
        retry_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_few_at_once_and_then_one_now_and_then_and_others_are_not_concerned() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let take =
            |address: &str, account: &str, at| attempts.take(address.parse().ok(), Some(account), at).is_ok();
        for no in 0..20 {
            assert!(take("192.0.2.1", "ana", now), "{no}");
        }
        assert!(!take("192.0.2.1", "ana", now) && !take("::ffff:192.0.2.1", "ana", now));
        assert!(take("192.0.2.2", "ana", now));
        assert!(take("192.0.2.1", "eva", now), "who shares the address");
        let now = now + ONE_MORE;
        assert!(take("192.0.2.1", "ana", now) && !take("192.0.2.1", "ana", now));
        attempts.give_back("192.0.2.1".parse().ok(), Some("ana"));
        assert!(take("192.0.2.1", "ana", now) && !take("192.0.2.1", "ana", now));
    }

    #[test]
    fn an_address_that_tries_many_accounts_comes_to_its_end_too() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let taken = (0..1_000)
            .filter(|no| attempts.take("192.0.2.1".parse().ok(), Some(&format!("user-{no}")), now).is_ok());
        assert_eq!(taken.count(), 160);
        assert!(attempts.take("192.0.2.2".parse().ok(), None, now).is_ok());
    }
}
