//! From rows of the old table to batches of ours, and to the account of what cannot be one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use storepulse_shared::answer::Rejected;
use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::ids::{StoreId, check_device};
use storepulse_shared::limits::SAMPLES_MAX;
use storepulse_shared::series;

use crate::ingest::{Prepared, Rejection, SERIES_LIMIT, Window};

/// The collector kind of what is taken over.
const KIND: &str = "takeover";
const DAY_MS: i64 = 86_400_000;
/// Characters that are kept of a name that can be none of ours.
const NAME_CHARS_MAX: usize = 60;

/// Rows of one series in a piece of the old table, as they say themselves; of those with a fault only their number.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) store: String,
    pub(super) device: String,
    pub(super) metric: String,
    /// What is wrong with each of them, if anything is.
    pub(super) fault: Option<String>,
    pub(super) rows: i64,
    /// The ctid of the first.
    pub(super) example: String,
    /// First and last time, Unix milliseconds, where there is one.
    pub(super) span: Option<(i64, i64)>,
    /// Unix milliseconds and value, in the order in which they lie in the old table.
    pub(super) samples: Vec<(i64, f64)>,
}

/// Whose rows were counted, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) store: String,
    pub(super) device: String,
    pub(super) metric: String,
    /// Empty: taken.
    pub(super) reason: String,
}

/// How many they are and what their values come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) rows: i64,
    pub(super) total: f64,
    pub(super) span: Option<(i64, i64)>,
    pub(super) example: Option<String>,
}

impl Tally {
    fn of(samples: &[(i64, f64)]) -> Self {
        let mut tally = Self::default();
        for (time, value) in samples {
            tally.rows += 1;
            tally.total += value;
            tally.widen(Some((*time, *time)));
        }
        tally
    }

    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.total += more.total;
        self.widen(more.span);
        self.example = self.example.take().or(more.example);
    }

    fn widen(&mut self, more: Option<(i64, i64)>) {
        self.span = match (self.span, more) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }
}

/// What became of rows, by whose they are.
pub(super) type Tallies = BTreeMap<Place, Tally>;

/// The samples of one series.
#[derive(Debug)]
struct Run {
    device: String,
    metric: String,
    samples: Vec<(i64, f64)>,
}

/// What a piece has of one store.
#[derive(Debug, Default)]
pub(super) struct OfStore {
    runs: Vec<Run>,
    /// What cannot be taken of it.
    pub(super) refused: Vec<Rejection>,
}

/// The stores that a piece speaks of and that could be ours.
pub(super) fn stores(groups: &[Group]) -> BTreeSet<StoreId> {
    groups.iter().filter_map(|group| group.store.parse().ok()).collect()
}

/// Sorts the rows of a piece: those that can be taken by store, all others into the account. `known` are the tenant's stores.
pub(super) fn sort_out(
    groups: Vec<Group>,
    known: &BTreeSet<StoreId>,
    window: Window,
    now_ms: i64,
) -> (BTreeMap<StoreId, OfStore>, Tallies) {
    let (mut stores, mut tallies) = (BTreeMap::<StoreId, OfStore>::new(), Tallies::new());
    for mut group in groups {
        let store: Option<StoreId> = group.store.parse().ok().filter(|store| known.contains(store));
        let samples = std::mem::take(&mut group.samples);
        let fault = group.fault.take().or_else(|| fault_of_names(&group, store.is_some()).map(str::to_owned));
        let mut note =
            |reason: &str, tally: Tally| tallies.entry(place(&group, reason)).or_default().add(tally);
        if let Some(fault) = fault {
            let total = samples.iter().map(|(_, value)| value).sum();
            let example = Some(group.example.clone());
            note(&fault, Tally { rows: group.rows, total, span: group.span, example });
            continue;
        }
        let mut beyond: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
        let mut inside = Vec::with_capacity(samples.len());
        for sample in samples {
            match window.refuses(sample.0) {
                None => inside.push(sample),
                Some(reason) => beyond.entry(reason).or_default().push(sample),
            }
        }
        for (reason, samples) in &beyond {
            note(reason, Tally::of(samples));
        }
        if let (Some(store), false) = (&store, inside.is_empty()) {
            let run = Run { device: group.device, metric: group.metric, samples: inside };
            stores.entry(store.clone()).or_default().runs.push(run);
        }
    }
    for (place, tally) in &tallies {
        if let Some(store) = place.store.parse().ok().filter(|store| known.contains(store)) {
            stores.entry(store).or_default().refused.push(rejection(place, tally, now_ms));
        }
    }
    (stores, tallies)
}

