//! What a reader of samples asks for, checked before anything is read.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::export::Format;
use crate::problem::ApiError;
use crate::samples::aggregate::Aggregate;
use crate::scope::Scope;
use crate::store::cursor::Continued;
use crate::store::parameters::{TimeRange, bad_query};
use crate::store::sql::series::Filter;

/// Most values in one answer: samples, or buckets × aggregates. Beyond: 413 with the way out.
pub(super) const VALUES_MAX: usize = 100_000;
/// Most buckets that a series may have in an answer of JSON.
const BUCKETS_MAX: i128 = 11_000;
/// Longest step.
const STEP_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// What is read where neither `from` nor `to` is given.
const HOUR_MS: i64 = 3_600_000;

/// Which samples, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsQuery {
    /// Only this store. With a store's key there is no other than its own.
    store: Option<String>,
    /// Only this device.
    device: Option<String>,
    /// Only this metric.
    metric: Option<String>,
    /// Only series with this label: `name=value`.
    label: Option<String>,
    /// From this time on, Unix milliseconds UTC or RFC 3339; an hour before `to` if it is left out.
    from: Option<String>,
    /// Up to this time, included; now if it is left out.
    to: Option<String>,
    /// Sums the samples up in steps of this length, milliseconds or `5m`, `1h`, `1day`. Steps begin at its multiples since
    /// 1970-01-01 UTC; other time zones are not known. Needs `agg`.
    step: Option<String>,
    /// One or several of `min`, `max`, `avg`, `last`, `sum`, `count`, `rate`, separated by commas. `rate` is the increase of
    /// a counter a second; restarts of the counter are understood, and gaps longer than five times the usual interval of the
    /// series are not bridged. It is null where there was nothing else, and for metrics that are known as no counter.
    agg: Option<String>,
    /// `json` (if it is left out, and nothing else is asked for by `Accept`), `jsonl`, `csv` or `parquet`. All but `json` give
    /// the whole range as a stream.
    format: Option<String>,
    /// Values of one page of JSON, 1 to 100,000: samples, or buckets × aggregates. With it, an answer says in `next` how to go
    /// on. Without it, more than 100,000 values are refused.
    limit: Option<i64>,
    /// `next` of the page before; the other parameters stay as they were.
    cursor: Option<String>,
}

/// Steps of time and what is asked of each.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub ms: i64,
    pub aggregates: Vec<Aggregate>,
}

/// One page of several.
#[derive(Debug)]
pub(super) struct Page {
    pub limit: usize,
    pub cursor: Option<String>,
    pub continued: Continued,
}

/// A query that makes sense.
#[derive(Debug)]
pub(super) struct Asked {
    pub filter: Filter,
    pub range: TimeRange,
    pub step: Option<Step>,
    pub format: Format,
    /// `None`: everything at once.
    pub page: Option<Page>,
    /// The only one.
    pub store: Option<String>,
}

impl MetricsQuery {
    /// Checks what does not depend on data.
    ///
    /// # Errors
    /// 400 `bad_query`: says which parameter, and the way out.
    pub(super) fn parse(self, scope: &Scope, headers: &HeaderMap) -> Result<Asked, ApiError> {
        let range = TimeRange::parse(self.from.as_deref(), self.to.as_deref(), HOUR_MS)?;
        let step = self.step()?;
        let format = match &self.format {
            Some(name) => Format::parse(name)
                .ok_or_else(|| bad_query(format!("format={name}: json, jsonl, csv or parquet")))?,
            None => Format::accepted(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())),
        };
        let page = self.page(scope, format)?;
        if let (Some(step), Format::Json) = (&step, format) {
            check_buckets(range, step, page.as_ref())?;
        }
        let label = self.label.map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(bad_query(format!("label={text}: not of the form name=value"))),
        });
        let filter = Filter { device: self.device, metric: self.metric, label: label.transpose()? };
        Ok(Asked { filter, range, step, format, page, store: self.store })
    }

    fn step(&self) -> Result<Option<Step>, ApiError> {
        let (step, agg) = match (&self.step, &self.agg) {
            (None, None) => return Ok(None),
            (Some(step), Some(agg)) => (step, agg),
            (Some(step), None) => {
                return Err(bad_query(format!(
                    "step={step} needs agg: min, max, avg, last, sum, count, rate"
                )));
            }
            (None, Some(agg)) => return Err(bad_query(format!("agg={agg} needs step, such as step=5m"))),
        };
        let length =
            step.parse().map(Duration::from_millis).ok().or_else(|| humantime::parse_duration(step).ok());
        let Some(length) = length.filter(|length| (1..=STEP_MAX.as_millis()).contains(&length.as_millis()))
        else {
            let detail = format!("step={step}: milliseconds, or 10s, 5m, 1h, 1day, up to 400days");
            return Err(bad_query(detail));
        };
        let mut aggregates = Vec::new();
        for name in agg.split(',') {
            let Some(found) = Aggregate::ALL.into_iter().find(|known| known.name() == name) else {
                let detail = format!("agg={agg}: {name:?} is none of min, max, avg, last, sum, count, rate");
                return Err(bad_query(detail));
            };
            if aggregates.contains(&found) {
                return Err(bad_query(format!("agg={agg}: {name} is there twice")));
            }
            aggregates.push(found);
        }
        Ok(Some(Step { ms: i64::try_from(length.as_millis()).unwrap_or(i64::MAX), aggregates }))
    }

    fn page(&self, scope: &Scope, format: Format) -> Result<Option<Page>, ApiError> {
        if self.limit.is_none() && self.cursor.is_none() {
            return Ok(None);
        }
        if format != Format::Json {
            let detail =
                "limit and cursor go with format=json; the other formats give the whole range at once";
            return Err(bad_query(detail));
        }
        let limit = self.limit.map_or(Some(VALUES_MAX), |limit| usize::try_from(limit).ok());
        let Some(limit) = limit.filter(|limit| (1..=VALUES_MAX).contains(limit)) else {
            return Err(bad_query(format!("limit={}: 1 to {VALUES_MAX}", self.limit.unwrap_or_default())));
        };
        let parameters =
            [&self.device, &self.metric, &self.label, &self.from, &self.to, &self.step, &self.agg];
        let mut parameters = parameters.map(Option::as_deref).to_vec();
        // Only if it is given: cursors of before it was known go on.
        parameters.extend(self.store.as_deref().map(Some));
        let continued = Continued::new(scope, "metrics", &parameters);
        Ok(Some(Page { limit, cursor: self.cursor.clone(), continued }))
    }
}

/// A series stays whole in a page, so that a rate knows the sample before it.
fn check_buckets(range: TimeRange, step: &Step, page: Option<&Page>) -> Result<(), ApiError> {
    let place = |time: i64| i128::from(time.div_euclid(step.ms));
    let buckets = place(range.to_ms) - place(range.from_ms) + 1;
    let length = i128::from(range.to_ms) - i128::from(range.from_ms);
    if buckets > BUCKETS_MAX {
        let least = length / (BUCKETS_MAX - 1) + 1;
        let detail = format!(
            "step={}ms makes {buckets} buckets of each series, of {BUCKETS_MAX} that there may be: take a step of \
             {least}ms or more, a shorter range, or format=csv, jsonl or parquet",
            step.ms
        );
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "too_many_buckets", detail));
    }
    let values = usize::try_from(buckets).unwrap_or(usize::MAX).saturating_mul(step.aggregates.len());
    match page {
        Some(page) if page.limit < values => Err(bad_query(format!(
            "limit={} is less than the {values} values that one series may have: take that or more, or a longer step",
            page.limit
        ))),
        _ => Ok(()),
    }
}
