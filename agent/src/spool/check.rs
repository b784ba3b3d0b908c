//! Checksums over rows: SQLite notices a page that makes no sense, not a value that is another one.

use rusqlite::{Connection, params};
use storepulse_shared::batch::Event;

use super::SpoolError;

fn crc(parts: &[&[u8]]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for part in parts {
        crc.update(&(part.len() as u64).to_le_bytes());
        crc.update(part);
    }
    i64::from(crc.finalize())
}

/// Of a tick in an open batch.
pub(super) fn tick(batch_id: i64, n: i64, shape_id: i64, t: i64, vals: &[u8]) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for number in [batch_id, n, shape_id, t] {
        crc.update(&number.to_le_bytes());
    }
    crc.update(vals);
    i64::from(crc.finalize())
}

/// Of an event in an open batch.
pub(super) fn event(event: &Event<'_>) -> i64 {
    crc(&[event.device.as_bytes(), &event.t.to_le_bytes(), event.kind.as_bytes(), event.text.as_bytes()])
}

/// What decides about the numbers of an epoch, as it stands in its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpochRow<'a> {
    pub epoch: &'a str,
    pub sender: Option<&'a [u8]>,
    pub home: i64,
    pub settled: &'a str,
    pub received: &'a str,
    pub void: &'a str,
}

impl EpochRow<'_> {
    pub(super) fn crc(self) -> i64 {
        let texts = [self.epoch, self.settled, self.received, self.void].map(str::as_bytes);
        let [epoch, settled, received, void] = texts;
        crc(&[epoch, self.sender.unwrap_or_default(), &self.home.to_le_bytes(), settled, received, void])
    }
}

/// Of a shape.
pub(super) fn shape_crc(device: &str, kind: &str, series: &str) -> i64 {
    crc(&[device.as_bytes(), kind.as_bytes(), series.as_bytes()])
}

/// Reads a shape: device, kind, series.
pub(super) fn shape(db: &Connection, id: i64) -> Result<(String, String, String), SpoolError> {
    let mut statement = db.prepare_cached("select device, kind, series, crc from shapes where id = ?1")?;
    let (shape, crc) = statement.query_row(params![id], |row| {
        let shape: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((shape, row.get::<_, i64>(3)?))
    })?;
    if shape_crc(&shape.0, &shape.1, &shape.2) == crc {
        Ok(shape)
    } else {
        Err(SpoolError::Damaged(format!("shape {id} is not what was written")))
    }
}
