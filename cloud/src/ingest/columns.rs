//! From the frames of a batch to the arrays of one inbox row, and to the list of what could not be taken.
//!
//! Pure: times are judged against a window, series against the ids that were found for them. Because a frame's times
//! ascend, what is too old is its beginning and what is too far ahead is its end.

use std::collections::HashSet;
use std::ops::Range;

use storepulse_shared::answer::Rejected;
use storepulse_shared::batch::{Batch, Frame};
use storepulse_shared::limits::{AHEAD_MAX, TIME_MAX_MS, TIME_MIN_MS};

/// Older than the tenant keeps samples, or older than any clock that was ever set.
pub(crate) const OUTSIDE_RETENTION: &str = "outside_retention";
/// More than an hour ahead of the cloud's clock, by a clock that the sender vouches for.
pub(crate) const TIME_AHEAD: &str = "time_ahead";
/// A new series beyond the limit of its device or store.
pub(crate) const SERIES_LIMIT: &str = "series_limit";

/// The times that can be stored, both ends included, Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    earliest: i64,
    latest: i64,
}

impl Window {
    /// What is kept for `retention_days` before `now_ms`, and not ahead of it if the sender's clock is `trusted`.
    #[must_use]
    pub(crate) fn new(now_ms: i64, retention_days: i32, trusted: bool) -> Self {
        let retention_ms = i64::from(retention_days) * 24 * 3600 * 1000;
        let ahead_ms = i64::try_from(AHEAD_MAX.as_millis()).unwrap_or(i64::MAX);
        Self {
            earliest: (now_ms - retention_ms).max(TIME_MIN_MS),
            latest: if trusted { now_ms + ahead_ms } else { TIME_MAX_MS },
        }
    }

    /// Why a sample of this time cannot be stored, if it cannot.
    pub(crate) fn refuses(&self, time: i64) -> Option<&'static str> {
        if time < self.earliest || time > TIME_MAX_MS {
            Some(OUTSIDE_RETENTION)
        } else {
            (time > self.latest).then_some(TIME_AHEAD)
        }
    }

    /// Which of these ascending times are inside.
    fn inside(&self, times: &[i64], offset_ms: i64) -> Range<usize> {
        let time = |t: &i64| t.saturating_add(offset_ms);
        let start = times.partition_point(|t| time(t) < self.earliest);
        let end = times.partition_point(|t| time(t) <= self.latest);
        start..end.max(start)
    }
}

/// The arrays of one row of `sample_batches`. A run is the values of one series; runs that share their times, of whatever
/// device, are a group, whose times are there once: one tick, one time.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Columns {
    /// First and last time, offset included; `None` without samples.
    pub span: Option<(i64, i64)>,
    /// One id per run, group after group.
    pub series_ids: Vec<i32>,
    /// How many runs each group has.
    pub group_runs: Vec<i16>,
    /// How many times each group has, and so how many values each of its runs.
    pub run_lengths: Vec<i32>,
    /// Milliseconds after the first time: the times of each group.
    pub t_offsets: Vec<i32>,
    /// The values, run after run; none is missing.
    pub vals: Vec<f64>,
}

impl Columns {
    /// How many samples there are.
    #[must_use]
    pub(crate) fn samples(&self) -> usize {
        self.vals.len()
    }

    /// The runs that were pushed last have these times.
    fn end_group(&mut self, runs: i16, t_offsets: impl Iterator<Item = i32>) {
        let before = self.t_offsets.len();
        self.t_offsets.extend(t_offsets);
        self.group_runs.push(runs);
        self.run_lengths.push(i32::try_from(self.t_offsets.len() - before).unwrap_or(i32::MAX));
    }
}

/// Samples that could not be taken, with the times they had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// As the sender is told.
    pub told: Rejected,
    /// First and last time, offset included.
    pub span: (i64, i64),
}

