//! One maintenance, and how its time passes.
//!
//! By the time since boot, which nobody sets: a clock that is set neither ends nor prolongs it. Over a boot only the wall
//! clock counts, or the true time where it is known of both sides; a clock that went back meanwhile takes nothing of what
//! had passed, which is written down every few minutes. Where it is not known how long the box was off, less time is
//! taken to be left rather than more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::MaintenanceError;
use crate::collector::pan;
use crate::time::BoxClock;

/// How long it may last.
pub(crate) const MINUTES_MIN: u64 = 5;
pub(crate) const MINUTES_MAX: u64 = 480;
/// Characters of a note.
pub(super) const NOTE_CHARS_MAX: usize = 200;

/// What is asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    minutes: u64,
    note: Option<String>,
}

impl Plan {
    /// So many minutes, with a note or an empty one.
    ///
    /// # Errors
    /// It is too short or too long, or the note is too long or holds a card-like number.
    pub(crate) fn new(minutes: u64, note: &str) -> Result<Self, MaintenanceError> {
        if !(MINUTES_MIN..=MINUTES_MAX).contains(&minutes) {
            return Err(MaintenanceError::Minutes(minutes));
        }
        let note: Vec<&str> = note.split(|c: char| c.is_whitespace() || c.is_control()).collect();
        let note = note.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let count = note.chars().count();
        if count > NOTE_CHARS_MAX {
            return Err(MaintenanceError::NoteLong(count));
        }
        if matches!(pan::scrub(&note, ""), Cow::Owned(_)) {
            return Err(MaintenanceError::NoteCard);
        }
        Ok(Self { minutes, note: Some(note).filter(|note| !note.is_empty()) })
    }
}

/// What the clocks show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub boot_id: String,
    pub boot_ms: i64,
    pub wall_ms: i64,
    pub true_ms: Option<i64>,
}

impl Moment {
    pub(super) fn of(clock: &BoxClock) -> Self {
        let now = clock.read();
        let true_ms = clock.truth().map(|truth| truth.time_at(now.boot_ms));
        Self { boot_id: clock.boot_id().to_owned(), boot_ms: now.boot_ms, wall_ms: now.wall_ms, true_ms }
    }
}

/// One maintenance, as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Visit {
    minutes: u64,
    #[serde(default)]
    note: Option<String>,
    /// When it began, by the wall clock of then.
    begun_wall_ms: i64,
    /// The same by the true time, once that is known.
    begun_true_ms: Option<i64>,
    /// Of it so much had passed …
    passed_ms: i64,
    /// … at this time since boot …
    at_boot_ms: i64,
    /// … of this boot.
    boot_id: String,
    /// The box was off in between.
    over_boots: bool,
}

impl Visit {
    pub(super) fn begin(plan: Plan, now: &Moment) -> Self {
        Self {
            minutes: plan.minutes,
            note: plan.note,
            begun_wall_ms: now.wall_ms,
            begun_true_ms: now.true_ms,
            passed_ms: 0,
            at_boot_ms: now.boot_ms,
            boot_id: now.boot_id.clone(),
            over_boots: false,
        }
    }

    pub(super) fn minutes(&self) -> u64 {
        self.minutes
    }

    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Goes on in this run of the agent, which may be of another boot.
    pub(super) fn go_on(&mut self, now: &Moment) {
        if self.boot_id == now.boot_id {
            return;
        }
        let begun_ms = self.begun_true_ms.unwrap_or(self.begun_wall_ms);
        let told = now.true_ms.unwrap_or(now.wall_ms).saturating_sub(begun_ms);
        self.passed_ms = self.passed_ms.max(told);
        self.at_boot_ms = now.boot_ms;
        self.boot_id.clone_from(&now.boot_id);
        self.over_boots = true;
    }

    /// How much of it has passed.
    pub(super) fn passed_ms(&self, now: &Moment) -> i64 {
        let counted = self.passed_ms.saturating_add(now.boot_ms.saturating_sub(self.at_boot_ms));
        // The clock of a box that was off may have been told the time only since.
        let told = self.begun_true_ms.zip(now.true_ms).filter(|_| self.over_boots);
        told.map_or(counted, |(begun, now)| counted.max(now.saturating_sub(begun)))
    }

    /// How much of it is left; nothing or less: it is over.
    pub(super) fn left_ms(&self, now: &Moment) -> i64 {
        let all = i64::try_from(self.minutes).unwrap_or(i64::MAX).saturating_mul(60_000);
        all.saturating_sub(self.passed_ms(now))
    }

