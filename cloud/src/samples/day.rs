//! A part of one series' day, as `series_days` holds it: two sequences of packed numbers and a checksum.
//!
//! Values of a device have few decimals: they are packed as whole numbers of the last decimal, if dividing gives back the
//! very same bits. All others are packed as the bits of their doubles.

use super::SeriesSamples;
use super::packed::{self, Damaged, NUMBERS_MAX};

/// Milliseconds of a UTC day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Form of values that are the bits of doubles; others are how many decimals they have.
const BITS: u8 = 64;
/// 10 to the power of decimals; beyond these, bits are as short.
const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Whole numbers up to here are doubles without a gap.
const WHOLE_MAX: u64 = 1 << 53;

/// Samples of one series, ascending in time and within one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// How many there are, at most 10,000.
    pub n: i32,
    /// First time, Unix milliseconds.
    pub t_first: i64,
    /// Last time.
    pub t_last: i64,
    /// The times, packed.
    pub times: Vec<u8>,
    /// The values, packed.
    pub vals: Vec<u8>,
    /// CRC-32 over times and values as packed.
    pub checksum: i32,
}

/// Makes parts, one series after the other. The series of a device have the same times, which are packed once.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    times: Vec<i64>,
    packed: Vec<u8>,
}

impl Packer {
    /// Cuts ascending samples of one day into parts.
    pub(crate) fn parts(&mut self, samples: &[(i64, f64)]) -> impl Iterator<Item = Part> {
        samples.chunks(NUMBERS_MAX).map(|samples| self.part(samples))
    }

    fn part(&mut self, samples: &[(i64, f64)]) -> Part {
        let is_as_before = self.times.len() == samples.len()
            && self.times.iter().zip(samples).all(|(before, (time, _))| before == time);
        if !is_as_before {
            self.times = samples.iter().map(|(time, _)| *time).collect();
            self.packed = packed::pack(0, &self.times);
        }
        let (form, numbers) = numbers(samples);
        let (times, vals) = (self.packed.clone(), packed::pack(form, &numbers));
        Part {
            n: i32::try_from(samples.len()).unwrap_or(i32::MAX),
            t_first: samples.first().map_or(0, |(time, _)| *time),
            t_last: samples.last().map_or(0, |(time, _)| *time),
            checksum: checksum(&times, &vals),
            times,
            vals,
        }
    }
}

impl Part {
    /// Adds its samples between two times, both included.
    ///
    /// # Errors
    /// The row is not what was written.
    pub(crate) fn read(&self, from_ms: i64, to_ms: i64, into: &mut SeriesSamples) -> Result<(), Damaged> {
        if checksum(&self.times, &self.vals) != self.checksum {
            return Err(Damaged("the checksum is another one"));
        }
        let n = usize::try_from(self.n).map_err(|_| Damaged("a count below 0"))?;
        let times = packed::unpack(&self.times, n)?;
        let vals = packed::unpack(&self.vals, n)?;
        let start = times.partition_point(|t| *t < from_ms);
        let end = times.partition_point(|t| *t <= to_ms).max(start);
        let (times, vals) = (&times[start..end], &vals[start..end]);
        match packed::form(&self.vals)? {
            BITS => into.extend(times.iter().zip(vals).map(|(t, v)| (*t, f64::from_bits(v.cast_unsigned())))),
            decimals => {
                let power = POWERS.get(usize::from(decimals)).ok_or(Damaged("values of an unknown form"))?;
                #[expect(clippy::cast_precision_loss, reason = "only numbers below 2^53 were written so")]
                into.extend(times.iter().zip(vals).map(|(t, v)| (*t, *v as f64 / power)));
            }
        }
        Ok(())
    }
}

fn checksum(times: &[u8], vals: &[u8]) -> i32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(times);
    hasher.update(vals);
    hasher.finalize().cast_signed()
}

/// Values as whole numbers, and what these mean.
fn numbers(samples: &[(i64, f64)]) -> (u8, Vec<i64>) {
    decimals(samples)
        .unwrap_or_else(|| (BITS, samples.iter().map(|(_, v)| v.to_bits().cast_signed()).collect()))
}

