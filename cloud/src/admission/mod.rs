//! How much is let in at once, and in which order, so that what arrives never decides how much memory is used.
//!
//! ```text
//! connection ─▶ door: connections, handshakes ─▶ requests ─▶ key ─▶ bodies: bytes ─▶ body read ─▶ places ─▶ database
//! ```
//!
//! Each step holds a bounded number and refuses the rest with 503 and `Retry-After` (the door: by closing), before it
//! holds anything for them. A body is read within a budget of bytes before its request asks for a place, so a slow sender
//! holds bytes and no connection of the database. Who is more urgent may use more of each: some places and bytes are
//! reserved for fresh data, and some more for the critical lane ([`Class`]). Reads have connections of the database that
//! ingest never takes, and the other way round.
//!
//! [`pace`] tells agents how fast to send what they have in stock, so that a fleet that returns is rarely refused.
//!
//! What all of it can come to: `connections_max` connections with [`door::WINDOW_BYTES`] of unread bodies each, the budget
//! of bodies, and one inflated batch a place.

mod bodies;
pub(crate) mod door;
mod pace;
mod places;
mod requests;
mod unread;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use storepulse_shared::answer::{Ack, Pace};
use storepulse_shared::batch::Lane;
use storepulse_shared::batch::header::BatchHeader;

use self::bodies::Bodies;
pub(crate) use self::bodies::Held;
use self::door::Door;
use self::pace::{Heard, Pacer};
pub(crate) use self::places::Place;
use self::places::Places;
use self::requests::Requests;
pub(crate) use self::requests::admit;
use self::unread::Rests;
pub(crate) use self::unread::read_on;
use crate::auth::StoreAuth;
use crate::problem::ApiError;

/// What is let in at once, at most.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// Open connections of clients. Beyond: closed at once. Lowered to what the process may have open.
    pub connections_max: usize,
    /// Bytes of bodies in memory, as sent. Beyond: 503.
    pub body_bytes_max: usize,
    /// Requests of one class that wait for a place. Beyond: 503.
    pub waiting_max: usize,
    /// Credentials from one address that open nothing, in a minute, before unknown ones from there are refused unseen; of keys of
    /// an older system, a tenth.
    pub wrong_keys_max: u32,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { connections_max: 20_000, body_bytes_max: 64 << 20, waiting_max: 2_048, wrong_keys_max: 6_000 }
    }
}

/// How urgent a request is, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// The critical lane.
    Critical,
    /// What has just been sealed, and flat bodies.
    Fresh,
    /// What was sealed before other batches that were sent already, or by an earlier opening of the spool.
    Backlog,
}

/// Numbers that may have been sealed after a batch while it is still fresh: its neighbours in the other lanes.
const FRESH_DISTANCE: u64 = 1;

impl Class {
    /// As far as the header tells; flat bodies have none.
    fn of(header: Option<&BatchHeader>) -> Self {
        match header {
            Some(header) if header.lane == Lane::Critical => Self::Critical,
            Some(header) if header.resumed || header.sealed > header.batch.seq + FRESH_DISTANCE => {
                Self::Backlog
            }
            _ => Self::Fresh,
        }
    }

    const fn slot(self) -> usize {
        self as usize
    }
}

/// Nothing more can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Full;

/// The longest that a refused request is asked to stay away, in seconds. Short for what is fresh; an agent whose backlog is
/// refused sends on what is fresh, so that may stay away for longer, and fewer are refused twice.
const FRESH_RETRY_AFTER_S_MAX: u64 = 5;
const BACKLOG_RETRY_AFTER_S_MAX: u64 = 15;

/// What is let in at once.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) door: Door,
    pub(crate) wrong_keys_max: u32,
    requests: Requests,
    rests: Rests,
    bodies: Bodies,
    places: Places,
    pacer: Mutex<Pacer>,
    refused: AtomicU64,
}

impl Admission {
    /// With a database of so many connections.
    pub(crate) fn new(limits: &AdmissionLimits, connections: u32) -> Self {
        let connections = connections as usize;
        // A database of one connection serves both, in turn.
        let reads = (connections / 4).max(1);
        Self {
            door: Door::new(limits.connections_max),
            wrong_keys_max: limits.wrong_keys_max,
            requests: Requests::new(reads),
            rests: Rests::default(),
            bodies: Bodies::new(limits.body_bytes_max),
            places: Places::new(connections.saturating_sub(reads).max(1), limits.waiting_max),
            pacer: Mutex::new(Pacer::new(Instant::now())),
            refused: AtomicU64::new(0),
        }
    }

