//! How the values of one series go on.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// How fast a drifting value is drawn back to its middle, each time it is read.
const PULL: f64 = 0.03;

/// One series.
pub(super) enum Signal {
    /// Never changes.
    Constant(f64),
    /// 0, and now and then 1 for a while: the chances of changing, each time it is read.
    State { up: f64, down: f64, is_up: bool },
    /// A cumulative count that grows by this much on average.
    Counter { pace: f64, count: f64 },
    /// Grows by the same amount every time.
    Clock { step: f64, value: f64 },
    /// Wanders around a middle in steps, and is read to this unit.
    Drift { middle: f64, step: f64, unit: f64, value: f64 },
    /// Is anywhere around a middle, each time anew, and is read to this unit.
    Noise { middle: f64, spread: f64, unit: f64 },
}

impl Signal {
    pub(super) const fn state(up: f64, down: f64) -> Self {
        Self::State { up, down, is_up: false }
    }

    pub(super) const fn counter(pace: f64, count: f64) -> Self {
        Self::Counter { pace, count }
    }

    pub(super) const fn clock(step: f64, value: f64) -> Self {
        Self::Clock { step, value }
    }

    pub(super) const fn drift(middle: f64, step: f64, unit: f64) -> Self {
        Self::Drift { middle, step, unit, value: middle }
    }

    pub(super) const fn noise(middle: f64, spread: f64, unit: f64) -> Self {
        Self::Noise { middle, spread, unit }
    }

    /// The next value.
    pub(super) fn next(&mut self, rng: &mut Xoshiro256PlusPlus) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::State { up, down, is_up } => {
                if rng.random_bool(if *is_up { *down } else { *up }) {
                    *is_up = !*is_up;
                }
                f64::from(u8::from(*is_up))
            }
            Self::Counter { pace, count } => {
                // Between none and twice the average; the fraction decides by lot.
                let more = rng.random_range(0.0..2.0 * *pace);
                *count += more.floor() + f64::from(u8::from(rng.random_bool(more.fract())));
                *count
            }
            Self::Clock { step, value } => {
                *value += *step;
                *value
            }
            Self::Drift { middle, step, unit, value } => {
                *value += PULL * (*middle - *value) + rng.random_range(-*step..*step);
                to_unit(*value, *unit)
            }
            Self::Noise { middle, spread, unit } => {
                to_unit(*middle + rng.random_range(-*spread..*spread), *unit)
            }
        }
    }
}

/// Rounds as a device does. Fractions are given as their inverse's unit (0.1 is a tenth), and dividing by a whole number
/// gives the double that has the few digits.
fn to_unit(value: f64, unit: f64) -> f64 {
    if unit >= 1.0 {
        (value / unit).round() * unit
    } else {
        (value * (1.0 / unit).round()).round() / (1.0 / unit).round()
    }
}

#[cfg(test)]
mod tests {
    use super::to_unit;

    #[test]
    fn values_have_the_digits_of_their_device() {
        assert_eq!(to_unit(4.149_999, 0.1).to_string(), "4.1");
        assert_eq!(to_unit(0.123_45, 0.001).to_string(), "0.123");
        assert_eq!(to_unit(10_000.0, 4_096.0).to_string(), "8192");
    }
}
