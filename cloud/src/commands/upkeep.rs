//! `upkeep`: what the service does by itself, now and to its end.

use std::io::Write;
use std::time::Instant;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::upkeep::{self, Options, Report};

#[derive(Args)]
pub(crate) struct UpkeepArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Compact what was received today, too
    #[arg(long)]
    today: bool,
}

impl UpkeepArgs {
    /// Everything that is due, at full speed.
    pub(crate) const fn options(&self) -> Options {
        Options { gentle: false, today_too: self.today, everything: true }
    }
}

/// Does what is due and says what it did, a line after every step.
///
/// # Errors
/// Another process is at it, the database is away, or something failed for a store.
pub async fn run(db: &Db, options: Options, out: &mut impl Write) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut told = Report::default();
    let progress = |report: &Report| {
        if *report != told {
            told = *report;
            // A closed terminal is no reason to stop half-way.
            let _ = writeln!(out, "{:>6.1} s  {report}", begun.elapsed().as_secs_f64());
        }
    };
    let done = upkeep::run(db, options, &CancellationToken::new(), progress).await?;
    let Some(report) = done else {
        anyhow::bail!("another process is doing upkeep of this database; this one has done nothing");
    };
    anyhow::ensure!(
        report.failed == 0,
        "{} steps failed; the log says why, and the next upkeep tries again",
        report.failed
    );
    writeln!(out, "done: {report}")?;
    Ok(())
}
