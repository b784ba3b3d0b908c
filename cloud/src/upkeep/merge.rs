//! How new samples of one series and day go into what is compacted of it already. Pure.
//!
//! Usually nothing of them overlaps: the day is new, or its last minutes came after midnight. Then they are parts of their own.
//! What overlaps is taken out, merged and written anew; so are small parts, when there are too many of them.

use crate::samples::day::{Packer, Part};
use crate::samples::in_order;

/// So many parts of one day are left alone before the small ones among them are merged.
const PARTS_LEFT: usize = 4;
/// A part below this size is small.
const SMALL: i32 = 5_000;

/// What is known of a stored part without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub part: i16,
    pub n: i32,
    pub t_first: i64,
    pub t_last: i64,
}

/// The parts that have to be taken out so that these new times can go in.
pub(super) fn to_merge(stored: &[Extent], t_first: i64, t_last: i64) -> Vec<i16> {
    let crowded = stored.len() >= PARTS_LEFT;
    let (mut first, mut last) = (t_first, t_last);
    let mut taken: Vec<&Extent> = stored.iter().filter(|e| crowded && e.n < SMALL).collect();
    loop {
        first = taken.iter().map(|e| e.t_first).fold(first, i64::min);
        last = taken.iter().map(|e| e.t_last).fold(last, i64::max);
        let overlaps = |e: &&Extent| e.t_first <= last && e.t_last >= first;
        let more: Vec<&Extent> = stored.iter().filter(|e| overlaps(e) && !taken.contains(e)).collect();
        if more.is_empty() {
            return taken.iter().map(|e| e.part).collect();
        }
        taken.extend(more);
    }
}

/// Samples in the order of their receipt become parts in the order of time, under numbers that are free; of one millisecond
/// the last received stays.
pub(super) fn merge(
    packer: &mut Packer,
    mut samples: Vec<(i64, f64)>,
    taken_numbers: &[i16],
) -> Vec<(i16, Part)> {
    in_order(&mut samples);
    let free = (0..i16::MAX).filter(|number| !taken_numbers.contains(number));
    free.zip(packer.parts(&samples)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(part: i16, n: i32, t_first: i64, t_last: i64) -> Extent {
        Extent { part, n, t_first, t_last }
    }

    #[test]
    fn what_does_not_overlap_is_left_alone() {
        let stored = [extent(0, 10_000, 0, 100), extent(1, 50, 300, 400)];
        assert_eq!(to_merge(&stored, 101, 299), [0_i16; 0]);
        assert_eq!(to_merge(&stored, 350, 350), [1]);
        assert_eq!(to_merge(&stored, 401, 500), [0_i16; 0]);
    }

    #[test]
    fn many_small_parts_are_merged_and_what_lies_between_them_too() {
        let stored = [
            extent(0, 10, 0, 9),
            extent(1, 9_000, 10, 500),
            extent(2, 10, 501, 510),
            extent(3, 10, 600, 610),
        ];
        let mut taken = to_merge(&stored, 700, 710);
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn the_last_received_of_one_millisecond_stays_and_numbers_are_those_that_are_free() {
        let merged = merge(&mut Packer::default(), vec![(5, 1.0), (6, 1.0), (5, 2.0)], &[0, 2]);
        let [(number, part)] = merged.as_slice() else { panic!("{merged:?}") };
        let mut back = Vec::new();
        part.read(0, 10, &mut back).unwrap();
        assert_eq!((*number, back), (1, vec![(5, 2.0), (6, 1.0)]));
    }
}
