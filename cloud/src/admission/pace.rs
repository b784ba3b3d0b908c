//! The pace of backlogs: how fast an agent may send what it has in stock, and when it may begin.
//!
//! **The rate** of all backlogs together follows the wait of backlog batches for a place, as a congestion control does. Each
//! second: a mean wait above [`WAIT_HIGH`] sets it to 0.9 of what is sustained, so that the queue empties; one below
//! [`WAIT_LOW`] raises it by a tenth, or by a quarter if nearly nobody waits, if at least half of it is used. In between it
//! stays, but not below those 0.9: whoever was refused comes back at a time of its own, and meanwhile too many of the others
//! would keep away. So a small queue of backlog is always there, which keeps the database busy, while fresh batches pass it by
//! ([`super::places`]). What is sustained is what was taken in the last seconds in which some of it waited, so nothing
//! compounds and one bad second counts little. While many connections are being made, and a second longer, nothing is learned:
//! their handshakes take the processor, and they end by themselves. After a minute without backlog nothing is known any more,
//! and the rate is at least [`START_BYTES_PER_S`] again.
//!
//! **The share** of an agent is that rate divided by the agents that sent backlog in the last ten seconds and have more.
//!
//! **The start** comes in turn: agents stand in line in the order in which they are first seen to miss batches, each with the
//! bytes that it misses before the next. The line moves at the rate, and by what was left unused of it: how large a stock is,
//! and how fast its agent's link, is only guessed. Because an agent keeps the latest start that it was told, and the rate will
//! be another one by then, nobody is told more than [`TOLD_MAX`]; that is longer than the 15 s between two batches of a store,
//! whose answers tell it anew before it is over.
//!
//! What is fresh leaves at once in any case.
//!
//! Pure: the time comes from outside.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use storepulse_shared::answer::Pace;
use storepulse_shared::ids::{StoreId, TenantId};

/// What all may send before anything is known: more than a small machine takes, since one second corrects it downwards.
const START_BYTES_PER_S: f64 = 2_000_000.0;
/// The rate is never below this, so that it is always tried.
const LEAST_BYTES_PER_S: f64 = 64_000.0;
/// Nor above: no service takes that much.
const MOST_BYTES_PER_S: f64 = 1e9;
/// A share is never below this: a batch every few seconds.
const SHARE_BYTES_PER_S_MIN: u64 = 4_096;
/// Nor above: a store's line is slower.
const SHARE_BYTES_PER_S_MAX: u64 = 1_000_000;
/// Mean wait of backlog batches above which there are too many.
const WAIT_HIGH: Duration = Duration::from_secs(1);
/// And below which there could be more.
const WAIT_LOW: Duration = Duration::from_millis(200);
/// How often the rate is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Who sent backlog within this time is active.
const ACTIVE: Duration = Duration::from_secs(10);
/// The furthest start that is told.
const TOLD_MAX: Duration = Duration::from_secs(20);
/// Those who would be told more are told times spread over this much more.
const SPREAD_MS: u64 = 5_000;
/// Connections made in a second from which on they, and not the database, are what the backlog waits for.
const CONNECTING_PER_S: f64 = 200.0;
/// Without backlog for so long, the rate is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// An agent that was not heard for so long begins anew.
const AWAY: Duration = Duration::from_secs(300);
/// Missing batches below which there is no backlog: its neighbours in the other lanes may still be on their way.
const MISSING_MIN: u64 = 2;
/// Bytes of a backlog batch before one was seen: ten minutes of a store.
const BATCH_BYTES_GUESSED: f64 = 8_192.0;
/// Batches over which the mean is taken.
const BATCHES_MEANT: f64 = 64.0;
/// What is assumed of earlier epochs that miss something, in batches: how much is not known.
const EARLIER_BATCHES: u64 = 8;
/// The longest that one agent keeps the line waiting: its own link is slower than the service, and others go beside it.
const TURN_S_MAX: f64 = 10.0;
/// Agents remembered at most; beyond it a new one is told its share and no start.
const AGENTS_MAX: usize = 200_000;

