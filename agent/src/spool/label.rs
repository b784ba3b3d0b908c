//! The label of a sealed body: what it is, beside it, and a checksum over both.
//!
//! With it a body can be told, checked and delivered without any other table, should the rest be damaged.

use rusqlite::{Connection, params};
use storepulse_shared::batch::Lane;
use storepulse_shared::ids::{BatchId, Epoch};

use super::SpoolError;
use super::core::{Core, lane_number, lane_of, unsigned};
use super::epochs::parse_epoch;

/// In bytes: the epoch's 16, then numbers, the lowest seven bits first, the eighth bit says that more follow: seq, lane,
/// samples, events, and where there is a sample the first time (zigzag) and how much later the last one is. That is a
/// third of the same in words, and a body of a hundred samples has 600 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub batch: BatchId,
    pub lane: Lane,
    pub samples: u64,
    pub events: u64,
    pub span: Option<(i64, i64)>,
}

impl Label {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.batch.epoch.uuid().as_bytes().to_vec();
        let lane = unsigned(lane_number(self.lane));
        [self.batch.seq, lane, self.samples, self.events].into_iter().for_each(|n| put(&mut out, n));
        if let Some((first, last)) = self.span {
            put(&mut out, ((first << 1) ^ (first >> 63)).cast_unsigned());
            put(&mut out, last.wrapping_sub(first).cast_unsigned());
        }
        out
    }

    pub(super) fn from_bytes(mut bytes: &[u8]) -> Result<Self, SpoolError> {
        let read = |bytes: &mut &[u8]| {
            let (epoch, rest) = bytes.split_first_chunk::<16>()?;
            *bytes = rest;
            let batch = BatchId { epoch: epoch_of(*epoch)?, seq: take(bytes)? };
            let lane = lane_of(i64::try_from(take(bytes)?).ok()?).ok()?;
            let (samples, events) = (take(bytes)?, take(bytes)?);
            let span = if bytes.is_empty() {
                None
            } else {
                let zigzag = take(bytes)?;
                let first = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
                Some((first, first.wrapping_add(take(bytes)?.cast_signed())))
            };
            bytes.is_empty().then_some(Self { batch, lane, samples, events, span })
        };
        read(&mut bytes).ok_or_else(|| SpoolError::Damaged("a label cannot be read".to_owned()))
    }
}

/// Written as it is everywhere else, so that there is one way to read it.
fn epoch_of(bytes: [u8; 16]) -> Option<Epoch> {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-").parse().ok()
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Over the label, the sender's header if there is one, and the body.
pub(super) fn checksum(label: &[u8], header: Option<&str>, body: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for part in [label, header.unwrap_or_default().as_bytes(), body] {
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
        let label = Label::of(self.db(), id)?.to_bytes();
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
        for span in
            [Some((-1, 2)), Some((1_763_700_000_000, 1_763_700_060_000)), Some((i64::MIN, i64::MAX)), None]
        {
            label.span = span;
            let bytes = label.to_bytes();
            assert_eq!(Label::from_bytes(&bytes).unwrap(), label);
            let longer = [&bytes[..], &[0]].concat();
            assert!(Label::from_bytes(&longer).is_err() && Label::from_bytes(&bytes[..17]).is_err());
        }
        assert!(Label::from_bytes(b"").is_err() && Label::from_bytes(&[0xff; 40]).is_err());
    }

    #[test]
    fn the_checksum_knows_where_each_part_ends() {
        assert_ne!(checksum(b"ab", None, b"c"), checksum(b"a", None, b"bc"));
        assert_ne!(checksum(b"a", Some("b"), b"c"), checksum(b"a", None, b"bc"));
    }
}
