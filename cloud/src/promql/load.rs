//! What a plan needs from the database, in one snapshot: the series of all selectors, then their samples.
//!
//! Selectors whose ranges touch share a read; those that lie apart (`offset 1w`) do not, so that what lies between them is
//! not read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use storepulse_shared::ids::StoreId;
use storepulse_shared::limits::{TIME_MAX_MS, TIME_MIN_MS};

use super::answer::QueryError;
use super::eval::{Data, Stored};
use super::plan::Selector;
use super::select::{self, Known};
use crate::db::TenantTx;
use crate::samples::{self, ReadError, SeriesSamples};
use crate::scope::Scope;

/// Most samples that a query may hold. Beyond: 422.
const SAMPLES_MAX: usize = 2_000_000;

/// Selectors whose ranges touch, and the series of all of them.
#[derive(Debug)]
struct Window {
    from: i64,
    to: i64,
    selectors: Vec<usize>,
    /// By store.
    ids: BTreeMap<StoreId, Vec<i32>>,
}

/// Reads what each selector has found.
///
/// # Errors
/// The database, or more samples than a query may hold.
pub(super) async fn load(
    tx: &mut TenantTx,
    scope: &Scope,
    selectors: &[Selector],
) -> Result<Data, QueryError> {
    let mut data: Data = selectors.iter().map(|_| Vec::new()).collect();
    if selectors.is_empty() {
        return Ok(data);
    }
    let matchers: Vec<_> = selectors.iter().map(|selector| &selector.series).collect();
    let known = select::candidates(tx, scope, &matchers).await?;
    let found: Vec<Vec<&Known>> = matchers
        .iter()
        .map(|m| known.iter().filter(|one| m.hold(&one.metric, &one.labels)).collect())
        .collect();
    let mut left = SAMPLES_MAX;
    for window in windows(selectors, &found) {
        let mut samples: HashMap<i32, Arc<SeriesSamples>> = HashMap::new();
        for (store, ids) in &window.ids {
            let range = samples::Range { store, series_ids: ids, from_ms: window.from, to_ms: window.to };
            let found = samples::read(tx, range, left).await.map_err(|error| match error {
                // What other reads have taken is part of it.
                ReadError::TooMany { .. } => ReadError::TooMany { limit: SAMPLES_MAX },
                error @ ReadError::Sqlx(_) => error,
            })?;
            left = left.saturating_sub(found.values().map(Vec::len).sum());
            samples.extend(found.into_iter().map(|(id, samples)| (id, Arc::new(samples))));
        }
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
        if windows.last().is_none_or(|last| last.to < from) {
            windows.push(Window { from, to, selectors: Vec::new(), ids: BTreeMap::new() });
        }
        let Some(window) = windows.last_mut() else { continue };
        window.to = window.to.max(to);
        window.selectors.push(at);
        for one in &found[at] {
            window.ids.entry(one.store.clone()).or_default().push(one.id);
        }
    }
    for ids in windows.iter_mut().flat_map(|window| window.ids.values_mut()) {
        ids.sort_unstable();
        ids.dedup();
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
        let stores: [StoreId; 2] = ["T01", "T02"].map(|id| id.parse().unwrap());
        let known = |id, store: usize| {
            let store = stores[store].clone();
            Known { id, store, metric: String::new(), labels: Labels::default() }
        };
        let all = [known(1, 0), known(2, 0), known(3, 1)];
        let selectors =
            [selector(100, 200), selector(0, 10), selector(150, 300), selector(0, 900), selector(-90, -80)];
        let found = [vec![&all[0], &all[1]], vec![&all[1]], vec![&all[1], &all[2]], vec![], vec![&all[0]]];
        let windows = windows(&selectors, &found);
        let seen: Vec<_> = windows
            .iter()
            .map(|w| {
                (
                    w.from - TIME_MIN_MS,
                    w.to - TIME_MIN_MS,
                    &*w.selectors,
                    w.ids.values().cloned().collect::<Vec<_>>(),
                )
            })
            .collect();
        let expected = [(0, 10, &[1][..], vec![vec![2]]), (100, 300, &[0, 2], vec![vec![1, 2], vec![3]])];
        assert_eq!(seen, expected);
    }
}
