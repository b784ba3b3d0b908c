//! Sets of batch numbers as sorted, disjoint, inclusive ranges: `[[1,41],[44,44]]` in JSON.
//!
//! Keeps its ranges apart by at least one number, so equal sets are equal values. The cloud holds
//! the same as `int8multirange`; the agent holds them for what it forwards and for what it lost.

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{LOSS_RANGES_MAX, SEQ_MAX};

/// A set of batch numbers (from 1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct SeqSet(Vec<(u64, u64)>);

/// Why ranges are not a set of batch numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeqSetError {
    /// A range that is empty, starts below 1 or is too high.
    #[error("[{0},{1}] is not a range of batch numbers: first ≤ last, from 1 to {SEQ_MAX}")]
    Range(u64, u64),
    /// More ranges than a loss may carry.
    #[error("{0} ranges of batch numbers: at most {LOSS_RANGES_MAX}")]
    TooMany(usize),
}

impl SeqSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The set of these inclusive ranges, in any order, overlapping or not.
    ///
    /// # Errors
    /// The range that is none, or too many of them.
    pub fn from_ranges(ranges: &[(u64, u64)]) -> Result<Self, SeqSetError> {
        if ranges.len() > LOSS_RANGES_MAX {
            return Err(SeqSetError::TooMany(ranges.len()));
        }
        Self::from_many_ranges(ranges)
    }

    /// The same of as many ranges as there are: for one's own books, never for what somebody else sends.
    ///
    /// # Errors
    /// The range that is none.
    pub fn from_many_ranges(ranges: &[(u64, u64)]) -> Result<Self, SeqSetError> {
        let mut sorted = ranges.to_vec();
        sorted.sort_unstable();
        let mut set: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            if first == 0 || first > last || last > SEQ_MAX {
                return Err(SeqSetError::Range(first, last));
            }
            match set.last_mut() {
                Some(previous) if first <= previous.1 + 1 => previous.1 = previous.1.max(last),
                _ => set.push((first, last)),
            }
        }
        Ok(Self(set))
    }

    /// Adds one number; says whether it was new.
    pub fn insert(&mut self, seq: u64) -> bool {
        debug_assert!((1..=SEQ_MAX).contains(&seq), "batch numbers start at 1");
        let at = self.0.partition_point(|&(_, last)| last < seq);
        if self.0.get(at).is_some_and(|&(first, _)| first <= seq) {
            return false;
        }
        let joins_left = at > 0 && self.0[at - 1].1 + 1 == seq;
        let joins_right = self.0.get(at).is_some_and(|&(first, _)| first == seq + 1);
        match (joins_left, joins_right) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = seq,
            (false, true) => self.0[at].0 = seq,
            (false, false) => self.0.insert(at, (seq, seq)),
        }
        true
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < seq);
        self.0.get(at).is_some_and(|&(first, _)| first <= seq)
    }

    /// The last number of the range that starts at 1, or 0: what an answer calls `through`.
    #[must_use]
    pub fn through(&self) -> u64 {
        match self.0.first() {
            Some(&(1, last)) => last,
            _ => 0,
        }
    }

    /// The inclusive ranges, sorted and disjoint.
    #[must_use]
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Forgets the lowest ranges beyond so many.
    pub fn keep_highest(&mut self, ranges: usize) {
        self.0.drain(..self.0.len().saturating_sub(ranges));
    }

    /// Whether it holds no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for SeqSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges = Vec::<(u64, u64)>::deserialize(deserializer)?;
        Self::from_ranges(&ranges).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_set_of_numbers(numbers in prop::collection::vec(1_u64..60, 0..80)) {
            let mut set = SeqSet::new();
            let mut model = BTreeSet::new();
            for n in numbers {
                prop_assert_eq!(set.insert(n), model.insert(n));
            }
            for n in 1..62 {
                prop_assert_eq!(set.contains(n), model.contains(&n));
            }
            let through = (1..).take_while(|n| model.contains(n)).last().unwrap_or(0);
            prop_assert_eq!(set.through(), through);
            let apart = set.ranges().windows(2).all(|w| w[0].1 + 1 < w[1].0);
            prop_assert!(apart, "ranges touch: {:?}", set);
            prop_assert_eq!(SeqSet::from_ranges(set.ranges()).unwrap(), set);
        }
    }

    #[test]
    fn the_lowest_ranges_are_forgotten_first() {
        let mut set = SeqSet::from_ranges(&[(1, 3), (5, 5), (8, 9)]).unwrap();
        set.keep_highest(3);
        assert_eq!(set.ranges().len(), 3);
        set.keep_highest(2);
        assert_eq!(set.ranges(), [(5, 5), (8, 9)]);
    }

    #[test]
    fn overlapping_ranges_are_merged_and_bad_ones_named() {
        let set: SeqSet = serde_json::from_str("[[5,7],[1,3],[4,4],[6,9]]").unwrap();
        assert_eq!(set.ranges(), [(1, 9)]);
        assert_eq!(SeqSet::from_ranges(&[(0, 3)]), Err(SeqSetError::Range(0, 3)));
        assert_eq!(SeqSet::from_ranges(&[(3, 2)]), Err(SeqSetError::Range(3, 2)));
        assert!(SeqSet::from_ranges(&[(1, u64::MAX)]).is_err());
    }
}
