//! What datagrams add up to between two flushes. Pure.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use storepulse_shared::limits::DEVICE_SERIES_MAX;
use storepulse_shared::series;

use super::super::book::{Book, Bounds};
use super::super::fault::FaultKind;
use super::super::pan;
use super::super::parse::Unread;
use super::line::{Line, What, parse};
use super::{DROPPED, LINES};

/// Most members of a set that are told apart, and most sets of a flush.
pub(super) const MEMBERS_MAX: usize = 1_000;
/// Series that what we count ourselves has.
const OWN: usize = 2;

/// Everything since the last flush, and the counters since the beginning.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    labels: &'a [String],
    bounds: &'a Bounds,
    deltas: bool,
    book: Book,
    /// By series; since the last flush.
    sets: BTreeMap<String, Set>,
    hasher: RandomState,
    was_used: bool,
}

/// A set, whose size becomes a value. Members are kept as hashes.
#[derive(Debug)]
struct Set {
    name: String,
    labels: Vec<(String, String)>,
    members: HashSet<u64>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(labels: &'a [String], bounds: &'a Bounds, deltas: bool) -> Self {
        let mut book = Book::new(DEVICE_SERIES_MAX);
        for name in [LINES, DROPPED] {
            // The first of an empty book.
            let _ = book.count(name, &[], 0.0);
        }
        Self {
            labels,
            bounds,
            deltas,
            book,
            sets: BTreeMap::new(),
            hasher: RandomState::new(),
            was_used: false,
        }
    }

