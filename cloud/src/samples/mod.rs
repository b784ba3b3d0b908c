//! Every stored sample of some series, once: what all who read samples go through.
//!
//! Read in a [snapshot](crate::db::Db::snapshot): between two statements of another transaction samples may move.

pub(crate) mod aggregate;
pub(crate) mod arrays;
pub(crate) mod day;
mod decode;
pub(crate) mod inbox;
mod packed;
mod sql;

use std::collections::HashMap;

use storepulse_shared::ids::StoreId;

use self::decode::Samples;
pub(crate) use self::decode::of_inbox;
pub(crate) use self::sql::{StoredPart, day_of};
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

/// Samples in the order of their receipt become samples in the order of time; of one millisecond the last received stays.
pub(crate) fn in_order(samples: &mut SeriesSamples) {
    if samples.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    // Stable: what was received later stands behind what it replaces.
    samples.sort_by_key(|(time, _)| *time);
    samples.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
}

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
    let mut samples = Samples::of(range, limit);
    sql::add_days(tx, range, &mut samples).await?;
    sql::add_inbox(tx, range, &mut samples).await?;
    Ok(samples.finish())
}

/// The newest sample of each series within the range; series without one are absent.
///
/// # Errors
/// See [`ReadError`].
pub(crate) async fn latest(
    tx: &mut TenantTx,
    range: Range<'_>,
    limit: usize,
) -> Result<HashMap<i32, (i64, f64)>, ReadError> {
    let mut samples = Samples::of(range, limit);
    for part in sql::last_days(tx, range).await? {
        samples.add_part(part)?;
    }
    // Most series have spoken lately. Those that have not are asked for by name, which few rows of the inbox answer.
    if let Some(from_ms) = sql::newest_in_inbox(tx, range).await? {
        let fresh = Range { from_ms: from_ms.max(range.from_ms), ..range };
        sql::add_inbox(tx, fresh, &mut samples).await?;
        let silent: Vec<i32> = samples.without_any_since(fresh.from_ms).collect();
        sql::add_inbox(tx, Range { series_ids: &silent, ..range }, &mut samples).await?;
    }
    let newest = samples.finish().into_iter().filter_map(|(id, samples)| Some((id, *samples.last()?)));
    Ok(newest.collect())
}
