//! Bursts of events: how many of one device and kind are told one by one.
//!
//! A printer with a loose cable can open its cover a thousand times an hour. The first of an hour are kept as they are;
//! those after them become one event that says how many there were, and when. Counted in memory: an agent that starts
//! again begins to count anew.

use std::collections::HashMap;

/// Events of one device and kind that are kept in an hour.
pub(super) const EVENTS_PER_HOUR: u32 = 60;
const HOUR_MS: u64 = 3_600_000;
/// Devices and kinds that are counted at most; more than these, and all begin anew.
const COUNTED_MAX: usize = 2_048;

/// The counts of the running hour.
#[derive(Debug, Default)]
pub(super) struct Bursts(HashMap<(String, String), Burst>);

#[derive(Debug)]
struct Burst {
    begun_ms: i64,
    kept: u32,
    merged: Option<Merged>,
}

/// The event that stands for those beyond the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// The open batch that holds it.
    pub batch_id: i64,
    /// Its row there.
    pub row: i64,
    pub count: u64,
    pub first_t: i64,
}

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Keep it.
    Alone,
    /// One more of those that one event stands for, if there is such an event yet.
    Merged(Option<Merged>),
}

impl Bursts {
    /// What to do with an event of this device and kind.
    pub(super) fn count(&mut self, device: &str, kind: &str, now_ms: i64) -> Told {
        if self.0.len() >= COUNTED_MAX {
            self.0.clear();
        }
        let burst = self.0.entry((device.to_owned(), kind.to_owned())).or_insert(Burst {
            begun_ms: now_ms,
            kept: 0,
            merged: None,
        });
        if now_ms.abs_diff(burst.begun_ms) >= HOUR_MS {
            *burst = Burst { begun_ms: now_ms, kept: 0, merged: None };
        }
        if burst.kept < EVENTS_PER_HOUR {
            burst.kept += 1;
            return Told::Alone;
        }
        Told::Merged(burst.merged)
    }

    /// Remembers the event that stands for others.
    pub(super) fn keep(&mut self, device: &str, kind: &str, merged: Merged) {
        if let Some(burst) = self.0.get_mut(&(device.to_owned(), kind.to_owned())) {
            burst.merged = Some(merged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_an_hour_are_told_one_by_one() {
        let mut bursts = Bursts::default();
        for _ in 0..EVENTS_PER_HOUR {
            assert_eq!(bursts.count("d", "k", 0), Told::Alone);
        }
        assert_eq!(bursts.count("d", "k", 1), Told::Merged(None));
        let merged = Merged { batch_id: 1, row: 2, count: 1, first_t: 1 };
        bursts.keep("d", "k", merged);
        assert_eq!(bursts.count("d", "k", 2), Told::Merged(Some(merged)));
        assert_eq!(bursts.count("d", "other", 2), Told::Alone);
        assert_eq!(bursts.count("d", "k", 3_600_000), Told::Alone);
    }
}
