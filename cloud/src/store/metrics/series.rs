//! The series of a request, and what a bucket of one becomes in an answer.

use storepulse_shared::catalogue::{self, MetricKind};

use super::query::Step;
use crate::export::{Head, Row, Value};
use crate::samples::aggregate::{Aggregate, Bucket};
use crate::store::sql::series::SeriesRow;

/// A series that is read.
#[derive(Debug)]
pub(super) struct ReadSeries {
    pub head: Head,
    /// Its metric may be a counter: a rate means something.
    may_count: bool,
}

impl ReadSeries {
    /// `is_among_stores`: it stands beside series of other stores, and says its own.
    pub(super) fn of(row: SeriesRow, is_among_stores: bool) -> Self {
        // What is not in the catalogue may be one, the parts of histograms among it.
        let may_count =
            catalogue::find(&row.metric).is_none_or(|metric| matches!(metric.kind, MetricKind::Counter));
        let head = Head {
            store: is_among_stores.then_some(row.store_id),
            device: row.device_id,
            kind: row.device_kind,
            name: row.name,
            unit: row.unit,
        };
        Self { head, may_count }
    }

    /// What was asked of a bucket.
    pub(super) fn row(&self, bucket: &Bucket, step: &Step) -> Row {
        let value = |aggregate: &Aggregate| match aggregate {
            Aggregate::Count => Some(Value::Count(bucket.count())),
            Aggregate::Rate if !self.may_count => None,
            other => bucket.value(*other).map(Value::Number),
        };
        Row { t: bucket.start_ms, values: step.aggregates.iter().map(value).collect() }
    }
}
