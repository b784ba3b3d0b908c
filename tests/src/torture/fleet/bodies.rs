//! What agents send, made beforehand where it can be: every agent of the fleet has the same backlog, under its own numbers.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use storepulse_agent::time::now_ms;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::BodyDigest;
use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::gzip;

/// Devices of a store, and metrics of each.
const DEVICES: usize = 2;
const METRICS: u32 = 10;

/// A sealed body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) gzipped: Vec<u8>,
    pub(super) digest: BodyDigest,
    pub(super) samples: u32,
}

/// The backlog of an outage, oldest first.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Body>);

impl Bodies {
    /// Of an outage that ends now: a batch for every so many ticks.
    pub(super) fn make(outage: Duration, tick: Duration, ticks_a_batch: u32) -> anyhow::Result<Self> {
        let step = tick * ticks_a_batch;
        let batches = u32::try_from(outage.as_millis().div_ceil(step.as_millis().max(1)))?.max(1);
        let bodies = (0..batches).map(|no| {
            let begin_ms = now_ms() - i64::try_from((step * (batches - no)).as_millis())?;
            body(begin_ms, tick, ticks_a_batch)
        });
        Ok(Self(bodies.collect::<anyhow::Result<_>>()?))
    }

    pub(super) fn backlog(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn get(&self, at: usize) -> Option<&Body> {
        self.0.get(at)
    }

    pub(super) fn all(&self) -> &[Body] {
        &self.0
    }
}

/// What is read at one moment.
pub(super) fn live(at_ms: i64) -> anyhow::Result<Body> {
    body(at_ms, Duration::ZERO, 1)
}

fn body(begin_ms: i64, tick: Duration, ticks: u32) -> anyhow::Result<Body> {
    let tick_ms = i64::try_from(tick.as_millis())?;
    let times: Vec<i64> = (0..i64::from(ticks)).map(|n| begin_ms + n * tick_ms).collect();
    // One decimal and some noise, as a temperature has them.
    let mut noise = StdRng::seed_from_u64(begin_ms.cast_unsigned());
    let mut value = |metric: u32| f64::from(noise.random_range(0..40_u32)) / 10.0 + 10.0 * f64::from(metric);
    let frames = (0..DEVICES).map(|device| Frame {
        device: format!("device-{device}").into(),
        kind: "host".into(),
        times: times.clone(),
        columns: (0..METRICS)
            .map(|metric| Column {
                series: format!("torture.value_{metric}").into(),
                values: times.iter().map(|_| value(metric)).collect(),
            })
            .collect(),
    });
    let batch = Batch { frames: frames.collect(), ..Batch::default() };
    let gzipped = gzip::compress(&encode(&batch));
    Ok(Body { digest: BodyDigest::of(&gzipped), gzipped, samples: u32::try_from(batch.samples())? })
}
