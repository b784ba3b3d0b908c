//! Wrong passwords, counted by the address that they come from; and, in the same way, what strangers ask for that costs others
//! something.
//!
//! Nobody is locked out: an account has no count of its own, so however often strangers try it, its owner signs in from her own
//! address. What strangers can try is bounded by their addresses and by how many passwords are hashed at once
//! ([`super::password`]). A right password costs nothing, and forgives nothing that its address did before: otherwise whoever has one
//! account could guess at all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::app::App;
use crate::auth::network;
use crate::problem::ApiError;

/// Wrong ones that an address has at once.
const AT_ONCE: f64 = 20.0;
/// And how long until it has one more.
const ONE_MORE: Duration = Duration::from_secs(6);
/// Addresses counted at most; beyond it those who have failed least are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// The attempts that are left.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_address: Mutex<HashMap<IpAddr, Left>>,
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
    /// Takes one before the password is looked at, so that many at once are not more than one after the other.
    ///
    /// # Errors
    /// None is left; when there is one again.
    pub(crate) fn take(&self, from: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut all = self.lock();
        if all.len() >= ADDRESSES_MAX {
            all.retain(|_, left| left.now(now) < AT_ONCE);
        }
        if all.len() >= ADDRESSES_MAX {
            all.retain(|_, left| left.now(now) < AT_ONCE / 2.0);
        }
        let left = all.entry(network(from)).or_insert(Left { attempts: AT_ONCE, at: now });
        let attempts = left.now(now);
        if attempts < 1.0 {
            return Err(ONE_MORE.mul_f64(1.0 - attempts));
        }
        *left = Left { attempts: attempts - 1.0, at: now };
        Ok(())
    }

    /// The password was right: what was taken for it is given back.
    pub(crate) fn give_back(&self, from: Option<IpAddr>) {
        if let Some(left) = self.lock().get_mut(&network(from)) {
            left.attempts = (left.attempts + 1.0).min(AT_ONCE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Left>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more thing that costs others something may be asked for from this address.
pub(crate) fn take_strangers_turn(app: &App, from: Option<IpAddr>) -> Result<(), ApiError> {
    app.strangers.take(from, Instant::now()).map_err(|retry_after| ApiError::Limited {
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
        let take = |address: &str, at| attempts.take(address.parse().ok(), at).is_ok();
        for no in 0..20 {
            assert!(take("192.0.2.1", now), "{no}");
        }
        assert!(!take("192.0.2.1", now) && !take("::ffff:192.0.2.1", now));
        assert!(take("192.0.2.2", now));
        let now = now + ONE_MORE;
        assert!(take("192.0.2.1", now) && !take("192.0.2.1", now));
        attempts.give_back("192.0.2.1".parse().ok());
        assert!(take("192.0.2.1", now) && !take("192.0.2.1", now));
    }
}