pub(super) type Agent = (TenantId, StoreId);

/// What a batch tells of its agent's stock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// Numbers that its epoch has sealed and that are not here.
    pub(super) missing: u64,
    /// Earlier epochs miss something too.
    pub(super) has_earlier: bool,
    /// The bytes of this batch, if it was backlog itself.
    pub(super) backlog_bytes: Option<usize>,
}

/// Gives each agent its pace.
#[derive(Debug)]
pub(super) struct Pacer {
    bytes_per_s: f64,
    /// Bytes by which the line has moved until the last look.
    line_at: f64,
    /// Where the next who comes to the line stands.
    line_end: f64,
    agents: HashMap<Agent, Turn>,
    active: u64,
    /// Mean bytes of a backlog batch.
    batch_bytes: f64,
    /// Of how many, at most [`BATCHES_MEANT`].
    batches_seen: f64,
    last_backlog: Instant,
    /// Told the most, so far.
    put_off: u64,
    /// Bytes a second of backlog that are taken while some of it waits: the mean of the last such seconds, more of the good ones.
    sustained: Option<f64>,
    second: Second,
    /// Connections made since the start, and until the last look.
    made: u64,
    made_before: u64,
    /// In the second before the last look as well.
    was_connecting: bool,
}

/// An agent with backlog.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Its place in the line.
    at: f64,
    last_backlog: Option<Instant>,
    last_heard: Instant,
}

/// What happened since the last look.
#[derive(Debug, Clone, Copy)]
struct Second {
    began: Instant,
    bytes: usize,
    waited: Duration,
    waits: u32,
}

impl Second {
    fn beginning(now: Instant) -> Self {
        Self { began: now, bytes: 0, waited: Duration::ZERO, waits: 0 }
    }
}

