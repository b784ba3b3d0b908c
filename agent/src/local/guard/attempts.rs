//! Wrong PINs, counted: by address, and of all together.
//!
//! After five of one address it waits, from half a minute doubling to an hour; after thirty of all within an hour everybody
//! waits who has no session yet. Who waits is not compared, so a million PINs take years, and ten thousand tries cost
//! nothing. The command line asks over its own socket, and is never in here.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::door;

/// Failures of an address that cost nothing.
const FREE: u32 = 5;
/// The first wait; each further failure doubles it.
const WAIT_FIRST: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Failures of all addresses within the window.
const ALL_MAX: usize = 30;
const ALL_WINDOW: Duration = Duration::from_secs(3_600);
/// How long an address is remembered that does not fail again.
const MEMORY: Duration = Duration::from_secs(24 * 3_600);
/// Addresses that are remembered; who failed longest ago is forgotten first.
const ADDRESSES_MAX: usize = 256;

/// The failures.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_address: HashMap<IpAddr, Failures>,
    /// When the last of all were; at most [`ALL_MAX`].
    all: VecDeque<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// No attempt before.
    until: Instant,
}

impl Attempts {
    /// How long somebody from there has still to wait; `None`: not at all.
    pub(super) fn wait(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let own = self.by_address.get(&door::address(from)).map(|failures| failures.until);
        let all = (self.all.len() >= ALL_MAX).then(|| self.all.front().map(|first| *first + ALL_WINDOW));
        let until = own.into_iter().chain(all.flatten()).max()?;
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// A wrong PIN came from there; says how many did.
    pub(super) fn failed(&mut self, from: IpAddr, now: Instant) -> u32 {
        let from = door::address(from);
        if self.all.len() >= ALL_MAX {
            self.all.pop_front();
        }
        self.all.push_back(now);
        self.by_address.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        let mut failures =
            self.by_address.remove(&from).unwrap_or(Failures { count: 0, last: now, until: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(doublings) = failures.count.checked_sub(FREE) {
            let factor = 2_u32.saturating_pow(doublings);
            failures.until = now + WAIT_FIRST.saturating_mul(factor).min(WAIT_MAX);
        }
        if self.by_address.len() >= ADDRESSES_MAX {
            let oldest = self.by_address.iter().min_by_key(|(_, failures)| failures.last).map(|(ip, _)| *ip);
            oldest.map(|oldest| self.by_address.remove(&oldest));
        }
        self.by_address.insert(from, failures);
        failures.count
    }

    /// The right PIN came from there.
    pub(super) fn succeeded(&mut self, from: IpAddr) {
        self.by_address.remove(&door::address(from));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(no: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + no))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_five_an_address_waits_longer_and_longer() {
        let (mut attempts, mut now) = (Attempts::default(), Instant::now());
        for _ in 0..4 {
            attempts.failed(ip(1), now);
            assert_eq!(attempts.wait(ip(1), now), None);
        }
        for wait in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            attempts.failed(ip(1), now);
            assert_eq!(attempts.wait(ip(1), now), Some(seconds(wait)));
            assert_eq!(attempts.wait(ip(2), now), None, "nobody else does");
            now += seconds(wait);
            assert_eq!(attempts.wait(ip(1), now), None);
        }
        attempts.succeeded(ip(1));
        attempts.failed(ip(1), now);
        assert_eq!(attempts.wait(ip(1), now), None, "who knew it begins anew");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_an_address_is_forgotten_after_a_day() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for no in 0..5 {
            attempts.failed(format!("2001:db8::{no}").parse().unwrap(), now);
        }
        assert!(attempts.wait("2001:db8::ffff".parse().unwrap(), now).is_some());
        let later = now + MEMORY;
        attempts.failed(ip(1), later);
        assert_eq!(attempts.by_address.len(), 1);
    }

    #[test]
    fn after_thirty_of_all_everybody_waits_until_the_first_is_an_hour_old() {
        let (mut attempts, began) = (Attempts::default(), Instant::now());
        for no in 0..30 {
            assert_eq!(attempts.wait(ip(99), began), None);
            attempts.failed(ip(no), began + seconds(u64::from(no)));
        }
        let now = began + seconds(60);
        assert_eq!(attempts.wait(ip(99), now), Some(seconds(3_540)));
        assert_eq!(attempts.wait(ip(99), began + seconds(3_600)), None, "one more");
        attempts.failed(ip(99), began + seconds(3_600));
        assert_eq!(attempts.wait(ip(99), began + seconds(3_600)), Some(seconds(1)));
    }

    #[test]
    fn memory_is_bounded_and_who_failed_longest_ago_is_forgotten() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for no in 0..10_000 {
            attempts.failed(ip(no), now + Duration::from_millis(u64::from(no)));
        }
        assert_eq!((attempts.by_address.len(), attempts.all.len()), (ADDRESSES_MAX, ALL_MAX));
        assert!(attempts.by_address.contains_key(&ip(9_999)) && !attempts.by_address.contains_key(&ip(0)));
    }
}
