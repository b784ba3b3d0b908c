//! The clock of the box, shared by everybody in the agent: what it shows, and what is known of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::{Authority, ClockSource, Heard, Keeper, Reading, Step, TOLERANCE_MS, Truth};

/// The clock of the box. Clones are one clock.
#[derive(Debug, Clone)]
pub struct BoxClock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Arc<dyn ClockSource>,
    boot_id: String,
    floor_ms: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keeper: Keeper,
    /// Counts changes of what is known, so that whoever keeps it knows when to.
    revision: u64,
    /// The true time at which it was first known.
    trusted_since_ms: Option<i64>,
}

/// The clock, as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct ClockStatus {
    /// Whether somebody has told the true time since the box was started.
    pub trusted: bool,
    /// Who.
    pub authority: Option<Authority>,
    /// Since when, Unix milliseconds UTC.
    pub trusted_since_ms: Option<i64>,
    /// The true time minus what the clock shows, in milliseconds.
    pub offset_ms: Option<i64>,
    /// Whether samples have to be repaired: the clock is further off than a second.
    pub repairing: bool,
    /// How often the clock was set since the agent started.
    pub steps: u64,
}

impl BoxClock {
    /// The clock that this source reads; it cannot be earlier than `floor_ms`, whatever it shows.
    #[must_use]
    pub fn new(source: Arc<dyn ClockSource>, floor_ms: i64) -> Self {
        let boot_id = source.boot_id();
        let keeper = Keeper::new(source.read());
        let state = State { keeper, revision: 0, trusted_since_ms: None };
        Self(Arc::new(Shared { source, boot_id, floor_ms, state: Mutex::new(state) }))
    }

    /// What it shows, Unix milliseconds UTC, right or wrong. Samples are dated by this, and repaired later.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.source.read().wall_ms
    }

    /// Both clocks, now.
    #[must_use]
    pub fn read(&self) -> Reading {
        self.0.source.read()
    }

    /// Of this boot.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.0.boot_id
    }

    /// The earliest that it can be: when the agent was built, or the last time that was trusted before it started.
    #[must_use]
    pub fn floor_ms(&self) -> i64 {
        self.0.floor_ms
    }

    /// The true time, if it is known.
    #[must_use]
    pub fn true_ms(&self) -> Option<i64> {
        let now = self.read();
        self.truth().map(|truth| truth.time_at(now.boot_ms))
    }

    /// Looks whether the clock was set, and whether the kernel vouches for it; returns what was not told before.
    #[must_use]
    pub fn watch(&self) -> Vec<Step> {
        let synchronised = self.0.source.is_synchronised();
        let now = self.read();
        self.change(|keeper| {
            keeper.look(now);
            keeper.note_synchronised(synchronised, now)
        });
        self.state().keeper.take_steps()
    }

    /// The base of the clock that showed `wall_ms` a moment ago.
    #[must_use]
    pub fn base_of(&self, wall_ms: i64) -> i64 {
        let now = self.read();
        let mut state = self.state();
        state.keeper.look(now);
        state.keeper.base_of(wall_ms, now)
    }

    /// Takes in a time that was told, unless it cannot be: nothing was before the agent was built.
    pub fn hear(&self, heard: &Heard) {
        if heard.time_ms >= super::BUILD_MS {
            self.change(|keeper| keeper.hear(heard));
        }
    }

    /// What an earlier process learnt in this boot.
    pub fn remember(&self, truth: Truth) {
        self.change(|keeper| {
            keeper.remember(truth);
            true
        });
    }

    /// What is known of the true time.
    #[must_use]
    pub fn truth(&self) -> Option<Truth> {
        self.state().keeper.truth()
    }

    /// Changes whenever what is known does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.state().revision
    }

    /// For people.
    #[must_use]
    pub fn status(&self) -> ClockStatus {
        let now = self.read();
        let state = self.state();
        let truth = state.keeper.truth();
        let offset_ms = truth.map(|truth| truth.time_at(now.boot_ms) - now.wall_ms);
        ClockStatus {
            trusted: truth.is_some(),
            authority: truth.map(|truth| truth.authority()),
            trusted_since_ms: state.trusted_since_ms,
            offset_ms,
            repairing: offset_ms.is_some_and(|offset| offset.abs() > TOLERANCE_MS),
            steps: state.keeper.steps(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Keeper) -> bool) {
        let now = self.read();
        let mut state = self.state();
        if !change(&mut state.keeper) {
            return;
        }
        state.revision += 1;
        let Some(truth) = state.keeper.truth() else { return };
        let time_ms = truth.time_at(now.boot_ms);
        state.trusted_since_ms.get_or_insert(time_ms);
        let (offset_ms, authority) = (time_ms - now.wall_ms, truth.authority());
        tracing::info!(offset_ms, ?authority, "the true time is known");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment or one push: a panic leaves nothing half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
