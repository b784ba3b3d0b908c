//! What a foreign body brings, gathered while it is read: samples by series, and what is refused of it by reason.
//!
//! Everything in it is bounded: samples are counted before they are kept, and of each reason one example stays.

use std::collections::{BTreeMap, HashMap};

use storepulse_shared::answer::Rejected;
use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::limits::{SAMPLES_MAX, SPAN_MAX};

use super::refusal::Reason;
use crate::ingest::Rejection;

/// Most batches that one body becomes; each spans a day at most.
pub(super) const PARTS_MAX: usize = 31;

/// More samples than a body may have; reading stopped there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {SAMPLES_MAX} samples")]
pub(super) struct TooManySamples;

/// The samples lie too far apart to be stored together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the samples lie on more than {PARTS_MAX} days; send fewer days in one request")]
pub(super) struct TooManyDays;

/// Time in Unix milliseconds UTC and value.
pub(super) type Sample = (i64, f64);

/// What was refused for one reason.
#[derive(Debug)]
struct Refused {
    samples: u64,
    span: (i64, i64),
    /// The first of them, for people.
    example: String,
}

/// What a body brings.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// By device and series name.
    series: HashMap<(String, String), Vec<Sample>>,
    counted: usize,
    /// Samples that are NaN, infinite, stale markers or told as "no value".
    pub(super) without_value: u64,
    refused: BTreeMap<Reason, Refused>,
}

impl Gathered {
    /// Counts samples that are about to be read, whatever becomes of them.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn count(&mut self, samples: usize) -> Result<(), TooManySamples> {
        self.counted = self.counted.saturating_add(samples);
        if self.counted > SAMPLES_MAX { Err(TooManySamples) } else { Ok(()) }
    }

    /// Keeps the samples that have a value.
    pub(super) fn add(&mut self, device: &str, series: String, samples: &[Sample]) {
        let with_value = samples.iter().filter(|(_, value)| value.is_finite());
        let kept = with_value.clone().count();
        self.without_value += (samples.len() - kept) as u64;
        if kept > 0 {
            self.series.entry((device.to_owned(), series)).or_default().extend(with_value);
        }
    }

    /// Notes samples that cannot be taken; those without a value are none.
    pub(super) fn refuse(&mut self, reason: Reason, samples: &[Sample], example: impl FnOnce() -> String) {
        let times = samples.iter().filter(|(_, value)| value.is_finite()).map(|(time, _)| *time);
        let with_value = times.clone().count();
        self.without_value += (samples.len() - with_value) as u64;
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return };
        let refused = self.refused.entry(reason).or_insert_with(|| {
            let example = example();
            Refused { samples: 0, span: (first, last), example }
        });
        refused.samples += with_value as u64;
        refused.span = (refused.span.0.min(first), refused.span.1.max(last));
    }

    /// The first of what was refused for this reason, for people.
    pub(super) fn example(&self, word: &str) -> Option<&str> {
        let known = self.refused.iter().find(|(reason, _)| reason.word() == word);
        known.map(|(_, refused)| refused.example.as_str())
    }

    /// What was refused, one rejection a reason.
    pub(super) fn rejections(&self) -> Vec<Rejection> {
        let of = |(reason, refused): (&Reason, &Refused)| {
            let (path, reason) = (String::new(), reason.word().to_owned());
            Rejection { told: Rejected { path, reason, samples: refused.samples }, span: refused.span }
        };
        self.refused.iter().map(of).collect()
    }

    /// The samples as batches, none of which spans more than [`SPAN_MAX`]; of a series and millisecond the last one.
    /// At least one batch, which may be empty.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn take_batches(&mut self, kind: &'static str) -> Result<Vec<Batch<'static>>, TooManyDays> {
        let starts = part_starts(self.series.values().flatten().map(|(time, _)| *time).collect())?;
        let mut batches = vec![Batch::default(); starts.len().max(1)];
        let mut series: Vec<_> = std::mem::take(&mut self.series).into_iter().collect();
        series.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for ((device, name), mut samples) in series {
            last_of_each_millisecond(&mut samples);
            let mut rest = samples.as_slice();
            for (part, batch) in batches.iter_mut().enumerate() {
                let end =
                    starts.get(part + 1).map_or(rest.len(), |next| rest.partition_point(|s| s.0 < *next));
                let (own, later) = rest.split_at(end);
                if !own.is_empty() {
                    batch.frames.push(frame(kind, &device, &name, own));
                }
                rest = later;
            }
        }
        Ok(batches)
    }
}

