//! What an operator waits for who looks at all stores of a chain: a thousand of them, beside the month of samples.

use std::path::Path;
use std::time::Instant;

use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

use super::super::figure::Figure;
use super::super::ingest::Rig;
use super::super::ingest::sender::Senders;
use super::super::reference::ReferenceStore;
use super::{DAY, reads};
use crate::store;

const TENANT: &str = "overview";
const STORES: usize = 1_000;
/// Openings of each store's spool, and batches of each.
const EPOCHS: usize = 5;
const BATCHES: usize = 2;
/// Stores that send at once: each has a connection of its own.
const AT_ONCE: usize = 50;
/// Looks that are measured, after one that is not.
const LOOKS: usize = 100;

/// The whole overview as JSON, from the call of the function on; in milliseconds, 95 of 100 are faster.
pub(in crate::figures) async fn overview(rig: &Rig, dir: &Path) -> anyhow::Result<Figure> {
    let names: Vec<String> = (1..=STORES).map(|n| format!("S{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (url, ca) = (rig.cloud_url(), rig.ca());
    let stores = store::onboard(&rig.db, TENANT, &names, &url, Some(&ca), dir).await?;
    let now = storepulse_agent::time::now_ms();
    let day_ms = i64::try_from(DAY.as_millis())?;
    let batches = ReferenceStore::open(now - day_ms).batches(BATCHES, 94);
    let of_store = EPOCHS * batches.iter().map(|batch| batch.samples()).sum::<usize>();
    for some in stores.chunks(AT_ONCE) {
        for _ in 0..EPOCHS {
            let mut senders = Senders::of(rig, some)?;
            senders.load(&batches)?;
            senders.send(BATCHES).await?;
        }
    }
    let db = Db::connect(&rig.db.config()).await?;
    let (tenant, mut taken) = (TENANT.parse()?, Vec::with_capacity(LOOKS));
    for look in 0..=LOOKS {
        let (begun, mut said) = (Instant::now(), Vec::new());
        commands::store::show_overview(&db, &tenant, true, &mut said).await?;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        let answer: serde_json::Value = serde_json::from_slice(&said)?;
        let told = answer["stores"].as_array().into_iter().flatten();
        let is_whole =
            |s: &&serde_json::Value| s["epochs"] == EPOCHS && s["missing"] == 0 && s["samples"] == of_store;
        let whole = told.filter(is_whole).count();
        anyhow::ensure!(whole == STORES, "the overview tells rightly of {whole} stores of {STORES}");
        if look > 0 {
            taken.push(ms);
        }
    }
    db.close().await;
    Ok(reads::slow(&taken).at_most(100.0).binding())
}