fn fault_of_names(group: &Group, has_store: bool) -> Option<&'static str> {
    if !has_store {
        Some("store_name")
    } else if check_device(&group.device).is_err() {
        Some("device_name")
    } else if series::check(&group.metric).is_err() {
        Some("metric_name")
    } else {
        None
    }
}

fn place(group: &Group, reason: &str) -> Place {
    named([&group.store, &group.device, &group.metric], reason)
}

/// Store, device and metric as rows say them, in the form in which they are counted.
pub(super) fn named([store, device, metric]: [&str; 3], reason: &str) -> Place {
    // What is an id of ours stays whole; of anything else so much that people know it again.
    let short = |text: &str, is_whole: bool| {
        if is_whole { text.to_owned() } else { text.chars().take(NAME_CHARS_MAX).collect() }
    };
    Place {
        store: short(store, store.parse::<StoreId>().is_ok()),
        device: short(device, check_device(device).is_ok()),
        metric: short(metric, series::check(metric).is_ok()),
        reason: reason.to_owned(),
    }
}

/// As the store's losses tell it.
fn rejection(place: &Place, tally: &Tally, now_ms: i64) -> Rejection {
    let Place { device, metric, reason, .. } = place;
    let part = |text: &str| text.replace('~', "~0").replace('/', "~1");
    let path = format!("/{reason}/{}/{}", part(device), part(metric));
    let samples = u64::try_from(tally.rows).unwrap_or_default();
    let span = tally.span.unwrap_or((now_ms, now_ms));
    Rejection { told: Rejected { path, reason: reason.clone(), samples }, span }
}

impl OfStore {
    /// Its samples as batches: none of more than a day of UTC or of more samples than a batch may have. Of two samples of one
    /// series and millisecond both are there, the later one of the old table behind the other.
    pub(super) fn take_batches(&mut self) -> Vec<Batch<'static>> {
        let mut parts: BTreeMap<(i64, usize), Vec<Run>> = BTreeMap::new();
        for Run { device, metric, mut samples } in std::mem::take(&mut self.runs) {
            // Stable: what lies later in the old table stays behind.
            samples.sort_by_key(|(time, _)| *time);
            let (mut layer, mut last) = (0, None);
            for (time, value) in samples {
                layer = if last == Some(time) { layer + 1 } else { 0 };
                last = Some(time);
                let runs = parts.entry((time.div_euclid(DAY_MS), layer)).or_default();
                match runs.last_mut() {
                    Some(run)
                        if run.device == device
                            && run.metric == metric
                            && run.samples.len() < SAMPLES_MAX =>
                    {
                        run.samples.push((time, value));
                    }
                    _ => {
                        let (device, metric) = (device.clone(), metric.clone());
                        runs.push(Run { device, metric, samples: vec![(time, value)] });
                    }
                }
            }
        }
        parts.into_values().flat_map(batches_of).collect()
    }
}

/// Runs of one day, none with a time twice.
fn batches_of(mut runs: Vec<Run>) -> Vec<Batch<'static>> {
    let times = |run: &Run| run.samples.iter().map(|(time, _)| *time).collect::<Vec<_>>();
    runs.sort_by_cached_key(|run| (run.device.clone(), times(run), run.metric.clone()));
    let (mut batches, mut room) = (Vec::<Batch<'static>>::new(), 0);
    for run in runs {
        if run.samples.len() > room || batches.is_empty() {
            batches.push(Batch::default());
            room = SAMPLES_MAX;
        }
        room -= run.samples.len();
        let Some(batch) = batches.last_mut() else { continue };
        let times = times(&run);
        let values = run.samples.iter().map(|(_, value)| *value).collect();
        let column = Column { series: run.metric.into(), values };
        match batch.frames.last_mut() {
            Some(frame) if frame.device == run.device && frame.times == times => frame.columns.push(column),
            _ => batch.frames.push(Frame {
                device: run.device.into(),
                kind: KIND.into(),
                times,
                columns: vec![column],
            }),
        }
    }
    batches
}