/// Lays the frames out. `ids` has one entry per frame and column; `None` is a series that found no place.
#[must_use]
pub(crate) fn lay_out(
    batch: &Batch<'_>,
    ids: &[Vec<Option<i32>>],
    offset_ms: i64,
    window: Window,
) -> (Columns, Vec<Rejection>) {
    let mut rejections = Vec::new();
    let inside: Vec<Range<usize>> = batch.frames.iter().map(|f| window.inside(&f.times, offset_ms)).collect();
    let base = first_time(batch, &inside).map(|t| t.saturating_add(offset_ms));
    for (at, ((frame, inside), ids)) in batch.frames.iter().zip(&inside).zip(ids).enumerate() {
        reject_times(&mut rejections, at, frame, 0..inside.start, offset_ms, OUTSIDE_RETENTION);
        let beyond = if frame.times.get(inside.end).is_some_and(|t| t.saturating_add(offset_ms) > TIME_MAX_MS)
        {
            OUTSIDE_RETENTION
        } else {
            TIME_AHEAD
        };
        reject_times(&mut rejections, at, frame, inside.end..frame.times.len(), offset_ms, beyond);
        for (column, id) in frame.columns.iter().zip(ids) {
            if id.is_none() {
                reject_column(&mut rejections, at, frame, column, inside.clone(), offset_ms);
            }
        }
    }
    let mut columns = Columns::default();
    if let Some(base) = base {
        let parts = batch.frames.iter().zip(ids).zip(inside);
        let parts = parts.map(|((frame, ids), inside)| Part { frame, ids, inside });
        push_parts(&mut columns, parts.filter(|part| !part.inside.is_empty()).collect(), offset_ms - base);
    }
    if let (Some(base), Some(last)) = (base, columns.t_offsets.iter().max()) {
        columns.span = Some((base, base + i64::from(*last)));
    }
    (columns, rejections)
}

fn first_time(batch: &Batch<'_>, inside: &[Range<usize>]) -> Option<i64> {
    let firsts = batch.frames.iter().zip(inside).filter(|(_, inside)| !inside.is_empty());
    firsts.map(|(frame, inside)| frame.times[inside.start]).min()
}

/// What can be stored of a frame.
struct Part<'a> {
    frame: &'a Frame<'a>,
    ids: &'a [Option<i32>],
    inside: Range<usize>,
}

impl<'a> Part<'a> {
    fn times(&self) -> &'a [i64] {
        &self.frame.times[self.inside.clone()]
    }

    /// The series that have an id, with their values, gaps included.
    fn series(&self) -> impl Iterator<Item = (i32, &'a [f64])> {
        let inside = self.inside.clone();
        let series = self.frame.columns.iter().zip(self.ids);
        series.filter_map(move |(column, id)| Some(((*id)?, &column.values[inside.clone()])))
    }
}

/// Appends the frames, those with the same times beside each other. `shift` turns a time of the body into an offset.
fn push_parts(columns: &mut Columns, mut parts: Vec<Part<'_>>, shift: i64) {
    let mut devices = HashSet::new();
    // Of two values of one series and millisecond the later one counts, so what could hold such two keeps its order.
    let are_apart = parts.iter().all(|part| devices.insert(&*part.frame.device));
    if are_apart {
        parts.sort_by_key(Part::times);
    }
    for sharing in parts.chunk_by(|a, b| are_apart && a.times() == b.times()) {
        push_sharing(columns, sharing, shift);
    }
}

