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
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use storepulse_agent::time::stamp;
use storepulse_shared::batch::{Batch, Column, Frame};

use self::devices::Device;

/// All runs see the same values.
const SEED: u64 = 0x5350;
/// How late a reading is at most.
const JITTER_MS_MAX: i64 = 15;
/// Where series of figures begin that no clock looks at: 2026-01-01.
pub(super) const EPOCH_MS: i64 = 1_767_225_600_000;

/// A shop at work.
pub(super) struct ReferenceStore {
    devices: Vec<Device>,
    rng: Xoshiro256PlusPlus,
    /// The collectors' greatest common pace.
    pace_ms: i64,
    tick_ms: i64,
    /// The device whose turn it is within the tick.
    turn: usize,
    /// Samples asked for and not yet given; below 0 after a batch that was a little large.
    owed: isize,
}

impl ReferenceStore {
    /// How often anything happens.
    pub(super) const PACE: Duration = Duration::from_secs(30);

    /// Opens at this time.
    pub(super) fn open(from_ms: i64) -> Self {
        Self::with(devices::all(), 30_000, from_ms)
    }

    /// A dense one: 500 series, all of them every ten seconds, of the same kinds.
    pub(super) fn open_dense(from_ms: i64) -> Self {
        Self::with(devices::dense(), 10_000, from_ms)
    }

    /// One of a chain of many: 100 series, all of them every minute, of the same kinds.
    pub(super) fn open_chain(from_ms: i64) -> Self {
        Self::with(devices::chain(), 60_000, from_ms)
    }

    fn with(devices: Vec<Device>, pace_ms: i64, from_ms: i64) -> Self {
        let tick_ms = from_ms - from_ms.rem_euclid(pace_ms);
        let rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
        Self { devices, rng, pace_ms, tick_ms, turn: 0, owed: 0 }
    }

    /// What all devices say next.
    pub(super) fn tick(&mut self) -> Batch<'static> {
        self.time(Duration::from_millis(1))
    }

    /// What comes in this time, and the rest of its last tick.
    pub(super) fn time(&mut self, time: Duration) -> Batch<'static> {
        let until_ms = self.tick_ms + i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let mut filling = Filling::default();
        while self.tick_ms < until_ms {
            for device in 0..self.devices.len() {
                if self.tick_ms % self.devices[device].every_ms == 0 {
                    self.read(device, &mut filling);
                }
            }
            self.tick_ms += self.pace_ms;
        }
        Batch { frames: filling.frames, ..Batch::default() }
    }

    /// When the next tick is.
    pub(super) const fn now_ms(&self) -> i64 {
        self.tick_ms
    }

    /// What comes next, about this many samples: devices are not cut in two, so batches differ a little and are right on
    /// average. Ticks of one device are one frame, as the spool makes it.
    pub(super) fn batch(&mut self, samples: usize) -> Batch<'static> {
        let mut filling = Filling::default();
        self.owed += samples.cast_signed();
        loop {
            let device = self.next_device();
            let more = self.devices[device].metrics.len().cast_signed();
            if !filling.frames.is_empty() && more > 2 * self.owed {
                return Batch { frames: filling.frames, ..Batch::default() };
            }
            self.read(device, &mut filling);
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
                    self.tick_ms += self.pace_ms;
                }
            }
        }
    }

    fn read(&mut self, device: usize, filling: &mut Filling) {
        let frame = filling.frame_of(device, &self.devices[device]);
        let read_ms = self.tick_ms + self.rng.random_range(0..=JITTER_MS_MAX);
        frame.times.push(stamp(self.tick_ms, read_ms));
        for (column, (_, signal)) in frame.columns.iter_mut().zip(&mut self.devices[device].metrics) {
            column.values.push(signal.next(&mut self.rng));
        }
    }
}

/// Frames that grow tick by tick, one a device.
#[derive(Default)]
struct Filling {
    frames: Vec<Frame<'static>>,
    frame_of: HashMap<usize, usize>,
}

impl Filling {
    fn frame_of(&mut self, no: usize, device: &Device) -> &mut Frame<'static> {
        let at = *self.frame_of.entry(no).or_insert_with(|| {
            self.frames.push(device.empty_frame());
            self.frames.len() - 1
        });
        &mut self.frames[at]
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
    fn a_dense_hour_has_the_samples_of_its_intervals() {
        let hour = ReferenceStore::open_dense(EPOCH_MS).time(Duration::from_secs(3_600));
        assert_eq!(hour.samples(), 360 * 500);
        let mut store = ReferenceStore::open(EPOCH_MS);
        assert_eq!(store.tick().samples(), 5 * 8 + 10 + 5 * 5 + 8 * 3);
        assert_eq!((store.now_ms(), store.tick().samples()), (EPOCH_MS + 30_000, 5 * 8 + 10));
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
