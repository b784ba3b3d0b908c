//! Reads of the inbox and of `series_days`, row by row: what is no longer wanted is not fetched.

use futures_util::TryStreamExt as _;
use storepulse_shared::limits::{TIME_MAX_MS, TIME_MIN_MS};
use time::{Date, OffsetDateTime};

use super::arrays::Numbers;
use super::day::{DAY_MS, Part};
use super::decode::{Samples, StoredBatch};
use super::{Range, ReadError};
use crate::db::TenantTx;

/// Of series that have been silent for longer than this, only the rows that name them are read.
const FRESH_MS: i64 = 600_000;

/// The UTC day of a time, for times that can be stored; others count as the nearest of these.
pub(crate) fn day_of(time_ms: i64) -> Date {
    let time = time_ms.clamp(TIME_MIN_MS, TIME_MAX_MS);
    OffsetDateTime::from_unix_timestamp(time.div_euclid(DAY_MS) * (DAY_MS / 1000))
        .map_or(Date::MAX, OffsetDateTime::date)
}

/// A row of `series_days`.
#[derive(Debug)]
pub(crate) struct StoredPart {
    pub series_id: i32,
    pub day: Date,
    pub part: i16,
    pub n: i32,
    pub checksum: i32,
    pub t_first: i64,
    pub t_last: i64,
    pub clock: Option<String>,
    pub times: Vec<u8>,
    pub vals: Vec<u8>,
}

impl StoredPart {
    /// Adds its samples between two times, both included.
    pub(crate) fn read(
        self,
        from_ms: i64,
        to_ms: i64,
        into: &mut super::SeriesSamples,
    ) -> Result<(), sqlx::Error> {
        let Self { n, checksum, t_first, t_last, times, vals, .. } = self;
        let part = Part { n, t_first, t_last, times, vals, checksum };
        part.read(from_ms, to_ms, into).map_err(|damaged| {
            let why = format!(
                "series_days of series {}, {} part {}: {damaged}",
                self.series_id, self.day, self.part
            );
            sqlx::Error::Decode(why.into())
        })
    }
}

/// Adds what is compacted, in the order of time.
pub(super) async fn add_days(
    tx: &mut TenantTx,
    range: Range<'_>,
    samples: &mut Samples,
) -> Result<(), ReadError> {
    let tenant = tx.tenant().to_owned();
    let mut rows = sqlx::query_as!(
        StoredPart,
        "select series_id, day, part, n, checksum, t_first, t_last, clock, times, vals from series_days
        where tenant_id = $1 and series_id = any ($2) and day between $3 and $4 and t_last >= $5 and t_first <= $6
        order by series_id, day, t_first",
        tenant,
        range.series_ids,
        day_of(range.from_ms),
        day_of(range.to_ms),
        range.from_ms,
        range.to_ms,
    )
    .fetch(tx.connection());
    while let Some(part) = rows.try_next().await? {
        samples.add_part(part)?;
    }
    Ok(())
}

/// Adds what the inbox has, in the order of its receipt.
pub(super) async fn add_inbox(
    tx: &mut TenantTx,
    range: Range<'_>,
    samples: &mut Samples,
) -> Result<(), ReadError> {
    let tenant = tx.tenant().to_owned();
    let mut rows = sqlx::query_as!(
        StoredBatch,
        r#"select t_min as "t_min!", series_ids as "series_ids: Numbers<i32>",
            group_runs as "group_runs: Numbers<i16>", run_lengths as "run_lengths: Numbers<i32>",
            t_offsets as "t_offsets: Numbers<i32>", vals as "vals: Numbers<f64>"
        from sample_batches
        where tenant_id = $1 and store_id = $2 and t_max >= $3 and t_min <= $4 and series_ids && $5
        order by received_at, epoch, seq"#,
        tenant,
        range.store.as_str(),
        range.from_ms,
        range.to_ms,
        range.series_ids,
    )
    .fetch(tx.connection());
    while let Some(batch) = rows.try_next().await? {
        samples.add(&batch)?;
    }
    Ok(())
}

/// When the newest batch of the inbox ends that is not after `until_ms`.
pub(super) async fn newest_in_inbox(tx: &mut TenantTx, range: Range<'_>) -> Result<Option<i64>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let newest = sqlx::query_scalar!(
        "select max(least(t_max, $3)) from sample_batches where tenant_id = $1 and store_id = $2 and t_min <= $3",
        tenant,
        range.store.as_str(),
        range.to_ms,
    );
    Ok(newest.fetch_one(tx.connection()).await?.map(|newest| newest.saturating_sub(FRESH_MS)))
}

/// The rows of `series_days` in which each series may have its newest sample not after the range: those of its last day.
pub(super) async fn last_days(tx: &mut TenantTx, range: Range<'_>) -> Result<Vec<StoredPart>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        StoredPart,
        r#"select d.series_id, d.day, d.part, d.n, d.checksum, d.t_first, d.t_last, d.clock, d.times, d.vals
        from unnest($2::integer[]) as wanted (series_id)
        cross join lateral (
            select day from series_days
            where tenant_id = $1 and series_id = wanted.series_id and day <= $3 and t_first <= $4
            order by day desc limit 1
        ) as last
        join series_days d
            on d.tenant_id = $1 and d.series_id = wanted.series_id and d.day = last.day and d.t_first <= $4
        order by d.series_id, d.t_first"#,
        tenant,
        range.series_ids,
        day_of(range.to_ms),
        range.to_ms,
    )
    .fetch_all(tx.connection())
    .await
}
