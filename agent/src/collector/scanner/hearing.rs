//! Where a scan ends, and when counts are told.

use std::time::{Duration, Instant};

use super::Settings;
use super::counts::Counts;
use super::scan::{SCAN_BYTES_MAX, Setup};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::listen::Listener;
use crate::collector::poll::Reading;

/// A pause this long ends a scan.
const IDLE: Duration = Duration::from_millis(100);
/// In a burst, counts are told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What has come of a scan, and what is still to be told. It has no `Debug`: the buffer holds what was scanned.
pub(super) struct Hearer<'a> {
    setup: Setup<'a>,
    counts: Counts,
    buffer: Vec<u8>,
    /// The scan was too long; what comes up to its end is dropped.
    is_skipping: bool,
    /// When the last byte came.
    heard: Instant,
    /// From when on there is something to tell.
    tell_at: Option<Instant>,
    told: Option<Instant>,
}

impl<'a> Hearer<'a> {
    pub(super) fn new(settings: &'a Settings) -> Self {
        let bytes = |text: &'a Option<String>| text.as_deref().unwrap_or_default().as_bytes();
        let setup = Setup {
            prefix: bytes(&settings.prefix),
            suffix: bytes(&settings.suffix),
            aim: settings.aim,
            no_read: bytes(&settings.no_read),
        };
        Self {
            setup,
            counts: Counts::new(settings),
            buffer: Vec::new(),
            is_skipping: false,
            heard: Instant::now(),
            tell_at: None,
            told: None,
        }
    }

    fn take_at(&mut self, bytes: &[u8], now: Instant) -> (Vec<Reading>, Vec<Fault>) {
        self.heard = now;
        let mut faults = Vec::new();
        for byte in bytes {
            self.buffer.push(*byte);
            if let Some(before) = self.setup.before_end(&self.buffer) {
                self.buffer.truncate(before);
                faults.extend(self.end(now));
            } else if self.buffer.len() > SCAN_BYTES_MAX {
                if !self.is_skipping {
                    let text = format!("a scan of more than {SCAN_BYTES_MAX} bytes; is suffix right?");
                    faults.push(Fault::new(FaultKind::TooLarge, text));
                }
                self.is_skipping = true;
                self.buffer.clear();
            }
        }
        (self.tell(now), faults)
    }

    fn pause_at(&mut self, now: Instant) -> (Vec<Reading>, Vec<Fault>) {
        let is_over = self.has_begun() && now.saturating_duration_since(self.heard) >= IDLE;
        let faults = if is_over { self.end(now) } else { None };
        (self.tell(now), faults.into_iter().collect())
    }

    fn has_begun(&self) -> bool {
        !self.buffer.is_empty() || self.is_skipping
    }

    /// A scan is over: it is counted, and forgotten.
    fn end(&mut self, now: Instant) -> Option<Fault> {
        let was_skipped = std::mem::take(&mut self.is_skipping);
        let scan = std::mem::take(&mut self.buffer);
        // CR and LF are two ends, and between them there is nothing.
        if was_skipped || scan.is_empty() {
            return None;
        }
        match self.setup.read(&scan) {
            Ok(read) => {
                self.counts.note(read, &scan, now);
                let due = self.told.map_or(now, |told| now.max(told + TELL_EVERY));
                self.tell_at.get_or_insert(due);
                None
            }
            Err(kind) => {
                let text = format!("{} bytes are no scan; are speed, format and prefix right?", scan.len());
                Some(Fault::new(kind, text))
            }
        }
    }

    fn tell(&mut self, now: Instant) -> Vec<Reading> {
        if self.tell_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.tell_at = None;
        self.told = Some(now);
        vec![self.counts.reading()]
    }

    fn gap_at(&self, now: Instant) -> Option<Duration> {
        let end = self.has_begun().then(|| self.heard + IDLE);
        let next = [end, self.tell_at].into_iter().flatten().min()?;
        // Never nothing: a timer that is always over would keep the port from being read.
        Some(next.saturating_duration_since(now).max(Duration::from_millis(1)))
    }
}

