//! The state machine of one boot: which bases the clock has had, and what the truth is. Pure; [`super::BoxClock`] feeds it.

use super::{Authority, Heard, Reading, Truth};

/// A change of the base beyond this is a step. Slewing changes nothing here: it moves boot time and wall clock alike.
const STEP_MS: i64 = 1_000;
/// How long after a step a call that read the clock before it may still come.
const LATE_MS: i64 = 60_000;
/// Steps that are remembered until somebody asks; a clock that is set all the time is told of in part.
const UNTOLD_MAX: usize = 16;

/// The clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Forward, or backward if negative.
    pub by_ms: i64,
    /// Boot time at which that was noticed.
    pub boot_ms: i64,
}

/// The clock between two steps.
#[derive(Debug, Clone, Copy)]
struct Era {
    base_ms: i64,
    /// Boot time at which a step had ended it.
    ended_ms: Option<i64>,
}

/// What is known of the clock in this boot.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Those that a late call may still mean, the present one last.
    eras: Vec<Era>,
    truth: Option<Truth>,
    steps: u64,
    untold: Vec<Step>,
}

impl Keeper {
    /// At a first reading.
    #[must_use]
    pub fn new(first: Reading) -> Self {
        let era = Era { base_ms: first.base_ms(), ended_ms: None };
        Self { eras: vec![era], truth: None, steps: 0, untold: Vec::new() }
    }

    /// Looks whether the clock was set since the last look. A reading far from the last one counts like a near one: only
    /// the base is compared.
    pub fn look(&mut self, now: Reading) {
        let by_ms = now.base_ms() - self.base_ms();
        if by_ms.abs() <= STEP_MS {
            return;
        }
        self.eras.retain(|era| era.ended_ms.is_none_or(|ended| now.boot_ms - ended <= LATE_MS));
        if let Some(era) = self.eras.last_mut() {
            era.ended_ms = Some(now.boot_ms);
        }
        self.eras.push(Era { base_ms: now.base_ms(), ended_ms: None });
        self.steps += 1;
        if self.untold.len() < UNTOLD_MAX {
            self.untold.push(Step { by_ms, boot_ms: now.boot_ms });
        }
    }

    /// Notes whether the kernel vouches for its clock.
    pub fn note_synchronised(&mut self, synchronised: bool, now: Reading) -> bool {
        let heard =
            |time_ms| Heard { authority: Authority::Ntp, time_ms, coarse_ms: 0, asked: now, answered: now };
        synchronised && self.hear(&heard(now.wall_ms))
    }

    /// Takes in a time that was told. Says whether what is known changed.
    pub fn hear(&mut self, heard: &Heard) -> bool {
        match &mut self.truth {
            Some(truth) => truth.hear(heard),
            None => {
                self.truth = Truth::first(heard);
                self.truth.is_some()
            }
        }
    }

    /// What an earlier process learnt in this boot.
    pub fn remember(&mut self, truth: Truth) {
        self.truth.get_or_insert(truth);
    }

    /// Of the present clock.
    #[must_use]
    pub fn base_ms(&self) -> i64 {
        self.eras.last().map_or(0, |era| era.base_ms)
    }

    /// Of the clock that showed `wall_ms` a moment ago: the present one, or one that was set a moment ago and comes closer.
    #[must_use]
    pub fn base_of(&self, wall_ms: i64, now: Reading) -> i64 {
        let distance = |era: &Era| wall_ms.abs_diff(era.base_ms.saturating_add(now.boot_ms));
        let recent = |era: &&Era| era.ended_ms.is_none_or(|ended| now.boot_ms - ended <= LATE_MS);
        let closest = self.eras.iter().rev().filter(recent).min_by_key(|era| distance(era));
        closest.map_or(self.base_ms(), |era| era.base_ms)
    }

    /// What is known of the true time.
    #[must_use]
    pub const fn truth(&self) -> Option<Truth> {
        self.truth
    }

