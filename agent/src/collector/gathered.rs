//! Values of series that others name: gathered, told apart, and handed on by their times.
//!
//! Labels that are not listed are dropped, so what were two series can become one. Adding them up would be wrong for
//! temperatures, and taking the last would be chance: neither is taken, and that is a fault that says what to do. What is
//! left out is counted by its reason; the rest is taken.

use std::collections::BTreeMap;

use storepulse_shared::limits::SAMPLES_MAX;

use super::fault::{Fault, FaultKind};
use super::label::Unnamed;
use super::own_time::{self, OwnTime};
use super::sink::Tick;

/// Series that are held at most; a device may have fewer, but a few more can be told apart from an explosion.
pub(crate) const SERIES_MAX: usize = 1_000;

/// What was gathered.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    series: BTreeMap<String, Series>,
    values: usize,
    left_out: LeftOut,
}

#[derive(Debug)]
struct Series {
    /// Tells apart who was given this name.
    identity: u64,
    is_mixed: bool,
    /// With their own times, if they have them.
    values: Vec<(Option<i64>, f64)>,
}

/// Values that were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// What cannot be read: lines, members, points.
    pub unread: usize,
    /// Of a kind that is not taken.
    pub unsupported: usize,
    /// Whose series is none: free text in a label, no name.
    pub unnamed: usize,
    /// Of series that are one without the labels that are not listed.
    pub mixed: usize,
    /// Older than is taken.
    pub old: usize,
    /// Of more series, or more values, than are held.
    pub too_many: usize,
}

impl Gathered {
    /// Takes a value; `identity` is another one for whatever was another series where it comes from. What is no number is
    /// no value, and nothing is missing then.
    pub(crate) fn add(
        &mut self,
        series: Result<String, Unnamed>,
        identity: u64,
        own_ms: Option<i64>,
        value: f64,
    ) {
        let Ok(series) = series else {
            self.left_out.unnamed += 1;
            return;
        };
        if !value.is_finite() {
            return;
        }
        let known = self.series.len();
        if self.values >= SAMPLES_MAX || (known >= SERIES_MAX && !self.series.contains_key(&series)) {
            self.left_out.too_many += 1;
            return;
        }
        let new = || Series { identity, is_mixed: false, values: Vec::with_capacity(1) };
        let series = self.series.entry(series).or_insert_with(new);
        series.is_mixed |= series.identity != identity;
        series.values.push((own_ms, value));
        self.values += 1;
    }

    /// Something could not be read.
    pub(crate) const fn unread(&mut self) {
        self.left_out.unread += 1;
    }

    /// Something is more than is held.
    pub(crate) const fn too_many(&mut self) {
        self.left_out.too_many += 1;
    }

    /// Something is of a kind that is not taken.
    pub(crate) const fn unsupported(&mut self) {
        self.left_out.unsupported += 1;
    }

    /// The values with times of their own by those, the others of one time, and what was left out.
    pub(crate) fn ticks(self, now_ms: i64, keeps_old: bool) -> (Vec<Tick>, Vec<(String, f64)>, LeftOut) {
        let mut left_out = self.left_out;
        let mut dated: BTreeMap<i64, BTreeMap<String, f64>> = BTreeMap::new();
        let mut undated = Vec::new();
        for (name, series) in self.series {
            if series.is_mixed {
                left_out.mixed += series.values.len();
                continue;
            }
            let mut last = None;
            for (own_ms, value) in series.values {
                match own_ms.map_or(OwnTime::Read, |own_ms| own_time::judge(own_ms, now_ms)) {
                    OwnTime::Kept(own_ms) => {
                        dated.entry(own_ms).or_default().insert(name.clone(), value);
                    }
                    OwnTime::Old if !keeps_old => left_out.old += 1,
                    OwnTime::Old | OwnTime::Read => last = Some(value),
                }
            }
            undated.extend(last.map(|value| (name, value)));
        }
        let dated =
            dated.into_iter().map(|(time_ms, values)| Tick { time_ms, values: Vec::from_iter(values) });
        (dated.collect(), undated, left_out)
    }
}

