//! Counters of a device as counters of ours: one of 32 bits goes on when it wraps, and one above 2^53, which a double cannot hold,
//! is told as its increase since it was first seen.

use std::collections::HashMap;

/// The largest whole number up to which doubles hold each.
const EXACT_MAX: u64 = 1 << 53;

/// By series.
#[derive(Debug, Default)]
pub(super) struct Counters {
    wide: HashMap<String, u64>,
    narrow: HashMap<String, (u32, u64)>,
}

impl Counters {
    /// A counter of 64 bits.
    pub(super) fn wide(&mut self, series: &str, count: u64) -> f64 {
        let base = self.wide.entry(series.to_owned()).or_default();
        if count < *base || count - *base > EXACT_MAX {
            *base = if count > EXACT_MAX { count } else { 0 };
        }
        double(count - *base)
    }

    /// A counter of 32 bits. One that is smaller than before has wrapped, unless the device has started again.
    pub(super) fn narrow(&mut self, series: &str, count: u32, has_restarted: bool) -> f64 {
        let (last, sum) = self.narrow.entry(series.to_owned()).or_insert_with(|| (count, u64::from(count)));
        if has_restarted {
            *sum = u64::from(count);
        } else {
            *sum = sum.saturating_add(u64::from(count.wrapping_sub(*last)));
        }
        *last = count;
        double(*sum)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no more than 2^53, or a sum that takes centuries to get there"
)]
const fn double(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_of_32_bits_goes_on_when_it_wraps() {
        let mut counters = Counters::default();
        assert_eq!(counters.narrow("a", u32::MAX - 5, false), f64::from(u32::MAX - 5));
        assert_eq!(counters.narrow("a", 4, false), f64::from(u32::MAX) + 5.0);
        assert_eq!(counters.narrow("b", 4, false), 4.0);
    }

    #[test]
    fn a_device_that_has_started_again_counts_from_the_beginning() {
        let mut counters = Counters::default();
        counters.narrow("a", 1_000, false);
        assert_eq!(counters.narrow("a", 7, true), 7.0);
        assert_eq!(counters.narrow("a", 9, false), 9.0);
    }

    #[test]
    fn above_2_to_the_53_the_increase_is_told() {
        let mut counters = Counters::default();
        assert_eq!(counters.wide("a", 12), 12.0);
        assert_eq!(counters.wide("b", EXACT_MAX + 3), 0.0);
        assert_eq!(counters.wide("b", EXACT_MAX + 4), 1.0);
        assert_eq!(counters.wide("b", 5), 5.0);
        assert_eq!(counters.wide("c", u64::MAX), 0.0);
    }
}