    /// Bytes for a body that is about to be read; `length` is what its sender says.
    pub(crate) fn hold_body(
        &self,
        header: Option<&BatchHeader>,
        length: Option<u64>,
    ) -> Result<Held, ApiError> {
        let class = Class::of(header);
        self.bodies.hold(class, length).map_err(|Full| self.overloaded(class))
    }

    /// A place among those who use the database, for as long as it is held.
    pub(crate) async fn enter(&self, header: Option<&BatchHeader>) -> Result<Place, ApiError> {
        let class = Class::of(header);
        let asked = Instant::now();
        let entered = self.places.enter(class).await;
        if class == Class::Backlog {
            // Who finds the queue full would have waited for all of it.
            let wait = if entered.is_ok() { asked.elapsed() } else { places::WAIT_MAX };
            self.pacer().waited(Instant::now(), wait);
        }
        entered.map_err(|Full| self.overloaded(class))
    }

    /// The pace for an agent whose batch is answered with this.
    pub(crate) fn pace(&self, auth: &StoreAuth, header: &BatchHeader, bytes: usize, ack: &Ack) -> Pace {
        let through = ack.through.get(&header.batch.epoch).copied().unwrap_or_default();
        let heard = Heard {
            missing: header.sealed.saturating_sub(through.max(header.batch.seq.min(through + 1))),
            has_earlier: ack.through.len() > 1,
            backlog_bytes: (Class::of(Some(header)) == Class::Backlog).then_some(bytes),
        };
        self.pacer().answer(Instant::now(), (auth.tenant.clone(), auth.store.clone()), heard)
    }

    /// What is held at this moment, for the service's own numbers.
    pub(crate) fn look(&self) -> Look {
        Look {
            connections: self.door.open(),
            turned_away: self.door.turned_away(),
            body_bytes: self.bodies.held(),
            in_work: self.places.in_work(),
            waiting: self.places.waiting(),
            refused: self.refused.load(Ordering::Relaxed),
            backlog_bytes_per_s: self.pacer().total_bytes_per_s(),
        }
    }

    /// Those who are refused together are told to come back one after the other, the critical lane first.
    fn overloaded(&self, class: Class) -> ApiError {
        let turn = self.refused.fetch_add(1, Ordering::Relaxed);
        let wait_s = match class {
            Class::Critical => 1,
            Class::Fresh => 2 + turn % (FRESH_RETRY_AFTER_S_MAX - 1),
            Class::Backlog => 2 + turn % (BACKLOG_RETRY_AFTER_S_MAX - 1),
        };
        ApiError::Overloaded { retry_after: Duration::from_secs(wait_s) }
    }

    fn pacer(&self) -> MutexGuard<'_, Pacer> {
        // A panic in it leaves estimates, which the next second corrects.
        let mut pacer = self.pacer.lock().unwrap_or_else(PoisonError::into_inner);
        pacer.connections_made(self.door.made());
        pacer
    }
}

/// What is held at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Open connections of clients.
    pub(crate) connections: usize,
    /// Connections closed at the door since the start.
    pub(crate) turned_away: u64,
    /// Bytes of bodies in memory.
    pub(crate) body_bytes: usize,
    /// Requests that use the database.
    pub(crate) in_work: usize,
    /// Requests that wait for a place.
    pub(crate) waiting: usize,
    /// Requests refused since the start.
    pub(crate) refused: u64,
    /// What all agents together may send of their backlogs, bytes a second.
    pub(crate) backlog_bytes_per_s: u64,
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::Clock;
    use storepulse_shared::batch::header::BodyDigest;
    use storepulse_shared::ids::{BatchId, Epoch};

    use super::*;

    fn header(lane: Lane, seq: u64, sealed: u64, resumed: bool) -> BatchHeader {
        BatchHeader {
            batch: BatchId { epoch: Epoch::random(), seq },
            lane,
            samples: 1,
            sealed,
            digest: BodyDigest([0; 8]),
            offset_ms: 0,
            clock: Clock::Ok,
            resumed,
            after: None,
        }
    }

    #[test]
    fn the_header_tells_how_urgent_a_batch_is() {
        let of = |lane, seq, sealed, resumed| Class::of(Some(&header(lane, seq, sealed, resumed)));
        assert_eq!(of(Lane::Normal, 7, 7, false), Class::Fresh);
        assert_eq!(of(Lane::Bulk, 6, 7, false), Class::Fresh, "sealed together with its neighbour");
        assert_eq!(of(Lane::Normal, 5, 7, false), Class::Backlog);
        assert_eq!(of(Lane::Normal, 7, 7, true), Class::Backlog);
        assert_eq!(of(Lane::Critical, 1, 7, true), Class::Critical);
        assert_eq!(Class::of(None), Class::Fresh);
    }
}
