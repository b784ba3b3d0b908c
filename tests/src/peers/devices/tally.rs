//! What was compared, and what was not equal.

use std::fmt::Debug;

use crate::peers::Shown;

/// Counts comparisons.
#[derive(Debug, Default)]
pub(super) struct Tally {
    compared: usize,
    unequal: Vec<String>,
}

impl Tally {
    /// Ours against theirs.
    pub(super) fn same<T: PartialEq + Debug>(&mut self, what: &str, ours: T, theirs: T) {
        self.holds(&format!("{what}: {ours:?} instead of {theirs:?}"), ours == theirs);
    }

    /// Something that must hold; `what` says what does not.
    pub(super) fn holds(&mut self, what: &str, holds: bool) {
        self.compared += 1;
        if !holds {
            self.unequal.push(what.to_owned());
        }
    }

    /// What has been shown.
    pub(super) fn shown(self, version: impl Into<String>, more: impl Into<String>) -> Shown {
        Shown {
            version: version.into(),
            series: None,
            compared: self.compared,
            unequal: self.unequal,
            more: more.into(),
        }
    }
}
