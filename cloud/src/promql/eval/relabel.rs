//! `label_replace` and `label_join`: other labels, the same values.

use super::{EvalError, Evaluator, Series, joined};
use crate::promql::plan::{LabelReplace, Steps};

impl Evaluator<'_> {
    pub(super) fn label_replace(
        self,
        replace: &LabelReplace,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let mut series = self.vector(&replace.of, steps)?;
        for one in &mut series {
            self.budget.work(1)?;
            if let Some(found) = replace.pattern.captures(one.labels.get(&replace.from)) {
                let mut value = String::new();
                found.expand(&replace.with, &mut value);
                one.labels = one.labels.with(&replace.to, &value);
            }
        }
        joined(series)
    }

    pub(super) fn label_join(
        self,
        mut series: Vec<Series>,
        to: &str,
        separator: &str,
        from: &[String],
    ) -> Result<Vec<Series>, EvalError> {
        for one in &mut series {
            self.budget.work(from.len())?;
            let values: Vec<&str> = from.iter().map(|name| one.labels.get(name)).collect();
            one.labels = one.labels.with(to, &values.join(separator));
        }
        joined(series)
    }
}