impl LeftOut {
    /// All of it.
    pub(crate) const fn count(&self) -> usize {
        self.unread + self.unsupported + self.unnamed + self.mixed + self.old + self.too_many
    }

    /// What to say of it.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let said = [
            (self.unread, FaultKind::Parse, "cannot be read"),
            (self.unsupported, FaultKind::Unsupported, "are of a kind that is not taken"),
            (
                self.unnamed,
                FaultKind::Parse,
                "have free text, or what may be a card number, in a label that is listed",
            ),
            (
                self.mixed,
                FaultKind::Parse,
                "are of series that are one without their other labels; list the label that tells them apart",
            ),
            (self.old, FaultKind::Parse, "have a time of their own of more than a day ago"),
            (self.too_many, FaultKind::TooManySeries, "are more than are held; list fewer metrics or labels"),
        ];
        let said = said.into_iter().filter(|(count, ..)| *count > 0);
        said.map(|(count, kind, why)| Fault::new(kind, format!("{count} values left out: they {why}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    fn named(name: &str) -> Result<String, Unnamed> {
        Ok(name.to_owned())
    }

    #[test]
    fn values_are_handed_on_by_their_times() {
        let mut gathered = Gathered::default();
        gathered.add(named("a"), 1, None, 1.0);
        gathered.add(named("b"), 1, Some(NOW - 5_000), 2.0);
        gathered.add(named("b"), 1, Some(NOW - 1_000), 3.0);
        gathered.add(named("c"), 1, Some(NOW - 5_000), 4.0);
        gathered.add(named("d"), 1, Some(0), 5.0);
        gathered.add(named("e"), 1, None, f64::NAN);
        let (dated, undated, left_out) = gathered.ticks(NOW, false);
        let tick = |time_ms, values: &[(&str, f64)]| Tick {
            time_ms,
            values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        };
        assert_eq!(dated, [tick(NOW - 5_000, &[("b", 2.0), ("c", 4.0)]), tick(NOW - 1_000, &[("b", 3.0)])]);
        assert_eq!(undated, [("a".to_owned(), 1.0), ("d".to_owned(), 5.0)]);
        assert_eq!(left_out, LeftOut::default());
    }

    #[test]
    fn series_that_become_one_are_left_out_and_said() {
        let mut gathered = Gathered::default();
        gathered.add(named("a"), 1, None, 1.0);
        gathered.add(named("a"), 2, None, 2.0);
        gathered.add(named("b"), 3, None, 2.0);
        let (_, undated, left_out) = gathered.ticks(NOW, false);
        assert_eq!((undated.len(), left_out.mixed), (1, 2));
        let fault = &left_out.faults()[0];
        assert!(fault.kind == FaultKind::Parse && fault.text.contains("tells them apart"), "{}", fault.text);
    }

    #[test]
    fn an_explosion_is_counted_and_not_held() {
        let mut gathered = Gathered::default();
        for n in 0..10_000 {
            gathered.add(named(&format!("m{n}")), n, None, 1.0);
        }
        let (_, undated, left_out) = gathered.ticks(NOW, false);
        assert_eq!((undated.len(), left_out.too_many), (SERIES_MAX, 9_000));
        assert_eq!(left_out.faults()[0].kind, FaultKind::TooManySeries);
    }

    #[test]
    fn an_old_value_is_no_new_one() {
        let old = || {
            let mut gathered = Gathered::default();
            gathered.add(named("a"), 1, Some(NOW - 2 * 86_400_000), 1.0);
            gathered
        };
        let (dated, undated, left_out) = old().ticks(NOW, false);
        assert!(dated.is_empty() && undated.is_empty());
        assert_eq!((left_out.old, left_out.count()), (1, 1));
        assert_eq!(old().ticks(NOW, true).1.len(), 1);
    }
}