/// Adds to the account what became of a batch's samples.
pub(super) fn count(store: &StoreId, batch: &Batch<'_>, prepared: &Prepared, tallies: &mut Tallies) {
    for (frame, ids) in batch.frames.iter().zip(&prepared.ids) {
        for (column, id) in frame.columns.iter().zip(ids) {
            let samples: Vec<_> = frame.times.iter().copied().zip(column.values.iter().copied()).collect();
            let reason = if id.is_some() { "" } else { SERIES_LIMIT };
            let place = Place {
                store: store.to_string(),
                device: frame.device.to_string(),
                metric: column.series.to_string(),
                reason: reason.to_owned(),
            };
            tallies.entry(place).or_default().add(Tally::of(&samples));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    fn group(device: &str, metric: &str, samples: &[(i64, f64)]) -> Group {
        Group {
            store: "T01".into(),
            device: device.into(),
            metric: metric.into(),
            rows: i64::try_from(samples.len()).unwrap(),
            example: "(0,1)".into(),
            samples: samples.to_vec(),
            ..Group::default()
        }
    }

    fn sorted(groups: Vec<Group>) -> (Vec<Batch<'static>>, Tallies) {
        let known = BTreeSet::from(["T01".parse().unwrap()]);
        let (stores, tallies) = sort_out(groups, &known, Window::new(NOW, 400, true), NOW);
        (stores.into_values().flat_map(|mut of| of.take_batches()).collect(), tallies)
    }

    #[test]
    fn series_of_a_device_share_their_times_and_a_day_ends_a_batch() {
        let (a, b) = (NOW - DAY_MS, NOW);
        let (batches, tallies) =
            sorted(vec![group("d", "m", &[(b, 2.0), (a, 1.0)]), group("d", "n", &[(a, 3.0)])]);
        assert_eq!(tallies, Tallies::new());
        assert_eq!(batches.len(), 2);
        assert_eq!((batches[0].frames.len(), batches[0].frames[0].columns.len()), (1, 2));
        assert_eq!(batches[1].frames[0].times, [b]);
    }

    #[test]
    fn of_a_time_that_is_there_twice_the_later_row_lies_behind() {
        let (batches, _) = sorted(vec![group("d", "m", &[(NOW, 1.0), (NOW - 5, 0.0), (NOW, 2.0)])]);
        let times: Vec<_> = batches.iter().flat_map(|b| &b.frames).map(|f| f.times.clone()).collect();
        assert_eq!(times, [vec![NOW - 5, NOW], vec![NOW]]);
        assert_eq!(batches[1].frames[0].columns[0].values, [2.0]);
    }

    #[test]
    fn a_batch_has_only_so_many_samples() {
        let many: Vec<(i64, f64)> = (0..50_000).map(|n| (NOW - NOW % DAY_MS + n, 1.0)).collect();
        let (batches, _) = sorted(vec![group("d", "m", &many)]);
        let counts: Vec<_> = batches.iter().map(Batch::samples).collect();
        assert_eq!(counts, [20_000, 20_000, 10_000]);
    }

    #[test]
    fn what_cannot_be_taken_is_named_with_its_reason() {
        let old = NOW - 500 * DAY_MS;
        let stranger = Group { store: "T 01".into(), ..group("d", "m", &[(NOW, 1.0)]) };
        let null = Group { fault: Some("value_null".into()), rows: 3, ..group("d", "m", &[]) };
        let groups = vec![stranger, null, group("a b", "m", &[(NOW, 1.0)]), group("d", "m", &[(old, 4.0)])];
        let (batches, tallies) = sorted(groups);
        assert_eq!(batches, []);
        let told: Vec<_> = tallies
            .iter()
            .map(|(place, tally)| (&*place.store, &*place.device, &*place.reason, tally.rows, tally.total))
            .collect();
        assert_eq!(
            told,
            [
                ("T 01", "d", "store_name", 1, 1.0),
                ("T01", "a b", "device_name", 1, 1.0),
                ("T01", "d", "outside_retention", 1, 4.0),
                ("T01", "d", "value_null", 3, 0.0),
            ]
        );
    }
}
