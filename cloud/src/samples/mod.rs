//! Every stored sample of some series, once: what all who read samples go through.
//!
//! Read in a [snapshot](crate::db::Db::snapshot): between two statements of another transaction samples may move.

pub(crate) mod aggregate;
mod decode;
mod sql;

use std::collections::HashMap;

use storepulse_shared::ids::StoreId;

use crate::db::TenantTx;

/// Which samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<'a> {
    /// The store that the series belong to.
    pub store: &'a StoreId,
    /// The series.
    pub series_ids: &'a [i32],
    /// First time, included, Unix milliseconds.
    pub from_ms: i64,
    /// Last time, included.
    pub to_ms: i64,
}

/// Samples of one series: time in Unix milliseconds and value, in ascending order of time, each time once.
pub(crate) type SeriesSamples = Vec<(i64, f64)>;

/// Why samples cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The server refused, or is away.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    /// More than the reader may hold.
    #[error("more than {limit} samples")]
    TooMany {
        /// How many it may hold.
        limit: usize,
    },
}

/// Reads the samples of a range by series; series without samples are absent. No more than `limit` samples are held at any
/// time, those included that another one of the same millisecond replaces.
///
/// # Errors
/// See [`ReadError`].
pub(crate) async fn read(
    tx: &mut TenantTx,
    range: Range<'_>,
    limit: usize,
) -> Result<HashMap<i32, SeriesSamples>, ReadError> {
    let mut samples = decode::Samples::of(range, limit);
    sql::add_inbox(tx, range, &mut samples).await?;
    Ok(samples.finish())
}
