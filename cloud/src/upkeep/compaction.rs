//! From the inbox to `series_days`: what a store sent on one day, in one transaction (or several, if it is very much).
//!
//! The rows are deleted and their samples inserted in the same transaction, so a sample is never in both places and never in
//! none. Rows are taken in the order of their receipt; so what is compacted was always received before what is not, and of
//! two samples of one millisecond the later one wins, whenever which of them is compacted.

use std::collections::{BTreeMap, HashMap};

use storepulse_shared::ids::{StoreId, TenantId};
use time::{Date, Duration};

use super::merge;
use super::sql::compaction as sql;
use crate::db::{Db, TenantTx};
use crate::samples::day::{DAY_MS, Packer};
use crate::samples::inbox::runs;
use crate::samples::{day_of, of_inbox};

/// Samples that one transaction takes out of the inbox, unless a single batch has more. They are held in memory, twice.
const SAMPLES_AT_ONCE: i64 = 1_000_000;
/// Months are made for days from so many before today, which is the longest retention,
const DAYS_BEFORE: i64 = 3_660;
/// to so many after it. What lies outside goes to the DEFAULT partition.
const DAYS_AHEAD: i64 = 31;

/// What one store sent on one day.
#[derive(Debug)]
pub(super) struct StoreDay {
    pub store: StoreId,
    pub received_day: Date,
    pub t_min: Option<i64>,
    pub t_max: Option<i64>,
}

/// What one transaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Compacted {
    pub batches: u64,
    pub samples: u64,
    pub replaced: u64,
}

/// The store-days of a tenant that have rows in the inbox, received before this day, oldest first.
pub(super) async fn due(db: &Db, tenant: &TenantId, before: Date) -> Result<Vec<StoreDay>, sqlx::Error> {
    sql::due(&mut db.snapshot(tenant).await?, before).await
}

/// Takes the oldest rows of a store-day; `None` if there are none left.
pub(super) async fn compact_some(
    db: &Db,
    tenant: &TenantId,
    store_day: &StoreDay,
    today: Date,
) -> Result<Option<Compacted>, sqlx::Error> {
    make_months(db, store_day, today).await?;
    let mut tx = db.tenant(tenant).await?;
    let mut rows = sql::take(&mut tx, store_day, SAMPLES_AT_ONCE).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    rows.sort_unstable_by_key(|row| (row.received_at, row.epoch, row.seq));
    let mut done = Compacted {
        batches: rows.len() as u64,
        samples: rows.iter().map(|row| row.vals.len() as u64).sum(),
        replaced: 0,
    };
    let days = by_series_and_day(rows)?;
    done.replaced = store(&mut tx, days).await?;
    sql::count(&mut tx, &store_day.store, done).await?;
    tx.commit().await?;
    Ok(Some(done))
}

async fn make_months(db: &Db, store_day: &StoreDay, today: Date) -> Result<(), sqlx::Error> {
    let (Some(t_min), Some(t_max)) = (store_day.t_min, store_day.t_max) else { return Ok(()) };
    let (earliest, latest) = (today - Duration::days(DAYS_BEFORE), today + Duration::days(DAYS_AHEAD));
    let (first, last) = (day_of(t_min).max(earliest), day_of(t_max).min(latest));
    if first <= last {
        db.make_months(first, last).await?;
    }
    Ok(())
}

/// New samples of one series and day, in the order of their receipt.
#[derive(Debug, Default)]
pub(super) struct SeriesDay {
    samples: Vec<(i64, f64)>,
    clock: Clock,
}

/// How well the clock is known; the least of several counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    #[default]
    Ok,
    Repaired,
    Unsure,
}

impl Clock {
    fn of(text: Option<&str>) -> Self {
        match text {
            None | Some("ok") => Self::Ok,
            Some("repaired") => Self::Repaired,
            Some(_) => Self::Unsure,
        }
    }

