//! The limit of ingest: eight connections that do nothing but the service's own statement, in its own transaction.
//!
//! The statement is read from the service's source, so that it cannot become another one unnoticed; the rows are those
//! that the service stored for the same batches.

#![expect(clippy::disallowed_methods, reason = "the loop must not run through the service's code")]

use anyhow::Context as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use storepulse_shared::ids::Epoch;
use tokio::task::JoinSet;

use super::Rig;
use super::sender::{AGENT, Sender, Senders};

/// Where the statement stands.
const SERVICE: &str = include_str!("../../../../cloud/src/ingest/sql/receipts.rs");
/// As `TenantTx` binds a transaction to its tenant.
const BIND_TENANT: &str = "select set_config('app.tenant_id', $1, true) as bound";

pub(super) struct Loops(Vec<BareLoop>);

struct BareLoop {
    connection: PgConnection,
    statement: &'static str,
    tenant: String,
    store: String,
    epoch: Epoch,
    last_seq: i64,
    rows: Vec<Stored>,
}

/// A row of the inbox.
struct Stored {
    body_bytes: i64,
    body_digest: Vec<u8>,
    clock: String,
    n: i32,
    t_min: Option<i64>,
    t_max: Option<i64>,
    series_ids: Vec<i32>,
    group_runs: Vec<i16>,
    run_lengths: Vec<i32>,
    t_offsets: Vec<i32>,
    vals: Vec<f64>,
}

impl Loops {
    /// A loop for each sender, which must have sent the pool once.
    pub(super) async fn connect(rig: &Rig, senders: &Senders) -> anyhow::Result<Self> {
        let mut loops = Vec::new();
        for sender in &senders.all {
            loops.push(BareLoop::connect(rig, senders, sender).await?);
        }
        Ok(Self(loops))
    }

    /// Has each insert so many batches, all at once; returns how many samples that were.
    pub(super) async fn insert(&mut self, each: usize) -> anyhow::Result<usize> {
        let mut tasks = JoinSet::new();
        for one in self.0.drain(..) {
            tasks.spawn(one.insert(each));
        }
        let mut sum = 0;
        while let Some(done) = tasks.join_next().await {
            let (one, samples) = done??;
            self.0.push(one);
            sum += samples;
        }
        Ok(sum)
    }
}

impl BareLoop {
    async fn connect(rig: &Rig, senders: &Senders, sender: &Sender) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect_with(&rig.db.app).await?;
        let (tenant, store) = (sender.store.tenant.to_string(), sender.store.id.to_string());
        let mut tx = connection.begin().await?;
        sqlx::query(BIND_TENANT).bind(&tenant).fetch_one(&mut *tx).await?;
        let rows = sqlx::query(
            "select body_digest, clock, n, t_min, t_max, series_ids, group_runs, run_lengths, t_offsets, vals
            from sample_batches where tenant_id = $1 and store_id = $2 and epoch = $3 order by seq",
        )
        .bind(&tenant)
        .bind(&store)
        .bind(sender.epoch.uuid())
        .fetch_all(&mut *tx)
        .await?;
        tx.rollback().await?;
        anyhow::ensure!(rows.len() == senders.pool_len(), "{} of {} rows", rows.len(), senders.pool_len());
        let rows =
            rows.iter().zip(senders.pool.iter()).map(|(row, body)| Stored::read(row, body.gzipped.len()));
        let rows = rows.collect::<anyhow::Result<_>>()?;
        Ok(Self {
            connection,
            statement: statement()?,
            tenant,
            store,
            epoch: Epoch::random(),
            last_seq: 0,
            rows,
        })
    }

    async fn insert(mut self, count: usize) -> anyhow::Result<(Self, usize)> {
        let mut samples = 0;
        for at in (0..self.rows.len()).cycle().take(count) {
            self.last_seq += 1;
            self.insert_one(at).await?;
            samples += self.rows[at].vals.len();
        }
        Ok((self, samples))
    }

    async fn insert_one(&mut self, at: usize) -> anyhow::Result<()> {
        let row = &self.rows[at];
        let mut tx = self.connection.begin().await?;
        sqlx::query(BIND_TENANT).bind(&self.tenant).fetch_one(&mut *tx).await?;
        let through: Option<i64> = sqlx::query_scalar(self.statement)
            .bind(&self.tenant)
            .bind(&self.store)
            .bind(self.epoch.uuid())
            .bind(self.last_seq)
            .bind(self.last_seq)
            .bind(AGENT.0)
            .bind(AGENT.1)
            .bind(i64::from(row.n))
            .bind(row.body_bytes)
            .bind(&row.body_digest)
            .bind(&row.clock)
            .bind(row.t_min)
            .bind(row.t_max)
            .bind(&row.series_ids)
            .bind(&row.group_runs)
            .bind(&row.run_lengths)
            .bind(&row.t_offsets)
            .bind(&row.vals)
            .fetch_optional(&mut *tx)
            .await?;
        anyhow::ensure!(through == Some(self.last_seq), "the receipt says {through:?}");
        Ok(tx.commit().await?)
    }
}

impl Stored {
    fn read(row: &PgRow, body_bytes: usize) -> anyhow::Result<Self> {
        Ok(Self {
            body_bytes: i64::try_from(body_bytes)?,
            body_digest: row.try_get(0)?,
            clock: row.try_get(1)?,
            n: row.try_get(2)?,
            t_min: row.try_get(3)?,
            t_max: row.try_get(4)?,
            series_ids: row.try_get(5)?,
            group_runs: row.try_get(6)?,
            run_lengths: row.try_get(7)?,
            t_offsets: row.try_get(8)?,
            vals: row.try_get(9)?,
        })
    }
}

/// The statement of the service's function `take`.
fn statement() -> anyhow::Result<&'static str> {
    let function = SERVICE.split_once("async fn take(").map(|(_, after)| after);
    let text =
        function.and_then(|after| after.split_once("r#\"")).and_then(|(_, text)| text.split_once("\"#"));
    Ok(text.context("the statement of `take` is not where it was")?.0)
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn the_statement_is_the_one_that_stores_a_batch_and_has_eighteen_parameters() {
        let statement = statement().unwrap();
        assert!(
            statement.contains("insert into streams") && statement.contains("insert into sample_batches")
        );
        assert!(statement.contains("$18") && !statement.contains("$19"), "{statement}");
    }
}
