//! Sessions of those who knew the PIN: half an hour from signing in, whatever is done meanwhile.
//!
//! An id is 256 random bits that only its browser has; what is kept here is its hash. A session is of one PIN: changing that
//! ends it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::local::reader::Session;

/// Sessions at one time; the oldest goes.
const SESSIONS_MAX: usize = 16;

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// All sessions, the oldest first.
#[derive(Debug)]
pub(super) struct Sessions {
    lasts: Duration,
    kept: VecDeque<Kept>,
}

struct Kept {
    id: Hash,
    csrf: String,
    until: Instant,
    /// Which PIN opened it.
    pin: Hash,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, kept: VecDeque::new() }
    }

    /// Begins one; returns its id, for the cookie.
    pub(super) fn begin(&mut self, pin: Hash, now: Instant) -> String {
        let (id, csrf) = (secret(), secret());
        while self.kept.len() >= SESSIONS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { id: hash(&id), csrf, until: now + self.lasts, pin });
        id
    }

    /// The session of this id, if it lasts and this is still the PIN.
    pub(super) fn find(&mut self, id: &str, pin: &Hash, now: Instant) -> Option<Session> {
        self.kept.retain(|kept| kept.until > now && same(&kept.pin, pin));
        let id = hash(id);
        let kept = self.kept.iter().find(|kept| same(&kept.id, &id))?;
        let minutes_left = (kept.until - now).as_secs().div_ceil(60);
        Some(Session { csrf: kept.csrf.clone(), minutes_left })
    }

    /// Ends one.
    pub(super) fn end(&mut self, id: &str) {
        let id = hash(id);
        self.kept.retain(|kept| !same(&kept.id, &id));
    }

    /// There is no PIN any more that could have opened one.
    pub(super) fn end_all(&mut self) {
        self.kept.clear();
    }
}

/// 256 random bits as hexadecimal digits.
pub(super) fn secret() -> String {
    rand::random::<Hash>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// Compares all of both, however early they differ.
pub(super) fn same(a: &Hash, b: &Hash) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: Hash = [7; 32];
    const LASTS: Duration = Duration::from_secs(1_800);

    #[test]
    fn a_session_ends_by_its_time_by_hand_and_with_its_pin() {
        let (mut sessions, now) = (Sessions::new(LASTS), Instant::now());
        let id = sessions.begin(PIN, now);
        let found = sessions.find(&id, &PIN, now + Duration::from_secs(61)).unwrap();
        assert_eq!((found.minutes_left, found.csrf.len(), id.len()), (29, 64, 64));
        assert!(sessions.find(&secret(), &PIN, now).is_none());
        assert!(sessions.find("", &PIN, now).is_none());
        assert!(sessions.find(&id, &PIN, now + LASTS).is_none());

        let id = sessions.begin(PIN, now);
        assert!(sessions.find(&id, &[8; 32], now).is_none(), "another PIN");
        assert!(sessions.find(&id, &PIN, now).is_none(), "even when the old one comes back");
        let (first, second) = (sessions.begin(PIN, now), sessions.begin(PIN, now));
        sessions.end(&first);
        assert!(sessions.find(&first, &PIN, now).is_none() && sessions.find(&second, &PIN, now).is_some());
    }

    #[test]
    fn the_oldest_goes_and_what_is_kept_opens_nothing() {
        let (mut sessions, now) = (Sessions::new(LASTS), Instant::now());
        let ids: Vec<String> = (0..=SESSIONS_MAX).map(|_| sessions.begin(PIN, now)).collect();
        assert_eq!(sessions.kept.len(), SESSIONS_MAX);
        assert!(sessions.find(&ids[0], &PIN, now).is_none() && sessions.find(&ids[1], &PIN, now).is_some());
        let shown = format!("{sessions:?}");
        assert!(ids.iter().all(|id| !shown.contains(id)) && !shown.contains("csrf"), "{shown}");
    }

    #[test]
    fn hashes_are_the_same_or_not() {
        let mut other = PIN;
        assert!(same(&PIN, &other));
        other[31] ^= 1;
        assert!(!same(&PIN, &other));
    }
}