    fn as_column(self) -> Option<String> {
        match self {
            Self::Ok => None,
            Self::Repaired => Some("repaired".to_owned()),
            Self::Unsure => Some("unsure".to_owned()),
        }
    }
}

type SeriesDays = BTreeMap<(i32, Date), SeriesDay>;

fn by_series_and_day(rows: Vec<sql::InboxRow>) -> Result<SeriesDays, sqlx::Error> {
    let mut days = SeriesDays::new();
    for row in rows {
        let clock = Clock::of(Some(&row.clock));
        let t_min = row.t_min.unwrap_or_default();
        let group_runs = row.group_runs.as_deref();
        let runs = runs(&row.series_ids, group_runs, &row.run_lengths, &row.t_offsets, &row.vals);
        for (series, offsets, values) in runs.map_err(|damaged| of_inbox(&damaged))? {
            let (mut offsets, mut values) = (offsets, values);
            while let Some(first) = offsets.first() {
                let day = (t_min + i64::from(*first)).div_euclid(DAY_MS);
                // A run seldom reaches over midnight.
                let is_of_day = |offset: &i32| (t_min + i64::from(*offset)).div_euclid(DAY_MS) == day;
                let count = offsets.iter().position(|offset| !is_of_day(offset)).unwrap_or(offsets.len());
                let of_day = days.entry((series, day_of(day * DAY_MS))).or_default();
                let times = offsets[..count].iter().map(|offset| t_min + i64::from(*offset));
                of_day.samples.extend(times.zip(values[..count].iter().copied()));
                of_day.clock = of_day.clock.max(clock);
                (offsets, values) = (&offsets[count..], &values[count..]);
            }
        }
    }
    Ok(days)
}

/// Puts them beside, or into, what is stored; returns how many samples another one has replaced.
async fn store(tx: &mut TenantTx, mut days: SeriesDays) -> Result<u64, sqlx::Error> {
    let keys: Vec<(i32, Date)> = days.keys().copied().collect();
    let stored = sql::extents(tx, &keys).await?;
    let mut taken = Vec::new();
    let mut taken_numbers: HashMap<(i32, Date), Vec<i16>> = HashMap::new();
    for (key, extents) in &stored {
        let Some(new) = days.get(key) else { continue };
        let first = new.samples.iter().map(|(t, _)| *t).min().unwrap_or_default();
        let last = new.samples.iter().map(|(t, _)| *t).max().unwrap_or_default();
        let merged = merge::to_merge(extents, first, last);
        let left = extents.iter().map(|e| e.part).filter(|part| !merged.contains(part));
        taken_numbers.insert(*key, left.collect());
        taken.extend(merged.into_iter().map(|part| (*key, part)));
    }
    // What was there was received before what comes now.
    let mut before: BTreeMap<(i32, Date), SeriesDay> = BTreeMap::new();
    for part in sql::take_parts(tx, &taken).await? {
        let of_day = before.entry((part.series_id, part.day)).or_default();
        of_day.clock = of_day.clock.max(Clock::of(part.clock.as_deref()));
        part.read(i64::MIN, i64::MAX, &mut of_day.samples)?;
    }
    for (key, old) in before {
        let new = days.entry(key).or_default();
        new.clock = new.clock.max(old.clock);
        let added = std::mem::replace(&mut new.samples, old.samples);
        new.samples.extend(added);
    }
    let (mut replaced, mut packer) = (0, Packer::default());
    let mut rows = sql::PartColumns::default();
    for (key, day) in days {
        let clock = day.clock.as_column();
        let (mut kept, all) = (0, day.samples.len() as u64);
        let numbers = taken_numbers.remove(&key).unwrap_or_default();
        for (number, part) in merge::merge(&mut packer, day.samples, &numbers) {
            kept += u64::from(part.n.unsigned_abs());
            rows.push(key, number, part, clock.clone());
        }
        replaced += all - kept;
    }
    sql::insert_parts(tx, &rows).await?;
    Ok(replaced)
}
