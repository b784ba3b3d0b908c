//! What the spool seals in 72 hours without the cloud: samples by their times, and whatever is due as the uplink has it
//! sealed while nobody answers.

use std::path::Path;
use std::time::Duration;

use storepulse_agent::spool::{Limits, Next, Spool, Wish, look};
use storepulse_agent::time::{BoxClock, SystemClock, now_ms};
use storepulse_shared::batch::{Clock, Lane};

use super::super::progress;
use super::super::reference::ReferenceStore;
use super::super::report::number;
use super::super::wire::bytes_a_sample;
use super::{Size, in_ms};

const OUTAGE: Duration = Duration::from_secs(72 * 3_600);
/// The defaults of `batches:` and `spool:`.
const LIMITS: Limits = Limits { bytes_max: 256 << 20, batch_samples_max: 5_000 };
const AGE: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(600), Duration::from_secs(600)];
/// Handed in at once: what comes in this time.
const STEP: Duration = Duration::from_secs(60);

/// A backlog, all of one epoch.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) epoch: String,
    pub(super) batches: u64,
}

pub(super) async fn fill(size: Size, dir: &Path) -> anyhow::Result<Backlog> {
    progress::say("    72 hours without the cloud …")?;
    let until_ms = now_ms();
    let from_ms = until_ms - in_ms(OUTAGE);
    let mut store = match size {
        Size::Reference => ReferenceStore::open(from_ms),
        Size::Dense => ReferenceStore::open_dense(from_ms),
    };
    // By this boot's clock, which has not been set: what the cloud will tell of the time counts for all of it.
    let clock = BoxClock::new(std::sync::Arc::new(SystemClock::load()), 0);
    let (spool, writer) = Spool::open_dated(dir, LIMITS, clock)?;
    let wish = Wish { age: AGE, clock: Clock::Unsure, in_flight: Vec::new(), reach: None };
    while store.now_ms() < until_ms {
        let frames =
            store.time(STEP.min(Duration::from_millis((until_ms - store.now_ms()).unsigned_abs()))).frames;
        spool.append(Lane::Normal, frames, store.now_ms()).await?;
        let next = spool.next(wish.clone(), store.now_ms()).await?;
        anyhow::ensure!(matches!(next, Next::Idle(_)), "the spool hands out what nobody asked for");
    }
    spool.seal_all(until_ms).await?;
    drop(spool);
    writer.join();
    let status = look(dir)?;
    let [epoch] = &*status.epochs else {
        anyhow::bail!("{} epochs where one was filled", status.epochs.len())
    };
    let bytes: u64 = status.lanes.iter().map(|lane| lane.waiting_bytes).sum();
    let a_sample = bytes_a_sample(usize::try_from(bytes)?, usize::try_from(epoch.waiting_samples)?);
    progress::say(&format!(
        "    {} samples in {} batches, {} bytes a sample",
        epoch.waiting_samples,
        epoch.sealed,
        number(a_sample)
    ))?;
    anyhow::ensure!(status.losses == 0, "the spool was too small");
    Ok(Backlog { epoch: epoch.epoch.clone(), batches: epoch.sealed })
}
