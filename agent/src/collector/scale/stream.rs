//! A scale that talks by itself, many times a second: every frame is counted, and told once an interval.

use std::time::Instant;

use super::Settings;
use super::cas::{self, STREAM_BYTES};
use super::counts::Counts;
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::listen::Listener;
use crate::collector::parse::Unread;
use crate::collector::poll::Reading;

/// What has come and is not a frame yet, and what has been counted.
pub(super) struct Stream<'a> {
    settings: &'a Settings,
    counts: Counts,
    buffer: Vec<u8>,
    /// Bytes left out since the port was opened, before the first frame: we came in the middle of one.
    missed: Option<usize>,
    told: Option<Instant>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        Self { settings, counts: Counts::new(settings), buffer: Vec::new(), missed: Some(0), told: None }
    }

    fn take_at(&mut self, bytes: &[u8], now: Instant) -> (Vec<Reading>, Vec<Fault>) {
        self.buffer.extend_from_slice(bytes);
        let (mut at, mut frames) = (0, 0_u32);
        let (mut garbage, mut kind) = (0, FaultKind::Framing);
        let mut faults = Vec::new();
        loop {
            match cas::streamed(&self.buffer[at..]) {
                Ok((answer, used)) => {
                    at += used;
                    frames += 1;
                    self.missed = None;
                    faults.extend(self.counts.note(answer, now).err());
                }
                Err(Unread::Need(_)) => break,
                Err(Unread::Bad(bad)) => {
                    at += 1;
                    // Of a frame whose places are right and whose weight is not, the rest is no other error.
                    if bad == FaultKind::Parse {
                        (at, kind) = (at + STREAM_BYTES - 1, bad);
                    }
                    match &mut self.missed {
                        Some(missed) if bad == FaultKind::Framing && *missed + 1 < STREAM_BYTES => {
                            *missed += 1
                        }
                        _ => garbage += 1,
                    }
                }
            }
        }
        self.buffer.drain(..at);
        if garbage > 0 {
            faults.push(Fault::new(kind, "the scale's bytes are no frames; are protocol and speed right?"));
        }
        (if frames > 0 { self.tell(now) } else { Vec::new() }, faults)
    }

    fn tell(&mut self, now: Instant) -> Vec<Reading> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < self.settings.interval) {
            return Vec::new();
        }
        self.told = Some(now);
        vec![self.counts.reading(now)]
    }
}

impl Listener for Stream<'_> {
    fn take(&mut self, bytes: &[u8]) -> (Vec<Reading>, Vec<Fault>) {
        self.take_at(bytes, Instant::now())
    }

    fn restart(&mut self) {
        self.buffer.clear();
        self.missed = Some(0);
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STABLE: &[u8] = b"ST,GS,1\xc4,0001.234 kg\r\n";
    const UNSTABLE: &[u8] = b"US,GS,\r\n,0001.200 kg\r\n";

    fn settings() -> Settings {
        serde_yaml::from_str("{ port: /dev/null, protocol: cas_stream, weight: true }").unwrap()
    }

    fn value(readings: &[Reading], series: &str) -> Option<f64> {
        let values = &readings.last()?.values;
        values.iter().find(|(name, _)| name == series).map(|(_, value)| *value)
    }

    #[test]
    fn every_frame_counts_and_an_interval_is_told_once() {
        let settings = settings();
        let (mut stream, now) = (Stream::new(&settings), Instant::now());
        let (first, faults) = stream.take_at(STABLE, now);
        assert!(faults.is_empty());
        assert_eq!(value(&first, "retail.scale.weight"), Some(1.234));
        let (none, _) = stream.take_at(&UNSTABLE.repeat(10), now + Duration::from_secs(4));
        assert!(none.is_empty());
        let (second, _) = stream.take_at(STABLE, now + Duration::from_secs(5));
        assert_eq!(value(&second, "retail.scale.reads"), Some(2.0));
        assert_eq!(value(&second, "retail.scale.unstable"), Some(10.0));
    }

    #[test]
    fn wherever_the_bytes_are_cut_the_frames_are_the_same() {
        let settings = settings();
        let (mut stream, now) = (Stream::new(&settings), Instant::now());
        for byte in [STABLE, UNSTABLE, STABLE].concat() {
            assert!(stream.take_at(&[byte], now).1.is_empty());
        }
        let told = [stream.counts.reading(now)];
        assert_eq!(value(&told, "retail.scale.reads"), Some(2.0));
        assert_eq!(value(&told, "retail.scale.unstable"), Some(1.0));
    }

    #[test]
    fn who_comes_in_the_middle_of_a_frame_waits_for_the_next() {
        let settings = settings();
        for cut in 1..STREAM_BYTES {
            let mut stream = Stream::new(&settings);
            let (readings, faults) = stream.take_at(&[&STABLE[cut..], STABLE].concat(), Instant::now());
            assert_eq!((readings.len(), faults.len()), (1, 0), "from {cut}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_the_frame_after_it_is_read() {
        let settings = settings();
        let (mut stream, now) = (Stream::new(&settings), Instant::now());
        let (readings, faults) = stream.take_at(&[b"\xffU".repeat(2_000), STABLE.to_vec()].concat(), now);
        assert_eq!((readings.len(), faults.len()), (1, 1));
        assert_eq!(faults[0].kind, FaultKind::Framing);
        assert!(stream.buffer.len() < STREAM_BYTES);
        let (_, faults) = stream.take_at(&[b"ST,GS,1\xc4,00x1.234 kg\r\n", STABLE].concat(), now);
        assert_eq!(faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Parse]);
        let (_, faults) = stream.take_at(&[&STABLE[..9], STABLE].concat(), now);
        assert_eq!(faults[0].kind, FaultKind::Framing, "half a frame");
        assert_eq!(value(&[stream.counts.reading(now)], "retail.scale.reads"), Some(3.0));
    }
}
