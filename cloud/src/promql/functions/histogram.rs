//! The quantile of a classic histogram: counts of observations up to each bound.

/// Observations up to a bound, that included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::promql) struct Bucket {
    pub bound: f64,
    pub count: f64,
}

/// A bound in the spelling of the label `le`.
pub(in crate::promql) fn bound(le: &str) -> Option<f64> {
    le.parse().ok()
}

/// The quantile, interpolated inside of its bucket. NaN without observations, or without a bucket up to infinity.
pub(in crate::promql) fn quantile(quantile: f64, mut buckets: Vec<Bucket>) -> f64 {
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    let buckets = ascending(buckets);
    let [.., before_last, last] = &*buckets else { return f64::NAN };
    if quantile.is_nan() || last.bound != f64::INFINITY || last.count == 0.0 {
        return f64::NAN;
    }
    let mut rank = quantile * last.count;
    let of = buckets[..buckets.len() - 1].partition_point(|bucket| bucket.count < rank);
    if of == buckets.len() - 1 {
        return before_last.bound;
    }
    let Bucket { bound, mut count } = buckets[of];
    if of == 0 && bound <= 0.0 {
        return bound;
    }
    let mut start = 0.0;
    if of > 0 {
        start = buckets[of - 1].bound;
        count -= buckets[of - 1].count;
        rank -= buckets[of - 1].count;
    }
    start + (bound - start) * (rank / count)
}

/// One bucket for each bound, and no count below that of the one before: scrapes are not taken at one moment.
fn ascending(sorted: Vec<Bucket>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match buckets.last_mut() {
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => buckets.push(bucket),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut buckets {
        most = most.max(bucket.count);
        bucket.count = most;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(q: f64, buckets: &[(f64, f64)]) -> f64 {
        quantile(q, buckets.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect())
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_is_interpolated_inside_of_its_bucket() {
        let buckets = [(1.0, 10.0), (2.0, 30.0), (4.0, 40.0), (INF, 50.0)];
        // The 25th of 50 is the 15th of 20 between 1 and 2.
        assert_eq!(of(0.5, &buckets), 1.75);
        assert_eq!(of(0.1, &buckets), 0.5);
        assert_eq!(of(0.95, &buckets), 4.0);
        assert_eq!((of(-1.0, &buckets), of(2.0, &buckets)), (-INF, INF));
    }

    #[test]
    fn what_is_no_histogram_has_no_quantile() {
        for buckets in [&[][..], &[(INF, 5.0)], &[(1.0, 5.0), (2.0, 6.0)], &[(1.0, 0.0), (INF, 0.0)]] {
            assert!(of(0.5, buckets).is_nan(), "{buckets:?}");
        }
    }

    #[test]
    fn buckets_may_come_twice_and_fall() {
        assert_eq!(of(0.5, &[(2.0, 10.0), (INF, 30.0), (2.0, 10.0), (4.0, 18.0)]), 1.5);
        assert_eq!(of(0.5, &[(-1.0, 10.0), (INF, 12.0)]), -1.0);
    }

    #[test]
    fn bounds_are_numbers() {
        assert_eq!(
            (bound("+Inf"), bound("0.5"), bound("1e3"), bound("x")),
            (Some(INF), Some(0.5), Some(1e3), None)
        );
    }
}
