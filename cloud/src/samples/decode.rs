//! From rows of the inbox, and of `series_days`, to the samples of a series: they are decoded here, not in SQL.
//!
//! Rows come in the order of their receipt, so that of two samples of one series and millisecond the last received stays.

use std::collections::HashMap;

use super::arrays::Numbers;
use super::inbox::runs;
use super::packed::Damaged;
use super::{Range, ReadError, SeriesSamples, StoredPart, in_order};

/// The arrays of one row of the [inbox](super::inbox).
#[derive(Debug, Default)]
pub(super) struct StoredBatch {
    pub t_min: i64,
    pub series_ids: Numbers<i32>,
    pub group_runs: Option<Numbers<i16>>,
    pub run_lengths: Numbers<i32>,
    pub t_offsets: Numbers<i32>,
    pub vals: Numbers<f64>,
}

/// A row of the inbox that cannot be read.
pub(crate) fn of_inbox(damaged: &Damaged) -> sqlx::Error {
    sqlx::Error::Decode(format!("a row of sample_batches: {damaged}; `verify` finds it").into())
}

/// Samples by series, as they come.
#[derive(Debug)]
pub(super) struct Samples {
    series: HashMap<i32, SeriesSamples>,
    from_ms: i64,
    to_ms: i64,
    count: usize,
    limit: usize,
}

impl Samples {
    /// Empty, for these series and times only, and at most so many.
    pub(super) fn of(range: Range<'_>, limit: usize) -> Self {
        let series = range.series_ids.iter().map(|id| (*id, Vec::new())).collect();
        Self { series, from_ms: range.from_ms, to_ms: range.to_ms, count: 0, limit }
    }

    /// Adds what a row holds of them.
    pub(super) fn add(&mut self, batch: &StoredBatch) -> Result<(), ReadError> {
        let StoredBatch { t_min, series_ids, group_runs, run_lengths, t_offsets, vals } = batch;
        let runs = runs(series_ids, group_runs.as_deref(), run_lengths, t_offsets, vals);
        for (id, times, values) in runs.map_err(|damaged| of_inbox(&damaged))? {
            let Some(samples) = self.series.get_mut(&id) else { continue };
            let run = times.iter().zip(values).map(|(offset, value)| (t_min + i64::from(*offset), *value));
            let before = samples.len();
            samples.extend(run.filter(|(time, _)| (self.from_ms..=self.to_ms).contains(time)));
            self.count += samples.len() - before;
        }
        self.within_limit()
    }

    /// Adds what a compacted row holds of them. All of these come before all of the inbox, which was received later.
    pub(super) fn add_part(&mut self, part: StoredPart) -> Result<(), ReadError> {
        if let Some(samples) = self.series.get_mut(&part.series_id) {
            let before = samples.len();
            part.read(self.from_ms, self.to_ms, samples)?;
            self.count += samples.len() - before;
        }
        self.within_limit()
    }

    fn within_limit(&self) -> Result<(), ReadError> {
        if self.count > self.limit { Err(ReadError::TooMany { limit: self.limit }) } else { Ok(()) }
    }

    /// The series that have no sample at or after this time so far.
    pub(super) fn without_any_since(&self, from_ms: i64) -> impl Iterator<Item = i32> {
        let silent = move |samples: &SeriesSamples| samples.iter().all(|(time, _)| *time < from_ms);
        self.series.iter().filter(move |(_, samples)| silent(samples)).map(|(id, _)| *id)
    }

    /// In the order of their times, the last received of each.
    pub(super) fn finish(mut self) -> HashMap<i32, SeriesSamples> {
        self.series.retain(|_, samples| !samples.is_empty());
        for samples in self.series.values_mut() {
            in_order(samples);
        }
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches() -> [StoredBatch; 2] {
        let first = StoredBatch {
            t_min: 1_000,
            series_ids: Numbers(vec![1, 2, 1]),
            group_runs: Some(Numbers(vec![2, 1])),
            run_lengths: Numbers(vec![2, 1]),
            t_offsets: Numbers(vec![0, 10, 20]),
            vals: Numbers(vec![1.0, 2.0, 9.0, 8.0, 3.0]),
        };
        let second = StoredBatch {
            t_min: 1_010,
            // As it was stored before runs shared their times.
            series_ids: Numbers(vec![2, 1]),
            group_runs: None,
            run_lengths: Numbers(vec![2, 1]),
            t_offsets: Numbers(vec![0, 1, 0]),
            vals: Numbers(vec![5.0, 6.0, 7.0]),
        };
        [first, second]
    }

    #[test]
    fn runs_are_taken_apart_and_the_last_received_of_one_millisecond_stays() {
        let store = "T01".parse().unwrap();
        let range = Range { store: &store, series_ids: &[1], from_ms: 0, to_ms: 1_015 };
        let mut samples = Samples::of(range, 3);
        for batch in &batches() {
            samples.add(batch).unwrap();
        }
        assert_eq!(samples.finish(), HashMap::from([(1, vec![(1_000, 1.0), (1_010, 7.0)])]));
    }

    #[test]
    fn no_more_are_held_than_allowed() {
        let store = "T01".parse().unwrap();
        let range = Range { store: &store, series_ids: &[1], from_ms: 0, to_ms: 1_015 };
        let mut samples = Samples::of(range, 1);
        assert!(matches!(samples.add(&batches()[0]), Err(ReadError::TooMany { limit: 1 })));
    }
}