/// The first time of each batch.
fn part_starts(mut times: Vec<i64>) -> Result<Vec<i64>, TooManyDays> {
    times.sort_unstable();
    let mut starts: Vec<i64> = Vec::new();
    for time in times {
        let inside =
            starts.last().is_some_and(|start| u128::from(time.abs_diff(*start)) <= SPAN_MAX.as_millis());
        if !inside {
            starts.push(time);
        }
        if starts.len() > PARTS_MAX {
            return Err(TooManyDays);
        }
    }
    Ok(starts)
}

fn last_of_each_millisecond(samples: &mut Vec<Sample>) {
    // Stable: what stands later in the body stays behind what it replaces.
    samples.sort_by_key(|(time, _)| *time);
    samples.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
}

fn frame(kind: &'static str, device: &str, name: &str, samples: &[Sample]) -> Frame<'static> {
    let (times, values) = samples.iter().copied().unzip();
    let columns = vec![Column { series: name.to_owned().into(), values }];
    Frame { device: device.to_owned().into(), kind: kind.into(), times, columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    #[test]
    fn samples_without_a_value_are_counted_and_not_kept() {
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        let mut gathered = Gathered::default();
        gathered.add("d", "m".into(), &[(1, f64::NAN), (2, f64::INFINITY), (3, stale), (4, 7.0)]);
        gathered.add("d", "only_stale".into(), &[(5, stale)]);
        gathered.refuse(Reason::BadSeries, &[(6, stale)], || "none".into());
        assert_eq!(gathered.without_value, 5);
        assert_eq!(gathered.rejections(), []);
        let batches = gathered.take_batches("prometheus").unwrap();
        assert_eq!(
            batches,
            [Batch { frames: vec![frame("prometheus", "d", "m", &[(4, 7.0)])], ..Batch::default() }]
        );
    }

    #[test]
    fn refused_samples_are_counted_by_reason_with_the_first_example() {
        let mut gathered = Gathered::default();
        gathered.refuse(Reason::BadSeries, &[(9, 1.0), (7, f64::NAN)], || "first".into());
        gathered.refuse(Reason::BadSeries, &[(5, 1.0), (8, 1.0)], || unreachable!());
        let rejections = gathered.rejections();
        assert_eq!((rejections[0].told.samples, rejections[0].span), (3, (5, 9)));
        assert_eq!((gathered.example("bad_series"), gathered.without_value), (Some("first"), 1));
    }

    #[test]
    fn of_one_millisecond_the_last_stays() {
        let mut gathered = Gathered::default();
        gathered.add("d", "m".into(), &[(2, 1.0), (1, 2.0)]);
        gathered.add("d", "m".into(), &[(2, 3.0)]);
        let batches = gathered.take_batches("otlp").unwrap();
        assert_eq!(batches[0].frames, [frame("otlp", "d", "m", &[(1, 2.0), (2, 3.0)])]);
    }

    #[test]
    fn a_body_of_several_days_becomes_several_batches() {
        let mut gathered = Gathered::default();
        gathered.add("d", "a".into(), &[(0, 1.0), (DAY, 2.0), (DAY + 1, 3.0), (5 * DAY, 4.0)]);
        gathered.add("d", "b".into(), &[(5 * DAY + 1, 5.0)]);
        let batches = gathered.take_batches("otlp").unwrap();
        let samples: Vec<_> = batches.iter().map(Batch::samples).collect();
        assert_eq!(samples, [2, 1, 2]);
        assert!(batches.iter().all(|b| b.span().is_some_and(|(first, last)| last - first <= DAY)));
    }

    #[test]
    fn times_all_over_the_ages_are_too_many_days() {
        let mut gathered = Gathered::default();
        let times: Vec<Sample> = (0..40).map(|n| (i64::MIN + n * (i64::MAX / 40), 1.0)).collect();
        gathered.add("d", "m".into(), &times);
        assert_eq!(gathered.take_batches("otlp"), Err(TooManyDays));
    }

    #[test]
    fn samples_beyond_the_limit_are_too_many() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.count(SAMPLES_MAX), Ok(()));
        assert_eq!(gathered.count(1), Err(TooManySamples));
        assert_eq!(gathered.count(usize::MAX), Err(TooManySamples));
    }
}
