//! The series that selectors mean, with the labels they are shown with.

use std::collections::HashMap;

use storepulse_shared::ids::StoreId;

use super::answer::QueryError;
use super::labels::{Labels, NAME, Origin, STORE, of_series};
use super::plan::SeriesMatchers;
use super::sql::{self, SeriesRow};
use crate::db::TenantTx;
use crate::scope::Scope;

/// Most series that are looked at for one request: more than a store has, and fewer than a chain may have. Beyond: 422.
const SERIES_MAX: usize = 50_000;

/// A series.
#[derive(Debug)]
pub(super) struct Known {
    pub id: i32,
    pub store: StoreId,
    /// In its own spelling.
    pub metric: String,
    pub labels: Labels,
}

/// Every series of the scope that any of these could mean; all without any.
///
/// # Errors
/// The database, or more than [`SERIES_MAX`].
pub(super) async fn candidates(
    tx: &mut TenantTx,
    scope: &Scope,
    matchers: &[&SeriesMatchers],
) -> Result<Vec<Known>, QueryError> {
    let names: Option<Vec<String>> = matchers.iter().map(|series| series.metric_identifier()).collect();
    let names = names.filter(|names| !names.is_empty());
    let mut stores = scope.stores(tx).await?;
    if scope.is_of_many() && !matchers.is_empty() {
        stores.retain(|store| matchers.iter().any(|series| series.may_be_of(store)));
    }
    let ids: Vec<String> = stores.iter().map(|store| store.to_string()).collect();
    let rows = sql::series(tx, &ids, names.as_deref(), SERIES_MAX + 1).await?;
    if rows.len() > SERIES_MAX {
        let why = format!("more than {SERIES_MAX} series of {} stores could be meant", ids.len());
        let way_out = format!("name a metric, or stores: {{{STORE}=~\"…\"}}");
        return Err(QueryError::Execution(format!("{why}: {way_out}")));
    }
    Ok(labelled(&stores, scope.is_of_many(), rows))
}

/// No two are shown with the same labels: a metric that shares its identifier with another one keeps its own spelling then,
/// and what still is the same says its device.
fn labelled(stores: &[StoreId], is_among_stores: bool, rows: Vec<SeriesRow>) -> Vec<Known> {
    let stores: HashMap<&str, &StoreId> = stores.iter().map(|store| (store.as_str(), store)).collect();
    let mut known: Vec<(Known, String)> = rows
        .into_iter()
        .filter_map(|row| {
            let store = (*stores.get(row.store_id.as_str())?).clone();
            let own = row.labels.iter().map(|(name, value)| (&**name, &**value));
            let origin = Origin {
                store: store.as_str(),
                device: &row.device_id,
                kind: &row.device_kind,
                metric: &row.metric,
                is_among_stores,
            };
            let labels = of_series(origin, own);
            Some((Known { id: row.series_id, store, metric: row.metric, labels }, row.device_id))
        })
        .collect();
    distinguish(&mut known, |one, _| one.labels.with(NAME, &one.metric));
    distinguish(&mut known, |one, device| one.labels.with("storepulse_device", device));
    known.into_iter().map(|(one, _)| one).collect()
}

fn distinguish(known: &mut [(Known, String)], label: impl Fn(&Known, &str) -> Labels) {
    let mut shown: HashMap<Labels, usize> = HashMap::new();
    for (one, _) in known.iter() {
        *shown.entry(one.labels.clone()).or_default() += 1;
    }
    for (one, device) in known.iter_mut().filter(|(one, _)| shown[&one.labels] > 1) {
        one.labels = label(one, device);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sqlx::types::Json;

    use super::*;

    fn row(series_id: i32, device: &str, kind: &str, metric: &str) -> SeriesRow {
        SeriesRow {
            series_id,
            store_id: "T01".into(),
            device_id: device.into(),
            device_kind: kind.into(),
            metric: metric.into(),
            labels: Json(BTreeMap::new()),
        }
    }

    #[test]
    fn metrics_that_share_an_identifier_are_told_apart() {
        let stores = ["T01".parse().unwrap()];
        let rows = vec![
            row(1, "d", "push", "a.b"),
            row(2, "d", "push", "a_b"),
            row(3, "e", "push", "a.b"),
            row(4, "x", "prometheus", "up"),
            row(5, "y", "prometheus", "up"),
        ];
        let shown: Vec<String> =
            labelled(&stores, false, rows).iter().map(|one| one.labels.to_string()).collect();
        let expected = [
            r#"{__name__="a.b", device="d", kind="push", store="T01"}"#,
            r#"{__name__="a_b", device="d", kind="push", store="T01"}"#,
            r#"{__name__="a_b", device="e", kind="push", store="T01"}"#,
            r#"{__name__="up", storepulse_device="x"}"#,
            r#"{__name__="up", storepulse_device="y"}"#,
        ];
        assert_eq!(shown, expected);
    }
}
