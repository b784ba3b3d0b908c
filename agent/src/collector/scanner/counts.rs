//! What has been counted since the agent started, and which scans came twice.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::Settings;
use super::scan::Scan;
use super::symbology::Symbology;
use crate::collector::poll::Reading;

/// The same data within this time is a duplicate.
const TWICE_WITHIN: Duration = Duration::from_secs(1);
/// Scans of that time that are remembered; a hand does not do more.
const REMEMBERED_MAX: usize = 32;

/// Counters, and which of them are told.
pub(super) struct Counts {
    tells_no_reads: bool,
    tells_check_digits: bool,
    tells_length: bool,
    by_symbology: BTreeMap<Symbology, u32>,
    scans: u32,
    no_reads: u32,
    check_digit_errors: u32,
    duplicates: u32,
    length: Option<usize>,
    recent: Recent,
}

/// Hashes of the last scans; the salt is made anew in each process and told to nobody.
#[derive(Default)]
struct Recent {
    salt: RandomState,
    seen: VecDeque<(u64, Instant)>,
}

impl Recent {
    /// Whether it was seen a moment ago.
    fn is_again(&mut self, data: &[u8], now: Instant) -> bool {
        self.seen.retain(|(_, at)| now.saturating_duration_since(*at) < TWICE_WITHIN);
        let hash = self.salt.hash_one(data);
        let is_again = self.seen.iter().any(|(seen, _)| *seen == hash);
        if self.seen.len() == REMEMBERED_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((hash, now));
        is_again
    }
}

impl Counts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            tells_no_reads: settings.no_read.is_some(),
            tells_check_digits: settings.aim,
            tells_length: settings.length,
            by_symbology: BTreeMap::new(),
            scans: 0,
            no_reads: 0,
            check_digit_errors: 0,
            duplicates: 0,
            length: None,
            recent: Recent::default(),
        }
    }

    /// Counts a scan; its bytes are looked at only to know them again.
    pub(super) fn note(&mut self, scan: Scan, data: &[u8], now: Instant) {
        match scan {
            Scan::Good { symbology, length } => {
                add_one(&mut self.scans);
                add_one(self.by_symbology.entry(symbology).or_default());
                self.length = Some(length);
                if self.recent.is_again(data, now) {
                    add_one(&mut self.duplicates);
                }
            }
            Scan::NoRead => add_one(&mut self.no_reads),
            Scan::WrongCheckDigit => add_one(&mut self.check_digit_errors),
        }
    }

    /// What there is to tell.
    pub(super) fn reading(&self) -> Reading {
        let mut reading = Reading::default();
        reading.value("retail.scanner.scans", f64::from(self.scans));
        for (symbology, count) in &self.by_symbology {
            let name = symbology.name();
            reading.value(format!("retail.scanner.scans{{symbology=\"{name}\"}}"), f64::from(*count));
        }
        reading.value("retail.scanner.duplicates", f64::from(self.duplicates));
        if self.tells_no_reads {
            reading.value("retail.scanner.no_reads", f64::from(self.no_reads));
        }
        if self.tells_check_digits {
            reading.value("retail.scanner.check_digit.errors", f64::from(self.check_digit_errors));
        }
        if let Some(length) = self.length.filter(|_| self.tells_length) {
            reading.value("retail.scanner.length", f64::from(u16::try_from(length).unwrap_or(u16::MAX)));
        }
        reading
    }
}

fn add_one(count: &mut u32) {
    *count = count.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_data_within_a_second_is_a_duplicate() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        let after = |ms| now + Duration::from_millis(ms);
        assert!(!recent.is_again(b"a", now));
        assert!(!recent.is_again(b"b", after(100)));
        assert!(recent.is_again(b"a", after(900)));
        assert!(!recent.is_again(b"b", after(1_100)));
        assert!(recent.is_again(b"a", after(1_800)), "counted from the last time");
        for n in 0..100_u8 {
            recent.is_again(&[n], after(1_900));
        }
        assert!(recent.seen.len() <= REMEMBERED_MAX);
    }

    #[test]
    fn the_salt_is_not_that_of_another_start() {
        assert_ne!(Recent::default().salt.hash_one(b"a"), Recent::default().salt.hash_one(b"a"));
    }

    #[test]
    fn only_what_can_be_known_is_told() {
        let told = |yaml: &str| -> Vec<String> {
            let counts = Counts::new(&serde_yaml::from_str(yaml).unwrap());
            counts.reading().values.into_iter().map(|(series, _)| series).collect()
        };
        assert_eq!(
            told("{ port: a, aim: false }"),
            ["retail.scanner.scans", "retail.scanner.duplicates"],
            "nothing says what is an EAN, or that nothing was read"
        );
        assert_eq!(told("{ port: a, no_read: NR }").len(), 4);
    }
}
