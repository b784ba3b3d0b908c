//! Who may have a connection: so many in all, so many of one address.
//!
//! The box itself has places of its own, which nobody on the network can take: the CLI and the container's health check
//! always get in. An address is a host of IPv4, and a network of 64 bits of IPv6.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections may be open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seats {
    /// Of all other machines.
    pub network: usize,
    /// Of one of them.
    pub address: usize,
    /// Of this box.
    pub own: usize,
}

/// What is open.
#[derive(Debug)]
pub(super) struct Door {
    places: Seats,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    own: usize,
    network: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place at the door, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// `None`: this box.
    address: Option<IpAddr>,
    taken: Arc<Mutex<Taken>>,
}

impl Door {
    pub(super) fn new(places: Seats) -> Self {
        Self { places, taken: Arc::default() }
    }

    /// A place for somebody from there, if there is one.
    pub(super) fn admit(&self, from: IpAddr) -> Option<Place> {
        let from = address(from);
        let mut taken = lock(&self.taken);
        if from.is_loopback() {
            if taken.own >= self.places.own {
                return None;
            }
            taken.own += 1;
            return Some(Place { address: None, taken: Arc::clone(&self.taken) });
        }
        let of_address = taken.by_address.get(&from).copied().unwrap_or_default();
        if taken.network >= self.places.network || of_address >= self.places.address {
            return None;
        }
        taken.network += 1;
        taken.by_address.insert(from, of_address + 1);
        Some(Place { address: Some(from), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        let Some(address) = self.address else {
            taken.own -= 1;
            return;
        };
        taken.network -= 1;
        match taken.by_address.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.by_address.remove(&address)),
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // Counts that change together change without a way to panic in between.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address as it is counted.
pub(super) fn address(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)))
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_all_have_theirs_and_the_box_its_own() {
        let door = Door::new(Seats { network: 3, address: 2, own: 1 });
        let first = door.admit(ip("192.0.2.1"));
        let second = door.admit(ip("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(door.admit(ip("192.0.2.1")).is_none(), "its share is taken");
        let third = door.admit(ip("192.0.2.2"));
        assert!(third.is_some() && door.admit(ip("192.0.2.3")).is_none(), "all is taken");
        let own = door.admit(ip("127.0.0.1"));
        assert!(own.is_some() && door.admit(ip("::1")).is_none(), "but for the box");
        drop((first, own));
        assert!(door.admit(ip("192.0.2.1")).is_some() && door.admit(ip("::1")).is_some());
        drop((second, third));
        let taken = lock(&door.taken);
        assert_eq!((taken.own, taken.network, taken.by_address.len()), (0, 0, 0), "nothing is remembered");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        assert_eq!(address(ip("2001:db8::1")), address(ip("2001:db8::ffff:2")));
        assert_ne!(address(ip("2001:db8::1")), address(ip("2001:db8:0:1::1")));
        assert!(address(ip("::1")).is_loopback() && address(ip("::ffff:127.0.0.1")).is_loopback());
    }
}
