//! `histogram_quantile`: buckets of one histogram are the series that differ in `le` only.

use std::collections::HashMap;

use super::{EvalError, Evaluator, Series};
use crate::promql::functions::histogram::{Bucket, bound, quantile};
use crate::promql::labels::Labels;
use crate::promql::plan::{Node, Steps};

const BOUND: &str = "le";

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(
        self,
        of_quantile: &Node,
        of: &Node,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let quantiles = self.scalar(of_quantile, steps)?;
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut histograms: Vec<(Labels, Vec<(f64, Series)>)> = Vec::new();
        for series in self.vector(of, steps)? {
            let Some(bound) = bound(series.labels.get(BOUND)) else { continue };
            let labels = series.labels.without(&[BOUND.to_owned()]).without_name();
            let place = *places.entry(labels.clone()).or_insert(histograms.len());
            if place == histograms.len() {
                histograms.push((labels, Vec::new()));
            }
            histograms[place].1.push((bound, series));
        }
        self.budget.points(histograms.len(), steps.len())?;
        let mut all = Vec::with_capacity(histograms.len());
        for (labels, buckets) in histograms {
            self.budget.work(buckets.len() * steps.len())?;
            let at = |step: usize| {
                let counted = buckets.iter().filter_map(|(bound, series)| {
                    series.values[step].map(|count| Bucket { bound: *bound, count })
                });
                let counted: Vec<Bucket> = counted.collect();
                (!counted.is_empty()).then(|| quantile(quantiles[step], counted))
            };
            all.push(Series { labels, values: (0..steps.len()).map(at).collect() });
        }
        Ok(all)
    }
}
