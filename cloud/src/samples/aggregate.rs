//! From the samples of a series to aggregates per step of time.
//!
//! Pure. A bucket begins at a multiple of the step since the epoch (so a day begins at midnight UTC) and holds the samples
//! from there to before the next one. A bucket without samples does not exist: no answer is not zero.
//!
//! The rate is the increase a second between neighbouring samples, put down to the bucket of the later one. A fall is a
//! counter that began again at 0. Neighbours further apart than [`BRIDGED_INTERVALS`] usual intervals are a gap: neither
//! what happened in it nor its length counts, and a bucket with nothing else has no rate. The usual interval is the median
//! of the last [`USUAL_OF`] intervals (at the beginning: of the first), so that it follows a series that is read at
//! another pace from some day on.

/// Neighbours may be this many usual intervals apart and still be counted from one to the other: four lost ticks.
pub(crate) const BRIDGED_INTERVALS: i64 = 5;
/// Intervals whose median is the usual one. Odd, so that the median is one of them.
const USUAL_OF: usize = 15;

/// What can be asked of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// The lowest value.
    Min,
    /// The highest value.
    Max,
    /// The mean of the samples, each with the same weight.
    Avg,
    /// The value of the last sample.
    Last,
    /// The sum of the values.
    Sum,
    /// How many samples.
    Count,
    /// The increase of a counter a second.
    Rate,
}

impl Aggregate {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Min, Self::Max, Self::Avg, Self::Last, Self::Sum, Self::Count, Self::Rate];

    /// As it is written in a request and at the head of a column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Last => "last",
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Rate => "rate",
        }
    }
}

/// The samples of one step of time, summed up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Where it begins, Unix milliseconds.
    pub start_ms: i64,
    /// How many samples, at least one.
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    last: f64,
    /// By how much the counter has grown in `counted_ms`.
    increase: f64,
    /// How long the counter was watched without a gap.
    counted_ms: i64,
}

impl Bucket {
    fn of(start_ms: i64) -> Self {
        Self {
            start_ms,
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            last: 0.0,
            increase: 0.0,
            counted_ms: 0,
        }
    }

    /// How many samples.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// One aggregate, always finite; `None` is a rate where the counter was not watched, or a sum beyond all numbers.
    pub(crate) fn value(&self, aggregate: Aggregate) -> Option<f64> {
        self.computed(aggregate).filter(|value| value.is_finite())
    }

    fn computed(&self, aggregate: Aggregate) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bucket holds fewer than 2^53 samples and milliseconds"
        )]
        match aggregate {
            Aggregate::Min => Some(self.min),
            Aggregate::Max => Some(self.max),
            Aggregate::Avg => Some(self.sum / self.count as f64),
            Aggregate::Last => Some(self.last),
            Aggregate::Sum => Some(self.sum),
            Aggregate::Count => Some(self.count as f64),
            Aggregate::Rate => {
                (self.counted_ms > 0).then(|| self.increase / (self.counted_ms as f64 / 1_000.0))
            }
        }
    }
}

/// Sums up one series, whose samples come in ascending order of time, in one piece or several.
#[derive(Debug)]
pub(crate) struct Folding {
    step_ms: i64,
    open: Option<Bucket>,
    previous: Option<(i64, f64)>,
    usual: UsualInterval,
    /// Samples at the beginning, until there are enough to know the usual interval.
    first: Vec<(i64, f64)>,
    began: bool,
}

impl Folding {
    /// Nothing yet. The step is above 0.
    pub(crate) fn by(step_ms: i64) -> Self {
        Self {
            step_ms: step_ms.max(1),
            open: None,
            previous: None,
            usual: UsualInterval::default(),
            first: Vec::new(),
            began: false,
        }
    }

    /// Takes the next samples; buckets that are thereby complete go to `out`.
    pub(crate) fn add(&mut self, samples: &[(i64, f64)], out: &mut Vec<Bucket>) {
        let mut rest = samples;
        if !self.began {
            let (first, later) = rest.split_at(rest.len().min(USUAL_OF + 1 - self.first.len()));
            self.first.extend_from_slice(first);
            rest = later;
            if self.first.len() <= USUAL_OF {
                return;
            }
            self.begin(out);
        }
        for (time, value) in rest {
            if let Some((before, _)) = self.previous {
                // Whether this one is usual is judged by those before it.
                self.take(*time, *value, out);
                self.usual.add(time - before);
            }
        }
    }