impl Pacer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            bytes_per_s: START_BYTES_PER_S,
            line_at: 0.0,
            line_end: 0.0,
            agents: HashMap::new(),
            active: 0,
            batch_bytes: BATCH_BYTES_GUESSED,
            batches_seen: 0.0,
            last_backlog: now,
            put_off: 0,
            sustained: None,
            second: Second::beginning(now),
            made: 0,
            made_before: 0,
            was_connecting: false,
        }
    }

    /// So many connections have been made since the start.
    pub(super) fn connections_made(&mut self, made: u64) {
        self.made = made;
    }

    /// What all together may send, bytes a second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two positive limits"
    )]
    pub(super) fn total_bytes_per_s(&self) -> u64 {
        self.bytes_per_s as u64
    }

    /// A batch of a backlog has waited so long for its place, in vain or not.
    pub(super) fn waited(&mut self, now: Instant, wait: Duration) {
        self.look(now);
        self.second.waited += wait;
        self.second.waits += 1;
    }

    /// The pace for an agent of which this was heard.
    pub(super) fn answer(&mut self, now: Instant, agent: Agent, heard: Heard) -> Pace {
        self.look(now);
        if let Some(bytes) = heard.backlog_bytes {
            self.second.bytes += bytes;
            self.last_backlog = now;
            self.batches_seen = (self.batches_seen + 1.0).min(BATCHES_MEANT);
            self.batch_bytes += (as_float(bytes as u64) - self.batch_bytes) / self.batches_seen;
        }
        let has_stock = heard.missing >= MISSING_MIN || heard.has_earlier || heard.backlog_bytes.is_some();
        let start = if has_stock { self.start(now, agent, heard) } else { Duration::ZERO };
        let share = self.total_bytes_per_s() / self.active.max(1);
        Pace {
            backlog_bytes_per_s: share.clamp(SHARE_BYTES_PER_S_MIN, SHARE_BYTES_PER_S_MAX),
            start_in_ms: u64::try_from(start.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// How long from now its turn is away, as it is told.
    fn start(&mut self, now: Instant, agent: Agent, heard: Heard) -> Duration {
        let last_backlog = heard.backlog_bytes.map(|_| now);
        let line_at = self.line_at(now);
        let is_full = self.agents.len() >= AGENTS_MAX;
        let at = match self.agents.entry(agent) {
            Entry::Occupied(mut turn) => {
                let turn = turn.get_mut();
                turn.last_heard = now;
                let has_more = heard.has_earlier || heard.missing >= MISSING_MIN;
                turn.last_backlog = if has_more { last_backlog.or(turn.last_backlog) } else { None };
                turn.at
            }
            Entry::Vacant(_) if is_full => return Duration::ZERO,
            Entry::Vacant(turn) => {
                let at = self.line_end.max(line_at);
                let batches = heard.missing + if heard.has_earlier { EARLIER_BATCHES } else { 0 };
                let bytes = as_float(batches) * self.batch_bytes;
                self.line_end = at + bytes.min(TURN_S_MAX * self.bytes_per_s);
                turn.insert(Turn { at, last_backlog, last_heard: now });
                at
            }
        };
        let away = Duration::try_from_secs_f64((at - line_at).max(0.0) / self.bytes_per_s);
        match away {
            Ok(away) if away <= TOLD_MAX => away,
            _ => {
                self.put_off += 1;
                // Multiples of the golden ratio lie evenly, however many there are.
                TOLD_MAX + Duration::from_millis(self.put_off.wrapping_mul(3_090) % SPREAD_MS)
            }
        }
    }

    /// Where the line is now.
    fn line_at(&self, now: Instant) -> f64 {
        self.line_at + now.saturating_duration_since(self.second.began).as_secs_f64() * self.bytes_per_s
    }

    /// Once a second: who is active, and whether the rate is right.
    fn look(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.second.began);
        if took < TICK {
            return;
        }
        self.line_at = self.line_at(now);
        let Second { bytes, waited, waits, .. } = std::mem::replace(&mut self.second, Second::beginning(now));
        let taken = as_float(bytes as u64) / took.as_secs_f64();
        let wait = waited.checked_div(waits).unwrap_or_default();
        let made = self.made - std::mem::replace(&mut self.made_before, self.made);
        let is_connecting = as_float(made) / took.as_secs_f64() > CONNECTING_PER_S;
        let was_connecting = std::mem::replace(&mut self.was_connecting, is_connecting);
        if is_connecting || was_connecting {
            // Neither too much nor too little: what waits, or waited until just now, says nothing of the database.
        } else if wait > WAIT_LOW {
            // Somebody waited, so this is what the service can, and at least that. One bad second is not yet its measure.
            let sustained = self
                .sustained
                .map_or(taken, |before| before + (taken - before) / if taken > before { 2.0 } else { 4.0 });
            self.sustained = Some(sustained);
            let safe = 0.9 * sustained;
            self.bytes_per_s = if wait > WAIT_HIGH { safe } else { self.bytes_per_s.max(safe) };
        } else {
            let unused = (self.bytes_per_s - taken).max(0.0) * took.as_secs_f64();
            self.line_at = (self.line_at + unused).min(self.line_end.max(self.line_at));
            if taken > 0.5 * self.bytes_per_s {
                self.bytes_per_s *= if wait < WAIT_LOW / 4 { 1.25 } else { 1.1 };
            }
        }
        if now.saturating_duration_since(self.last_backlog) > FORGOTTEN {
            self.bytes_per_s = self.bytes_per_s.max(START_BYTES_PER_S);
            self.sustained = None;
        }
        self.bytes_per_s = self.bytes_per_s.clamp(LEAST_BYTES_PER_S, MOST_BYTES_PER_S);
        self.agents.retain(|_, turn| turn.last_heard + AWAY > now);
        let is_active = |turn: &&Turn| turn.last_backlog.is_some_and(|at| at + ACTIVE > now);
        self.active = self.agents.values().filter(is_active).count() as u64;
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests;
