//! `topk` and `bottomk`: the series of a group with the highest or lowest values of a step, as they are.

use super::aggregate::Groups;
use super::{EvalError, Evaluator, Series};
use crate::promql::functions::statistics::ascending;
use crate::promql::plan::{Grouping, Steps};

impl Evaluator<'_> {
    pub(super) fn best(
        self,
        series: Vec<Series>,
        k: &[f64],
        lowest: bool,
        by: &Grouping,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let groups = Groups::of(series.iter().map(|one| &one.labels), by);
        self.budget.points(series.len(), steps.len())?;
        let mut all: Vec<Series> = series
            .iter()
            .map(|one| Series { labels: one.labels.clone(), values: vec![None; steps.len()] })
            .collect();
        let mut order = Vec::new();
        for (step, k) in k.iter().enumerate() {
            self.budget.work(series.len())?;
            let k = how_many(*k)?;
            order.clear();
            for ranked in ranked(&series, &groups, step, lowest) {
                let best = &ranked[..k.min(ranked.len())];
                for place in best {
                    all[*place].values[step] = series[*place].values[step];
                }
                order.extend_from_slice(best);
            }
        }
        if steps.len() != 1 {
            return Ok(all);
        }
        // At one time only, the best come first.
        let mut all: Vec<Option<Series>> = all.into_iter().map(Some).collect();
        Ok(order.into_iter().filter_map(|place| all[place].take()).collect())
    }
}

/// The series of each group that have a value at the step, the best first. Equal ones stay in order, NaN comes last.
fn ranked(series: &[Series], groups: &Groups, step: usize, lowest: bool) -> Vec<Vec<usize>> {
    let mut ranked: Vec<Vec<usize>> = vec![Vec::new(); groups.labels.len()];
    for (place, (one, group)) in series.iter().zip(&groups.of).enumerate() {
        if one.values[step].is_some() {
            ranked[*group].push(place);
        }
    }
    let value = |place: &usize| series[*place].values[step].unwrap_or(f64::NAN);
    for group in &mut ranked {
        group.sort_by(|a, b| {
            let order = ascending(value(a), value(b));
            value(a).is_nan().cmp(&value(b).is_nan()).then(if lowest { order } else { order.reverse() })
        });
    }
    ranked
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to far below 2^63")]
fn how_many(k: f64) -> Result<usize, EvalError> {
    if k.is_nan() || k.abs() >= 9.223_372_036_854_776e18 {
        let value = crate::promql::format::value_in_label(k);
        return Err(EvalError::Execution(format!("Scalar value {value} overflows int64")));
    }
    Ok(if k < 1.0 { 0 } else { k as usize })
}