    /// What is left: the last bucket, and all of a series of few samples.
    pub(crate) fn finish(mut self, out: &mut Vec<Bucket>) {
        if !self.began {
            self.begin(out);
        }
        out.extend(self.open);
    }

    fn begin(&mut self, out: &mut Vec<Bucket>) {
        self.began = true;
        let first = std::mem::take(&mut self.first);
        for pair in first.windows(2) {
            self.usual.add(pair[1].0 - pair[0].0);
        }
        for (time, value) in first {
            self.take(time, value, out);
        }
    }

    fn take(&mut self, time: i64, value: f64, out: &mut Vec<Bucket>) {
        let start_ms = time.div_euclid(self.step_ms).saturating_mul(self.step_ms);
        if let Some(complete) = self.open.take_if(|bucket| bucket.start_ms != start_ms) {
            out.push(complete);
        }
        let bucket = self.open.get_or_insert_with(|| Bucket::of(start_ms));
        bucket.count += 1;
        bucket.min = bucket.min.min(value);
        bucket.max = bucket.max.max(value);
        bucket.sum += value;
        bucket.last = value;
        if let Some((before, was)) = self.previous.replace((time, value)) {
            let apart_ms = time - before;
            if self.usual.bridges(apart_ms) {
                bucket.increase += if value >= was { value - was } else { value };
                bucket.counted_ms += apart_ms;
            }
        }
    }
}

/// The median of the last intervals.
#[derive(Debug, Default)]
struct UsualInterval {
    /// In the order of their coming, at most [`USUAL_OF`].
    last: std::collections::VecDeque<i64>,
    /// The same, sorted.
    sorted: Vec<i64>,
}

impl UsualInterval {
    fn add(&mut self, interval_ms: i64) {
        if self.last.len() == USUAL_OF
            && let Some(oldest) = self.last.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.last.push_back(interval_ms);
        let at = self.sorted.partition_point(|known| *known < interval_ms);
        self.sorted.insert(at, interval_ms);
    }

