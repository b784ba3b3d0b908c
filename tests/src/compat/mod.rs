//! `cargo compat`: this version and the one before it, mixed in every way that an upgrade mixes them.
//!
//! Boxes in shops are upgraded when somebody gets to it, and the instances of the service one after the other. So for one version
//! either side must do with the other as it was, and the old service with the new schema. Three things hold that:
//!
//! - this command, which builds the version before from the repository's own history and lets both work on real samples
//!   (`scene`), with an outage and a kill in each combination;
//! - the suite, which replays what the version before said (`exchange`: requests to the present cloud, answers to the present
//!   agent) and prepares every query that it had (`queries`); both are kept in `tests/previous` and made anew by `--record`,
//!   once a version is out;
//! - the suite again, which reads each new migration: one that takes something away must name the earlier one that made it needless.

mod build;
pub mod exchange;
pub mod queries;
mod record;
mod scene;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::oracle::Verdict;
use crate::run_dir::RunDir;

/// What to compare with.
#[derive(Debug, Args)]
pub struct CompatArgs {
    /// The version before: a commit, tag or branch; the newest tag `v*` below this one, else what the main branch had before this
    #[arg(long, value_name = "REF")]
    against: Option<String>,
    /// A program of that version that is built already
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    program: Option<PathBuf>,
    /// How long each combination works before and after its outage
    #[arg(long, default_value = "3s", value_parser = humantime::parse_duration)]
    each: Duration,
    /// Write down what this version says, as the version before of the next one, and do nothing else
    #[arg(long, conflicts_with_all = ["against", "program"])]
    record: bool,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    verdict: Verdict,
    /// Batches that the cloud still waits for.
    missing: i64,
    /// Things that `verify` finds wrong afterwards.
    wrong: u64,
    /// Combinations of agent and cloud, an outage and a kill in each.
    combinations: usize,
    /// Counter values that the devices sent.
    sent: usize,
    /// The version before.
    against: String,
    seconds: f64,
}

/// What is kept of the version before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Previous {
    /// The day on which it was written down.
    pub recorded: String,
    /// Its last migration.
    pub migration: i64,
}

/// Where that is kept.
///
/// # Errors
/// The workspace cannot be told.
pub fn folder() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("previous"))
}

impl Previous {
    /// Reads it.
    ///
    /// # Errors
    /// It is not there, or not understood.
    pub fn load() -> anyhow::Result<Self> {
        let path = folder()?.join("version.json");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Mixes the versions; `true` if nothing was lost, doubled, invented or left missing.
///
/// # Errors
/// The version before cannot be built, or something does not start.
pub async fn run(args: CompatArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    if args.record {
        return record::run(testbed, out).await.map(|()| true);
    }
    let begun = Instant::now();
    let (against, old) = match args.program {
        Some(program) => (program.display().to_string(), program),
        None => {
            let commit = build::version_before(args.against.as_deref())?;
            writeln!(stderr(), "compat: against {}", commit.title)?;
            let program = tokio::task::spawn_blocking(move || {
                build::program_of(&commit).map(|built| (commit.title, built))
            });
            program.await??
        }
    };
    // A build while we work replaces our own program; children must be of this one.
    let run_dir = RunDir::create("compat")?;
    let new = run_dir.path().join("present");
    std::fs::copy(testbed, &new).with_context(|| testbed.display().to_string())?;
    let ended = scene::play(&scene::Programs { old, new }, args.each, &run_dir).await?;
    let closing = ended.closing;
    let outcome = Outcome {
        verdict: closing.verdict,
        missing: closing.totals.missing,
        wrong: ended.wrong,
        combinations: scene::COMBINATIONS.len(),
        sent: closing.sent,
        against,
        seconds: begun.elapsed().as_secs_f64(),
    };
    for lost in &closing.lost {
        writeln!(stderr(), "lost: {lost}")?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
    } else {
        writeln!(out, "{outcome:#?}")?;
    }
    Ok(outcome.verdict.is_clean() && outcome.missing == 0 && outcome.wrong == 0 && outcome.sent > 0)
}