/// Appends frames that have the same times. Series with a value at every time are one group; one with gaps has the times of
/// its own values.
fn push_sharing(columns: &mut Columns, parts: &[Part<'_>], shift: i64) {
    // A batch spans a day at most, which is 27 bits of milliseconds.
    #[expect(clippy::cast_possible_truncation, reason = "the span of a batch was checked")]
    let offset = |time: &i64| (time + shift) as i32;
    let times = parts.first().map_or(&[][..], Part::times);
    let has_gaps = |values: &[f64]| values.iter().any(|value| value.is_nan());
    let mut sharing = 0;
    for (id, values) in parts.iter().flat_map(Part::series).filter(|(_, values)| !has_gaps(values)) {
        columns.series_ids.push(id);
        columns.vals.extend_from_slice(values);
        sharing += 1;
    }
    if sharing > 0 {
        columns.end_group(sharing, times.iter().map(offset));
    }
    for (id, values) in parts.iter().flat_map(Part::series).filter(|(_, values)| has_gaps(values)) {
        let there = || times.iter().zip(values).filter(|(_, value)| !value.is_nan());
        if there().next().is_some() {
            columns.series_ids.push(id);
            columns.vals.extend(there().map(|(_, value)| *value));
            columns.end_group(1, there().map(|(time, _)| offset(time)));
        }
    }
}

fn reject_times(
    rejections: &mut Vec<Rejection>,
    at: usize,
    frame: &Frame<'_>,
    range: Range<usize>,
    offset_ms: i64,
    reason: &str,
) {
    let values = frame.columns.iter().map(|c| count(&c.values[range.clone()]));
    let samples: u64 = values.sum();
    if samples == 0 {
        return;
    }
    let (first, last) = (range.start, range.end - 1);
    let ticks = if first == last { first.to_string() } else { format!("{first}-{last}") };
    rejections.push(Rejection {
        told: Rejected { path: format!("/frames/{at}/t/{ticks}"), reason: reason.to_owned(), samples },
        span: (frame.times[first].saturating_add(offset_ms), frame.times[last].saturating_add(offset_ms)),
    });
}

fn reject_column(
    rejections: &mut Vec<Rejection>,
    at: usize,
    frame: &Frame<'_>,
    column: &storepulse_shared::batch::Column<'_>,
    inside: Range<usize>,
    offset_ms: i64,
) {
    let samples = count(&column.values[inside.clone()]);
    if samples == 0 {
        return;
    }
    // RFC 6901: a name in a JSON pointer has '~' and '/' escaped.
    let name = column.series.replace('~', "~0").replace('/', "~1");
    let time = |at: usize| frame.times[at].saturating_add(offset_ms);
    rejections.push(Rejection {
        told: Rejected { path: format!("/frames/{at}/m/{name}"), reason: SERIES_LIMIT.to_owned(), samples },
        span: (time(inside.start), time(inside.end - 1)),
    });
}

fn count(values: &[f64]) -> u64 {
    values.iter().filter(|v| !v.is_nan()).count() as u64
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::Column;

    use super::*;

    const NOW: i64 = 1_763_700_000_000;
    const HOUR: i64 = 3_600_000;

    fn frame(times: &[i64], columns: &[(&'static str, &[f64])]) -> Frame<'static> {
        let columns = columns.iter().map(|(name, v)| Column { series: (*name).into(), values: v.to_vec() });
        Frame { device: "d".into(), kind: "host".into(), times: times.to_vec(), columns: columns.collect() }
    }

    fn batch(frames: Vec<Frame<'static>>) -> Batch<'static> {
        Batch { frames, ..Batch::default() }
    }

    #[test]
    fn runs_hold_the_values_that_are_there_and_share_their_times_if_none_is_missing() {
        let nan = f64::NAN;
        let (early, late) = ([NOW - 5], [NOW, NOW + 10]);
        let mut batch = batch(vec![
            frame(&late, &[("a", &[1.0, nan]), ("b", &[nan, nan]), ("d", &[4.0, 5.0])]),
            frame(&early, &[("c", &[3.0]), ("e", &[6.0])]),
            frame(&late, &[("f", &[7.0, 8.0])]),
        ]);
        let ids = [&[Some(7), Some(8), Some(10)][..], &[Some(9), Some(11)], &[Some(12)]].map(<[_]>::to_vec);
        for (at, frame) in batch.frames.iter_mut().enumerate() {
            frame.device = format!("d{at}").into();
        }
        let (columns, rejections) = lay_out(&batch, &ids, 0, Window::new(NOW, 1, true));
        assert_eq!(rejections, []);
        assert_eq!(columns.span, Some((NOW - 5, NOW + 10)));
        assert_eq!(columns.series_ids, [9, 11, 10, 12, 7]);
        assert_eq!(columns.group_runs, [2, 2, 1]);
        assert_eq!(columns.run_lengths, [1, 2, 1]);
        assert_eq!(columns.t_offsets, [0, 5, 15, 5]);
        assert_eq!(columns.vals, [3.0, 6.0, 4.0, 5.0, 7.0, 8.0, 1.0]);
    }

    #[test]
    fn frames_of_one_device_keep_their_order_since_the_later_value_of_one_time_counts() {
        let frames = [[NOW + 10, NOW + 20], [NOW, NOW + 10], [NOW + 10, NOW + 20]];
        let batch = batch(frames.iter().map(|times| frame(times, &[("a", &[1.0, 2.0])])).collect());
        let ids = vec![vec![Some(7)]; 3];
        let (columns, _) = lay_out(&batch, &ids, 0, Window::new(NOW, 1, true));
        assert_eq!(columns.group_runs, [1, 1, 1]);
        assert_eq!(columns.t_offsets, [10, 20, 0, 10, 10, 20]);
    }

    #[test]
    fn what_is_too_old_or_too_far_ahead_is_rejected_and_the_rest_is_kept() {
        let times = [NOW - 25 * HOUR, NOW - 23 * HOUR, NOW, NOW + HOUR, NOW + HOUR + 1, NOW + 2 * HOUR];
        let batch = batch(vec![frame(&times, &[("a", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])]);
        let (columns, rejections) = lay_out(&batch, &[vec![Some(1)]], 0, Window::new(NOW, 1, true));
        assert_eq!(columns.vals, [2.0, 3.0, 4.0]);
        let told: Vec<_> =
            rejections.iter().map(|r| (&*r.told.path, &*r.told.reason, r.told.samples)).collect();
        assert_eq!(told, [("/frames/0/t/0", OUTSIDE_RETENTION, 1), ("/frames/0/t/4-5", TIME_AHEAD, 2)]);
        assert_eq!(rejections[1].span, (NOW + HOUR + 1, NOW + 2 * HOUR));
    }

    #[test]
    fn an_unsure_clock_may_be_ahead_but_not_beyond_all_time() {
        let times = [NOW + 24 * HOUR, TIME_MAX_MS + 1];
        let batch = batch(vec![frame(&times, &[("a", &[1.0, 2.0])])]);
        let (columns, rejections) = lay_out(&batch, &[vec![Some(1)]], 0, Window::new(NOW, 1, false));
        assert_eq!(columns.vals, [1.0]);
        assert_eq!(rejections[0].told.reason, OUTSIDE_RETENTION);
    }

    #[test]
    fn the_offset_is_added_before_times_are_judged() {
        let batch = batch(vec![frame(&[0, 1_000], &[("a", &[1.0, 2.0])])]);
        let (columns, rejections) = lay_out(&batch, &[vec![Some(1)]], NOW, Window::new(NOW, 1, true));
        assert_eq!(rejections, []);
        assert_eq!(columns.span, Some((NOW, NOW + 1_000)));
        assert_eq!(columns.t_offsets, [0, 1_000]);
    }

    #[test]
    fn a_series_without_a_place_is_rejected_alone() {
        let batch = batch(vec![frame(&[NOW], &[("a", &[1.0]), ("b/c~d", &[2.0])])]);
        let (columns, rejections) = lay_out(&batch, &[vec![Some(1), None]], 0, Window::new(NOW, 1, true));
        assert_eq!(columns.vals, [1.0]);
        assert_eq!(rejections[0].told.path, "/frames/0/m/b~1c~0d");
        assert_eq!(rejections[0].told.reason, SERIES_LIMIT);
    }

    #[test]
    fn a_batch_of_which_nothing_can_be_taken_has_no_span() {
        let batch = batch(vec![frame(&[0], &[("a", &[1.0])])]);
        let (columns, rejections) = lay_out(&batch, &[vec![Some(1)]], 0, Window::new(NOW, 1, true));
        assert_eq!(columns, Columns::default());
        assert_eq!(rejections.len(), 1);
    }
}