    /// Takes a datagram, and says what of it was not taken.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Vec<FaultKind> {
        let mut faults = Vec::new();
        let mut taken = 0.0;
        for text in datagram.split(|byte| *byte == b'\n') {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.is_empty() {
                continue;
            }
            let read = match parse(text, self.deltas) {
                Ok((line, _)) => self.add(&line),
                Err(Unread::Bad(kind)) => Err(kind),
                Err(Unread::Need(_)) => Err(FaultKind::ShortFrame),
            };
            match read {
                Ok(()) => taken += 1.0,
                Err(kind) => faults.push(kind),
            }
        }
        if taken > 0.0 {
            self.was_used = true;
            faults.extend(self.book.count(LINES, &[], taken).err());
        }
        faults
    }

    /// Whether anything was ever taken.
    pub(super) fn was_used(&self) -> bool {
        self.was_used
    }

    fn add(&mut self, line: &Line<'_>) -> Result<(), FaultKind> {
        if [LINES, DROPPED].contains(&line.name.as_str()) {
            return Err(FaultKind::Parse);
        }
        let labels = self.labels_of(&line.tags)?;
        let name = &line.name;
        match &line.what {
            What::Text => Ok(()),
            What::Counter(values) => self.book.count(name, &labels, values.iter().sum::<f64>() * line.weight),
            What::Gauge(value) => self.book.set(name, &labels, *value),
            What::Shift(by) => self.book.shift(name, &labels, *by),
            What::Distribution(values) => values
                .iter()
                .try_for_each(|value| self.book.observe(name, &labels, self.bounds, *value, line.weight)),
            What::Member(member) => {
                let key = series::compose(name, &labels).map_err(|_| FaultKind::Parse)?;
                let hash = self.hasher.hash_one(member);
                if !self.sets.contains_key(&key) && self.sets.len() >= DEVICE_SERIES_MAX - OWN {
                    return Err(FaultKind::TooManySeries);
                }
                let own = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
                let Set { members, .. } = self.sets.entry(key).or_insert_with(|| Set {
                    name: name.clone(),
                    labels: own.collect(),
                    members: HashSet::new(),
                });
                if members.len() < MEMBERS_MAX || members.contains(&hash) {
                    members.insert(hash);
                    return Ok(());
                }
                Err(FaultKind::TooLarge)
            }
        }
    }

    /// The tags that are labels, each once.
    fn labels_of<'t>(&self, tags: &[(&'t str, &'t str)]) -> Result<Vec<(&'t str, &'t str)>, FaultKind> {
        let mut labels: Vec<(&str, &str)> = Vec::new();
        for (name, value) in tags {
            if !self.labels.iter().any(|label| label == name) || labels.iter().any(|(label, _)| label == name)
            {
                continue;
            }
            if !pan::is_label_value(value) {
                return Err(FaultKind::Parse);
            }
            labels.push((name, value));
        }
        Ok(labels)
    }

    /// Notes how many datagrams more were dropped.
    pub(super) fn dropped(&mut self, more: f64) {
        let _ = self.book.count(DROPPED, &[], more);
    }

    /// What has changed since the last flush, and what was refused. `all`: counters that have not changed, too.
    pub(super) fn flush(&mut self, all: bool) -> (Vec<(String, f64)>, Vec<FaultKind>) {
        let mut faults = Vec::new();
        for set in std::mem::take(&mut self.sets).into_values() {
            let labels: Vec<(&str, &str)> =
                set.labels.iter().map(|(label, value)| (&**label, &**value)).collect();
            #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
            faults.extend(self.book.set(&set.name, &labels, set.members.len() as f64).err());
        }
        (self.book.take(all), faults)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn flushed(gather: &mut Gather<'_>) -> BTreeMap<String, f64> {
        gather.flush(false).0.into_iter().collect()
    }

    #[test]
    fn lines_add_up_by_type() {
        let (labels, bounds) = (["lane".to_owned(), "tender".to_owned()], Bounds([100.0, 500.0].into()));
        let mut gather = Gather::new(&labels, &bounds, true);
        let faults = gather.take(
            b"tx:1|c|#lane:1,user:ann\ntx:2|c|@0.5|#user:bob,lane:1\r\n\ntx:1|c\nq:7|g\nq:-2|g\nms:100|ms\nms:320:900|h|@0.1\nu:a|s\nu:b|s\nu:a|s\n_e{1,1}:a|b",
        );
        assert!(faults.is_empty(), "{faults:?}");
        let values = flushed(&mut gather);
        let expected = [
            ("ms_bucket{le=\"+Inf\"}", 21.0),
            ("ms_bucket{le=\"100\"}", 1.0),
            ("ms_bucket{le=\"500\"}", 11.0),
            ("ms_count", 21.0),
            ("ms_sum", 12_300.0),
            ("q", 5.0),
            (DROPPED, 0.0),
            (LINES, 11.0),
            ("tx", 1.0),
            ("tx{lane=\"1\"}", 5.0),
            ("u", 2.0),
        ];
        assert_eq!(values, expected.map(|(series, value)| (series.to_owned(), value)).into());
        assert!(flushed(&mut gather).is_empty(), "nothing came since");
        gather.take(b"tx:1|c\nu:a|s\nq:+1|g");
        let values = flushed(&mut gather);
        assert_eq!((values["tx"], values["u"], values["q"]), (2.0, 1.0, 6.0));
    }

    #[test]
    fn an_explosion_of_labels_and_names_ends_at_the_limit() {
        let (labels, bounds) = (["lane".to_owned()], Bounds::milliseconds());
        let mut gather = Gather::new(&labels, &bounds, true);
        let mut faults = Vec::new();
        for n in 0..5_000 {
            faults
                .extend(gather.take(format!("tx:1|c|#lane:{n}\nn{n}:1|g\nms{n}:1|ms\ns{n}:a|s").as_bytes()));
        }
        assert!(faults.iter().all(|kind| *kind == FaultKind::TooManySeries));
        assert!(gather.sets.len() < DEVICE_SERIES_MAX);
        let (values, _) = gather.flush(false);
        assert!(values.len() <= DEVICE_SERIES_MAX, "{}", values.len());
        assert!(gather.take(b"tx:1|c|#lane:0").is_empty(), "what was there goes on");
    }

    #[test]
    fn a_set_tells_a_thousand_apart() {
        let bounds = Bounds::milliseconds();
        let mut gather = Gather::new(&[], &bounds, true);
        let mut faults = Vec::new();
        for n in 0..2_000 {
            faults.extend(gather.take(format!("u:{n}|s").as_bytes()));
        }
        assert_eq!(faults.len(), 1_000);
        assert_eq!(flushed(&mut gather)["u"], 1_000.0);
    }

    #[test]
    fn a_label_that_is_free_text_or_a_card_refuses_the_line() {
        let (labels, bounds) = (["lane".to_owned()], Bounds::milliseconds());
        let mut gather = Gather::new(&labels, &bounds, true);
        for value in ["4111111111111111", "4111-1111-1111-1111", "a b", "ñ", ""] {
            let faults = gather.take(format!("tx:1|c|#lane:{value}").as_bytes());
            assert_eq!(faults, [FaultKind::Parse], "{value}");
        }
        assert_eq!(gather.take(b"retail.statsd.lines:1|c\nx:1|c\nx:1|g\nbad\n"), [FaultKind::Parse; 3]);
    }
}
