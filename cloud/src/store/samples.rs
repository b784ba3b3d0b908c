//! From rows of the inbox to the samples of a series: the arrays are decoded here, not in SQL.
//!
//! Rows come in the order of their receipt, so that of two samples of one series and millisecond the last received
//! stays.

use std::collections::{BTreeMap, HashMap};

/// The arrays of one row of the inbox.
#[derive(Debug, Default)]
pub(super) struct StoredBatch {
    pub t_min: i64,
    pub series_ids: Vec<i32>,
    pub run_lengths: Vec<i32>,
    pub t_offsets: Vec<i32>,
    pub vals: Vec<f64>,
}

/// Samples by series and time.
#[derive(Debug, Default)]
pub(super) struct Samples {
    series: HashMap<i32, BTreeMap<i64, f64>>,
    count: usize,
}

impl Samples {
    /// Empty, for these series only.
    pub(super) fn of(series: impl Iterator<Item = i32>) -> Self {
        Self { series: series.map(|id| (id, BTreeMap::new())).collect(), count: 0 }
    }

    /// Adds what a row holds of them between two times, both included.
    pub(super) fn add(&mut self, batch: &StoredBatch, from_ms: i64, to_ms: i64) {
        let mut start = 0;
        for (id, length) in batch.series_ids.iter().zip(&batch.run_lengths) {
            let end = start + usize::try_from(*length).unwrap_or_default();
            if let Some(samples) = self.series.get_mut(id) {
                let run = batch.t_offsets[start..end].iter().zip(&batch.vals[start..end]);
                for (offset, value) in run {
                    let time = batch.t_min + i64::from(*offset);
                    if (from_ms..=to_ms).contains(&time) && samples.insert(time, *value).is_none() {
                        self.count += 1;
                    }
                }
            }
            start = end;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the samples of one series out, in the order of their times.
    pub(super) fn take(&mut self, series_id: i32) -> Vec<(i64, f64)> {
        self.series.remove(&series_id).unwrap_or_default().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_taken_apart_and_the_last_received_of_one_millisecond_stays() {
        let first = StoredBatch {
            t_min: 1_000,
            series_ids: vec![1, 2, 1],
            run_lengths: vec![2, 1, 1],
            t_offsets: vec![0, 10, 0, 20],
            vals: vec![1.0, 2.0, 9.0, 3.0],
        };
        let second = StoredBatch {
            t_min: 1_010,
            series_ids: vec![1],
            run_lengths: vec![1],
            t_offsets: vec![0],
            vals: vec![7.0],
        };
        let mut samples = Samples::of([1].into_iter());
        samples.add(&first, 0, 1_015);
        samples.add(&second, 0, 1_015);
        assert_eq!(samples.count(), 2);
        assert_eq!(samples.take(1), [(1_000, 1.0), (1_010, 7.0)]);
        assert_eq!(samples.take(2), []);
    }
}
