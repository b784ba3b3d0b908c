//! Taking over a table of so many million rows while a writer goes on inserting into it: how long the longest of its inserts took,
//! beside the longest without a takeover.
//!
//! The old table lies in another database of the same server, so both share a disk. The writer inserts a row every few
//! milliseconds, each a transaction of its own, and a watcher looks at short intervals whether anybody waits for a lock on the
//! table. Afterwards counts and sums of every series must be the same there and here.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::db::Db;
use storepulse_cloud::takeover::{self, Account, How, Request};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use super::figure::Figure;
use super::ingest::Rig;
use super::progress;
use crate::isolation::session::Session;
use crate::wait;

/// Millions of rows.
pub(super) const SIZES: [usize; 2] = [1, 10];
/// Blocks of a piece, as the command has them.
const BLOCKS: i64 = 2_048;
const SECONDS_MAX: f64 = 1.0;
/// How long the writer inserts without a takeover.
const ALONE: Duration = Duration::from_secs(10);
const WRITER_PAUSE: Duration = Duration::from_millis(2);
const WATCHER_PAUSE: Duration = Duration::from_millis(5);
/// What is open on the server ends within this.
const REST: Duration = Duration::from_secs(60);
const OLD: &str = "older_system";
const TENANT: &str = "taken-over";

/// Fifty stores, eight devices each, four metrics each: one row a minute.
const FILL: &str = r#"create table metrics (store_id text, device_id text, metric text, value double precision, "timestamp" timestamptz);
    insert into metrics select 'S' || lpad((n % 50)::text, 3, '0'), 'device-' || (n / 50 % 8), 'metric.m' || (n / 400 % 4),
        (n % 4001) / 4.0, date_trunc('minute', now()) - interval '30 days' + n / 1600 * interval '1 minute'
    from generate_series(1, MILLIONS * 1000000) n"#;
const INSERT: &str = "insert into metrics values ('S007', 'writer', 'metric.live', 0.25, date_trunc('milliseconds', clock_timestamp()))";
const WAITING: &str = "select l.pid::text from pg_locks l join pg_class c on c.oid = l.relation where c.relname = 'metrics' and not l.granted";
const THERE: &str = r#"select concat_ws(' ', store_id, device_id, metric, count(distinct "timestamp"), sum(value)) from metrics
    group by store_id, device_id, metric order by 1"#;
const HERE: &str = "select concat_ws(' ', store_id, device_id, metric, count(*), sum(value)) from samples
    where tenant_id = 'taken-over' group by store_id, device_id, metric order by 1";

pub(super) async fn measure(millions: usize, bench: &mut Bench) -> anyhow::Result<Figure> {
    let rig = bench.rig().await?;
    let old = older_system(rig, millions).await?;
    let alone = beside_writer(&old, async || {
        tokio::time::sleep(ALONE).await;
        Ok(())
    });
    let alone = alone.await?.1;
    rig.checkpoint().await?;

    let db = Db::connect(&rig.db.config()).await?;
    let request =
        Request { tenant: TENANT.parse()?, from: old.clone(), table: "metrics".to_owned(), again: false };
    let how = How { blocks: BLOCKS, stop_after: None };
    let ((rows, took), during) = beside_writer(&old, async || {
        let (begun, mut rows) = (Instant::now(), (0, Duration::ZERO));
        takeover::run(&db, &request, &how, |now| rows = (now.rows, begun.elapsed())).await?;
        Ok(rows)
    })
    .await?;
    let account = wait::until("the last rows", REST, async || {
        let account = takeover::run(&db, &request, &how, |_| {}).await?;
        Ok((account.newer == 0).then_some(account))
    });
    let account = account.await?;
    db.close().await;
    progress::say(&format!(
        "    {rows} rows in {:.1} s: {:.0} rows/s; the writer meanwhile {during}, before {alone}",
        took.as_secs_f64(),
        per_second(rows, took)
    ))?;
    anyhow::ensure!(during.locked < Duration::from_secs(1), "a writer waited for a lock: {during}");
    same(rig, &old, &account).await?;
    let figure = Figure::new(during.longest.as_secs_f64()).beside(alone.longest.as_secs_f64());
    Ok(figure.at_most(SECONDS_MAX).binding())
}

