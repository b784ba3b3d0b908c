//! The day of a store and its cloud, step by step: what is asked of both, in the order in which it would happen to them.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::cloud::{Cloud, STORE};
use super::docker::Engine;
use super::shop::Shop;
use super::steps::Steps;
use super::{Outcome, Stop, images};
use crate::oracle::Verdict;
use crate::wait;

/// How long the agent may take to send again what a restored cloud has lost.
const FILL_LIMIT: Duration = Duration::from_secs(60);

/// Composes the cloud, furnishes the store, and lets them have it; the store is removed, however that ends.
pub(super) async fn run<W: Write>(
    engine: &Engine,
    run: &Path,
    cloud: &Cloud,
    (steps, mut stop): (&mut Steps<'_, W>, Stop),
) -> anyhow::Result<Outcome> {
    let up = async || {
        let limits = cloud.lower_limits()?;
        cloud.up(engine).await?;
        Ok((
            (),
            format!("PostgreSQL, the migrator and two instances with TLS, healthy; {}{limits}", cloud.url),
        ))
    };
    stop.unless_asked(steps.step("the cloud is composed", up)).await?;
    let onboard =
        async || Ok((cloud.onboard(engine, run)?, "a package for store T01, its key tried".to_owned()));
    let package = steps.step("onboard --out", onboard).await?;
    let mut shop = Shop::furnish(package).await?;
    let outcome = stop.unless_asked(work(engine, cloud, &mut shop, steps)).await;
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
    recovery(engine, cloud, shop, steps).await?;
    let judge = async || {
        let (verdict, missing, samples) = shop.judge(cloud).await?;
        let Verdict { lost, duplicate, invented } = verdict;
        let told = format!(
            "{samples} samples of the device: lost {lost}, duplicate {duplicate}, invented {invented}; missing {missing}"
        );
        Ok((Outcome { verdict, missing, samples }, told))
    };
    let outcome = steps.step("the device's own log against the cloud", judge).await?;
    let verify = async || {
        let totals = cloud.verify(engine)?;
        ensure!(totals["missing"] == 0 && totals["wrong"] == 0, "{totals}");
        let tenants = cloud.sql(engine, "select count(*) from tenants")?;
        ensure!(tenants == "1", "by psql there are {tenants} tenants");
        Ok(((), totals.to_string()))
    };
    steps.step("verify", verify).await?;
    Ok(outcome)
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

/// A backup, the loss of everything else, and what the backup lacks comes from the shop.
async fn recovery<W: Write>(
    engine: &Engine,
    cloud: &Cloud,
    shop: &Shop,
    steps: &mut Steps<'_, W>,
) -> anyhow::Result<()> {
    let proxy = async || {
        let url = cloud.start_proxy(engine).await?;
        Ok((url.clone(), format!("{url} ends TLS, asks both instances and speaks TLS to them")))
    };
    let proxy = steps.step("the proxy", proxy).await?;
    let rolling = async || Ok(((), rolling(engine, cloud, shop, &proxy).await?));
    steps.step("rolling.sh", rolling).await?;
    let backup = async || {
        let told = cloud.script(engine, "./backup.sh", &["tenants"]).await?;
        let archives = cloud.archives()?;
        let [(archive, bytes)] = &archives[..] else { anyhow::bail!("exported: {archives:?}") };
        ensure!(*bytes > 0, "{archive} is empty");
        Ok(((), format!("{}; {archive}, {bytes} bytes", told.lines().next().unwrap_or_default())))
    };
    steps.step("backup.sh tenants", backup).await?;
    let lose = async || {
        // What the backup has not.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = shop.count(cloud).await?;
        cloud.lose(engine)?;
        Ok((before, format!("{before} samples of the device, the database and both instances are gone")))
    };
    let before = steps.step("the machine burns down", lose).await?;
    let restore = async || {
        let told = cloud.script(engine, "./restore.sh", &[]).await?;
        shop.until_noticed(engine).await?;
        let ((), fresh) = fresh(shop, cloud).await?;
        wait::until("what had been there before", FILL_LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Ok((shop.count(cloud).await? > before).then_some(()))
        })
        .await?;
        let restored = told.lines().find(|line| line.starts_with("restored in")).unwrap_or_default();
        let restored = restored.split('.').next().unwrap_or_default();
        Ok(((), format!("{restored}; the agent noticed and sent again; {fresh}")))
    };
    steps.step("restore.sh", restore).await
}

/// Restarts both instances and has the proxy take up a certificate, while somebody asks through it all the time.
async fn rolling(engine: &Engine, cloud: &Cloud, shop: &Shop, proxy: &str) -> anyhow::Result<String> {
    let asks = shop.asks(proxy, cloud)?;
    let (mut asked, mut failed) = (0, Vec::new());
    let ask = async {
        loop {
            asked += 1;
            match asks.get(&format!("/v1/stores/{STORE}/status")).await {
                Ok(answer) if answer.status == 200 => {}
                other => failed.push(format!("{other:?}")),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let restart = async {
        cloud.script(engine, "./rolling.sh", &[]).await?;
        cloud.renew_in_proxy(engine)?;
        // Its old and its new process serve side by side for a moment.
        tokio::time::sleep(Duration::from_secs(3)).await;
        anyhow::Ok(())
    };
    tokio::select! {
        () = ask => {}
        done = restart => done?,
    }
    ensure!(asked > 100 && failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
    let ((), fresh) = fresh(shop, cloud).await?;
    Ok(format!("{asked} requests through the proxy, which was told of a certificate too, 0 failed; {fresh}"))
}
