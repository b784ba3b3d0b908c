//! Bytes a sample on the agent's disk, once sealed: how much `spool.db` grows.
//!
//! The file is looked at when the spool is closed, which checkpoints its WAL, before and after the batches; what a spool
//! needs once (pages of its tables, pages that open samples had) is in it before. The limit is the bodies that it holds.

use std::path::Path;

use storepulse_agent::spool::{FILE, Limits, Spool, look};
use storepulse_shared::batch::Lane;

use super::figure::Figure;
use super::reference::{EPOCH_MS, ReferenceStore};
use super::wire::bytes_a_sample;

/// Samples that make the file grow; but not more than so many batches, of which each is two commits.
const SAMPLES: usize = 100_000;
const BATCHES_MAX: usize = 600;
/// Batches before the first look.
const WARM_UP: usize = 30;
const LIMITS: Limits = Limits { bytes_max: 4 << 30, batch_samples_max: 20_000 };

pub(super) const SIZES: [usize; 3] = [94, 600, 3_600];

/// What is in a spool.
struct State {
    file: usize,
    bodies: usize,
    samples: usize,
}

pub(super) async fn measure(size: usize, dir: &Path) -> anyhow::Result<Figure> {
    let mut store = ReferenceStore::open(EPOCH_MS);
    let before = fill(&mut store, WARM_UP, size, dir).await?;
    let after = fill(&mut store, (SAMPLES / size).min(BATCHES_MAX), size, dir).await?;
    let samples = after.samples - before.samples;
    let figure = Figure::new(bytes_a_sample(after.file - before.file, samples));
    Ok(figure.beside(bytes_a_sample(after.bodies - before.bodies, samples)).ratio_at_most(1.25).binding())
}

async fn fill(store: &mut ReferenceStore, batches: usize, size: usize, dir: &Path) -> anyhow::Result<State> {
    let (spool, writer) = Spool::open(dir, LIMITS, EPOCH_MS)?;
    for _ in 0..batches {
        spool.append(Lane::Normal, store.batch(size).frames, EPOCH_MS).await?;
        spool.seal_all(EPOCH_MS).await?;
    }
    drop(spool);
    writer.join();
    let lanes = look(dir)?.lanes;
    Ok(State {
        file: usize::try_from(std::fs::metadata(dir.join(FILE))?.len())?,
        bodies: usize::try_from(lanes.iter().map(|lane| lane.waiting_bytes).sum::<u64>())?,
        samples: usize::try_from(lanes.iter().map(|lane| lane.waiting_samples).sum::<u64>())?,
    })
}