    /// Takes down what has passed, every `keep_ms`, and when the true time of the beginning becomes known; says whether
    /// there is something new to be kept.
    pub(super) fn note_time(&mut self, now: &Moment, keep_ms: i64) -> bool {
        let learnt = match (self.begun_true_ms, now.true_ms) {
            (None, Some(true_ms)) if !self.over_boots => {
                self.begun_true_ms = Some(true_ms.saturating_sub(self.passed_ms(now)));
                true
            }
            _ => false,
        };
        let is_due = now.boot_ms.saturating_sub(self.at_boot_ms) >= keep_ms;
        if is_due {
            self.passed_ms = self.passed_ms(now);
            self.at_boot_ms = now.boot_ms;
        }
        learnt || is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::pan::tests::CARDS;

    const MINUTE: i64 = 60_000;
    const NOON: i64 = 1_763_726_400_000;

    fn at(boot: &str, boot_minutes: i64, wall_ms: i64, true_ms: Option<i64>) -> Moment {
        Moment { boot_id: boot.to_owned(), boot_ms: boot_minutes * MINUTE, wall_ms, true_ms }
    }

    fn hour(now: &Moment) -> Visit {
        Visit::begin(Plan::new(60, "").unwrap(), now)
    }

    #[test]
    fn a_plan_has_its_limits_and_no_card() {
        assert!(Plan::new(5, "").is_ok() && Plan::new(480, "").is_ok());
        for minutes in [0, 4, 481, u64::MAX] {
            assert!(
                matches!(Plan::new(minutes, ""), Err(MaintenanceError::Minutes(told)) if told == minutes)
            );
        }
        let plan = Plan::new(60, " printer\r\n 2: \u{7} new head ").unwrap();
        assert_eq!(plan.note.as_deref(), Some("printer 2: new head"));
        assert_eq!(Plan::new(60, " \n ").unwrap().note, None);
        assert!(Plan::new(60, &"ñ".repeat(200)).is_ok());
        assert!(matches!(Plan::new(60, &"ñ".repeat(201)), Err(MaintenanceError::NoteLong(201))));
        for card in CARDS {
            let error = Plan::new(60, &format!("paid with {card}")).unwrap_err();
            assert!(matches!(error, MaintenanceError::NoteCard) && !error.to_string().contains(card));
        }
        let split = format!("{}\n{}", &CARDS[0][..8], &CARDS[0][8..]);
        assert!(matches!(Plan::new(60, &split), Err(MaintenanceError::NoteCard)));
    }

    #[test]
    fn a_clock_that_is_set_neither_ends_nor_prolongs_it() {
        let visit = hour(&at("a", 100, NOON, None));
        for wall in [0, NOON - 86_400_000, NOON + 30 * MINUTE, NOON + 86_400_000] {
            for truth in [None, Some(NOON + 86_400_000)] {
                assert_eq!(visit.left_ms(&at("a", 130, wall, truth)), 30 * MINUTE);
                assert_eq!(visit.left_ms(&at("a", 160, wall, truth)), 0);
            }
        }
    }

    #[test]
    fn the_time_in_which_the_box_was_off_counts() {
        let mut visit = hour(&at("a", 100, NOON, None));
        visit.go_on(&at("b", 1, NOON + 40 * MINUTE, None));
        assert_eq!(visit.left_ms(&at("b", 1, NOON + 40 * MINUTE, None)), 20 * MINUTE);
        assert_eq!(visit.left_ms(&at("b", 11, 0, None)), 10 * MINUTE);
        // A restart of the agent in the same boot changes nothing.
        visit.go_on(&at("b", 11, 0, None));
        assert_eq!(visit.left_ms(&at("b", 11, 0, None)), 10 * MINUTE);
        let mut long_ago = hour(&at("a", 100, NOON, None));
        long_ago.go_on(&at("b", 1, NOON + 86_400_000, None));
        assert!(long_ago.left_ms(&at("b", 1, 0, None)) <= 0);
    }

    #[test]
    fn a_clock_that_went_back_while_the_box_was_off_takes_nothing_of_what_had_passed() {
        let mut visit = hour(&at("a", 100, NOON, None));
        assert!(visit.note_time(&at("a", 125, NOON, None), 5 * MINUTE));
        visit.go_on(&at("b", 1, 0, None));
        assert_eq!(visit.left_ms(&at("b", 1, 0, None)), 35 * MINUTE);
        visit.go_on(&at("c", 1, 0, None));
        assert_eq!(visit.left_ms(&at("c", 2, 0, None)), 34 * MINUTE);
    }

    #[test]
    fn once_the_true_time_is_known_of_both_sides_it_counts() {
        // Begun in 1970, told the time ten minutes later, off for half an hour, and in 1970 again.
        let mut visit = hour(&at("a", 100, 0, None));
        assert!(visit.note_time(&at("a", 110, NOON, Some(NOON + 10 * MINUTE)), i64::MAX));
        assert!(!visit.note_time(&at("a", 111, NOON, Some(NOON + 11 * MINUTE)), i64::MAX), "once");
        assert_eq!(visit.begun_true_ms, Some(NOON));
        visit.go_on(&at("b", 1, 0, None));
        assert_eq!(visit.left_ms(&at("b", 1, 0, None)), 60 * MINUTE, "nothing is known yet");
        assert_eq!(visit.left_ms(&at("b", 2, 0, Some(NOON + 45 * MINUTE))), 15 * MINUTE);
    }
}
