//! Differences, added up: our counters are cumulative, and some exporters tell only what came since the last time.
//!
//! A total begins with the first difference after the agent started, so it falls back when the agent is started again, as a
//! counter does when its source restarts. An exporter that got no answer sends the same again: the last span of time that was
//! added is remembered for each series, and not added twice. Totals change only once they are durable.

use std::collections::{BTreeMap, HashMap};

use crate::collector::gathered::{Gathered, LeftOut, SERIES_MAX};
use crate::collector::label::Unnamed;
use crate::collector::sink::Tick;

use super::point::Points;

/// The time that a difference is about, Unix nanoseconds; 0 is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start_ns: u64,
    pub time_ns: u64,
}

impl Span {
    /// Its end in milliseconds.
    pub(super) fn own_ms(self) -> Option<i64> {
        i64::try_from(self.time_ns / 1_000_000).ok().filter(|ms| *ms > 0)
    }
}

/// The differences of one request.
#[derive(Debug, Default)]
pub(super) struct Deltas(BTreeMap<String, Vec<(u64, Span, f64)>>);

/// What has been added up so far.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<String, Total>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Total {
    value: f64,
    last: Span,
}

/// Totals as they are once the samples that were made of them are durable.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<String, Total>);

impl Deltas {
    pub(super) fn add(
        &mut self,
        series: Result<String, Unnamed>,
        identity: u64,
        span: Span,
        value: f64,
        gathered: &mut Gathered,
    ) {
        match series {
            Ok(series) if value.is_finite() => {
                if self.0.len() < SERIES_MAX || self.0.contains_key(&series) {
                    self.0.entry(series).or_default().push((identity, span, value));
                } else {
                    gathered.too_many();
                }
            }
            // Whether it is counted is decided where all values are.
            series => gathered.add(series, identity, None, f64::NAN),
        }
    }
}

impl Totals {
    /// What was made of them is durable.
    pub(super) fn keep(&mut self, pending: Pending) {
        self.0.extend(pending.0);
    }
}

impl Points<'_> {
    /// Values by their times, what was left out, and the totals that they make.
    pub(super) fn finish(mut self, totals: &Totals, now_ms: i64) -> (Vec<Tick>, LeftOut, Pending) {
        let mut pending = Pending::default();
        for (series, mut deltas) in self.deltas.0 {
            let is_mixed = deltas.iter().any(|(identity, ..)| *identity != deltas[0].0);
            let known = totals.0.get(&series).copied();
            // Nothing is added up of what is left out.
            if is_mixed {
                for (identity, span, value) in deltas {
                    self.gathered.add(Ok(series.clone()), identity, span.own_ms(), value);
                }
                continue;
            }
            if known.is_none() && totals.0.len() + pending.0.len() >= SERIES_MAX {
                deltas.iter().for_each(|_| self.gathered.too_many());
                continue;
            }
            deltas.sort_by_key(|(_, span, _)| span.time_ns);
            let mut total = known.unwrap_or_default();
            for (identity, span, value) in deltas {
                let is_repeated = span.time_ns != 0 && span == total.last;
                if !is_repeated {
                    total = Total { value: total.value + value, last: span };
                }
                self.gathered.add(Ok(series.clone()), identity, span.own_ms(), total.value);
            }
            pending.0.insert(series, total);
        }
        let (mut ticks, undated, left_out) = self.gathered.ticks(now_ms, true);
        if !undated.is_empty() {
            ticks.push(Tick { time_ms: now_ms, values: undated });
        }
        (ticks, left_out, pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    fn export(totals: &mut Totals, deltas: &[(u64, u64, f64)], is_durable: bool) -> Vec<(i64, f64)> {
        let mut points = Points::new(&[]);
        for (start, time, value) in deltas {
            let span = Span { start_ns: start * 1_000_000_000, time_ns: time * 1_000_000_000 };
            points.deltas.add(Ok("m".to_owned()), 1, span, *value, &mut points.gathered);
        }
        let (ticks, _, pending) = points.finish(totals, NOW);
        if is_durable {
            totals.keep(pending);
        }
        ticks.into_iter().map(|tick| (tick.time_ms / 1_000 - NOW / 1_000, tick.values[0].1)).collect()
    }

    const T: u64 = 1_763_700_000;

    #[test]
    fn differences_are_added_up_once_they_are_durable_and_never_twice() {
        let mut totals = Totals::default();
        assert_eq!(export(&mut totals, &[(T - 60, T - 50, 3.0)], true), [(-50, 3.0)]);
        assert_eq!(
            export(&mut totals, &[(T - 50, T - 40, 4.0)], false),
            [(-40, 7.0)],
            "the spool did not take it"
        );
        assert_eq!(export(&mut totals, &[(T - 50, T - 40, 4.0)], true), [(-40, 7.0)]);
        assert_eq!(export(&mut totals, &[(T - 50, T - 40, 4.0)], true), [(-40, 7.0)], "the answer got lost");
        let both = [(T - 30, T - 20, 1.0), (T - 40, T - 30, 2.0)];
        assert_eq!(export(&mut totals, &both, true), [(-30, 9.0), (-20, 10.0)], "in the order of time");
        assert_eq!(
            export(&mut totals, &[(T - 45, T - 44, 1.0)], true),
            [(-44, 11.0)],
            "a clock that was set back"
        );
    }

    #[test]
    fn what_is_left_out_is_not_added_up() {
        let mut totals = Totals::default();
        let mut points = Points::new(&[]);
        for identity in 0..2 {
            points.deltas.add(Ok("m".to_owned()), identity, Span::default(), 1.0, &mut points.gathered);
        }
        let (ticks, left_out, pending) = points.finish(&totals, NOW);
        assert_eq!((ticks.len(), left_out.mixed, pending.0.len()), (0, 2, 0));
        for n in 0..SERIES_MAX {
            totals.0.insert(format!("s{n}"), Total::default());
        }
        assert_eq!(export(&mut totals, &[(T - 50, T - 40, 4.0)], true), []);
        assert_eq!(totals.0.len(), SERIES_MAX);
    }
}
