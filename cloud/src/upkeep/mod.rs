//! What the database needs in order to stay small and fast: partitions, compaction, retention, and series and keys that
//! nobody uses any more.
//!
//! One process at a time does it, whoever gets the lock; the others look again later. Every step is a transaction of its own
//! that leaves the database whole, so a process may be killed at any moment and the next one goes on. Inside the service it
//! rests as long as it worked, so that ingest always finds the other half of the time.
//!
//! ```text
//! partitions ─▶ compaction: inbox ─▶ series_days ─▶ once a day: retention, silent series, old keys ─▶ empty partitions go
//! ```

mod compaction;
mod merge;
mod retention;
mod sql;

use std::time::{Duration, Instant};

use storepulse_shared::ids::TenantId;
use time::{Date, OffsetDateTime};
use tokio_util::sync::CancellationToken;

use self::compaction::StoreDay;
use crate::db::Db;

/// How long after midnight the inbox of the day before may still be written to.
const GRACE: Duration = Duration::from_secs(600);
/// Steps that look at everything run this often.
const DAILY: Duration = Duration::from_secs(20 * 3600);
/// Empty partitions of the inbox stay for so many days.
const EMPTY_DAYS_KEPT: i64 = 2;

/// How upkeep is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Rest as long as each step took: ingest goes first.
    pub gentle: bool,
    /// What was received today is compacted too.
    pub today_too: bool,
    /// Also what is usually done once a day.
    pub everything: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Partitions made ahead.
    pub partitions_made: i64,
    /// Partitions that were empty and are gone.
    pub partitions_dropped: i64,
    /// Days of stores that were merged, or begun to be.
    pub store_days: u64,
    /// Rows that left the inbox.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Of these, how many another one of the same series and millisecond replaced.
    pub replaced: u64,
    /// Samples that were older than their tenants keep them.
    pub expired: u64,
    /// Series that had no samples for long, and are gone.
    pub series_removed: u64,
    /// Store-days, or steps of a tenant, that failed; the log says why. They are tried again.
    pub failed: u64,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} store-days: {} batches with {} samples compacted, {} replaced; {} samples expired, {} series removed; \
             {} partitions made, {} dropped; {} failed",
            self.store_days,
            self.batches,
            self.samples,
            self.replaced,
            self.expired,
            self.series_removed,
            self.partitions_made,
            self.partitions_dropped,
            self.failed
        )
    }
}

/// Does what is due, or returns `None` at once if another process is at it. `progress` hears after every step.
///
/// # Errors
/// The database is away. What fails for one store is counted in the report and does not stop the rest.
pub async fn run(
    db: &Db,
    options: Options,
    stop: &CancellationToken,
    progress: impl FnMut(&Report),
) -> Result<Option<Report>, sqlx::Error> {
    let mut lock = db.control().await?;
    if !sql::jobs::try_lock(&mut lock).await? {
        return Ok(None);
    }
    let job = Job { db, options, stop, progress, report: Report::default() };
    let done = job.run().await;
    // Held until here: the lock goes with its transaction.
    lock.commit().await?;
    done.map(Some)
}

struct Job<'a, P> {
    db: &'a Db,
    options: Options,
    stop: &'a CancellationToken,
    progress: P,
    report: Report,
}

/// A kind of upkeep; its name is what `upkeep_jobs` calls it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Partitions,
    Compaction,
    Retention,
    EmptyPartitions,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Partitions => "partitions",
            Self::Compaction => "compaction",
            Self::Retention => "retention",
            Self::EmptyPartitions => "empty partitions",
        }
    }
}

