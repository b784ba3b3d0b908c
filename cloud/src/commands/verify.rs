//! `verify`: counts, hashes, gaps and receipts, read and compared. Exits with 1 if anything is wrong.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use storepulse_shared::ids::TenantId;

use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::verify::{self, Heard, Totals};

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Look at this tenant only
    #[arg(long)]
    tenant: Option<TenantId>,
    /// One JSON object a finding, and one with the totals at the end
    #[arg(long)]
    json: bool,
}

/// What to look at, and how to tell.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// This tenant only.
    pub tenant: Option<TenantId>,
    /// JSON lines instead of text.
    pub json: bool,
}

impl VerifyArgs {
    pub(crate) fn request(&self) -> Request {
        Request { tenant: self.tenant.clone(), json: self.json }
    }
}

/// Looks, and writes a line for every finding and one for the totals. Progress goes to `progress`.
///
/// # Errors
/// Something is wrong, there is no such tenant, or the database is away.
pub async fn run(
    db: &Db,
    request: &Request,
    out: &mut (impl Write + Send),
    progress: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut told = begun;
    let mut written = Ok(());
    let totals = verify::run(db, request.tenant.as_ref(), |heard| match heard {
        Heard::Found(finding) if written.is_ok() => {
            written = if request.json { line(out, finding) } else { writeln!(out, "{finding}") };
        }
        Heard::Progress(totals) if told.elapsed() >= PROGRESS => {
            told = Instant::now();
            // A closed terminal is no reason to stop half-way.
            let _ = writeln!(progress, "{:>6.1} s  {}", begun.elapsed().as_secs_f64(), text(totals));
        }
        Heard::Found(_) | Heard::Progress(_) => {}
    });
    let totals = totals.await?;
    written?;
    if request.json {
        line(out, &totals)?
    } else {
        writeln!(out, "{}", text(&totals))?
    }
    if let Some(tenant) = &request.tenant {
        anyhow::ensure!(totals.tenants > 0, "tenant {tenant} does not exist");
    }
    anyhow::ensure!(totals.wrong == 0, "{} things are wrong", totals.wrong);
    Ok(())
}

fn line(out: &mut impl Write, value: &impl serde::Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

fn text(totals: &Totals) -> String {
    format!(
        "{} tenants, {} stores, {} epochs: {} batches with {} samples in the inbox, {} parts with {} samples compacted; \
         {} batches missing, {} things wrong",
        totals.tenants,
        totals.stores,
        totals.epochs,
        totals.batches,
        totals.samples,
        totals.parts,
        totals.compacted,
        totals.missing,
        totals.wrong
    )
}
