//! Samples at a time, and over a range of time.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{EvalError, Evaluator, Series};
use crate::promql::functions::{OfRange, Window};
use crate::promql::labels::Labels;
use crate::promql::plan::{Node, Range, Selection, Source, Steps};
use crate::promql::{LEFT_OPEN, LOOKBACK_MS};
use crate::samples::SeriesSamples;

/// Samples of a series, stored or computed by a subquery.
struct Samples<'a> {
    labels: Labels,
    samples: Cow<'a, [(i64, f64)]>,
}

impl<'a> Evaluator<'a> {
    /// The latest sample of each series that is not too old.
    pub(super) fn instant(self, selection: Selection, steps: Steps) -> Result<Vec<Series>, EvalError> {
        self.latest(selection, steps, |(_, value)| value)
    }

    /// When it was taken, in seconds.
    pub(super) fn time_of_sample(self, selection: Selection, steps: Steps) -> Result<Vec<Series>, EvalError> {
        let mut series = self.latest(selection, steps, |(time, _)| seconds(time))?;
        series.iter_mut().for_each(|one| one.labels = one.labels.without_name());
        super::joined(series)
    }

    fn latest(
        self,
        selection: Selection,
        steps: Steps,
        of: impl Fn((i64, f64)) -> f64,
    ) -> Result<Vec<Series>, EvalError> {
        let found = &self.data[selection.selector];
        self.budget.points(found.len(), steps.len())?;
        let mut all = Vec::with_capacity(found.len());
        for stored in found {
            self.budget.work(steps.len())?;
            let at = |now| {
                let now = selection.when.at(now);
                let behind = stored.samples.partition_point(|(time, _)| *time <= now);
                let sample = stored.samples[..behind].last().copied();
                sample.filter(|(time, _)| is_within(*time, now.saturating_sub(LOOKBACK_MS))).map(&of)
            };
            let series = Series { labels: stored.labels.clone(), values: steps.iter().map(at).collect() };
            if !series.is_empty() {
                all.push(series);
            }
        }
        Ok(all)
    }

    /// A function of the samples of each range.
    pub(super) fn of_range(
        self,
        function: OfRange,
        range: &Range,
        parameter: Option<&Node>,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let parameter = parameter.map(|node| self.scalar(node, steps)).transpose()?;
        let all = self.samples(range, steps)?;
        self.budget.points(all.len(), steps.len())?;
        let mut series = Vec::with_capacity(all.len());
        for one in &all {
            let mut values = Vec::with_capacity(steps.len());
            for (step, now) in steps.iter().enumerate() {
                let parameter = parameter.as_ref().map_or(f64::NAN, |values| values[step]);
                let window = window(&one.samples, range, now);
                self.budget.work(1 + window.samples.len())?;
                let value =
                    if window.samples.is_empty() { None } else { (function.compute)(&window, parameter) };
                values.push(value);
            }
            let labels = if function.keeps_name { one.labels.clone() } else { one.labels.without_name() };
            let computed = Series { labels, values };
            if !computed.is_empty() {
                series.push(computed);
            }
        }
        if !function.keeps_name {
            let distinct: HashSet<&Labels> = series.iter().map(|one| &one.labels).collect();
            if distinct.len() < series.len() {
                return Err(EvalError::same_labels());
            }
        }
        Ok(series)
    }

    /// Whether any series has a sample in the range, at each step.
    pub(super) fn is_any_in(self, range: &Range, steps: Steps) -> Result<Vec<bool>, EvalError> {
        let all = self.samples(range, steps)?;
        let mut any = vec![false; steps.len()];
        for one in &all {
            self.budget.work(steps.len())?;
            for (any, now) in any.iter_mut().zip(steps.iter()) {
                *any |= !window(&one.samples, range, now).samples.is_empty();
            }
        }
        Ok(any)
    }

    /// The samples themselves, at one time: what an instant query of a range gives.
    pub(in crate::promql) fn range_at(
        self,
        range: &Range,
        now: i64,
    ) -> Result<Vec<(Labels, SeriesSamples)>, EvalError> {
        let all = self.samples(range, Steps::once(now))?;
        let windows =
            all.into_iter().map(|one| (one.labels, window(&one.samples, range, now).samples.to_vec()));
        Ok(windows.filter(|(_, samples)| !samples.is_empty()).collect())
    }

    fn samples(self, range: &Range, steps: Steps) -> Result<Vec<Samples<'a>>, EvalError> {
        match &range.source {
            Source::Selector(selector) => {
                let stored = self.data[*selector].iter();
                Ok(stored
                    .map(|s| Samples { labels: s.labels.clone(), samples: Cow::Borrowed(&**s.samples) })
                    .collect())
            }
            Source::Subquery { query, step } => {
                let from = range.when.at(steps.start).saturating_sub(range.length);
                let to = range.when.at(steps.last());
                let inner = Steps { start: first_step(from, *step), end: to, step: *step };
                let series = self.vector(query, inner)?;
                let samples = |series: Series| {
                    let samples = inner.iter().zip(&series.values);
                    let samples = samples.filter_map(|(time, value)| value.map(|value| (time, value)));
                    Samples { labels: series.labels, samples: Cow::Owned(samples.collect()) }
                };
                Ok(series.into_iter().map(samples).collect())
            }
        }
    }
}

/// Steps of a subquery are whole multiples of its step, whenever the query is asked.
fn first_step(from: i64, step: i64) -> i64 {
    let first = from.div_euclid(step).saturating_mul(step);
    if is_within(first, from) { first } else { first.saturating_add(step) }
}

fn window<'a>(samples: &'a [(i64, f64)], range: &Range, now: i64) -> Window<'a> {
    let end = range.when.at(now);
    let start = end.saturating_sub(range.length);
    let first = samples.partition_point(|(time, _)| !is_within(*time, start));
    let behind = samples.partition_point(|(time, _)| *time <= end);
    Window { samples: &samples[first.min(behind)..behind], start, end, now }
}

/// Whether a range that begins at `start` holds a time that is not behind its end.
fn is_within(time: i64, start: i64) -> bool {
    if LEFT_OPEN { time > start } else { time >= start }
}

/// Milliseconds in seconds.
#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
