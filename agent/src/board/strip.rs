//! The last 24 hours of one device, in 96 slots of 15 minutes: how much of each it was well, how bad it was at worst, and how
//! often it changed.
//!
//! Everything here is pure and counts in milliseconds of a time that never jumps; where it comes from and what the wall
//! clock makes of it is the board's business. A device has 1.2 KiB of it, whatever it does.

use serde::Serialize;

use super::DeviceState;

/// Slots of a strip.
pub const SLOTS: usize = 96;
/// What a slot covers.
pub const SLOT_MS: i64 = 15 * 60 * 1_000;
/// Slots as a number that is added to their numbers.
pub(super) const SPAN: i64 = 96;
/// What nobody looked at for this long is not known: the process did not run, or the box was suspended. The board looks
/// every minute.
pub(super) const UNWATCHED_MS: i64 = 5 * 60 * 1_000;

/// The last 24 hours of a device, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Strip {
    /// When the first slot begins, by the present clock of the box, Unix milliseconds UTC.
    pub from_ms: i64,
    /// What a slot covers, in milliseconds.
    pub slot_ms: i64,
    /// The oldest first; the last one goes on.
    pub slots: Vec<Slot>,
}

/// A quarter of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Slot {
    /// The part of the time known in which the device was well, from 0 to 1; `None` if nothing is known.
    pub ok: Option<f64>,
    /// The part of the slot in which its state was known, from 0 to 1. The agent did not run in the rest, or the device had
    /// not been read yet.
    pub known: f64,
    /// The worst state.
    pub worst: Option<DeviceState>,
    /// How often the state changed.
    pub changes: u16,
}

/// A slot, as it is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub ok_ms: u32,
    pub known_ms: u32,
    pub changes: u16,
    pub worst: Option<DeviceState>,
}

impl Count {
    /// Both of one slot, of which each saw a part.
    pub(super) fn with(self, other: Self) -> Self {
        // Two placings of one slot may overlap by what a clock was off.
        let most = SLOT_MS as u32;
        let known_ms = (self.known_ms + other.known_ms).min(most);
        Self {
            ok_ms: (self.ok_ms + other.ok_ms).min(known_ms),
            known_ms,
            changes: self.changes.saturating_add(other.changes),
            worst: self.worst.max(other.worst),
        }
    }

    pub(super) fn shown(self) -> Slot {
        let ok = (self.known_ms > 0).then(|| f64::from(self.ok_ms) / f64::from(self.known_ms));
        let known = f64::from(self.known_ms) / SLOT_MS as f64;
        Slot { ok, known, worst: self.worst, changes: self.changes }
    }
}

/// The slot of a time.
pub(super) const fn slot_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(SLOT_MS)
}

/// What is counted of one device since the agent started.
#[derive(Debug)]
pub(super) struct History {
    state: Option<DeviceState>,
    /// Up to when it is counted.
    at_ms: i64,
    /// The number of the first slot, before which nothing was counted.
    first: i64,
    /// By the number of the slot, the rest of a division by [`SLOTS`].
    ring: Box<[Count; SLOTS]>,
}

impl History {
    /// Begins now.
    pub(super) fn new(now_ms: i64) -> Self {
        let ring = Box::new([Count::default(); SLOTS]);
        Self { state: None, at_ms: now_ms, first: slot_of(now_ms), ring }
    }

    /// The state is this one from now on.
    pub(super) fn state(&mut self, state: DeviceState, now_ms: i64) {
        self.pass(now_ms);
        let before = self.state.replace(state);
        let slot = self.count_mut(slot_of(self.at_ms));
        slot.worst = slot.worst.max(Some(state));
        if before.is_some_and(|before| before != state) {
            slot.changes = slot.changes.saturating_add(1);
        }
    }

    /// Counts the time up to now. A time before what is counted already is none.
    pub(super) fn pass(&mut self, now_ms: i64) {
        let state = self.state.filter(|_| now_ms - self.at_ms <= UNWATCHED_MS);
        while self.at_ms < now_ms {
            let slot = slot_of(self.at_ms);
            if slot_of(now_ms) - slot > SPAN {
                // All of it is forgotten.
                (self.first, self.at_ms) = (slot_of(now_ms), now_ms);
                self.ring.fill(Count::default());
                return;
            }
            let end = ((slot + 1) * SLOT_MS).min(now_ms);
            let passed = u32::try_from(end - self.at_ms).unwrap_or_default();
            if let Some(state) = state {
                let count = self.count_mut(slot);
                count.known_ms += passed;
                count.ok_ms += if state == DeviceState::Ok { passed } else { 0 };
                count.worst = count.worst.max(Some(state));
            }
            self.at_ms = end;
            if slot_of(end) > slot {
                // What stood here is 24 hours old.
                *self.count_mut(slot + 1) = Count::default();
            }
        }
    }