    /// Whether two samples so far apart are neighbours without a gap. The lower median: with two intervals the shorter.
    fn bridges(&self, apart_ms: i64) -> bool {
        let middle = self.sorted.len().saturating_sub(1) / 2;
        self.sorted.get(middle).is_some_and(|usual| apart_ms <= usual.saturating_mul(BRIDGED_INTERVALS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn fold(step_ms: i64, samples: &[(i64, f64)]) -> Vec<Bucket> {
        let mut out = Vec::new();
        let mut folding = Folding::by(step_ms);
        folding.add(samples, &mut out);
        folding.finish(&mut out);
        out
    }

    fn values(buckets: &[Bucket], aggregate: Aggregate) -> Vec<(i64, Option<f64>)> {
        buckets.iter().map(|b| (b.start_ms, b.value(aggregate))).collect()
    }

    #[test]
    fn every_aggregate_of_a_bucket_is_what_a_hand_computes() {
        let buckets = fold(MINUTE, &[(60_000, 2.0), (70_000, -1.0), (119_999, 5.0), (120_000, 7.0)]);
        let of_first: Vec<_> = Aggregate::ALL.iter().map(|a| buckets[0].value(*a)).collect();
        // The increase is 0 to -1: a fall, so it began at 0 again and is at -1; then 6 more, in 59.999 s.
        let rate = (-1.0 + 6.0) / 59.999;
        let expected = [-1.0, 5.0, 2.0, 5.0, 6.0, 3.0, rate].map(Some);
        assert_eq!(of_first, expected);
        assert_eq!(buckets[1].start_ms, 120_000, "a sample at the edge belongs to what begins there");
        assert_eq!(buckets.len(), 2);
    }

    #[test]
    fn buckets_begin_at_multiples_of_the_step_and_those_without_samples_are_absent() {
        let buckets = fold(MINUTE, &[(59_000, 1.0), (61_000, 0.0), (600_500, 3.0)]);
        assert_eq!(
            values(&buckets, Aggregate::Sum),
            [(0, Some(1.0)), (60_000, Some(0.0)), (600_000, Some(3.0))]
        );
        assert_eq!(values(&fold(MINUTE, &[(-1, 4.0)]), Aggregate::Last), [(-60_000, Some(4.0))]);
        assert_eq!(fold(MINUTE, &[]), []);
    }

    #[test]
    fn a_counter_that_begins_again_has_grown_by_what_it_shows() {
        // +10, then a restart that shows 4, then +6: 20 in 30 s.
        let counter = [(0, 100.0), (10_000, 110.0), (20_000, 4.0), (30_000, 10.0)];
        let rates = values(&fold(MINUTE, &counter), Aggregate::Rate);
        assert_eq!(rates, [(0, Some(20.0 / 30.0))]);
    }

    #[test]
    fn the_rate_does_not_bridge_a_gap_and_is_unknown_where_there_is_nothing_else() {
        let mut counter: Vec<(i64, f64)> = (0..6).map(|n| (n * 10_000, 10.0 * n as f64)).collect();
        // 51 s after the last: more than five times 10 s. In ten minutes it grew by 1,000, when is not known.
        counter.extend([(101_000, 1_050.0), (180_000, 1_060.0), (190_000, 1_065.0)]);
        let rates = values(&fold(MINUTE, &counter), Aggregate::Rate);
        assert_eq!(rates, [(0, Some(1.0)), (60_000, None), (180_000, Some(0.5))]);
        let counts = values(&fold(MINUTE, &counter), Aggregate::Count);
        assert_eq!(counts, [(0, Some(6.0)), (60_000, Some(1.0)), (180_000, Some(2.0))]);
    }

    #[test]
    fn four_lost_ticks_are_bridged_and_the_increase_belongs_to_the_later_bucket() {
        let mut counter: Vec<(i64, f64)> = (0..6).map(|n| (n * 10_000, n as f64)).collect();
        counter.push((100_000, 10.0));
        let rates = values(&fold(MINUTE, &counter), Aggregate::Rate);
        assert_eq!(rates, [(0, Some(0.1)), (60_000, Some(5.0 / 50.0))]);
    }

    #[test]
    fn a_sum_beyond_all_numbers_is_not_known() {
        let buckets = fold(MINUTE, &[(0, f64::MAX), (1, f64::MAX)]);
        let known: Vec<_> = Aggregate::ALL.iter().map(|a| buckets[0].value(*a).is_some()).collect();
        assert_eq!(known, [true, true, false, true, false, true, true]);
    }

    #[test]
    fn one_sample_has_no_rate() {
        assert_eq!(values(&fold(MINUTE, &[(5, 9.0)]), Aggregate::Rate), [(0, None)]);
    }

    #[test]
    fn the_usual_interval_follows_a_series_that_is_read_more_rarely() {
        // A second apart for a minute, then a minute apart: eight times a gap, then usual.
        let mut counter: Vec<(i64, f64)> = (0..60).map(|n| (n * 1_000, n as f64)).collect();
        counter.extend((1..=20).map(|n| (n * MINUTE, 60.0 * n as f64)));
        let rates = values(&fold(MINUTE, &counter), Aggregate::Rate);
        assert_eq!(rates[1], (MINUTE, Some(1.0)), "one second after the last");
        assert!(rates[2..10].iter().all(|(_, rate)| rate.is_none()), "{rates:?}");
        assert!(rates[10..].iter().all(|(_, rate)| *rate == Some(1.0)), "{rates:?}");
    }

    #[test]
    fn in_pieces_it_is_the_same_as_in_one() {
        let samples: Vec<(i64, f64)> =
            (0..500).map(|n: i64| (n * 7_000 + (n % 3) * 900, ((n * 37) % 101) as f64)).collect();
        let whole = fold(MINUTE, &samples);
        for size in [1, 2, 15, 16, 17, 100] {
            let mut out = Vec::new();
            let mut folding = Folding::by(MINUTE);
            for piece in samples.chunks(size) {
                folding.add(piece, &mut out);
            }
            folding.finish(&mut out);
            assert_eq!(out, whole, "in pieces of {size}");
        }
    }
}
