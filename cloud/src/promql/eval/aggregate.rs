//! `sum`, `avg`, `count`, … of the series of a group, at each step.

use std::collections::HashMap;

use super::{EvalError, Evaluator, Series};
use crate::promql::format;
use crate::promql::functions::statistics::{Mean, Variance, quantile};
use crate::promql::labels::Labels;
use crate::promql::plan::{Aggregate, Aggregation, Grouping, Steps};

/// Labels of each group in the order of its first series, and the group of each series.
pub(super) struct Groups {
    pub labels: Vec<Labels>,
    pub of: Vec<usize>,
}

impl Groups {
    pub(super) fn of<'a>(series: impl Iterator<Item = &'a Labels>, by: &Grouping) -> Self {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut groups = Self { labels: Vec::new(), of: Vec::new() };
        for labels in series {
            let shared = by.of(labels);
            let place = *places.entry(shared.clone()).or_insert(groups.labels.len());
            if place == groups.labels.len() {
                groups.labels.push(shared);
            }
            groups.of.push(place);
        }
        groups
    }
}

/// What a group has come to, value after value.
#[derive(Debug, Clone, Copy)]
enum Total {
    Sum(f64),
    Least(f64),
    Most(f64),
    Average(Mean),
    Count(f64),
    One,
    Spread(Variance),
}

impl Total {
    fn first(function: &Aggregation, value: f64) -> Option<Self> {
        let mut total = match function {
            Aggregation::Sum => return Some(Self::Sum(value)),
            Aggregation::Min => return Some(Self::Least(value)),
            Aggregation::Max => return Some(Self::Most(value)),
            Aggregation::Average => Self::Average(Mean::default()),
            Aggregation::Count => Self::Count(0.0),
            Aggregation::Group => Self::One,
            Aggregation::Deviation | Aggregation::Variance => Self::Spread(Variance::default()),
            Aggregation::Best { .. } | Aggregation::Quantile(_) | Aggregation::CountValues(_) => return None,
        };
        total.add(value);
        Some(total)
    }

    fn add(&mut self, value: f64) {
        match self {
            Self::Sum(sum) => *sum += value,
            Self::Least(least) => {
                if value < *least || least.is_nan() {
                    *least = value;
                }
            }
            Self::Most(most) => {
                if value > *most || most.is_nan() {
                    *most = value;
                }
            }
            Self::Average(mean) => mean.add(value),
            Self::Count(count) => *count += 1.0,
            Self::One => {}
            Self::Spread(variance) => variance.add(value),
        }
    }

    fn value(self, function: &Aggregation) -> f64 {
        match self {
            Self::Sum(value) | Self::Least(value) | Self::Most(value) | Self::Count(value) => value,
            Self::Average(mean) => mean.get(),
            Self::One => 1.0,
            Self::Spread(variance) if matches!(function, Aggregation::Deviation) => variance.get().sqrt(),
            Self::Spread(variance) => variance.get(),
        }
    }
}

impl Evaluator<'_> {
    pub(super) fn aggregate(self, aggregate: &Aggregate, steps: Steps) -> Result<Vec<Series>, EvalError> {
        let series = self.vector(&aggregate.of, steps)?;
        match &aggregate.function {
            Aggregation::Best { k, lowest } => {
                let k = self.scalar(k, steps)?;
                self.best(series, &k, *lowest, &aggregate.by, steps)
            }
            Aggregation::Quantile(of) => {
                let quantiles = self.scalar(of, steps)?;
                self.quantiles(&series, &quantiles, &aggregate.by, steps)
            }
            Aggregation::CountValues(label) => self.count_values(&series, label, &aggregate.by, steps),
            function => self.totals(&series, function, &aggregate.by, steps),
        }
    }

    fn totals(
        self,
        series: &[Series],
        function: &Aggregation,
        by: &Grouping,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let groups = Groups::of(series.iter().map(|one| &one.labels), by);
        self.budget.points(groups.labels.len(), steps.len().saturating_mul(3))?;
        let mut totals: Vec<Vec<Option<Total>>> = vec![vec![None; steps.len()]; groups.labels.len()];
        for (one, group) in series.iter().zip(&groups.of) {
            self.budget.work(steps.len())?;
            for (total, value) in totals[*group].iter_mut().zip(&one.values) {
                match (total.as_mut(), value) {
                    (_, None) => {}
                    (None, Some(value)) => *total = Total::first(function, *value),
                    (Some(total), Some(value)) => total.add(*value),
                }
            }
        }
        let values = |totals: Vec<Option<Total>>| {
            totals.into_iter().map(|total| total.map(|total| total.value(function))).collect()
        };
        let groups = groups.labels.into_iter().zip(totals);
        Ok(groups.map(|(labels, totals)| Series { labels, values: values(totals) }).collect())
    }

    fn quantiles(
        self,
        series: &[Series],
        quantiles: &[f64],
        by: &Grouping,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let Groups { labels, of } = Groups::of(series.iter().map(|one| &one.labels), by);
        self.budget.points(labels.len(), steps.len())?;
        let mut all: Vec<Series> =
            labels.into_iter().map(|labels| Series { labels, values: vec![None; steps.len()] }).collect();
        for (step, of_step) in quantiles.iter().enumerate() {
            self.budget.work(series.len())?;
            let mut values: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
            for (one, group) in series.iter().zip(&of) {
                values[*group].extend(one.values[step]);
            }
            for (one, mut values) in all.iter_mut().zip(values) {
                one.values[step] = (!values.is_empty()).then(|| quantile(*of_step, &mut values));
            }
        }
        Ok(all)
    }

    fn count_values(
        self,
        series: &[Series],
        label: &str,
        by: &Grouping,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut all: Vec<Series> = Vec::new();
        for one in series {
            self.budget.work(steps.len())?;
            let group = by.of(&one.labels);
            for (step, value) in one.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let labels = group.with(label, &format::value_in_label(*value));
                let place = *places.entry(labels.clone()).or_insert(all.len());
                if place == all.len() {
                    self.budget.points(1, steps.len())?;
                    all.push(Series { labels, values: vec![None; steps.len()] });
                }
                *all[place].values[step].get_or_insert(0.0) += 1.0;
            }
        }
        Ok(all)
    }
}
