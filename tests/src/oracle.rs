//! The verdict: the devices' own logs against what the cloud holds.
//!
//! Reads the inbox as `storepulse_app`, row by row and array by array, so that a sample that was stored twice is seen twice:
//! the view `samples` would hide that.

#![expect(clippy::disallowed_methods, reason = "the oracle must not share the service's queries")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::cluster::TestDb;
use crate::devices::{DeviceLog, Sent};

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Owed by the agent and not in the cloud.
    pub lost: u64,
    /// In the cloud more than once.
    pub duplicate: u64,
    /// In the cloud, and never sent.
    pub invented: u64,
}

impl Verdict {
    /// Nothing lost, nothing twice, nothing invented.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }
}

impl std::ops::AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicate += other.duplicate;
        self.invented += other.invented;
    }
}

/// How often each value of a counter is stored, by device.
pub type Stored = BTreeMap<String, BTreeMap<u64, u64>>;

/// A line that was sent this shortly before a blow may have been read and not committed.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// Also one that was sent up to this long before, if the disk took so long: nothing was committed meanwhile.
const STALL_MAX: Duration = Duration::from_secs(5);
/// Pushes come one after the other and share their commits with lines: when so many were answered after a line was sent, it
/// has been read, and a commit has had it.
const ANSWERS: usize = 4;

/// What excuses a line that is absent: it had been read and not yet committed when the agent was struck down. A push that was
/// answered has no excuse.
#[derive(Debug, Clone, Default)]
pub struct Excuses {
    /// When the agent was struck down.
    pub blows: Vec<Instant>,
    /// When its disk worked: each push that was answered.
    pub answered: Vec<Instant>,
}

impl Excuses {
    fn hold_for(&self, line: &Sent) -> bool {
        self.blows.iter().any(|blow| {
            let Some(before) = blow.checked_duration_since(line.at) else { return false };
            let answers = || self.answered.iter().filter(|at| line.at <= **at && **at <= *blow).count();
            before < IN_FLIGHT || (before < STALL_MAX && answers() < ANSWERS)
        })
    }
}

/// Compares one device's log with what is stored of its counter.
#[must_use]
pub fn judge(log: &DeviceLog, stored: &BTreeMap<u64, u64>, excuses: &Excuses) -> Verdict {
    let sent = log.all();
    let known: BTreeMap<u64, Sent> = sent.iter().map(|s| (s.n, *s)).collect();
    let lost = absent(&sent, stored, excuses).len();
    let duplicate: u64 = stored.values().map(|times| times - 1).sum();
    let invented = stored.keys().filter(|n| !known.contains_key(n)).count();
    Verdict { lost: lost as u64, duplicate, invented: invented as u64 }
}

/// What is owed and not there, and has no excuse.
#[must_use]
pub fn absent(sent: &[Sent], stored: &BTreeMap<u64, u64>, excuses: &Excuses) -> Vec<Sent> {
    let is_absent = |s: &&Sent| s.owed && !stored.contains_key(&s.n) && !excuses.hold_for(s);
    sent.iter().filter(is_absent).copied().collect()
}

/// From when to when a store was told to have lost samples, Unix milliseconds.
///
/// # Errors
/// The database refused.
pub async fn loss_ranges(db: &TestDb, tenant: &str, store: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select set_config('app.tenant_id', $1, true)").bind(tenant).execute(&mut *tx).await?;
    let rows = sqlx::query(
        "select t_from, t_to from losses where tenant_id = $1 and store_id = $2 and reason = 'spool_damaged'",
    )
    .bind(tenant)
    .bind(store)
    .fetch_all(&mut *tx)
    .await?;
    let ranges = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    tx.rollback().await?;
    connection.close().await?;
    Ok(ranges)
}

/// Everything stored of one metric of a store.
///
/// # Errors
/// The database refused.
pub async fn stored(db: &TestDb, tenant: &str, store: &str, metric: &str) -> anyhow::Result<Stored> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select set_config('app.tenant_id', $1, true)").bind(tenant).execute(&mut *tx).await?;
    let series = sqlx::query(
        "select series_id, device_id from series where tenant_id = $1 and store_id = $2 and metric = $3",
    )
    .bind(tenant)
    .bind(store)
    .bind(metric)
    .fetch_all(&mut *tx)
    .await?;
    let devices: BTreeMap<i32, String> = series.iter().map(|row| (row.get(0), row.get(1))).collect();
    let rows = sqlx::query(
        "select series_ids, group_runs, run_lengths, vals from sample_batches where tenant_id = $1 and store_id = $2",
    )
    .bind(tenant)
    .bind(store)
    .fetch_all(&mut *tx)
    .await?;
    let mut stored = Stored::new();
    for row in rows {
        let (ids, runs, lengths): (Vec<i32>, Vec<i16>, Vec<i32>) = (row.get(0), row.get(1), row.get(2));
        let vals: Vec<f64> = row.get(3);
        let lengths = runs.into_iter().zip(lengths).flat_map(|(runs, length)| (0..runs).map(move |_| length));
        let mut rest = vals.as_slice();
        for (id, length) in ids.iter().zip(lengths) {
            let (run, after) = rest.split_at(usize::try_from(length)?);
            rest = after;
            let Some(device) = devices.get(id) else { continue };
            let counts = stored.entry(device.clone()).or_default();
            for value in run {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "counters are small"
                )]
                let n = *value as u64;
                *counts.entry(n).or_default() += 1;
            }
        }
    }
    tx.rollback().await?;
    connection.close().await?;
    Ok(stored)
}

