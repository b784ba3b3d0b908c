//! `cargo engine`: from nothing to running, with a real Docker engine. The images are built, the cloud is composed, a store is
//! onboarded, its `deploy.sh` brings the gateway up, a device on a pseudo-terminal is read, unplugged and plugged in again, the
//! agent is upgraded, interrupted, taken back and rolled back, the cloud is restarted, lost and restored, and in the end the
//! device's own log is compared with what the cloud holds.
//!
//! [`docker`] finds or starts the engine, [`images`] builds, [`cloud`] and [`shop`] are the two sides, [`day`] is what they go
//! through. Without an engine nothing is tried, and that is no success: see [`NoEngine`].

mod cloud;
mod day;
mod docker;
mod images;
mod shop;
mod steps;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::docker::NoEngine;

use self::cloud::Cloud;
use self::docker::Engine;
use self::steps::Steps;
use crate::oracle::Verdict;
use crate::run_dir::RunDir;

/// How the engine is had.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Where no engine runs, install Debian's and run one for this, as root; nothing of it stays but the packages
    #[arg(long)]
    install: bool,
    /// Take storepulse/agent and storepulse/cloud as they are instead of building them
    #[arg(long)]
    as_built: bool,
    /// Put this folder (as cargo's target) into the base image that is made here, so that less is compiled
    #[arg(long, value_name = "DIR")]
    warm: Option<PathBuf>,
    /// The checkout whose images and scripts are tried; the one that this was built of if it is left out
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Default)]
struct Outcome {
    verdict: Verdict,
    missing: i64,
    samples: usize,
}

/// Does all of it; `true` if everything holds.
///
/// # Errors
/// [`NoEngine`], or what failed cannot even be told.
pub async fn run(args: EngineArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let repo = repository(args.repository.as_deref())?;
    // Before the engine, so that it goes after it; and not where there is none, since then nothing is to be left behind.
    let mut run_dir = None;
    let own = || Ok(run_dir.insert(RunDir::create("engine")?).path().join("docker"));
    let engine = match Engine::find(args.install, &repo.join("tests/engine.sh"), own) {
        Ok(engine) => engine,
        Err(error) => {
            if args.json {
                writeln!(out, "{}", json!({ "ok": false, "engine": null, "error": error.to_string() }))?;
            }
            return Err(error);
        }
    };
    let run_dir = match &mut run_dir {
        Some(made) => made,
        none => none.insert(RunDir::create("engine")?),
    };
    let whose = if engine.is_own() { "started for this run" } else { "was running" };
    writeln!(out, "Docker {} ({}), {whose}", engine.version, engine.driver)?;
    let begun = Instant::now();
    let mut steps = Steps::new(out);
    let stop = Stop::listen()?;
    let outcome = all(&args, &engine, (&repo, run_dir.path()), (&mut steps, stop)).await;
    let done = std::mem::take(&mut steps.done);
    let ok = outcome.as_ref().is_ok_and(|it| it.verdict.is_clean() && it.missing == 0 && it.samples > 0);
    let seconds = begun.elapsed().as_secs();
    let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
    match &error {
        None => writeln!(
            out,
            "{} after {seconds} s",
            if ok { "everything holds" } else { "NOT everything holds" }
        )?,
        Some(error) => writeln!(out, "FAILED after {seconds} s: {error}")?,
    }
    if args.json {
        let Outcome { verdict, missing, samples } = outcome.unwrap_or_default();
        let line = json!({
            "ok": ok, "engine": engine.version, "driver": engine.driver, "built": !args.as_built,
            "agent_image_bytes": images::bytes(&engine, images::AGENT), "cloud_image_bytes": images::bytes(&engine, images::CLOUD),
            "lost": verdict.lost, "duplicate": verdict.duplicate, "invented": verdict.invented, "missing": missing,
            "samples": samples, "seconds": seconds, "error": error, "steps": done,
        });
        writeln!(out, "{line}")?;
    }
    Ok(ok)
}

/// The workspace, whose Dockerfiles and scripts these are.
fn repository(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let built_of = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let folder = given.or(built_of).context("the workspace")?;
    Ok(folder.canonicalize()?)
}

/// How much of the system the unit leaves open, by systemd's own count from 0 to 10.
fn unit(engine: &Engine, repo: &Path) -> anyhow::Result<String> {
    let mut command = engine.command("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=25"]);
    let told = docker::said(command.arg(repo.join("deploy/store/storepulse-agent.service")))?;
    Ok(told.lines().last().unwrap_or_default().trim().to_owned())
}

async fn all<W: Write>(
    args: &EngineArgs,
    engine: &Engine,
    (repo, run): (&Path, &Path),
    (steps, mut stop): (&mut Steps<'_, W>, Stop),
) -> anyhow::Result<Outcome> {
    for file in ["deploy/store/Dockerfile", "deploy/cloud/docker-compose.yml"] {
        ensure!(repo.join(file).exists(), "there is no {file} in {}", repo.display());
    }
    stop.unless_asked(make_images(args, engine, repo, steps)).await?;
    let prepare = async || Ok((Cloud::prepare(engine, repo, &run.join("cloud"))?, String::new()));
    let cloud = steps.step("the cloud's folder, its certificate", prepare).await?;
    let outcome = day::run(engine, run, &cloud, (steps, stop)).await;
    let removed = steps.step("everything removed", async || Ok((cloud.down(engine)?, String::new()))).await;
    let outcome = outcome?;
    removed.map(|()| outcome)
}

/// What the cloud and the store are started of.
async fn make_images<W: Write>(
    args: &EngineArgs,
    engine: &Engine,
    repo: &Path,
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<()> {
    let builds = !args.as_built;
    let warm = args.warm.as_deref();
    steps.step("base images", async || Ok(((), images::bases(engine, repo, warm, builds).await?))).await?;
    for (what, name, folder) in [
        ("the agent's image", images::AGENT, "deploy/store"),
        ("the cloud's image", images::CLOUD, "deploy/cloud"),
    ] {
        let work = async || {
            let told = if builds {
                images::build(engine, repo, name, folder).await?
            } else {
                images::examine(engine, name)?
            };
            Ok(((), if builds { told } else { format!("as it is, not built in this run: {told}") }))
        };
        steps.step(what, work).await?;
    }
    steps.step("the agent's systemd unit", async || Ok(((), unit(engine, repo)?))).await?;
    images::variants(engine)
}

/// Hears when somebody wants an end: an interrupt, or a polite kill.
#[derive(Debug)]
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    /// Does this to its end, or up to that moment.
    async fn unless_asked<T>(&mut self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => bail!("interrupted"),
            _ = self.terminate.recv() => bail!("told to end"),
            done = work => done,
        }
    }
}
