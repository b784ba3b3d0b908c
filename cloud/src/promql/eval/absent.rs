//! What is not there: one series with the labels that were asked for, and the value 1.

use super::{EvalError, Evaluator, Series};
use crate::promql::labels::Labels;
use crate::promql::plan::{Node, Range, Steps};

impl Evaluator<'_> {
    pub(super) fn absent(self, of: &Node, labels: &Labels, steps: Steps) -> Result<Vec<Series>, EvalError> {
        let series = self.vector(of, steps)?;
        let any = (0..steps.len()).map(|step| series.iter().any(|one| one.values[step].is_some()));
        Ok(one_where_not(any, labels))
    }

    pub(super) fn absent_over_time(
        self,
        of: &Range,
        labels: &Labels,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        Ok(one_where_not(self.is_any_in(of, steps)?.into_iter(), labels))
    }
}

fn one_where_not(any: impl Iterator<Item = bool>, labels: &Labels) -> Vec<Series> {
    let values = any.map(|any| (!any).then_some(1.0)).collect();
    vec![Series { labels: labels.clone(), values }]
}
