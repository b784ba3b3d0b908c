//! Sums that lose little, and quantiles.

/// A sum with Neumaier's compensation of what each addition loses.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::promql) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(in crate::promql) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    /// Without the compensation.
    pub(in crate::promql) fn plain(self) -> f64 {
        self.sum
    }

    pub(in crate::promql) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A mean that takes one value after the other and does not overflow. Infinities of both signs make NaN.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::promql) struct Mean {
    mean: f64,
    count: f64,
}

impl Mean {
    pub(in crate::promql) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !stays(self.mean, value) {
            self.mean += value / self.count - self.mean / self.count;
        }
    }

    pub(in crate::promql) fn get(self) -> f64 {
        self.mean
    }
}

/// Whether a mean that is infinite already is not changed by a value: it is finite, or the same infinity.
pub(in crate::promql) fn stays(mean: f64, value: f64) -> bool {
    mean.is_infinite() && (value == mean || value.is_finite())
}

/// Variance of a population, one value after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::promql) struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Variance {
    pub(in crate::promql) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    pub(in crate::promql) fn get(self) -> f64 {
        self.squares / self.count
    }
}

/// NaN before all others.
pub(in crate::promql) fn ascending(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The quantile, interpolated between the values beside it; beyond 0 and 1 it is an infinity. Sorts the values.
pub(in crate::promql) fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| ascending(*a, *b));
    let last = values.len() - 1;
    #[expect(clippy::cast_precision_loss, reason = "far fewer values than 2^53")]
    let rank = quantile * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and last")]
    let below = (rank.floor() as usize).min(last);
    let weight = rank - rank.floor();
    values[below] * (1.0 - weight) + values[(below + 1).min(last)] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_is_small_beside_what_is_large() {
        let mut sum = Sum::default();
        for value in [1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 1.0);
        sum.add(f64::INFINITY);
        assert_eq!(sum.total(), f64::INFINITY);
    }

    #[test]
    fn a_mean_of_infinities() {
        let mean = |values: &[f64]| {
            let mut mean = Mean::default();
            values.iter().for_each(|value| mean.add(*value));
            mean.get()
        };
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean(&[f64::INFINITY, 1.0, f64::INFINITY]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(0.5, &mut values), 2.5);
        assert_eq!(quantile(0.9, &mut values), 3.7);
        assert_eq!((quantile(0.0, &mut values), quantile(1.0, &mut values)), (1.0, 4.0));
        assert_eq!(
            (quantile(-1.0, &mut values), quantile(2.0, &mut values)),
            (f64::NEG_INFINITY, f64::INFINITY)
        );
        assert!(quantile(0.5, &mut []).is_nan() && quantile(f64::NAN, &mut values).is_nan());
    }
}
