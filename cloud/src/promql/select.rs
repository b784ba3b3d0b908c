//! The series that selectors mean, with the labels they are shown with.

use std::collections::HashMap;

use storepulse_shared::ids::StoreId;

use super::labels::{Labels, NAME, Origin, of_series};
use super::plan::SeriesMatchers;
use super::sql::{self, SeriesRow};
use crate::db::TenantTx;

/// A series of the store.
#[derive(Debug)]
pub(super) struct Known {
    pub id: i32,
    /// In its own spelling.
    pub metric: String,
    pub labels: Labels,
}

/// Every series that any of these could mean; all without any.
///
/// # Errors
/// The server refused, or is away.
pub(super) async fn candidates(
    tx: &mut TenantTx,
    store: &StoreId,
    matchers: &[&SeriesMatchers],
) -> Result<Vec<Known>, sqlx::Error> {
    let names: Option<Vec<String>> = matchers.iter().map(|series| series.metric_identifier()).collect();
    let names = names.filter(|names| !names.is_empty());
    let rows = sql::series(tx, store, names.as_deref()).await?;
    Ok(labelled(store, rows))
}

/// No two are shown with the same labels: a metric that shares its identifier with another one keeps its own spelling then,
/// and what still is the same says its device.
fn labelled(store: &StoreId, rows: Vec<SeriesRow>) -> Vec<Known> {
    let mut known: Vec<(Known, String)> = rows
        .into_iter()
        .map(|row| {
            let own = row.labels.iter().map(|(name, value)| (&**name, &**value));
            let origin = Origin {
                store: store.as_str(),
                device: &row.device_id,
                kind: &row.device_kind,
                metric: &row.metric,
            };
            let labels = of_series(origin, own);
            (Known { id: row.series_id, metric: row.metric, labels }, row.device_id)
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
            device_id: device.into(),
            device_kind: kind.into(),
            metric: metric.into(),
            labels: Json(BTreeMap::new()),
        }
    }

    #[test]
    fn metrics_that_share_an_identifier_are_told_apart() {
        let store = "T01".parse().unwrap();
        let rows = vec![
            row(1, "d", "push", "a.b"),
            row(2, "d", "push", "a_b"),
            row(3, "e", "push", "a.b"),
            row(4, "x", "prometheus", "up"),
            row(5, "y", "prometheus", "up"),
        ];
        let shown: Vec<String> = labelled(&store, rows).iter().map(|one| one.labels.to_string()).collect();
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
