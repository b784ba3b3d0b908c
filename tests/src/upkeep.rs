//! Upkeep by hand, and what the database holds before and after it.

#![expect(clippy::disallowed_methods, reason = "what is looked at must not share the service's queries")]

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use storepulse_cloud::db::Db;
use storepulse_cloud::upkeep::{self, Options, Report};
use tokio_util::sync::CancellationToken;

use crate::cluster::TestDb;

/// Does all upkeep of a database, of what was received today as well.
///
/// # Errors
/// Another process is at it, or a step failed.
pub async fn run(db: &TestDb) -> anyhow::Result<Report> {
    let door = Db::connect(&db.config()).await?;
    let options = Options { gentle: false, today_too: true, everything: true };
    let done = upkeep::run(&door, options, &CancellationToken::new(), |_| ()).await;
    door.close().await;
    let report = done?.ok_or_else(|| anyhow::anyhow!("another process is doing upkeep"))?;
    anyhow::ensure!(report.failed == 0, "{report}");
    Ok(report)
}

/// Metric, time in Unix milliseconds, the bits of the value.
pub type Seen = (String, i64, u64);

/// What the view `samples` shows of a store.
///
/// # Errors
/// The database is away.
pub async fn view(db: &TestDb, tenant: &str, store: &str) -> anyhow::Result<Vec<Seen>> {
    let mut connection = bound(db, tenant).await?;
    let rows = sqlx::query("select metric, time_ms, value from samples where store_id = $1 order by 1, 2")
        .bind(store)
        .fetch_all(&mut connection)
        .await?;
    let seen =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get::<f64, _>(2)?.to_bits())));
    let seen = seen.collect::<Result<_, sqlx::Error>>()?;
    connection.close().await?;
    Ok(seen)
}

/// Where the samples of a store are, and what became of those that are nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Ever received, as `streams` counts them.
    pub received: i64,
    /// In the inbox.
    pub hot: i64,
    /// In `series_days`.
    pub compacted: i64,
    /// Replaced by another one of the same series and millisecond when they were compacted.
    pub replaced: i64,
    /// Older than the tenant keeps them.
    pub expired: i64,
}

impl Ledger {
    /// Every sample that was received is in one of the four places.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.received == self.hot + self.compacted + self.replaced + self.expired
    }
}

/// Reads the ledger of a store, in one snapshot.
///
/// # Errors
/// The database is away.
pub async fn ledger(db: &TestDb, tenant: &str, store: &str) -> anyhow::Result<Ledger> {
    let mut connection = bound(db, tenant).await?;
    let row = sqlx::query(
        "select
            (select coalesce(sum(samples), 0)::bigint from streams where store_id = $1),
            (select coalesce(sum(n), 0)::bigint from sample_batches where store_id = $1),
            (select coalesce(sum(d.n), 0)::bigint from series_days d join series s using (tenant_id, series_id)
                where s.store_id = $1),
            (select coalesce(sum(replaced_samples), 0)::bigint from store_tallies where store_id = $1),
            (select coalesce(sum(expired_samples), 0)::bigint from store_tallies where store_id = $1)",
    )
    .bind(store)
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(Ledger {
        received: row.try_get(0)?,
        hot: row.try_get(1)?,
        compacted: row.try_get(2)?,
        replaced: row.try_get(3)?,
        expired: row.try_get(4)?,
    })
}

/// Changes or counts something as the superuser, who bypasses every policy.
///
/// # Errors
/// The server refused the statement.
pub async fn as_admin(db: &TestDb, statement: &str) -> anyhow::Result<Vec<String>> {
    let mut connection = PgConnection::connect_with(&db.admin).await?;
    let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await?;
    let texts = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    connection.close().await?;
    Ok(texts)
}

async fn bound(db: &TestDb, tenant: &str) -> anyhow::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(&db.app).await?;
    // For the life of this connection, which is ours alone.
    sqlx::query("select set_config('app.tenant_id', $1, false)")
        .bind(tenant)
        .execute(&mut connection)
        .await?;
    Ok(connection)
}
