//! `cargo browser`: the agent's pages in headless Chromium, on a running agent with good, broken and silent devices, whose
//! cloud is there at first and then cut off.
//!
//! [`shop`] arranges the scene, [`quiet`] another one, where nothing is the matter; what is looked at stands in
//! `tests/browser/scenes`, a small file each, played by Node ([`player`]). Nothing is installed here: `tests/browser.sh` does
//! that. Screenshots stay, outside of the repository.

mod player;
mod quiet;
mod shop;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::player::{Player, Programs};
use self::quiet::QuietShop;
use self::shop::Shop;
use crate::cloud::Cloud;
use crate::cluster::Cluster;
use crate::proxy::Proxy;
use crate::run_dir::RunDir;
use crate::store;

const TENANT: &str = "la-villa";
/// The shop with all kinds of troubles, and the one with none.
const STORES: [&str; 2] = ["T01", "T02"];

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct BrowserArgs {
    /// Only these scenes, in this order; all without a name
    scenes: Vec<String>,
    /// Where the screenshots go; a new folder for temporary files otherwise
    #[arg(long, value_name = "DIR")]
    shots: Option<PathBuf>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What it came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Verdict {
    checks: u64,
    failed: u64,
    screenshots: u64,
}

/// Plays the scenes; `true` if all that was checked holds.
///
/// # Errors
/// A program is missing, the scene could not be set, or the player ended without a verdict.
pub async fn run(args: BrowserArgs, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let programs = Programs::find()?;
    let shots = folder_of_shots(args.shots)?;
    let run_dir = RunDir::create("browser")?;
    writeln!(out, "starting PostgreSQL, the cloud (TLS) and an agent with its devices …")?;
    let cluster = Cluster::start(&run_dir, false).await?;
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, Some(&run_dir.part("tls")?)).await?;
    let link = Proxy::start(cloud.address).await?;
    let url = format!("https://{}", link.address);
    let stores = run_dir.part("stores")?;
    let stores = store::onboard(&db, TENANT, &STORES, &url, cloud.ca.as_deref(), &stores).await?;
    let [troubled, quiet] = &stores[..] else { anyhow::bail!("{} stores", stores.len()) };
    let quiet = QuietShop::open(testbed, quiet).await?;
    let mut shop = Shop::open(testbed, troubled, link).await?;
    writeln!(out, "the scene is set after {:.1} s; screenshots go to {}", seconds(begun), shots.display())?;
    let mut told = shop.told(&args.scenes, &shots)?;
    told["quiet"] = json!({ "url": quiet.url(), "devices": quiet::DEVICES });
    let verdict = Player::start(&programs, told, &run_dir.part("player")?)?.play(&mut shop, out).await?;
    shop.close().await?;
    quiet.close().await?;
    cloud.stop().await?;
    cluster.stop().await;
    let Verdict { checks, failed, screenshots } = verdict;
    writeln!(
        out,
        "{checks} checks, {failed} failed, {screenshots} screenshots in {}; {:.1} s",
        shots.display(),
        seconds(begun)
    )?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&verdict)?)?;
    }
    Ok(failed == 0 && checks > 0)
}

fn seconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}

/// The folder that was named, or a new one; it stays.
fn folder_of_shots(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match named {
        Some(dir) => {
            std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            Ok(std::fs::canonicalize(&dir)?)
        }
        None => Ok(tempfile::Builder::new().prefix("storepulse-screenshots-").tempdir()?.keep()),
    }
}
