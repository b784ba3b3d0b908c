//! How fast values change: `rate`, `increase`, `delta`, `irate`, `idelta`, `deriv`, `predict_linear`.
//!
//! `rate` and its kin extrapolate from the first and last sample to the ends of the range: up to the end if a sample lies
//! near it (1.1 times the mean distance of samples), half a distance otherwise, and never to where a counter would have
//! been below zero.

use super::statistics::Sum;
use super::{Parameter, Window};

type Compute = fn(&Window<'_>, f64) -> Option<f64>;

pub(super) fn find(name: &str) -> Option<(Compute, Parameter)> {
    let (compute, parameter): (Compute, _) = match name {
        "rate" => (|w, _| extrapolated(w, true).map(|increase| increase / length_s(w)), Parameter::None),
        "increase" => (|w, _| extrapolated(w, true), Parameter::None),
        "delta" => (|w, _| extrapolated(w, false), Parameter::None),
        "irate" => (|w, _| irate(w), Parameter::None),
        "idelta" => (|w, _| last_two(w).map(|[(_, before), (_, last)]| last - before), Parameter::None),
        "deriv" => (|w, _| line(w.samples, w.samples[0].0).map(|line| line.slope), Parameter::None),
        "predict_linear" => (
            |w, seconds| line(w.samples, w.now).map(|line| line.slope * seconds + line.value),
            Parameter::Last,
        ),
        _ => return None,
    };
    Some((compute, parameter))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a range are far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

fn length_s(window: &Window<'_>) -> f64 {
    seconds(window.end - window.start)
}

/// The change over the whole range.
fn extrapolated(window: &Window<'_>, is_counter: bool) -> Option<f64> {
    let samples = window.samples;
    let [(first_time, first), .., (last_time, last)] = samples else { return None };
    let mut change = last - first;
    if is_counter {
        // After a reset it counts from zero again.
        let resets = samples.windows(2).filter(|pair| pair[1].1 < pair[0].1);
        change += resets.map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = seconds(last_time - first_time);
    #[expect(clippy::cast_precision_loss, reason = "far fewer samples than 2^53")]
    let distance = sampled / (samples.len() - 1) as f64;
    let near = distance * 1.1;
    let mut to_start = seconds(first_time - window.start);
    let to_end = seconds(window.end - last_time);
    if is_counter && change > 0.0 && *first >= 0.0 {
        to_start = to_start.min(sampled * (first / change));
    }
    let beyond = |gap: f64| if gap < near { gap } else { distance / 2.0 };
    Some(change * ((sampled + beyond(to_start) + beyond(to_end)) / sampled))
}

fn last_two(window: &Window<'_>) -> Option<[(i64, f64); 2]> {
    match window.samples {
        [.., before, last] if last.0 > before.0 => Some([*before, *last]),
        _ => None,
    }
}

fn irate(window: &Window<'_>) -> Option<f64> {
    let [(before_time, before), (last_time, last)] = last_two(window)?;
    let change = if last < before { last } else { last - before };
    Some(change / seconds(last_time - before_time))
}

struct Line {
    /// Per second.
    slope: f64,
    /// At the time asked for.
    value: f64,
}

/// The straight line with the least squares, and its value at a time.
fn line(samples: &[(i64, f64)], at: i64) -> Option<Line> {
    let [(_, first), _, ..] = samples else { return None };
    if samples.iter().all(|(_, value)| value == first) {
        let (slope, value) = if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, *first) };
        return Some(Line { slope, value });
    }
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Sum::default(); 4];
    for (time, y) in samples {
        let x = seconds(time - at);
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer samples than 2^53")]
    let n = samples.len() as f64;
    let (x, y) = (x_sum.total(), y_sum.total());
    let slope = (xy_sum.total() - x * y / n) / (xx_sum.total() - x * x / n);
    Some(Line { slope, value: y / n - slope * x / n })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples every 10 s from `first_s` on, in a range of 0 to 60 s.
    fn of(name: &str, first_s: i64, values: &[f64], parameter: f64) -> Option<f64> {
        let samples: Vec<_> =
            values.iter().zip(0..).map(|(v, at)| ((first_s + at * 10) * 1_000, *v)).collect();
        let window = Window { samples: &samples, start: 0, end: 60_000, now: 60_000 };
        find(name).unwrap().0(&window, parameter)
    }

    #[test]
    fn an_increase_is_extrapolated_to_the_ends_that_are_near() {
        // 40 in the 40 s from 10 to 50, 10 s are missing at either end, and that is near.
        let values = [100.0, 110.0, 120.0, 130.0, 140.0];
        assert_eq!(of("increase", 10, &values, f64::NAN), Some(60.0));
        assert_eq!(of("rate", 10, &values, f64::NAN), Some(1.0));
        assert_eq!(of("delta", 10, &values, f64::NAN), Some(60.0));
        // From 30 to 50: 30 s are missing at the start, half a distance (5 s) is added there, 10 s at the end.
        assert_eq!(of("increase", 30, &[100.0, 110.0, 120.0], f64::NAN), Some(20.0 * 35.0 / 20.0));
    }

    #[test]
    fn a_counter_is_not_extrapolated_below_zero() {
        // From 1 at 10 s it was 0 at 9 s: 1 s is added at the start and 10 s at the end.
        assert_eq!(of("increase", 10, &[1.0, 11.0, 21.0, 31.0, 41.0], f64::NAN), Some(40.0 * 51.0 / 40.0));
        assert_eq!(of("delta", 10, &[1.0, 11.0, 21.0, 31.0, 41.0], f64::NAN), Some(60.0));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        assert_eq!(of("increase", 10, &[100.0, 110.0, 5.0, 15.0, 25.0], f64::NAN), Some(35.0 * 60.0 / 40.0));
        assert_eq!(of("irate", 10, &[100.0, 110.0, 5.0], f64::NAN), Some(0.5));
        assert_eq!(of("idelta", 10, &[100.0, 110.0, 5.0], f64::NAN), Some(-105.0));
    }

    #[test]
    fn one_sample_has_no_rate() {
        for name in ["rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"] {
            assert_eq!(of(name, 10, &[1.0], 0.0), None, "{name}");
        }
    }

    #[test]
    fn a_line_goes_on() {
        assert_eq!(of("deriv", 10, &[1.0, 2.0, 3.0], f64::NAN), Some(0.1));
        // 3 at 30 s, so 6 at 60 s and 16 at 160 s.
        assert_eq!(of("predict_linear", 10, &[1.0, 2.0, 3.0], 100.0), Some(16.0));
        assert_eq!(of("predict_linear", 10, &[2.0, 2.0], 100.0), Some(2.0));
        assert_eq!(of("deriv", 10, &[2.0, 2.0], 100.0), Some(0.0));
    }
}
