//! The reference store: what a shop of middling size has to say, as a stream of batches from a fixed seed.
//!
//! Five POS terminals with 8 metrics and the box itself with 10 every 30 s, five printers with 5 every minute, eight
//! fridge probes with 3 every five minutes: 2.2 samples a second. Every reading comes 0 to 15 ms after its tick and is
//! dated by the agent's own rule, so nearly all share their times. There are no gaps: a gap costs less than a value.
//!
//! The values were chosen for what such devices say, before any of it was weighed. Changing them makes all figures of
//! wire and disk incomparable with earlier ones.

mod devices;
mod signal;

use std::collections::HashMap;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use storepulse_agent::time::stamp;
use storepulse_shared::batch::{Batch, Column, Frame};

use self::devices::Device;

/// All runs see the same values.
const SEED: u64 = 0x5350;
/// The collectors' greatest common pace.
const TICK_MS: i64 = 30_000;
/// How late a reading is at most.
const JITTER_MS_MAX: i64 = 15;
/// Where series of figures begin that no clock looks at: 2026-01-01.
pub(super) const EPOCH_MS: i64 = 1_767_225_600_000;

/// A shop at work.
pub(super) struct ReferenceStore {
    devices: Vec<Device>,
    rng: Xoshiro256PlusPlus,
    tick_ms: i64,
    /// The device whose turn it is within the tick.
    turn: usize,
    /// Samples asked for and not yet given; below 0 after a batch that was a little large.
    owed: isize,
}

impl ReferenceStore {
    /// Opens at this time.
    pub(super) fn open(from_ms: i64) -> Self {
        let tick_ms = from_ms - from_ms.rem_euclid(TICK_MS);
        let rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
        Self { devices: devices::all(), rng, tick_ms, turn: 0, owed: 0 }
    }

    /// What comes next, about this many samples: devices are not cut in two, so batches differ a little and are right on
    /// average. Ticks of one device are one frame, as the spool makes it.
    pub(super) fn batch(&mut self, samples: usize) -> Batch<'static> {
        let mut frames: Vec<Frame<'static>> = Vec::new();
        let mut frame_of: HashMap<usize, usize> = HashMap::new();
        self.owed += samples.cast_signed();
        loop {
            let device = self.next_device();
            let more = self.devices[device].metrics.len().cast_signed();
            if !frames.is_empty() && more > 2 * self.owed {
                return Batch { frames, ..Batch::default() };
            }
            let at = *frame_of.entry(device).or_insert_with(|| {
                frames.push(self.devices[device].empty_frame());
                frames.len() - 1
            });
            self.read(device, &mut frames[at]);
            self.owed -= more;
            self.turn += 1;
        }
    }

    /// So many batches.
    pub(super) fn batches(&mut self, count: usize, samples: usize) -> Vec<Batch<'static>> {
        (0..count).map(|_| self.batch(samples)).collect()
    }

    /// Whose turn it is.
    fn next_device(&mut self) -> usize {
        loop {
            match self.devices.get(self.turn) {
                Some(device) if self.tick_ms % device.every_ms == 0 => return self.turn,
                Some(_) => self.turn += 1,
                None => {
                    self.turn = 0;
                    self.tick_ms += TICK_MS;
                }
            }
        }
    }

    fn read(&mut self, device: usize, frame: &mut Frame<'static>) {
        let read_ms = self.tick_ms + self.rng.random_range(0..=JITTER_MS_MAX);
        frame.times.push(stamp(self.tick_ms, read_ms));
        for (column, (_, signal)) in frame.columns.iter_mut().zip(&mut self.devices[device].metrics) {
            column.values.push(signal.next(&mut self.rng));
        }
    }
}

impl Device {
    fn empty_frame(&self) -> Frame<'static> {
        let columns = self.metrics.iter().map(|(name, _)| Column { series: (*name).into(), values: vec![] });
        Frame {
            device: self.id.clone().into(),
            kind: self.kind.into(),
            times: vec![],
            columns: columns.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::{decode::decode, encode::encode};

    use super::*;

    #[test]
    fn batches_have_the_size_that_was_asked_for_on_average_and_are_taken() {
        for size in [64, 94, 1_000] {
            let batches = ReferenceStore::open(EPOCH_MS).batches(200, size);
            let samples: usize = batches.iter().map(Batch::samples).sum();
            assert!(samples.abs_diff(200 * size) < 10, "{samples} for 200 × {size}");
            for batch in &batches {
                assert_eq!(&decode(&encode(batch)).unwrap(), batch);
            }
        }
    }

    #[test]
    fn two_stores_say_the_same() {
        let open = || ReferenceStore::open(EPOCH_MS).batches(3, 600);
        assert_eq!(open(), open());
    }

    #[test]
    fn a_day_has_the_samples_of_its_intervals() {
        let mut store = ReferenceStore::open(EPOCH_MS);
        let mut samples = 0;
        while store.tick_ms < EPOCH_MS + 86_400_000 {
            samples += store.batch(94).samples();
        }
        let day = 2_880 * (5 * 8 + 10) + 1_440 * 5 * 5 + 288 * 8 * 3;
        assert!(samples.abs_diff(day) < 100, "{samples}, {day} were expected");
    }
}