impl Listener for Hearer<'_> {
    fn take(&mut self, bytes: &[u8]) -> (Vec<Reading>, Vec<Fault>) {
        self.take_at(bytes, Instant::now())
    }

    fn gap(&self) -> Option<Duration> {
        self.gap_at(Instant::now())
    }

    fn pause(&mut self) -> (Vec<Reading>, Vec<Fault>) {
        self.pause_at(Instant::now())
    }

    fn restart(&mut self) {
        self.buffer.clear();
        self.is_skipping = false;
        // The port is there, and counts begin with what they are now; unless it goes away again at once.
        self.tell_at = Some(Instant::now() + IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> Settings {
        serde_yaml::from_str(&format!("{{ port: /dev/null, no_read: NR, length: true {more} }}")).unwrap()
    }

    fn value(readings: &[Reading], series: &str) -> Option<f64> {
        let values = &readings.last()?.values;
        values.iter().find(|(name, _)| name == series).map(|(_, value)| *value)
    }

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn a_scan_ends_with_cr_lf_or_both_wherever_the_bytes_are_cut() {
        let settings = settings("");
        let (mut hearer, now) = (Hearer::new(&settings), Instant::now());
        for byte in b"]E05901234123457\r\n]A0ABC\n]A0ABC\rNR\r\n]E05901234123458\r" {
            assert!(hearer.take_at(&[*byte], now).1.is_empty());
        }
        assert_eq!(hearer.gap_at(now), Some(TELL_EVERY), "the first was told at once");
        let (told, _) = hearer.pause_at(now + TELL_EVERY);
        for (series, count) in [
            ("retail.scanner.scans", 3.0),
            ("retail.scanner.scans{symbology=\"ean13\"}", 1.0),
            ("retail.scanner.scans{symbology=\"code39\"}", 2.0),
            ("retail.scanner.duplicates", 1.0),
            ("retail.scanner.no_reads", 1.0),
            ("retail.scanner.check_digit.errors", 1.0),
            ("retail.scanner.length", 3.0),
        ] {
            assert_eq!(value(&told, series), Some(count), "{series}");
        }
        assert_eq!(hearer.gap_at(now + TELL_EVERY), None, "nothing is left to tell");
    }

    #[test]
    fn a_pause_ends_a_scan_that_has_no_end() {
        let settings = settings("");
        let (mut hearer, now) = (Hearer::new(&settings), Instant::now());
        assert!(hearer.take_at(b"]A0AB", now).0.is_empty());
        assert!(hearer.take_at(b"C", after(now, 60)).0.is_empty());
        assert_eq!(hearer.gap_at(after(now, 60)), Some(IDLE));
        assert!(hearer.pause_at(after(now, 110)).0.is_empty(), "not a pause of 100 ms yet");
        let (told, faults) = hearer.pause_at(after(now, 160));
        assert!(faults.is_empty());
        assert_eq!(value(&told, "retail.scanner.length"), Some(3.0));
    }

    #[test]
    fn a_burst_is_told_once_a_second_and_as_a_whole() {
        let settings = settings("");
        let (mut hearer, now) = (Hearer::new(&settings), Instant::now());
        let mut told = Vec::new();
        for n in 0..50 {
            told.extend(hearer.take_at(format!("]A0{n}\r").as_bytes(), after(now, n * 50)).0);
        }
        assert_eq!(told.len(), 3, "at 0 s, 1 s and 2 s");
        told.extend(hearer.pause_at(after(now, 3_000)).0);
        assert_eq!(value(&told, "retail.scanner.scans"), Some(50.0));
    }

    #[test]
    fn an_endless_scan_is_one_error_and_costs_no_memory() {
        for (more, end) in [("", &b"\r"[..]), (", suffix: '##'", b"##")] {
            let settings = settings(more);
            let (mut hearer, now) = (Hearer::new(&settings), Instant::now());
            let (_, faults) = hearer.take_at(&[b'7'; 100_000], now);
            assert_eq!(faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::TooLarge]);
            assert!(hearer.buffer.capacity() <= 2 * SCAN_BYTES_MAX);
            let (told, faults) = hearer.take_at(&[end, b"]A0ABC", end].concat(), now);
            assert!(faults.is_empty());
            assert_eq!(value(&told, "retail.scanner.scans"), Some(1.0));
        }
    }

    #[test]
    fn what_was_begun_before_an_unplug_is_forgotten() {
        let settings = settings("");
        let (mut hearer, now) = (Hearer::new(&settings), Instant::now());
        hearer.take_at(b"]A0half", now);
        hearer.restart();
        let (told, _) = hearer.take_at(b"]A0ABC\r", after(now, 500));
        assert_eq!(value(&told, "retail.scanner.length"), Some(3.0));
    }
}
