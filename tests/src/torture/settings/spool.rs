//! What a spool holds, read from outside beside its agent: the same before and after, whatever was set meanwhile.
//!
//! A sealed batch must have the same bytes under the same number. An open one may grow and be sealed: then every tick that it
//! held stands in its body, with the same time and the same value, bit for bit.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use storepulse_agent::spool::FILE;
use storepulse_shared::gzip;
use storepulse_shared::limits::INFLATED_BYTES_MAX;

/// A value of an open batch: batch, device, series, time, bits.
type Sample = (i64, String, String, i64, u64);

/// A spool at a moment.
#[derive(Debug)]
pub(super) struct Contents {
    inode: u64,
    epochs: Vec<String>,
    /// Number and body of each sealed batch.
    sealed: BTreeMap<i64, (String, Vec<u8>)>,
    open: BTreeSet<Sample>,
}

impl Contents {
    /// Reads it in one transaction.
    ///
    /// # Errors
    /// The file cannot be read, or a body is not what it should be.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let inode = std::fs::metadata(&path).with_context(|| path.display().to_string())?.ino();
        let mut db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        let db = db.transaction()?;
        let epochs = db
            .prepare("select epoch from epochs where sender is null order by no")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let sealed = db
            .prepare("select b.id, b.epoch_no || '/' || b.seq, o.body from batches b join bodies o on o.batch_id = b.id")?
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<Result<_, _>>()?;
        let ticks = db
            .prepare("select k.batch_id, s.device, s.series, k.t, k.vals from open_ticks k join shapes s on s.id = k.shape_id")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
            .collect::<Result<Vec<(i64, String, String, i64, Vec<u8>)>, _>>()?;
        let mut open = BTreeSet::new();
        for (batch, device, series, t, values) in ticks {
            for (name, bytes) in series.split('\n').zip(values.chunks_exact(8)) {
                let value = f64::from_le_bytes(bytes.try_into()?);
                if !value.is_nan() {
                    open.insert((batch, device.clone(), name.to_owned(), t, value.to_bits()));
                }
            }
        }
        Ok(Self { inode, epochs, sealed, open })
    }

    /// How much there was to compare: sealed batches and open values.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.sealed.len(), self.open.len())
    }

    /// What of this is not there any more as it was. A process that was started anew has an epoch more.
    ///
    /// # Errors
    /// A body is not what it should be.
    pub(super) fn missing_from(&self, after: &Self, was_restarted: bool) -> anyhow::Result<Vec<String>> {
        let mut faults = Vec::new();
        if self.inode != after.inode {
            faults.push(format!("the file is another one: inode {} and {}", self.inode, after.inode));
        }
        let more = usize::from(was_restarted);
        if after.epochs.len() != self.epochs.len() + more || !after.epochs.starts_with(&self.epochs) {
            faults.push(format!("epochs {:?} and {:?}", self.epochs, after.epochs));
        }
        for (id, (number, body)) in &self.sealed {
            if after.sealed.get(id) != Some(&(number.clone(), body.clone())) {
                faults.push(format!("batch {number} is not what it was"));
            }
        }
        let closed: BTreeSet<i64> = self.open.difference(&after.open).map(|sample| sample.0).collect();
        let mut sealed = BTreeSet::new();
        for batch in closed {
            let Some((_, body)) = after.sealed.get(&batch) else { continue };
            sealed.extend(samples(batch, body)?);
        }
        let lost =
            self.open.iter().filter(|sample| !after.open.contains(*sample) && !sealed.contains(*sample));
        faults.extend(lost.map(|sample| format!("{sample:?} is neither open nor sealed")));
        Ok(faults)
    }
}

/// The samples of a body.
fn samples(batch: i64, body: &[u8]) -> anyhow::Result<BTreeSet<Sample>> {
    let text = gzip::inflate(body, INFLATED_BYTES_MAX)?;
    let body: Value = serde_json::from_slice(&text)?;
    let mut all = BTreeSet::new();
    for frame in body["frames"].as_array().into_iter().flatten() {
        let device = frame["device"].as_str().unwrap_or_default();
        let steps = frame["t"].as_array().into_iter().flatten().filter_map(Value::as_i64);
        let times: Vec<i64> = steps
            .scan(0, |t, step| {
                *t += step;
                Some(*t)
            })
            .collect();
        for (series, values) in frame["m"].as_object().into_iter().flatten() {
            let values = values.as_array().into_iter().flatten();
            for (t, value) in times.iter().zip(values) {
                if let Some(value) = value.as_f64() {
                    all.insert((batch, device.to_owned(), series.clone(), *t, value.to_bits()));
                }
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(body: &str, open: &[Sample]) -> Contents {
        let sealed = BTreeMap::from([(7, ("1/7".to_owned(), gzip::compress(body.as_bytes())))]);
        Contents { inode: 1, epochs: vec!["a".to_owned()], sealed, open: open.iter().cloned().collect() }
    }

    fn sample(batch: i64, t: i64, value: f64) -> Sample {
        (batch, "fridge".to_owned(), "hw.temperature".to_owned(), t, value.to_bits())
    }

    const BODY: &str = r#"{"frames":[{"device":"fridge","t":[10,5],"m":{"hw.temperature":[4.2,null]}}]}"#;

    #[test]
    fn whatever_is_not_there_as_it_was_is_found() {
        let before = contents("{}", &[sample(8, 10, 4.2)]);
        let kept = contents("{}", &[sample(8, 10, 4.2), sample(8, 15, 4.3)]);
        assert_eq!(before.missing_from(&kept, false).unwrap(), Vec::<String>::new());
        let mut sealed = contents("{}", &[]);
        sealed.sealed.insert(8, ("1/8".to_owned(), gzip::compress(BODY.as_bytes())));
        assert_eq!(before.missing_from(&sealed, false).unwrap(), Vec::<String>::new());
        let faults = |after: &Contents, restarted| before.missing_from(after, restarted).unwrap().len();
        let mut changed = contents("{}", &[sample(8, 10, 4.2)]);
        changed.sealed.insert(7, ("1/7".to_owned(), gzip::compress(b"{ }")));
        assert_eq!(faults(&changed, false), 1);
        assert_eq!(faults(&contents("{}", &[sample(8, 10, 4.3)]), false), 1, "another value");
        assert_eq!(faults(&contents("{}", &[sample(8, 11, 4.2)]), false), 1, "another time");
        assert_eq!(faults(&Contents { inode: 2, ..contents("{}", &[sample(8, 10, 4.2)]) }, false), 1);
        assert_eq!(faults(&kept, true), 1, "a process that was started anew has an epoch more");
        let two = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            faults(&Contents { epochs: two.clone(), ..contents("{}", &[sample(8, 10, 4.2)]) }, false),
            1
        );
        assert_eq!(faults(&Contents { epochs: two, ..contents("{}", &[sample(8, 10, 4.2)]) }, true), 0);
    }
}
