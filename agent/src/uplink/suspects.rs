//! Batches that fail while others pass.
//!
//! A failure says something about a batch only if the way was good before it and another batch is acknowledged after it:
//! when the link is down everything fails, and nobody is to blame. A batch of which that has been seen often enough is
//! set aside by the spool for a while.

use std::collections::HashMap;

/// Failures that count, after which a batch is left alone.
const FAILURES_MAX: u32 = 5;

/// Who has failed, by the id of the batch.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<i64, Suspect>);

#[derive(Debug, Default)]
struct Suspect {
    counted: u32,
    /// It has failed on a good way, and no other batch has passed since.
    pending: bool,
}

impl Suspects {
    /// A batch failed; the way `was_good` if the attempt before it went well.
    pub(super) fn failed(&mut self, id: i64, was_good: bool) {
        if was_good {
            self.0.entry(id).or_default().pending = true;
        }
    }

    /// A batch was answered for. Returns those that are to be left alone.
    pub(super) fn passed(&mut self, id: i64) -> Vec<i64> {
        self.0.remove(&id);
        for suspect in self.0.values_mut().filter(|suspect| suspect.pending) {
            suspect.pending = false;
            suspect.counted += 1;
        }
        let guilty: Vec<i64> =
            self.0.iter().filter(|(_, s)| s.counted >= FAILURES_MAX).map(|(id, _)| *id).collect();
        for id in &guilty {
            self.0.remove(id);
        }
        guilty
    }

    /// Those after which another batch should be tried first.
    pub(super) fn pending(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().filter(|(_, suspect)| suspect.pending).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_to_blame_while_the_link_is_down() {
        let mut suspects = Suspects::default();
        suspects.failed(1, true);
        for id in [2, 3, 1, 2, 3] {
            suspects.failed(id, false);
        }
        assert_eq!(suspects.pending().collect::<Vec<_>>(), [1]);
        assert!(suspects.passed(1).is_empty());
        assert!((0..20).all(|id| suspects.passed(id).is_empty()));
    }

    #[test]
    fn who_fails_five_times_while_others_pass_is_left_alone() {
        let mut suspects = Suspects::default();
        for others in 0..4 {
            suspects.failed(7, true);
            assert!(suspects.passed(100 + others).is_empty());
        }
        suspects.failed(7, true);
        assert_eq!(suspects.passed(200), [7]);
        assert_eq!(suspects.pending().count(), 0);
    }
}
