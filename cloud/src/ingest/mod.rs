//! Taking batches, once: `POST` and `DELETE /v1/metrics/batch`.
//!
//! The row of `streams` decides. A batch number that it holds as received is a duplicate, one that is void is gone,
//! and the statement that stores a batch stores it only if that row took the number in the same transaction. What
//! refuses a batch as a whole closes its number before it is answered, so that no number stays open and no content
//! can be stored twice under two numbers.
//!
//! `take` is the flow, which `carried` enters without HTTP; `columns` lays a batch out, `unnumbered` is what came without a number, `within` what is taken in a
//! transaction of another room's, `series` finds the ids of its series, `sql` talks to the
//! database, `http` to the agent.

mod carried;
mod columns;
mod described;
pub(crate) mod http;
mod series;
mod sql;
mod streams;
mod take;
mod unnumbered;
mod within;

pub(crate) use self::carried::take_carried;
pub(crate) use self::columns::{Rejection, SERIES_LIMIT, Window};
pub(crate) use self::series::SeriesCache;
pub(crate) use self::streams::Streams;
pub(crate) use self::take::take_unnumbered;
pub(crate) use self::unnumbered::Unnumbered;
pub(crate) use self::within::{Prepared, prepare, store_within};
