//! The query API of Prometheus over a store's samples, so that Grafana's stock data source and `promtool query` work: the
//! store's key as bearer, and nothing but that store is seen; or an operator's, and all stores of the tenant of the path.
//!
//! A query goes through four rooms: `parse` (text to tree), `plan` (what it needs and does), `load` (series and samples, in
//! one snapshot), `eval` (pure). What is outside of the subset is refused in `plan`, by its name: native histograms, `or`
//! between matchers, `fill()`, `limitk`, `limit_ratio`, and the functions that [`functions`] does not know.
//!
//! The semantics are those of Prometheus 2.42: a range holds the samples at both of its ends ([`LEFT_OPEN`]). Values that
//! are not numbers are never stored, so stale markers and NaN play no part in what is selected.

mod answer;
mod api;
mod eval;
mod format;
mod functions;
pub(crate) mod http;
mod labels;
mod load;
mod params;
mod parse;
mod plan;
mod refusals;
mod run;
mod select;
mod sql;

pub(crate) use self::answer::QueryProblem;
pub(crate) use self::run::Queries;

/// The version of Prometheus whose answers ours equal.
const PROMETHEUS_VERSION: &str = "2.42.0";
/// How old a sample may be to count as the value at a time.
const LOOKBACK_MS: i64 = 5 * 60 * 1_000;
/// Whether a range is without its own begin, as from Prometheus 3 on.
const LEFT_OPEN: bool = false;
/// The step of a subquery that does not say one.
const SUBQUERY_STEP_MS: i64 = 60_000;
