//! Samples and buckets as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::export::{Head, Row};

/// Samples of a store or of all stores of a tenant, or what they were summed up to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// Unix milliseconds UTC.
    pub(super) from: i64,
    /// Unix milliseconds UTC.
    pub(super) to: i64,
    /// Length of a bucket in milliseconds; absent where samples are given as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<i64>,
    /// What the numbers of a bucket are; absent where samples are given as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agg: Option<Vec<&'static str>>,
    /// By store, device and name. A series may go on in the next page.
    pub(super) series: Vec<Series>,
    /// Give it as `cursor` for the next page; null on the last one, absent where no pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Option<String>>,
}

/// What there is of one series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    /// Where series of several stores are side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    device: String,
    /// The collector kind of the device.
    kind: String,
    /// `metric{label="value",…}`
    name: String,
    /// UCUM, if the metric is in the catalogue.
    unit: Option<String>,
    /// `[time in Unix milliseconds UTC, value]`, ascending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<f64>>>)]
    samples: Option<Vec<(i64, f64)>>,
    /// `[beginning in Unix milliseconds UTC, one number for each of agg]`, ascending; a bucket without samples is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<Option<f64>>>>)]
    buckets: Option<Vec<Row>>,
}

impl Series {
    pub(super) fn of_samples(head: &Head, samples: Vec<(i64, f64)>) -> Self {
        Self { samples: Some(samples), ..Self::of(head) }
    }

    pub(super) fn of_buckets(head: &Head, buckets: Vec<Row>) -> Self {
        Self { buckets: Some(buckets), ..Self::of(head) }
    }

    fn of(head: &Head) -> Self {
        Self {
            store: head.store.clone(),
            device: head.device.clone(),
            kind: head.kind.clone(),
            name: head.name.clone(),
            unit: head.unit.clone(),
            samples: None,
            buckets: None,
        }
    }

    pub(super) fn is_of(&self, head: &Head) -> bool {
        self.name == head.name && self.device == head.device && self.store == head.store
    }

    pub(super) fn extend(&mut self, more: &[(i64, f64)]) {
        self.samples.get_or_insert_default().extend_from_slice(more);
    }
}
