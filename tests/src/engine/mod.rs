//! `cargo engine`: from nothing to running, with a real Docker engine. The images are built, the cloud is composed, a store is
//! onboarded, its `deploy.sh` brings the gateway up, a device on a pseudo-terminal is read, unplugged and plugged in again, the
//! agent is upgraded, interrupted, taken back and rolled back, and in the end the device's own log is compared with what the
//! cloud holds.
//!
//! [`docker`] finds or starts the engine, [`images`] builds, [`cloud`] and [`shop`] are the two sides. Without an engine nothing is
//! tried, and that is no success: see [`NoEngine`].

mod cloud;
mod docker;
mod images;
mod shop;
mod steps;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

pub use self::docker::NoEngine;

use self::cloud::Cloud;
use self::docker::Engine;
use self::shop::Shop;
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
    let outcome = all(&args, &engine, (&repo, run_dir.path()), &mut steps).await;
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
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<Outcome> {
    let builds = !args.as_built;
    let warm = args.warm.as_deref();
    for file in ["deploy/store/Dockerfile", "deploy/cloud/docker-compose.yml"] {
        ensure!(repo.join(file).exists(), "there is no {file} in {}", repo.display());
    }
    steps.step("base images", async || Ok(((), images::bases(engine, repo, warm, builds)?))).await?;
    for (what, name, folder) in [
        ("the agent's image", images::AGENT, "deploy/store"),
        ("the cloud's image", images::CLOUD, "deploy/cloud"),
    ] {
        let work = async || {
            let told = if builds {
                images::build(engine, repo, name, folder)?
            } else {
                images::examine(engine, name)?
            };
            Ok(((), if builds { told } else { format!("as it is, not built in this run: {told}") }))
        };
        steps.step(what, work).await?;
    }
    steps.step("the agent's systemd unit", async || Ok(((), unit(engine, repo)?))).await?;
    images::variants(engine)?;
    let prepare = async || Ok((Cloud::prepare(engine, repo, &run.join("cloud"))?, String::new()));
    let cloud = steps.step("the cloud's folder, its certificate", prepare).await?;
    let outcome = tokio::select! {
        outcome = shop_day(engine, run, &cloud, steps) => outcome,
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    let removed = steps.step("everything removed", async || Ok((cloud.down(engine)?, String::new()))).await;
    let outcome = outcome?;
    removed.map(|()| outcome)
}

/// With the cloud composed: the store's whole day.
async fn shop_day<W: Write>(
    engine: &Engine,
    run: &Path,
    cloud: &Cloud,
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<Outcome> {
    let up = async || {
        let limits = cloud.lower_limits()?;
        cloud.up(engine).await?;
        Ok((
            (),
            format!("PostgreSQL, the migrator and two instances with TLS, healthy; {}{limits}", cloud.url),
        ))
    };
    steps.step("the cloud is composed", up).await?;
    let onboard =
        async || Ok((cloud.onboard(engine, run)?, "a package for store T01, its key tried".to_owned()));
    let package = steps.step("onboard --out", onboard).await?;
    let mut shop = Shop::furnish(package).await?;
    let outcome = work(engine, cloud, &mut shop, steps).await;
    shop.down(engine)?;
    outcome
}

async fn work<W: Write>(
    engine: &Engine,
    cloud: &Cloud,
    shop: &mut Shop,
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<Outcome> {
    let first = async || {
        shop.deploy(engine, &[], None)?;
        Ok(((), shop.examine(engine)?))
    };
    steps.step("deploy.sh brings the gateway up", first).await?;
    steps.step("samples arrive over TLS", async || fresh(shop, cloud).await).await?;
    let twice = async || {
        let before = shop.spool(engine)?;
        shop.deploy(engine, &[], None)?;
        shop.spool(engine)?.holds(&before)?;
        Ok(((), "nothing changed".to_owned()))
    };
    steps.step("deploy.sh again", twice).await?;
    let replug = async || {
        shop.replug().await?;
        fresh(shop, cloud).await
    };
    steps.step("the device unplugged and plugged in again", replug).await?;
    upgrades(engine, cloud, shop, steps).await?;
    let judge = async || {
        let (verdict, missing, samples) = shop.judge(cloud).await?;
        let Verdict { lost, duplicate, invented } = verdict;
        let told = format!(
            "{samples} samples of the device: lost {lost}, duplicate {duplicate}, invented {invented}; missing {missing}"
        );
        Ok((Outcome { verdict, missing, samples }, told))
    };
    steps.step("the device's own log against the cloud", judge).await
}

/// While the cloud is away, so that the spool is all there is.
async fn upgrades<W: Write>(
    engine: &Engine,
    cloud: &Cloud,
    shop: &mut Shop,
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<()> {
    let away = async || {
        cloud.stop(engine)?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let spool = shop.spool(engine)?;
        ensure!(!spool.batches.is_empty(), "nothing waits in the spool");
        Ok(((), format!("{} batches in the spool", spool.batches.len())))
    };
    steps.step("the cloud is away", away).await?;
    for (name, words, image, runs) in [
        ("upgrade", &[][..], Some(images::NEXT), images::NEXT),
        ("rollback", &["--rollback"][..], None, images::AGENT),
    ] {
        let change = async || change(engine, shop, (words, image, runs));
        steps.step(name, change).await?;
    }
    let broken = async || {
        let before = shop.spool(engine)?;
        shop.deploy_broken(engine, images::BROKEN, images::AGENT)?;
        shop.spool(engine)?.holds(&before)?;
        Ok(((), format!("taken back by itself; {} runs, the spool is the same", shop.image(engine)?)))
    };
    steps.step("an upgrade to an image that cannot run", broken).await?;
    let killed = async || {
        let before = shop.spool(engine)?;
        shop.deploy_killed(engine, images::NEXT).await?;
        deploy_without_cloud(shop, engine, &[], Some(images::NEXT))?;
        shop.spool(engine)?.holds(&before)?;
        Ok(((), format!("run again it went on; {} runs, the spool is the same", shop.image(engine)?)))
    };
    steps.step("an upgrade that is killed", killed).await?;
    let back = async || {
        cloud.start(engine).await?;
        fresh(shop, cloud).await
    };
    steps.step("the cloud is back", back).await
}

fn change(
    engine: &Engine,
    shop: &mut Shop,
    (words, image, runs): (&[&str], Option<&str>, &str),
) -> anyhow::Result<((), String)> {
    let before = shop.spool(engine)?;
    deploy_without_cloud(shop, engine, words, image)?;
    ensure!(shop.image(engine)? == runs, "{} runs, not {runs}", shop.image(engine)?);
    shop.spool(engine)?.holds(&before)?;
    Ok(((), format!("{runs} is healthy; the {} batches of before are in the spool", before.batches.len())))
}

/// It has to say that the cloud does not take anything, by its exit code as well.
fn deploy_without_cloud(
    shop: &mut Shop,
    engine: &Engine,
    words: &[&str],
    image: Option<&str>,
) -> anyhow::Result<()> {
    match shop.deploy(engine, words, image) {
        Ok(said) => anyhow::bail!("the cloud is away, and deploy.sh did not notice: {said}"),
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(text.contains("exit status: 3") && text.contains("keeps what it collects"), "{text}");
            Ok(())
        }
    }
}

async fn fresh(shop: &Shop, cloud: &Cloud) -> anyhow::Result<((), String)> {
    let after = shop.until_fresh(cloud).await?;
    Ok(((), format!("a sample sent now was in the cloud {:.1} s later", after.as_secs_f64())))
}