impl<P: FnMut(&Report)> Job<'_, P> {
    async fn run(mut self) -> Result<Report, sqlx::Error> {
        let now = OffsetDateTime::now_utc();
        self.step(Step::Partitions, now).await?;
        self.step(Step::Compaction, now).await?;
        let last = Step::EmptyPartitions.name();
        let daily = sql::jobs::is_due(&mut self.db.control().await?, last, DAILY).await?;
        if daily || self.options.everything {
            self.step(Step::Retention, now).await?;
            self.step(Step::EmptyPartitions, now).await?;
        }
        Ok(self.report)
    }

    /// One kind of upkeep, with a note of when and how.
    async fn step(&mut self, step: Step, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let mut tx = self.db.control().await?;
        sql::jobs::started(&mut tx, step.name()).await?;
        tx.commit().await?;
        let failed = self.report.failed;
        let done = match step {
            Step::Partitions => self.partitions(now.date()).await,
            Step::Compaction => self.compaction(now).await,
            Step::Retention => self.retention(now.date()).await,
            Step::EmptyPartitions => self.empty_partitions(now.date()).await,
        };
        (self.progress)(&self.report);
        // A step that was stopped has not finished: its outcome stays open, and it is due again.
        if done.is_ok() && self.stop.is_cancelled() {
            return Ok(());
        }
        let outcome = match &done {
            Ok(()) if self.report.failed > failed => format!("{} failed", self.report.failed - failed),
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string(),
        };
        let mut tx = self.db.control().await?;
        sql::jobs::finished(&mut tx, step.name(), &outcome).await?;
        tx.commit().await?;
        done
    }

    async fn partitions(&mut self, today: Date) -> Result<(), sqlx::Error> {
        self.report.partitions_made += i64::from(self.db.make_partitions().await?);
        self.report.partitions_made += i64::from(self.db.make_months(today, today).await?);
        Ok(())
    }

    async fn empty_partitions(&mut self, today: Date) -> Result<(), sqlx::Error> {
        let before = today - time::Duration::days(EMPTY_DAYS_KEPT);
        self.report.partitions_dropped += i64::from(self.db.drop_partitions(before).await?);
        Ok(())
    }

    /// Every store-day that is complete, of one tenant after the other.
    async fn compaction(&mut self, now: OffsetDateTime) -> Result<(), sqlx::Error> {
        // Until the grace is over, yesterday counts as today.
        let before = (now - GRACE).date();
        let before = if self.options.today_too { Date::MAX } else { before };
        for tenant in sql::jobs::tenants(&mut self.db.control().await?).await? {
            let due = compaction::due(self.db, &tenant.id, before).await?;
            for store_day in due {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                self.store_day(&tenant.id, &store_day, now.date()).await?;
            }
        }
        Ok(())
    }

    /// One store-day, in as many transactions as its size asks for.
    async fn store_day(
        &mut self,
        tenant: &TenantId,
        store_day: &StoreDay,
        today: Date,
    ) -> Result<(), sqlx::Error> {
        self.report.store_days += 1;
        loop {
            let begun = Instant::now();
            match compaction::compact_some(self.db, tenant, store_day, today).await {
                Ok(None) => return Ok(()),
                Ok(Some(done)) => {
                    self.report.batches += done.batches;
                    self.report.samples += done.samples;
                    self.report.replaced += done.replaced;
                    (self.progress)(&self.report);
                }
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => {
                    self.failed(
                        &format!("compaction of {tenant}/{}, {}", store_day.store, store_day.received_day),
                        &error,
                    );
                    return Ok(());
                }
            }
            self.rest(begun).await;
            if self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn retention(&mut self, today: Date) -> Result<(), sqlx::Error> {
        for tenant in sql::jobs::tenants(&mut self.db.control().await?).await? {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let begun = Instant::now();
            match retention::of_tenant(self.db, &tenant, today).await {
                Ok(done) => {
                    self.report.expired += done.expired_samples;
                    self.report.series_removed += done.series_removed;
                }
                Err(error) if is_away(&error) => return Err(error),
                Err(error) => self.failed(&format!("retention of {}", tenant.id), &error),
            }
            self.rest(begun).await;
        }
        Ok(())
    }

    fn failed(&mut self, what: &str, error: &sqlx::Error) {
        self.report.failed += 1;
        tracing::error!(%error, "{what} failed; it is tried again with the next upkeep");
    }

    async fn rest(&self, begun: Instant) {
        if self.options.gentle {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(begun.elapsed()) => {}
            }
        }
    }
}

/// The server is not there: going on with the next store would fail as well.
const fn is_away(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed
    )
}
