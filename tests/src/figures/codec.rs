//! Encoding and decoding a batch, in processor time.
//!
//! The limit is `serde_json` with the same numbers bare, as `Vec<Vec<f64>>`: no names, no times, no checks. Neither side
//! compresses.

use std::hint::black_box;
use std::time::Duration;

use storepulse_shared::batch::Batch;
use storepulse_shared::batch::decode::decode;
use storepulse_shared::batch::encode::encode;

use super::figure::Figure;
use super::reference::{EPOCH_MS, ReferenceStore};
use super::rounds;
use crate::cpu;

const ROUNDS: usize = 9;
/// Samples of the batches that are worked on in turn.
const SAMPLES: usize = 20_000;
/// A turn is repeated until it has taken this long.
const TURN: Duration = Duration::from_millis(60);

pub(super) const SIZES: [usize; 3] = [94, 600, 3_600];

pub(super) async fn encoding(size: usize) -> anyhow::Result<Figure> {
    let batches = ReferenceStore::open(EPOCH_MS).batches(SAMPLES / size + 1, size);
    let bare: Vec<Vec<Vec<f64>>> = batches.iter().map(numbers).collect();
    let samples = batches.iter().map(Batch::samples).sum();
    let value = async || nanoseconds(samples, || batches.iter().try_for_each(|b| done(&encode(b))));
    let limit = async || nanoseconds(samples, || bare.iter().try_for_each(|b| done(&serde_json::to_vec(b)?)));
    rounds::alternate(ROUNDS, value, limit).await
}

pub(super) async fn decoding(size: usize) -> anyhow::Result<Figure> {
    let batches = ReferenceStore::open(EPOCH_MS).batches(SAMPLES / size + 1, size);
    let texts: Vec<Vec<u8>> = batches.iter().map(encode).collect();
    let bare: Vec<Vec<u8>> =
        batches.iter().map(|b| serde_json::to_vec(&numbers(b))).collect::<Result<_, _>>()?;
    let samples = batches.iter().map(Batch::samples).sum();
    let value = async || nanoseconds(samples, || texts.iter().try_for_each(|t| done(&decode(t)?)));
    let limit = async || {
        nanoseconds(samples, || {
            bare.iter().try_for_each(|t| done(&serde_json::from_slice::<Vec<Vec<f64>>>(t)?))
        })
    };
    rounds::alternate(ROUNDS, value, limit).await
}

/// The values of a batch without anything else.
pub(super) fn numbers(batch: &Batch<'_>) -> Vec<Vec<f64>> {
    batch.frames.iter().flat_map(|f| &f.columns).map(|c| c.values.clone()).collect()
}

/// Keeps the optimiser from leaving the work out.
fn done<T>(result: &T) -> anyhow::Result<()> {
    black_box(result);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
fn nanoseconds(samples: usize, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begun = cpu::own()?;
    let mut times = 0;
    loop {
        work()?;
        times += 1;
        let taken = cpu::own()? - begun;
        if taken >= TURN {
            return Ok(taken.as_secs_f64() * 1e9 / (times * samples) as f64);
        }
    }
}
