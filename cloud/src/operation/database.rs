//! What the database has to say of itself: upkeep, partitions, connections. Looked at when `/metrics` is read.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use time::Date;

use crate::db::{ControlTx, Db};

/// A kind of upkeep.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: String,
}

/// The gauges.
#[derive(Debug, Default)]
pub(crate) struct DatabaseGauges {
    finished: Family<JobLabel, Gauge>,
    failed: Family<JobLabel, Gauge>,
    running: Family<JobLabel, Gauge>,
    oldest_day: Gauge,
    series_days_default_bytes: Gauge,
    in_use: Gauge,
    idle: Gauge,
}

/// A row of `upkeep_jobs`.
#[derive(Debug)]
struct JobRow {
    job: String,
    finished_at: Option<i64>,
    failed: bool,
    running: bool,
}

impl DatabaseGauges {
    /// Under their names.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register(
            "upkeep_job_finished_timestamp_seconds",
            "When each kind of upkeep last came to its end, in whichever process; 0 if never",
            gauges.finished.clone(),
        );
        registry.register(
            "upkeep_job_failed",
            "1 if it ended with failures; the log of that process says which",
            gauges.failed.clone(),
        );
        registry.register(
            "upkeep_job_running",
            "1 while it runs, and after a process that was killed in it",
            gauges.running.clone(),
        );
        registry.register(
            "inbox_oldest_day_timestamp_seconds",
            "The oldest day whose partition of the inbox is not empty on disk; 0 if all are",
            gauges.oldest_day.clone(),
        );
        registry.register(
            "series_days_default_partition_bytes",
            "Bytes in the DEFAULT partition of series_days: days more than a month ahead",
            gauges.series_days_default_bytes.clone(),
        );
        registry.register(
            "database_connections_in_use",
            "Connections that requests and upkeep hold",
            gauges.in_use.clone(),
        );
        registry.register(
            "database_connections_idle",
            "Connections that are open and wait for a request",
            gauges.idle.clone(),
        );
        gauges
    }

    /// Asks the database, over the control role: no tenant's data are read.
    pub(super) async fn refresh(&self, db: &Db) -> Result<(), sqlx::Error> {
        let (in_use, idle) = db.connections_open();
        self.in_use.set(i64::from(in_use));
        self.idle.set(i64::from(idle));
        let mut tx = db.control().await?;
        for row in jobs(&mut tx).await? {
            let label = JobLabel { job: row.job };
            self.finished.get_or_create(&label).set(row.finished_at.unwrap_or_default());
            self.failed.get_or_create(&label).set(i64::from(row.failed));
            self.running.get_or_create(&label).set(i64::from(row.running));
        }
        let (oldest, bytes) = partitions(&mut tx).await?;
        self.oldest_day.set(oldest.map_or(0, |day| day.midnight().assume_utc().unix_timestamp()));
        self.series_days_default_bytes.set(bytes);
        Ok(())
    }
}

async fn jobs(tx: &mut ControlTx) -> Result<Vec<JobRow>, sqlx::Error> {
    sqlx::query_as!(
        JobRow,
        r#"select job, extract(epoch from finished_at)::bigint as finished_at,
            coalesce(outcome <> 'done', false) as "failed!", outcome is null as "running!"
        from upkeep_jobs"#,
    )
    .fetch_all(tx.connection())
    .await
}

/// The oldest day in the inbox, and the size of what lies outside the months of `series_days`, from the catalogue.
async fn partitions(tx: &mut ControlTx) -> Result<(Option<Date>, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select (
            select min(to_date(right(c.relname, 8), 'YYYYMMDD'))
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'public.sample_batches'::regclass and c.relname ~ '^sample_batches_[0-9]{8}$'
              and pg_relation_size(c.oid) > 0
        ) as oldest, pg_relation_size('public.series_days_default') as "bytes!""#,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok((row.oldest, row.bytes))
}
