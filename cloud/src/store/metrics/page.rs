//! An answer in JSON: everything at once if it is not too much, or a page of it.
//!
//! Where everything was asked for and is too much, the answer is a refusal that says how to get it, and never a part.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{Metrics, Series};
use super::failed;
use super::query::{Page, Step, VALUES_MAX};
use super::series::ReadSeries;
use super::walk::{Part, Walk};
use crate::db::TenantTx;
use crate::problem::ApiError;
use crate::samples::aggregate::{Bucket, Folding};
use crate::store::parameters::TimeRange;

/// Most samples that are read for one answer: sums of them may be few.
const READ_MAX: usize = 10_000_000;
/// Samples that a piece is meant to have at the least: smaller ones cost more than they save.
const PIECE_LEAST: usize = 10_000;
/// A page ends when it has taken so long, and everything at once is refused.
const TIME_MAX: Duration = Duration::from_secs(15);

/// Where the next page begins, with the range that the first one was of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub from: i64,
    pub to: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    device: String,
    name: String,
    t: i64,
}

impl Place {
    /// The series and time to begin at: of what is there now, the first that is not before the place.
    pub(super) fn find(&self, series: &[ReadSeries]) -> (usize, i64) {
        let key = (self.store.as_deref(), self.device.as_str(), self.name.as_str());
        let of = |s: &'_ ReadSeries| {
            (s.head.store.as_deref(), s.head.device.as_str(), s.head.name.as_str()).cmp(&key)
        };
        let at = series.partition_point(|s| of(s).is_lt());
        let is_same = series.get(at).is_some_and(|s| of(s).is_eq());
        (at, if is_same { self.t } else { i64::MIN })
    }
}

/// What fills an answer.
pub(super) struct Filling<'a> {
    pub walk: Walk,
    pub series: &'a [ReadSeries],
    pub range: TimeRange,
    pub step: Option<&'a Step>,
    pub page: Option<&'a Page>,
}

/// How far an answer is filled.
struct Filled {
    series: Vec<Series>,
    values: usize,
    /// Where the page was full.
    stopped_at: Option<(usize, i64)>,
}

impl Filling<'_> {
    /// Reads until the answer is complete or the page is full.
    pub(super) async fn fill(mut self, tx: &mut TenantTx) -> Result<Metrics, ApiError> {
        let began = Instant::now();
        let limit = self.page.map_or(VALUES_MAX, |page| page.limit);
        let mut filled = Filled { series: Vec::new(), values: 0, stopped_at: None };
        let mut folding = None;
        loop {
            // Without steps a piece need not be much larger than what still fits the page.
            let meant =
                if self.step.is_none() { (limit - filled.values).max(PIECE_LEAST) } else { usize::MAX };
            let parts = self.walk.next(tx, meant).await.map_err(failed)?;
            let Some(parts) = parts else { break };
            for part in parts {
                match self.step {
                    None => self.add_samples(&mut filled, &part, limit),
                    Some(step) => self.add_buckets(&mut filled, &mut folding, &part, step, limit),
                }
                if filled.stopped_at.is_some() {
                    break;
                }
            }
            if filled.stopped_at.is_some() {
                break;
            }
            let is_spent = self.walk.read() > READ_MAX || began.elapsed() > TIME_MAX;
            // Within a series that is summed up there is no place to go on from.
            if is_spent && (self.page.is_none() || folding.is_none()) {
                filled.stopped_at = self.walk.place();
                break;
            }
        }
        self.finish(filled)
    }

    fn add_samples(&self, filled: &mut Filled, part: &Part, limit: usize) {
        let head = &self.series[part.series].head;
        let room = limit - filled.values;
        if part.samples.len() > room {
            filled.stopped_at = Some((part.series, part.samples[room].0));
        }
        let taken = &part.samples[..part.samples.len().min(room)];
        if taken.is_empty() {
            return;
        }
        filled.values += taken.len();
        match filled.series.last_mut().filter(|last| last.is_of(head)) {
            Some(last) => last.extend(taken),
            None => filled.series.push(Series::of_samples(head, taken.to_vec())),
        }
    }

    fn add_buckets(
        &self,
        filled: &mut Filled,
        folding: &mut Option<(Folding, Vec<Bucket>)>,
        part: &Part,
        step: &Step,
        limit: usize,
    ) {
        let (mut fold, mut buckets) = folding.take().unwrap_or_else(|| (Folding::by(step.ms), Vec::new()));
        fold.add(&part.samples, &mut buckets);
        if !part.is_last {
            *folding = Some((fold, buckets));
            return;
        }
        fold.finish(&mut buckets);
        if buckets.is_empty() {
            return;
        }
        let values = buckets.len() * step.aggregates.len();
        if filled.values + values > limit {
            filled.stopped_at = Some((part.series, i64::MIN));
            return;
        }
        filled.values += values;
        let series = &self.series[part.series];
        let rows = buckets.iter().map(|bucket| series.row(bucket, step)).collect();
        filled.series.push(Series::of_buckets(&series.head, rows));
    }

    fn finish(self, filled: Filled) -> Result<Metrics, ApiError> {
        let next = match (self.page, filled.stopped_at) {
            (None, None) => None,
            (None, Some(_)) => return Err(too_much(filled.values, self.walk.read())),
            (Some(_), None) => Some(None),
            (Some(page), Some((at, t))) => {
                let head = &self.series[at].head;
                let (store, device, name) = (head.store.clone(), head.device.clone(), head.name.clone());
                let place = Place { from: self.range.from_ms, to: self.range.to_ms, store, device, name, t };
                Some(Some(page.continued.write(place)?))
            }
        };
        Ok(Metrics {
            from: self.range.from_ms,
            to: self.range.to_ms,
            step: self.step.map(|step| step.ms),
            agg: self.step.map(|step| step.aggregates.iter().map(|a| a.name()).collect()),
            series: filled.series,
            next,
        })
    }
}

fn too_much(values: usize, read: usize) -> ApiError {
    let why = if read > READ_MAX {
        format!("the sums of more than {READ_MAX} samples")
    } else if values > VALUES_MAX / 2 {
        format!("more than {VALUES_MAX} samples or sums of them")
    } else {
        format!("more than can be read in {} s", TIME_MAX.as_secs())
    };
    let detail = format!(
        "{why} at once: choose a shorter range, a store, a device or a metric, ask for pages with limit=…, or stream it all with \
         format=csv, jsonl or parquet"
    );
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "range_too_large", detail)
}
