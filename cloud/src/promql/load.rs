//! What a plan needs from the database, in one snapshot: the series of all selectors, then their samples.
//!
//! Selectors whose ranges touch share a read; those that lie apart (`offset 1w`) do not, so that what lies between them is
//! not read.

use std::collections::HashMap;
use std::sync::Arc;

use storepulse_shared::ids::StoreId;
use storepulse_shared::limits::{TIME_MAX_MS, TIME_MIN_MS};

use super::answer::QueryError;
use super::eval::{Data, Stored};
use super::plan::Selector;
use super::select::{self, Known};
use crate::db::TenantTx;
use crate::samples::{self, SeriesSamples};

/// Most samples that a query may hold. Beyond: 422.
const SAMPLES_MAX: usize = 2_000_000;

/// Selectors whose ranges touch, and the series of all of them.
#[derive(Debug)]
struct Window {
    from: i64,
    to: i64,
    selectors: Vec<usize>,
    ids: Vec<i32>,
}

/// Reads what each selector has found.
///
/// # Errors
/// The database, or more samples than a query may hold.
pub(super) async fn load(
    tx: &mut TenantTx,
    store: &StoreId,
    selectors: &[Selector],
) -> Result<Data, QueryError> {
    let mut data: Data = selectors.iter().map(|_| Vec::new()).collect();
    if selectors.is_empty() {
        return Ok(data);
    }
    let matchers: Vec<_> = selectors.iter().map(|selector| &selector.series).collect();
    let known = select::candidates(tx, store, &matchers).await?;
    let found: Vec<Vec<&Known>> = matchers
        .iter()
        .map(|m| known.iter().filter(|one| m.hold(&one.metric, &one.labels)).collect())
        .collect();
    let mut left = SAMPLES_MAX;
    for window in windows(selectors, &found) {
        let range = samples::Range { store, series_ids: &window.ids, from_ms: window.from, to_ms: window.to };
        let samples = samples::read(tx, range, left).await?;
        left = left.saturating_sub(samples.values().map(Vec::len).sum());
        let samples: HashMap<i32, Arc<SeriesSamples>> =
            samples.into_iter().map(|(id, samples)| (id, Arc::new(samples))).collect();
        for selector in window.selectors {
            let stored = found[selector].iter().filter_map(|one| {
                let samples = samples.get(&one.id)?;
                Some(Stored { labels: one.labels.clone(), samples: Arc::clone(samples) })
            });
            data[selector] = stored.collect();
            data[selector].sort_by(|a, b| a.labels.cmp(&b.labels));
        }
    }
    Ok(data)
}

fn windows(selectors: &[Selector], found: &[Vec<&Known>]) -> Vec<Window> {
    // No sample has a time outside of these, however far a query may ask.
    let range = |at: usize| (selectors[at].from.max(TIME_MIN_MS), selectors[at].to.min(TIME_MAX_MS));
    let may_have = |at: &usize| !found[*at].is_empty() && range(*at).0 <= range(*at).1;
    let mut order: Vec<usize> = (0..selectors.len()).filter(may_have).collect();
    order.sort_by_key(|at| range(*at).0);
    let mut windows: Vec<Window> = Vec::new();
    for at in order {
        let (from, to) = range(at);
        let ids = found[at].iter().map(|one| one.id);
        match windows.last_mut() {
            Some(last) if from <= last.to => {
                last.to = last.to.max(to);
                last.selectors.push(at);
                last.ids.extend(ids);
            }
            _ => windows.push(Window { from, to, selectors: vec![at], ids: ids.collect() }),
        }
    }
    for window in &mut windows {
        window.ids.sort_unstable();
        window.ids.dedup();
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::labels::Labels;
    use crate::promql::plan::SeriesMatchers;

    #[test]
    fn ranges_that_touch_are_read_once_and_others_apart() {
        let selector = |from, to| Selector {
            series: SeriesMatchers(Vec::new()),
            from: TIME_MIN_MS + from,
            to: TIME_MIN_MS + to,
        };
        let known = |id| Known { id, metric: String::new(), labels: Labels::default() };
        let all = [known(1), known(2), known(3)];
        let selectors =
            [selector(100, 200), selector(0, 10), selector(150, 300), selector(0, 900), selector(-90, -80)];
        let found = [vec![&all[0], &all[1]], vec![&all[1]], vec![&all[1], &all[2]], vec![], vec![&all[0]]];
        let windows = windows(&selectors, &found);
        let seen: Vec<_> = windows
            .iter()
            .map(|w| (w.from - TIME_MIN_MS, w.to - TIME_MIN_MS, &*w.selectors, &*w.ids))
            .collect();
        assert_eq!(seen, [(0, 10, &[1][..], &[2][..]), (100, 300, &[0, 2], &[1, 2, 3])]);
    }
}
