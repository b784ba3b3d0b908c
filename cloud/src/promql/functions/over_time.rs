//! `…_over_time`, `changes` and `resets`: one value from all samples of a range.

use super::statistics::{Sum, quantile, stays};
use super::{Parameter, Window};

type Compute = fn(&Window<'_>, f64) -> Option<f64>;

pub(super) fn find(name: &str) -> Option<(Compute, Parameter)> {
    let compute: Compute = match name {
        "avg_over_time" => |w, _| Some(average(values(w))),
        "changes" => |w, _| count(pairs(w, |a, b| a != b && !(a.is_nan() && b.is_nan()))),
        "count_over_time" => |w, _| count(w.samples.len()),
        "last_over_time" => |w, _| values(w).next_back(),
        "max_over_time" => |w, _| values(w).reduce(|a, b| if b > a || a.is_nan() { b } else { a }),
        "min_over_time" => |w, _| values(w).reduce(|a, b| if b < a || a.is_nan() { b } else { a }),
        "present_over_time" => |_, _| Some(1.0),
        "quantile_over_time" => {
            return Some((|w, q| Some(quantile(q, &mut values(w).collect::<Vec<_>>())), Parameter::First));
        }
        "resets" => |w, _| count(pairs(w, |a, b| b < a)),
        "stddev_over_time" => |w, _| Some(variance(values(w)).sqrt()),
        "stdvar_over_time" => |w, _| Some(variance(values(w))),
        "sum_over_time" => |w, _| Some(sum(values(w))),
        _ => return None,
    };
    Some((compute, Parameter::None))
}

fn values<'a>(window: &Window<'a>) -> impl DoubleEndedIterator<Item = f64> + 'a {
    window.samples.iter().map(|(_, value)| *value)
}

fn pairs(window: &Window<'_>, holds: impl Fn(f64, f64) -> bool) -> usize {
    window.samples.windows(2).filter(|pair| holds(pair[0].1, pair[1].1)).count()
}

#[expect(clippy::cast_precision_loss, clippy::unnecessary_wraps, reason = "far fewer samples than 2^53")]
fn count(samples: usize) -> Option<f64> {
    Some(samples as f64)
}

fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    values.for_each(|value| sum.add(value));
    sum.total()
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (Sum::default(), 0.0);
    for value in values {
        count += 1.0;
        if !stays(mean.plain(), value) {
            mean.add(value / count - mean.plain() / count);
        }
    }
    mean.total()
}

fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut squares, mut count) = (Sum::default(), Sum::default(), 0.0);
    for value in values {
        count += 1.0;
        let off = value - mean.total();
        mean.add(off / count);
        squares.add(off * (value - mean.total()));
    }
    squares.total() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, values: &[f64]) -> f64 {
        let samples: Vec<_> = values.iter().zip(0..).map(|(v, at)| (at * 1_000, *v)).collect();
        let window = Window { samples: &samples, start: 0, end: 60_000, now: 60_000 };
        find(name).unwrap().0(&window, 0.25).unwrap()
    }

    #[test]
    fn each_of_them_by_hand() {
        let values = [3.0, 1.0, 1.0, 7.0, 4.0];
        for (name, expected) in [
            ("avg_over_time", 3.2),
            ("changes", 3.0),
            ("count_over_time", 5.0),
            ("last_over_time", 4.0),
            ("max_over_time", 7.0),
            ("min_over_time", 1.0),
            ("present_over_time", 1.0),
            ("quantile_over_time", 1.0),
            ("resets", 2.0),
            ("stdvar_over_time", 4.96),
            ("sum_over_time", 16.0),
        ] {
            assert!((of(name, &values) - expected).abs() < 1e-12, "{name}: {}", of(name, &values));
        }
        assert!((of("stddev_over_time", &values) - 4.96_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_is_passed_over_by_extremes_only() {
        let values = [f64::NAN, 2.0, 5.0];
        assert_eq!((of("max_over_time", &values), of("min_over_time", &values)), (5.0, 2.0));
        assert!(of("sum_over_time", &values).is_nan());
        assert_eq!(of("changes", &[f64::NAN, f64::NAN, 1.0]), 1.0);
    }
}