    /// What was counted in a slot.
    pub(super) fn count(&self, slot: i64) -> Count {
        let newest = slot_of(self.at_ms);
        let is_known = slot >= self.first && slot <= newest && slot > newest - SPAN;
        if is_known { self.ring[place(slot)] } else { Count::default() }
    }

    fn count_mut(&mut self, slot: i64) -> &mut Count {
        &mut self.ring[place(slot)]
    }
}

fn place(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(SPAN)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    /// In the middle of a slot, some day.
    const BEGIN: i64 = 1_950_000 * SLOT_MS + 5 * MINUTE;

    /// Watched every minute.
    fn watch(history: &mut History, from: i64, minutes: i64) -> i64 {
        (1..=minutes).for_each(|minute| history.pass(from + minute * MINUTE));
        from + minutes * MINUTE
    }

    #[test]
    fn a_slot_has_its_share_of_good_time_its_worst_and_its_changes() {
        let mut history = History::new(BEGIN);
        let read = watch(&mut history, BEGIN, 2);
        history.state(DeviceState::Ok, read);
        let pulled = watch(&mut history, read, 3);
        history.state(DeviceState::Unreachable, pulled);
        history.state(DeviceState::Unreachable, pulled + MINUTE);
        history.state(DeviceState::Ok, pulled + MINUTE);
        watch(&mut history, pulled + MINUTE, 4);
        let slot = history.count(slot_of(BEGIN)).shown();
        assert_eq!(slot.ok, Some(7.0 / 8.0), "two of ten minutes it had not been read");
        assert!((slot.known - 8.0 / 15.0).abs() < 1e-9, "{slot:?}");
        assert_eq!((slot.worst, slot.changes), (Some(DeviceState::Unreachable), 2));
        let next = history.count(slot_of(BEGIN) + 1);
        assert_eq!(next, Count::default(), "it has just begun");
    }

    #[test]
    fn a_fault_of_no_time_at_all_is_still_the_worst() {
        let mut history = History::new(BEGIN);
        history.state(DeviceState::Ok, BEGIN);
        history.state(DeviceState::Fault, BEGIN + MINUTE);
        history.state(DeviceState::Ok, BEGIN + MINUTE);
        let count = history.count(slot_of(BEGIN));
        assert_eq!((count.worst, count.changes), (Some(DeviceState::Fault), 2));
    }

    #[test]
    fn what_nobody_watched_is_not_known() {
        let mut history = History::new(BEGIN);
        history.state(DeviceState::Ok, BEGIN);
        let slept = watch(&mut history, BEGIN, 5);
        history.pass(slept + 2 * SLOT_MS);
        let between = history.count(slot_of(BEGIN) + 1);
        assert_eq!(between, Count::default());
        assert_eq!(history.count(slot_of(BEGIN)).known_ms, 5 * MINUTE as u32);
    }

    #[test]
    fn after_a_day_the_ring_holds_the_last_day_and_nothing_of_before() {
        let mut history = History::new(BEGIN);
        history.state(DeviceState::Fault, BEGIN);
        let mended = watch(&mut history, BEGIN, 60);
        history.state(DeviceState::Ok, mended);
        let now = watch(&mut history, mended, 24 * 60);
        let newest = slot_of(now);
        for slot in newest - SPAN + 1..newest {
            let count = history.count(slot);
            assert_eq!((count.known_ms, count.ok_ms), (SLOT_MS as u32, SLOT_MS as u32), "{slot}");
        }
        assert_eq!(history.count(newest - SPAN), Count::default(), "too old");
        history.pass(now + 3 * 86_400_000);
        assert!((newest - SPAN..newest + 4 * SPAN).all(|slot| history.count(slot) == Count::default()));
    }

    #[test]
    fn a_time_of_before_changes_nothing() {
        let mut history = History::new(BEGIN);
        history.state(DeviceState::Ok, BEGIN);
        watch(&mut history, BEGIN, 4);
        let count = history.count(slot_of(BEGIN));
        history.pass(BEGIN - 10 * SLOT_MS);
        assert_eq!(history.count(slot_of(BEGIN)), count);
    }

    #[test]
    fn two_hundred_devices_stay_far_below_a_mebibyte() {
        let one = std::mem::size_of::<History>() + std::mem::size_of::<[Count; SLOTS]>();
        assert!(200 * one < 256 << 10, "{one}");
    }
}
