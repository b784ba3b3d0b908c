//! What one query may take: points, and time.

use std::cell::Cell;
use std::time::Instant;

use super::EvalError;

/// Most values that a query may compute on its way to its result.
const POINTS_MAX: usize = 3_000_000;
/// How many steps of work pass between two looks at the clock.
const WORK_BETWEEN_LOOKS: usize = 100_000;

/// Counts down while a query is evaluated.
#[derive(Debug)]
pub(in crate::promql) struct Budget {
    deadline: Instant,
    points: Cell<usize>,
    work: Cell<usize>,
}

impl Budget {
    pub(in crate::promql) fn until(deadline: Instant) -> Self {
        Self { deadline, points: Cell::new(POINTS_MAX), work: Cell::new(0) }
    }

    /// Before room for so many series of so many steps is taken.
    pub(super) fn points(&self, series: usize, steps: usize) -> Result<(), EvalError> {
        let left = self.points.get().checked_sub(series.saturating_mul(steps));
        let left = left.ok_or_else(|| {
            EvalError::Execution(format!(
                "the query computes more than {POINTS_MAX} values: choose fewer series, a shorter range or a longer step"
            ))
        })?;
        self.points.set(left);
        self.work(series)
    }

    /// After so many samples or values have been looked at.
    pub(super) fn work(&self, amount: usize) -> Result<(), EvalError> {
        let work = self.work.get().saturating_add(amount);
        if work < WORK_BETWEEN_LOOKS {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        if Instant::now() < self.deadline { Ok(()) } else { Err(EvalError::Timeout) }
    }
}