    /// How often the clock was set.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Steps that were not told of yet.
    pub fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::Clock;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 8_766 * HOUR;
    /// True time at boot.
    const TRUE_BASE: i64 = 1_763_700_000_000;

    fn at(boot_ms: i64, base_ms: i64) -> Reading {
        Reading { boot_ms, wall_ms: base_ms + boot_ms }
    }

    fn cloud(now: Reading) -> Heard {
        let time_ms = TRUE_BASE + now.boot_ms;
        Heard { authority: Authority::Cloud, time_ms, coarse_ms: 0, asked: now, answered: now }
    }

    #[test]
    fn times_from_before_and_after_every_step_are_repaired_once_the_truth_is_known() {
        let mut keeper = Keeper::new(at(5_000, 0));
        let bases =
            [0, TRUE_BASE + 2 * YEAR, TRUE_BASE - 6 * HOUR, TRUE_BASE + 10 * YEAR, TRUE_BASE - 10 * YEAR];
        for (n, base) in (1..).zip(bases) {
            keeper.look(at(n * HOUR, base));
        }
        assert_eq!(keeper.take_steps().len(), 4);
        assert!(keeper.hear(&cloud(at(6 * HOUR, bases[4]))));
        let truth = keeper.truth().unwrap();
        for (n, base) in (1..).zip(bases) {
            let taken = at(n * HOUR, base);
            let dating = truth.date(base, taken.wall_ms);
            assert_eq!(dating.clock, Clock::Repaired);
            assert_eq!(taken.wall_ms + dating.offset_ms, TRUE_BASE + n * HOUR);
        }
    }

    #[test]
    fn slow_drift_is_no_step_and_neither_is_suspend() {
        let mut keeper = Keeper::new(at(0, TRUE_BASE));
        // The box sleeps for a week; boot time goes on.
        keeper.look(at(7 * 24 * HOUR, TRUE_BASE));
        // NTP moves the clock in small steps: none alone is one.
        for n in 1..=5 {
            keeper.look(at(8 * 24 * HOUR + n, TRUE_BASE + n * 180));
        }
        assert_eq!(keeper.steps(), 0);
        // Their sum is.
        keeper.look(at(9 * 24 * HOUR, TRUE_BASE + 1_001));
        assert_eq!(keeper.take_steps(), [Step { by_ms: 1_001, boot_ms: 9 * 24 * HOUR }]);
        assert_eq!(keeper.take_steps(), []);
    }

    #[test]
    fn a_call_that_read_the_clock_before_a_step_is_of_the_clock_before_it() {
        let mut keeper = Keeper::new(at(0, 0));
        let read_before = at(10_000, 0).wall_ms;
        let now = at(10_050, TRUE_BASE);
        keeper.look(now);
        assert_eq!(keeper.base_of(read_before, now), 0);
        assert_eq!(keeper.base_of(now.wall_ms, now), TRUE_BASE);
        // A minute later nothing can come late any more.
        let later = at(80_000, TRUE_BASE);
        assert_eq!(keeper.base_of(read_before, later), TRUE_BASE);
    }

    #[test]
    fn a_clock_that_is_set_all_the_time_does_not_fill_the_memory() {
        let mut keeper = Keeper::new(at(0, 0));
        for n in 1..10_000 {
            keeper.look(at(n * 1_000, n * 1_000_000));
        }
        assert!(keeper.eras.len() <= 62 && keeper.untold.len() == UNTOLD_MAX);
        assert_eq!(keeper.steps(), 9_999);
    }

    #[test]
    fn an_ntp_step_repairs_what_was_taken_before_it() {
        let mut keeper = Keeper::new(at(0, 0));
        assert!(!keeper.note_synchronised(false, at(60_000, 0)));
        let stepped = at(61_000, TRUE_BASE);
        keeper.look(stepped);
        assert!(keeper.note_synchronised(true, stepped));
        let truth = keeper.truth().unwrap();
        assert_eq!(truth.date(0, 30_000).offset_ms, TRUE_BASE);
        assert_eq!(truth.date(TRUE_BASE, stepped.wall_ms).clock, Clock::Ok);
    }
}