#[expect(clippy::cast_precision_loss, reason = "a speed, for people")]
fn per_second(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64().max(1e-3)
}

/// The table in a database of its own, and a tenant for it.
async fn older_system(rig: &Rig, millions: usize) -> anyhow::Result<PgConnectOptions> {
    let mut admin = Session::open(&rig.db.admin).await?;
    let tenant = format!(
        "insert into tenants (tenant_id, company, plan, max_stores) values ('{TENANT}', 'Older System', 'enterprise', 100)
        on conflict do nothing"
    );
    admin.run(&tenant).await?;
    let name = format!("{OLD}_{millions}");
    admin.run(&format!("create database {name}")).await?;
    let old = rig.db.admin.clone().database(&name);
    let mut session = Session::open(&old).await?;
    progress::say("    filling the old table …")?;
    session.run(&FILL.replace("MILLIONS", &millions.to_string())).await?;
    Ok(old)
}

/// What a writer saw.
#[derive(Debug, Default)]
struct Writer {
    inserts: u64,
    longest: Duration,
    /// How long somebody was seen to wait for a lock on the table.
    locked: Duration,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inserts, longest, locked } = self;
        let [longest, locked] = [longest, locked].map(Duration::as_millis);
        write!(f, "{inserts} inserts, the longest {longest} ms, {locked} ms behind locks")
    }
}

/// Works while a writer inserts and a watcher watches.
async fn beside_writer<T>(
    old: &PgConnectOptions,
    work: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Writer)> {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(write(old.clone(), stop.clone()));
    tasks.spawn(watch(old.clone(), stop.clone()));
    let done = work().await;
    stop.cancel();
    let mut all = Writer::default();
    while let Some(part) = tasks.join_next().await {
        let part = part??;
        all = Writer {
            inserts: all.inserts + part.inserts,
            longest: all.longest.max(part.longest),
            locked: all.locked + part.locked,
        };
    }
    Ok((done?, all))
}

async fn write(old: PgConnectOptions, stop: CancellationToken) -> anyhow::Result<Writer> {
    let mut session = Session::open(&old).await?;
    let mut writer = Writer::default();
    while !stop.is_cancelled() {
        let begun = Instant::now();
        session.run(INSERT).await?;
        writer.inserts += 1;
        writer.longest = writer.longest.max(begun.elapsed());
        tokio::time::sleep(WRITER_PAUSE).await;
    }
    Ok(writer)
}

async fn watch(old: PgConnectOptions, stop: CancellationToken) -> anyhow::Result<Writer> {
    let mut session = Session::open(&old).await?;
    let mut watcher = Writer::default();
    let mut looked = Instant::now();
    while !stop.is_cancelled() {
        let is_waiting = !session.run(WAITING).await?.rows.is_empty();
        let since = looked.elapsed();
        looked = Instant::now();
        if is_waiting {
            watcher.locked += since;
        }
        tokio::time::sleep(WATCHER_PAUSE).await;
    }
    Ok(watcher)
}

/// Fails unless every series has as many samples there and here, and the same sum.
async fn same(rig: &Rig, old: &PgConnectOptions, account: &Account) -> anyhow::Result<()> {
    let is_whole = account.missing.is_empty() && account.changed.is_empty() && account.refused.is_empty();
    anyhow::ensure!(is_whole, "the takeover's own account: {account:?}");
    let there = Session::open(old).await?.run(THERE).await?.rows;
    let here = Session::open(&rig.db.admin).await?.run(HERE).await?.rows;
    let differs = there.iter().zip(&here).find(|(there, here)| there != here);
    anyhow::ensure!(
        differs.is_none() && there.len() == here.len(),
        "{} series there, {} here; the first that differ: {differs:?}",
        there.len(),
        here.len()
    );
    let rows: i64 = account.stores.values().map(|of| of.taken).sum();
    let stores = account.stores.len();
    progress::say(&format!(
        "    {rows} rows of {} series in {stores} stores: counts and sums equal",
        here.len()
    ))
    .context("telling")
}
