//! The inbox, `series_days` and `store_tallies`.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use storepulse_shared::ids::StoreId;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::super::compaction::{Compacted, StoreDay};
use super::super::merge::Extent;
use crate::db::TenantTx;
use crate::samples::StoredPart;
use crate::samples::arrays::Numbers;
use crate::samples::day::Part;

/// A row as it leaves the inbox.
#[derive(Debug)]
pub(in crate::upkeep) struct InboxRow {
    pub epoch: Uuid,
    pub seq: i64,
    pub received_at: OffsetDateTime,
    pub clock: String,
    pub t_min: Option<i64>,
    pub series_ids: Numbers<i32>,
    pub group_runs: Option<Numbers<i16>>,
    pub run_lengths: Numbers<i32>,
    pub t_offsets: Numbers<i32>,
    pub vals: Numbers<f64>,
}

/// The store-days in the inbox that were received before this day, oldest first.
pub(in crate::upkeep) async fn due(tx: &mut TenantTx, before: Date) -> Result<Vec<StoreDay>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        r#"select store_id, received_day, min(t_min) as t_min, max(t_max) as t_max from sample_batches
        where tenant_id = $1 and received_day < $2
        group by store_id, received_day order by received_day, store_id"#,
        tenant,
        before,
    )
    .fetch_all(tx.connection())
    .await?;
    let store_day = |store: String, received_day, t_min, t_max| {
        let store: StoreId = store.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        Ok(StoreDay { store, received_day, t_min, t_max })
    };
    rows.into_iter().map(|row| store_day(row.store_id, row.received_day, row.t_min, row.t_max)).collect()
}

/// Takes the oldest rows out of the inbox, with about so many samples.
pub(in crate::upkeep) async fn take(
    tx: &mut TenantTx,
    store_day: &StoreDay,
    samples: i64,
) -> Result<Vec<InboxRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let until = sqlx::query_scalar!(
        r#"select min(received_at) from (
            select received_at, sum(n) over (order by received_at, epoch, seq) as so_far from sample_batches
            where tenant_id = $1 and store_id = $2 and received_day = $3
        ) as rows where so_far >= $4"#,
        tenant,
        store_day.store.as_str(),
        store_day.received_day,
        samples,
    )
    .fetch_one(tx.connection())
    .await?;
    sqlx::query_as!(
        InboxRow,
        r#"delete from sample_batches
        where tenant_id = $1 and store_id = $2 and received_day = $3 and ($4::timestamptz is null or received_at <= $4)
        returning epoch, seq, received_at, clock, t_min, series_ids as "series_ids: Numbers<i32>",
            group_runs as "group_runs: Numbers<i16>", run_lengths as "run_lengths: Numbers<i32>",
            t_offsets as "t_offsets: Numbers<i32>", vals as "vals: Numbers<f64>""#,
        tenant,
        store_day.store.as_str(),
        store_day.received_day,
        until,
    )
    .fetch_all(tx.connection())
    .await
}

/// What is stored of these series and days.
pub(in crate::upkeep) async fn extents(
    tx: &mut TenantTx,
    keys: &[(i32, Date)],
) -> Result<BTreeMap<(i32, Date), Vec<Extent>>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let (series, days): (Vec<i32>, Vec<Date>) = keys.iter().copied().unzip();
    let mut rows = sqlx::query!(
        r#"select d.series_id, d.day, d.part, d.n, d.t_first, d.t_last
        from unnest($2::integer[], $3::date[]) as wanted (series_id, day)
        join series_days d on d.tenant_id = $1 and d.series_id = wanted.series_id and d.day = wanted.day"#,
        tenant,
        &series,
        &days,
    )
    .fetch(tx.connection());
    let mut extents: BTreeMap<_, Vec<_>> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let extent = Extent { part: row.part, n: row.n, t_first: row.t_first, t_last: row.t_last };
        extents.entry((row.series_id, row.day)).or_default().push(extent);
    }
    Ok(extents)
}

/// Takes parts out, to be written anew.
pub(in crate::upkeep) async fn take_parts(
    tx: &mut TenantTx,
    taken: &[((i32, Date), i16)],
) -> Result<Vec<StoredPart>, sqlx::Error> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant().to_owned();
    let series: Vec<i32> = taken.iter().map(|((series, _), _)| *series).collect();
    let days: Vec<Date> = taken.iter().map(|((_, day), _)| *day).collect();
    let parts: Vec<i16> = taken.iter().map(|(_, part)| *part).collect();
    sqlx::query_as!(
        StoredPart,
        r#"delete from series_days d using unnest($2::integer[], $3::date[], $4::smallint[]) as taken (series_id, day, part)
        where d.tenant_id = $1 and d.series_id = taken.series_id and d.day = taken.day and d.part = taken.part
        returning d.series_id, d.day, d.part, d.n, d.checksum, d.t_first, d.t_last, d.clock, d.times, d.vals"#,
        tenant,
        &series,
        &days,
        &parts,
    )
    .fetch_all(tx.connection())
    .await
}

/// New rows of `series_days`, by column.
#[derive(Debug, Default)]
pub(in crate::upkeep) struct PartColumns {
    series: Vec<i32>,
    days: Vec<Date>,
    numbers: Vec<i16>,
    n: Vec<i32>,
    checksums: Vec<i32>,
    t_first: Vec<i64>,
    t_last: Vec<i64>,
    clocks: Vec<Option<String>>,
    times: Vec<Vec<u8>>,
    vals: Vec<Vec<u8>>,
}

impl PartColumns {
    /// Adds a row.
    pub(in crate::upkeep) fn push(
        &mut self,
        (series, day): (i32, Date),
        number: i16,
        part: Part,
        clock: Option<String>,
    ) {
        self.series.push(series);
        self.days.push(day);
        self.numbers.push(number);
        self.n.push(part.n);
        self.checksums.push(part.checksum);
        self.t_first.push(part.t_first);
        self.t_last.push(part.t_last);
        self.clocks.push(clock);
        self.times.push(part.times);
        self.vals.push(part.vals);
    }
}

/// Inserts rows.
pub(in crate::upkeep) async fn insert_parts(
    tx: &mut TenantTx,
    rows: &PartColumns,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        r#"insert into series_days (tenant_id, series_id, day, part, n, checksum, t_first, t_last, clock, times, vals)
        select $1, * from unnest($2::integer[], $3::date[], $4::smallint[], $5::integer[], $6::integer[], $7::bigint[],
            $8::bigint[], $9::text[], $10::bytea[], $11::bytea[])"#,
        tenant,
        &rows.series,
        &rows.days,
        &rows.numbers,
        &rows.n,
        &rows.checksums,
        &rows.t_first,
        &rows.t_last,
        &rows.clocks as &[Option<String>],
        &rows.times,
        &rows.vals,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Adds to what is known to have left the inbox of a store.
pub(in crate::upkeep) async fn count(
    tx: &mut TenantTx,
    store: &StoreId,
    done: Compacted,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let [batches, samples, replaced] =
        [done.batches, done.samples, done.replaced].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    sqlx::query!(
        r#"insert into store_tallies as t (tenant_id, store_id, compacted_batches, compacted_samples, replaced_samples)
        values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, store_id) do update set
            compacted_batches = t.compacted_batches + excluded.compacted_batches,
            compacted_samples = t.compacted_samples + excluded.compacted_samples,
            replaced_samples = t.replaced_samples + excluded.replaced_samples"#,
        tenant,
        store.as_str(),
        batches,
        samples,
        replaced,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
