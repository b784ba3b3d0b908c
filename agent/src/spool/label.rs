//! The label of a sealed body: what it is, beside it, and a checksum over both.
//!
//! With it a body can be told, checked and delivered without any other table, should the rest be damaged.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, params};
use storepulse_shared::batch::Lane;
use storepulse_shared::ids::BatchId;

use super::SpoolError;
use super::core::{Core, lane_of, unsigned};
use super::epochs::parse_epoch;

/// `<epoch>/<seq> <lane> <samples> <events> <first time> <last time>`, the times `-` where there is no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub batch: BatchId,
    pub lane: Lane,
    pub samples: u64,
    pub events: u64,
    pub span: Option<(i64, i64)>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batch, lane, samples, events, span } = self;
        write!(f, "{batch} {} {samples} {events} ", lane.as_str())?;
        match span {
            Some((first, last)) => write!(f, "{first} {last}"),
            None => f.write_str("- -"),
        }
    }
}

impl FromStr for Label {
    type Err = SpoolError;

    fn from_str(text: &str) -> Result<Self, SpoolError> {
        let read = || {
            let mut words = text.split(' ');
            let batch = words.next()?.parse().ok()?;
            let lane = Lane::from_name(words.next()?)?;
            let samples = words.next()?.parse().ok()?;
            let events = words.next()?.parse().ok()?;
            let span = match (words.next()?, words.next()?) {
                ("-", "-") => None,
                (first, last) => Some((first.parse().ok()?, last.parse().ok()?)),
            };
            words.next().is_none().then_some(Self { batch, lane, samples, events, span })
        };
        read().ok_or_else(|| SpoolError::Damaged(format!("a label: {text:.100}")))
    }
}

/// Over the label, the sender's header if there is one, and the body.
pub(super) fn checksum(label: &str, header: Option<&str>, body: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for part in [label.as_bytes(), header.unwrap_or_default().as_bytes(), body] {
        crc.update(&(part.len() as u64).to_le_bytes());
        crc.update(part);
    }
    i64::from(crc.finalize())
}

impl Label {
    /// The label that the row of a sealed batch asks for.
    pub(super) fn of(db: &Connection, id: i64) -> Result<Self, SpoolError> {
        let mut statement = db.prepare_cached(
            "select e.epoch, b.seq, b.lane, b.samples, b.events, b.t_min, b.t_max
            from batches b join epochs e on e.no = b.epoch_no where b.id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("batch row {id} is gone")))?;
        let epoch = parse_epoch(&row.get::<_, String>(0)?)?;
        let (t_min, t_max): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
        Ok(Self {
            batch: BatchId { epoch, seq: unsigned(row.get(1)?) },
            lane: lane_of(row.get(2)?)?,
            samples: unsigned(row.get(3)?),
            events: unsigned(row.get(4)?),
            span: t_min.zip(t_max),
        })
    }
}

impl Core {
    /// Writes the label again after the row or the body has changed.
    pub(super) fn relabel(&self, id: i64) -> Result<(), SpoolError> {
        let label = Label::of(self.db(), id)?.to_string();
        let (header, body): (Option<String>, Vec<u8>) = self
            .db()
            .prepare_cached("select header, body from bodies where batch_id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let crc = checksum(&label, header.as_deref(), &body);
        self.change("update bodies set label = ?2, crc = ?3 where batch_id = ?1", params![id, label, crc])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_it_was_made_of() {
        let batch: BatchId = "0190b3a0-1c1e-4d6f-8a39-1f8f2a9f0c11/42".parse().unwrap();
        let mut label = Label { batch, lane: Lane::Bulk, samples: 7, events: 0, span: Some((-1, 2)) };
        for span in [Some((-1, 2)), None] {
            label.span = span;
            assert_eq!(label.to_string().parse::<Label>().unwrap(), label);
        }
        for bad in ["", "x", "0190b3a0-1c1e-4d6f-8a39-1f8f2a9f0c11/42 bulk 7 0 1", &format!("{label} more")] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_checksum_knows_where_each_part_ends() {
        assert_ne!(checksum("ab", None, b"c"), checksum("a", None, b"bc"));
        assert_ne!(checksum("a", Some("b"), b"c"), checksum("a", None, b"bc"));
    }
}
