//! `takeover`: the one table of an older system becomes a tenant with stores. What it does stands in [`crate::takeover`].

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use storepulse_shared::ids::TenantId;
use time::OffsetDateTime;

use crate::app::rfc3339;
use crate::config::{DatabaseArgs, DatabaseUrl};
use crate::db::Db;
use crate::takeover::{self, Account, How, OfStore, Progress, Refused, Request};

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct TakeoverArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// The tenant that gets it; it must be there and active
    #[arg(long)]
    tenant: TenantId,
    /// The older system's PostgreSQL (14 or newer), by a login that may read the table; a replica will do
    #[arg(long, env = "STOREPULSE_TAKEOVER_FROM", hide_env_values = true, value_name = "URL")]
    from: DatabaseUrl,
    /// The table: store_id, device_id, metric, value, timestamp
    #[arg(long, default_value = "metrics")]
    table: String,
    /// Read all of it once more; what is here already stays once
    #[arg(long)]
    again: bool,
    /// Blocks of the old table that are read and stored at once
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(i64).range(1..=65_536))]
    blocks: i64,
}

impl TakeoverArgs {
    pub(crate) fn request(&self) -> (Request, How) {
        let Self { tenant, from, table, again, blocks, .. } = self;
        let request =
            Request { tenant: tenant.clone(), from: from.0.clone(), table: table.clone(), again: *again };
        (request, How { blocks: *blocks, stop_after: None })
    }
}

/// Takes over, and tells what came of it. Progress goes to `progress`.
///
/// # Errors
/// See [`takeover::run`]; and if the comparison finds that something of the old table is missing here.
pub async fn run(
    db: &Db,
    (request, how): (&Request, &How),
    out: &mut (impl Write + Send),
    progress: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut told, mut pass) = (begun, 0);
    let account = takeover::run(db, request, how, |now| {
        if now.pass != pass || told.elapsed() >= PROGRESS {
            (told, pass) = (Instant::now(), now.pass);
            // A closed terminal is no reason to stop half-way.
            let _ = writeln!(progress, "{}", progress_line(now, begun.elapsed()));
        }
    })
    .await?;
    tell(&account, out)?;
    anyhow::ensure!(
        account.missing.is_empty(),
        "{} of the old table is not all here: read it once more with --again; what is here stays once",
        account.table
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a speed, for people")]
fn progress_line(now: &Progress, since: Duration) -> String {
    let per_second = now.rows as f64 / since.as_secs_f64().max(1e-3);
    format!(
        "{:>6.1} s  pass {}: block {} of {}, {} rows, {per_second:.0} rows/s",
        since.as_secs_f64(),
        now.pass,
        now.done,
        now.blocks,
        now.rows
    )
}

fn tell(account: &Account, out: &mut impl Write) -> anyhow::Result<()> {
    let table = &account.table;
    for (store, OfStore { there, total_there, taken, refused, total }) in &account.stores {
        writeln!(
            out,
            "store {store:?}: {there} rows in {table}, {taken} taken, {refused} refused; sum {total_there} there, {total} here"
        )?;
    }
    for refused in &account.refused {
        writeln!(out, "{}", refused_line(table, refused))?;
    }
    for missing in &account.missing {
        writeln!(out, "missing: {missing}")?;
    }
    for changed in &account.changed {
        writeln!(out, "changed or deleted there since: {changed}")?;
    }
    if account.missing.is_empty() && account.changed.is_empty() {
        let (stores, series) = (account.stores.len(), account.series);
        writeln!(out, "counts and sums of {stores} stores and {series} series are equal")?;
    }
    if account.newer == 0 {
        writeln!(out, "{table} has no row that was not read")?;
    } else {
        writeln!(
            out,
            "{} rows of {table} are newer, or of transactions that may be: run this again, the last time after its writers have \
             switched and no transaction is open there",
            account.newer
        )?;
    }
    Ok(())
}

fn refused_line(table: &str, refused: &Refused) -> String {
    let Refused { store, device, metric, reason, rows, span, example } = refused;
    let time = |ms: i64| {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
        time.map_or_else(|_| format!("{ms} ms"), rfc3339)
    };
    let when = span.map_or(String::new(), |(first, last)| format!(" from {} to {}", time(first), time(last)));
    let seen = example
        .as_ref()
        .map_or(String::new(), |ctid| format!("; one of them: select * from {table} where ctid = '{ctid}'"));
    format!(
        "refused: {rows} rows of store {store:?}, device {device:?}, metric {metric:?}{when}: {reason}: {}{seen}",
        refused.way_out()
    )
}