/// Whole numbers of the last decimal that any of the values has. A number that was found with fewer decimals is that many times
/// ten of the last one: both quotients are the same fraction, so both round to the same value.
fn decimals(samples: &[(i64, f64)]) -> Option<(u8, Vec<i64>)> {
    let mut decimals = 0;
    let mut numbers: Vec<i64> = Vec::with_capacity(samples.len());
    for (_, value) in samples {
        let number = loop {
            if let Some(number) = whole(*value, POWERS[decimals]) {
                break number;
            }
            decimals += 1;
            if decimals == POWERS.len() {
                return None;
            }
            for number in &mut numbers {
                *number = number.checked_mul(10).filter(|number| number.unsigned_abs() <= WHOLE_MAX)?;
            }
        };
        numbers.push(number);
    }
    u8::try_from(decimals).ok().map(|decimals| (decimals, numbers))
}

/// The whole number that gives this very value when it is divided by `power`: not so a zero with a sign.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "saturates beyond ±2^53, where no number is taken"
)]
fn whole(value: f64, power: f64) -> Option<i64> {
    let scaled = value * power;
    // Nearer than `round`, which is a call: what this rounds wrongly does not give the value back.
    let number = (scaled + 0.5_f64.copysign(scaled)) as i64;
    (number.unsigned_abs() <= WHOLE_MAX && (number as f64 / power).to_bits() == value.to_bits())
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(samples: &[(i64, f64)]) -> Part {
        let mut packer = Packer::default();
        let mut all = packer.parts(samples);
        let part = all.next().unwrap();
        let mut back = Vec::new();
        part.read(i64::MIN, i64::MAX, &mut back).unwrap();
        let bits =
            |samples: &[(i64, f64)]| samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&samples[..back.len()]));
        part
    }

    fn every_minute(value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
        (0..1_440).map(|n| (1_763_683_200_000 + n * 60_000, value(n))).collect()
    }

    #[test]
    fn tenths_take_the_bits_of_their_range() {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let part = there_and_back(&every_minute(|n| (35 + n * n * 7919 / 13 % 16) as f64 / 10.0));
        assert_eq!(packed::form(&part.vals).unwrap(), 1);
        assert!(part.vals.len() + part.times.len() < 770, "{}", part.vals.len());
    }

    #[test]
    fn values_without_few_decimals_come_back_bit_by_bit() {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let part = there_and_back(&every_minute(|n| 1.0 / (n + 1) as f64));
        assert_eq!(packed::form(&part.vals).unwrap(), BITS);
        there_and_back(&[(1, -0.0), (2, 1e300), (3, 5e-324), (4, 0.1 + 0.2)]);
    }

    #[test]
    fn a_long_day_is_cut_and_a_range_is_read_from_it() {
        let day: Vec<(i64, f64)> = (0..25_000).map(|n| (n, 1.0)).collect();
        let all: Vec<Part> = Packer::default().parts(&day).collect();
        assert_eq!(all.iter().map(|p| p.n).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        let mut some = Vec::new();
        for part in &all {
            part.read(9_998, 10_001, &mut some).unwrap();
        }
        assert_eq!(some, [(9_998, 1.0), (9_999, 1.0), (10_000, 1.0), (10_001, 1.0)]);
    }

    #[test]
    fn damage_is_seen() {
        let mut part = there_and_back(&every_minute(|_| 4.0));
        part.vals[9] ^= 1;
        assert_eq!(part.read(0, i64::MAX, &mut Vec::new()), Err(Damaged("the checksum is another one")));
    }

    proptest! {
        #[test]
        fn any_values_come_back(
            values in prop::collection::vec(prop_oneof![any::<f64>(), (-5_000_i32..5_000).prop_map(|n| f64::from(n) / 100.0)], 1..200)
        ) {
            let mut t = 0;
            there_and_back(&values.into_iter().map(|v| { t += 1; (t, v) }).collect::<Vec<_>>());
        }
    }
}