/// A stored sample with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Dated {
    /// Its value.
    pub value: f64,
    /// Its time, Unix milliseconds.
    pub time_ms: i64,
    /// What is known of the clock that dated it.
    pub clock: String,
}

/// Every stored sample of one metric of a store, in the order of their times.
///
/// # Errors
/// The database refused.
pub async fn dated(db: &TestDb, tenant: &str, store: &str, metric: &str) -> anyhow::Result<Vec<Dated>> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select set_config('app.tenant_id', $1, true)").bind(tenant).execute(&mut *tx).await?;
    let rows = sqlx::query(
        "select value, time_ms, clock from samples
        where tenant_id = $1 and store_id = $2 and metric = $3 order by time_ms",
    )
    .bind(tenant)
    .bind(store)
    .bind(metric)
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    connection.close().await?;
    Ok(rows.iter().map(|row| Dated { value: row.get(0), time_ms: row.get(1), clock: row.get(2) }).collect())
}

/// Times, texts and marks of every stored event of one kind of a store.
///
/// # Errors
/// The database refused.
pub async fn events(
    db: &TestDb,
    tenant: &str,
    store: &str,
    kind: &str,
) -> anyhow::Result<Vec<(i64, String, String)>> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select set_config('app.tenant_id', $1, true)").bind(tenant).execute(&mut *tx).await?;
    let rows = sqlx::query(
        "select t, text, clock from events where tenant_id = $1 and store_id = $2 and kind = $3 order by t",
    )
    .bind(tenant)
    .bind(store)
    .bind(kind)
    .fetch_all(&mut *tx)
    .await?;
    tx.rollback().await?;
    connection.close().await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// What the cloud holds of a store in all.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Totals {
    /// Samples in the inbox.
    pub samples: i64,
    /// Batches received.
    pub batches: i64,
    /// Batches that were sealed and have neither arrived nor been closed.
    pub missing: i64,
    /// Bytes of the bodies, as they were sent.
    pub wire_bytes: i64,
}

/// Counts what the cloud holds of a store.
///
/// # Errors
/// The database refused.
pub async fn totals(db: &TestDb, tenant: &str, store: &str) -> anyhow::Result<Totals> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select set_config('app.tenant_id', $1, true)").bind(tenant).execute(&mut *tx).await?;
    let row = sqlx::query(
        "select (select coalesce(sum(n), 0)::bigint from sample_batches where tenant_id = $1 and store_id = $2),
            coalesce(sum(batches), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
            coalesce(sum((select coalesce(sum(upper(r) - lower(r)), 0)
                from unnest(int8multirange(int8range(1, sealed + 1)) - received - void) r)), 0)::bigint
        from streams where tenant_id = $1 and store_id = $2",
    )
    .bind(tenant)
    .bind(store)
    .fetch_one(&mut *tx)
    .await?;
    let totals =
        Totals { samples: row.get(0), batches: row.get(1), wire_bytes: row.get(2), missing: row.get(3) };
    tx.rollback().await?;
    connection.close().await?;
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(sent: &[(u64, bool)]) -> (DeviceLog, Instant) {
        let log = DeviceLog::create(std::path::Path::new("/dev/null")).unwrap();
        let at = Instant::now();
        for (n, owed) in sent {
            log.note(Sent { n: *n, at, owed: *owed }).unwrap();
        }
        (log, at)
    }

    #[test]
    fn lost_duplicate_and_invented_are_told_apart() {
        let (log, at) = log(&[(1, true), (2, true), (3, false), (4, true)]);
        let stored = BTreeMap::from([(1, 1), (4, 3), (9, 1)]);
        let verdict = judge(&log, &stored, &Excuses::default());
        assert_eq!(verdict, Verdict { lost: 1, duplicate: 2, invented: 1 });
        let lost_after = |ms, answered: &[u64]| {
            let after = |ms: &u64| at + Duration::from_millis(*ms);
            let excuses = Excuses { blows: vec![after(&ms)], answered: answered.iter().map(after).collect() };
            judge(&log, &stored, &excuses).lost
        };
        assert_eq!(lost_after(900, &[100, 200, 300, 400]), 0, "sent just before the blow");
        assert_eq!(lost_after(1_500, &[100, 200, 300, 400]), 1, "pushes after it were committed");
        assert_eq!(lost_after(1_500, &[100, 200, 300]), 0, "the disk took so long");
        assert_eq!(lost_after(5_500, &[]), 1, "so long no disk may take");
    }
}
