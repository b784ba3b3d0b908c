//! Credentials that open nothing, counted by the address they come from: each costs a look-up, which no checksum saves
//! where a key was imported or the checksum was made to fit.
//!
//! It is asked before the database is, and only of credentials that have not opened anything here before: whoever shares an
//! address with a flood (a proxy, say) goes on, unless this process has just started. An address is a host of IPv4, and a
//! network of 64 bits of IPv6.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use storepulse_shared::key::Origin;

/// Of keys of an older system, which may be worth guessing, so many times fewer.
const FOREIGN_TIMES_FEWER: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses counted one by one. Beyond: all others together.
const ADDRESSES_MAX: usize = 50_000;
/// Whom all others are counted as.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The failures.
#[derive(Debug)]
pub(crate) struct Failures {
    /// Of an address in a window, before its unknown credentials are not looked up any more.
    issued_max: u32,
    by_address: Mutex<HashMap<IpAddr, Counts>>,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    began: Instant,
    issued: u32,
    foreign: u32,
}

impl Failures {
    pub(crate) fn new(issued_max: u32) -> Self {
        Self { issued_max, by_address: Mutex::default() }
    }

    /// Whether one more unknown credential from there is looked up; otherwise, how long not.
    pub(super) fn check(&self, from: Option<IpAddr>, origin: Origin, now: Instant) -> Result<(), Duration> {
        let failures = self.lock();
        let from = network(from);
        let is_full = failures.len() >= ADDRESSES_MAX;
        let counts = failures.get(&from).or_else(|| is_full.then(|| failures.get(&OTHERS)).flatten());
        let Some(counts) = counts else { return Ok(()) };
        let passed = now.saturating_duration_since(counts.began);
        let (count, most) = match origin {
            Origin::Issued => (counts.issued, self.issued_max),
            Origin::Foreign => (counts.foreign, self.issued_max / FOREIGN_TIMES_FEWER),
        };
        if count < most || passed >= WINDOW { Ok(()) } else { Err(WINDOW - passed) }
    }

    /// One from there opened nothing.
    pub(super) fn count(&self, from: Option<IpAddr>, origin: Origin, now: Instant) {
        let mut failures = self.lock();
        let mut from = network(from);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&from) {
            failures.retain(|_, counts| now.saturating_duration_since(counts.began) < WINDOW);
            if failures.len() >= ADDRESSES_MAX {
                from = OTHERS;
            }
        }
        let counts = failures.entry(from).or_insert(Counts { began: now, issued: 0, foreign: 0 });
        if now.saturating_duration_since(counts.began) >= WINDOW {
            *counts = Counts { began: now, issued: 0, foreign: 0 };
        }
        match origin {
            Origin::Issued => counts.issued = counts.issued.saturating_add(1),
            Origin::Foreign => counts.foreign = counts.foreign.saturating_add(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Counts>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address as it is counted.
pub(crate) fn network(from: Option<IpAddr>) -> IpAddr {
    match from {
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        },
        Some(ip) => ip,
        None => OTHERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN_MAX: u32 = 600;

    fn failures() -> Failures {
        Failures::new(FOREIGN_MAX * FOREIGN_TIMES_FEWER)
    }

    fn fail(failures: &Failures, from: &str, times: u32, now: Instant) {
        for _ in 0..times {
            failures.count(from.parse().ok(), Origin::Foreign, now);
        }
    }

    fn is_refused(failures: &Failures, from: &str, now: Instant) -> bool {
        failures.check(from.parse().ok(), Origin::Foreign, now).is_err()
    }

    #[test]
    fn an_address_that_fails_too_often_is_refused_for_the_rest_of_the_window_and_no_other_is() {
        let (failures, now) = (failures(), Instant::now());
        fail(&failures, "192.0.2.1", FOREIGN_MAX - 1, now);
        assert!(!is_refused(&failures, "192.0.2.1", now));
        fail(&failures, "192.0.2.1", 1, now);
        assert!(is_refused(&failures, "192.0.2.1", now));
        assert!(is_refused(&failures, "::ffff:192.0.2.1", now), "the same, written as IPv6");
        assert!(!is_refused(&failures, "192.0.2.2", now));
        assert!(failures.check("192.0.2.1".parse().ok(), Origin::Issued, now).is_ok());
        assert!(!is_refused(&failures, "192.0.2.1", now + WINDOW));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (failures, now) = (failures(), Instant::now());
        fail(&failures, "2001:db8::1", FOREIGN_MAX, now);
        assert!(is_refused(&failures, "2001:db8::ffff:2", now));
        assert!(!is_refused(&failures, "2001:db8:0:1::1", now));
    }

    #[test]
    fn more_addresses_than_are_counted_share_one_count() {
        let (failures, now) = (failures(), Instant::now());
        for no in 0..u32::try_from(ADDRESSES_MAX).unwrap() {
            failures.count(Some(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + no))), Origin::Foreign, now);
        }
        fail(&failures, "192.0.2.1", FOREIGN_MAX, now);
        assert!(is_refused(&failures, "192.0.2.77", now));
        assert!(!is_refused(&failures, "10.0.0.1", now), "it is counted by itself");
        assert!(failures.lock().len() <= ADDRESSES_MAX + 1);
    }
}
