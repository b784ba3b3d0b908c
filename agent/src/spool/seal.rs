//! Sealing: from the rows of an open batch to a compressed body, in one change.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::params;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::BodyDigest;
use storepulse_shared::batch::{Batch, Column, Event, Frame, Lane};
use storepulse_shared::gzip;

use super::core::{Core, OpenBatch, integer, lane_number, slot, state, unsigned};
use super::label::{Label, checksum};
use super::{SpoolError, check};

impl Core {
    /// Seals the open batch of a lane, if there is one.
    pub(super) fn seal(&mut self, lane: Lane, now_ms: i64) -> Result<(), SpoolError> {
        let Some(open) = self.open[slot(lane)].take() else { return Ok(()) };
        let batch = self.read_open(&open)?;
        self.store_sealed(open.id, &batch, now_ms)?;
        self.change("delete from open_ticks where batch_id = ?1", [open.id])?;
        self.change("delete from open_events where batch_id = ?1", [open.id])?;
        Ok(())
    }

    /// Seals the open batches of all lanes, in the order of their numbers.
    pub(super) fn seal_all(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        let mut open: Vec<(i64, Lane)> = Lane::ALL
            .into_iter()
            .filter_map(|lane| self.open[slot(lane)].map(|open| (open.id, lane)))
            .collect();
        open.sort_unstable();
        open.into_iter().try_for_each(|(_, lane)| self.seal(lane, now_ms))
    }

    /// Gives the batch its body: from now on it is immutable.
    pub(super) fn store_sealed(&mut self, id: i64, batch: &Batch<'_>, now_ms: i64) -> Result<(), SpoolError> {
        let body = gzip::compress(&encode(batch));
        let (t_min, t_max) = batch.span().unzip();
        self.change(
            "update batches set state = ?2, sealed_ms = ?3, samples = ?4, events = ?5, t_min = ?6, t_max = ?7,
                bytes = ?8, recovers = ?9
            where id = ?1",
            params![
                id,
                state::SEALED,
                now_ms,
                integer(batch.samples() as u64),
                integer(batch.events.len() as u64),
                t_min,
                t_max,
                integer(body.len() as u64),
                batch.recovers.map(|recovers| recovers.to_string()),
            ],
        )?;
        self.put_body(id, &body, None)?;
        self.change(
            "update epochs set sealed = max(sealed, (select seq from batches where id = ?1))
            where no = (select epoch_no from batches where id = ?1)",
            [id],
        )?;
        Ok(())
    }

    /// Makes a sealed batch under the next number of the running epoch.
    pub(super) fn add_sealed(
        &mut self,
        lane: Lane,
        batch: &Batch<'_>,
        now_ms: i64,
    ) -> Result<i64, SpoolError> {
        let seq = self.next_seq()?;
        self.change(
            "insert into batches (epoch_no, seq, lane, state, opened_ms) values (?1, ?2, ?3, ?4, ?5)",
            params![self.epoch.no, integer(seq), lane_number(lane), state::SEALED, now_ms],
        )?;
        let id = self.db().last_insert_rowid();
        self.store_sealed(id, batch, now_ms)?;
        Ok(id)
    }

    /// Stores the body of a batch with its label, which the row must fit already.
    pub(super) fn put_body(&mut self, id: i64, body: &[u8], header: Option<&str>) -> Result<(), SpoolError> {
        self.news = true;
        let label = Label::of(self.db(), id)?.to_bytes();
        self.change(
            "insert into bodies (batch_id, digest, label, crc, header, body) values (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                BodyDigest::of(body).0.as_slice(),
                label,
                checksum(&label, header, body),
                header,
                body
            ],
        )?;
        self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(body.len() + 64);
        self.transaction_bytes += body.len();
        Ok(())
    }

    fn read_open(&self, open: &OpenBatch) -> Result<Batch<'static>, SpoolError> {
        let (ticks, frames) = self.read_frames(open.id)?;
        let events = self.read_events(open.id)?;
        if ticks + events.len() as u64 != unsigned(open.rows) {
            return Err(SpoolError::Damaged(format!("rows of batch row {} have vanished", open.id)));
        }
        let frames = arranged(frames);
        Ok(Batch { frames, events, losses: self.carried_losses(open.id)?, recovers: None })
    }

    /// The ticks of an open batch as frames, and how many there were.
    fn read_frames(&self, id: i64) -> Result<(u64, Vec<Frame<'static>>), SpoolError> {
        let (mut count, mut ticks) = (0, Ticks::default());
        let mut statement = self.db().prepare_cached(
            "select n, shape_id, t, vals, crc from open_ticks where batch_id = ?1 order by n",
        )?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            let (n, shape, time, crc) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(4)?);
            let vals = row.get_ref(3)?.as_blob().map_err(|e| SpoolError::Damaged(format!("ticks: {e}")))?;
            if check::tick(id, n, shape, time, vals) != crc {
                return Err(SpoolError::Damaged(format!(
                    "tick {n} of batch row {id} is not what was written"
                )));
            }
            ticks.add(shape, time, vals, || check::shape(self.db(), shape))?;
            count += 1;
        }
        Ok((count, ticks.frames))
    }

    fn read_events(&self, id: i64) -> Result<Vec<Event<'static>>, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select device, t, kind, text, crc from open_events where batch_id = ?1 order by n",
        )?;
        let events = statement.query_map([id], |row| {
            let event = Event {
                device: row.get::<_, String>(0)?.into(),
                t: row.get(1)?,
                kind: row.get::<_, String>(2)?.into(),
                text: row.get::<_, String>(3)?.into(),
            };
            Ok((event, row.get::<_, i64>(4)?))
        })?;
        let check = |(event, crc): (Event<'static>, i64)| match check::event(&event) == crc {
            true => Ok(event),
            false => Err(SpoolError::Damaged(format!("an event of batch row {id} is not what was written"))),
        };
        events.map(|event| check(event?)).collect()
    }
}

/// In the order that compresses best: devices with few series first, those of one kind together, series by name, so that
/// similar text is near. The frames of one device keep their order, since of two values for one time the last counts.
fn arranged(mut frames: Vec<Frame<'static>>) -> Vec<Frame<'static>> {
    let mut places = HashMap::new();
    for frame in &mut frames {
        frame.columns.sort_by(|a, b| a.series.cmp(&b.series));
        let place = || (frame.columns.len(), frame.kind.clone(), frame.times.len());
        places.entry(frame.device.clone()).or_insert_with(place);
    }
    frames.sort_by_cached_key(|frame| (places.get(&frame.device).cloned(), frame.device.clone()));
    frames
}

/// Ticks on their way into frames: those of one shape share a frame as long as their times ascend.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    pub frames: Vec<Frame<'static>>,
    /// The frame that each shape is at.
    current: HashMap<i64, usize>,
}

impl Ticks {
    /// Adds a tick; `names` gives device, kind and series of its shape.
    pub(super) fn add(
        &mut self,
        shape: i64,
        time: i64,
        vals: &[u8],
        names: impl FnOnce() -> Result<(String, String, String), SpoolError>,
    ) -> Result<(), SpoolError> {
        let fits = |at: &usize| self.frames[*at].times.last().is_some_and(|last| *last < time);
        let at = match self.current.get(&shape).copied().filter(fits) {
            Some(at) => at,
            None => {
                self.frames.push(empty_frame(names()?));
                self.current.insert(shape, self.frames.len() - 1);
                self.frames.len() - 1
            }
        };
        let frame = &mut self.frames[at];
        if vals.len() != frame.columns.len() * 8 {
            return Err(SpoolError::Damaged(format!("a tick of shape {shape} has {} bytes", vals.len())));
        }
        frame.times.push(time);
        for (column, bytes) in frame.columns.iter_mut().zip(vals.chunks_exact(8)) {
            let mut value = [0; 8];
            value.copy_from_slice(bytes);
            column.values.push(f64::from_le_bytes(value));
        }
        Ok(())
    }
}

fn empty_frame((device, kind, series): (String, String, String)) -> Frame<'static> {
    let columns = series.split('\n').map(|s| Column { series: Cow::Owned(s.to_owned()), values: Vec::new() });
    Frame { device: device.into(), kind: kind.into(), times: Vec::new(), columns: columns.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(device: &str, series: &[&str], times: &[i64]) -> Frame<'static> {
        let column =
            |name: &&str| Column { series: (*name).to_owned().into(), values: vec![0.0; times.len()] };
        let columns = series.iter().map(column).collect();
        Frame { device: device.to_owned().into(), kind: "k".into(), times: times.to_vec(), columns }
    }

    #[test]
    fn similar_frames_stand_together_and_those_of_a_device_keep_their_order() {
        let frames = vec![
            frame("large", &["b", "a"], &[1]),
            frame("twice", &["a"], &[5, 6]),
            frame("small", &["a"], &[1]),
            frame("twice", &["a"], &[6]),
            frame("large", &["c"], &[1]),
        ];
        let arranged = arranged(frames);
        let told: Vec<_> = arranged.iter().map(|f| (&*f.device, &*f.columns[0].series, f.times[0])).collect();
        let expected =
            [("small", "a", 1), ("twice", "a", 5), ("twice", "a", 6), ("large", "a", 1), ("large", "c", 1)];
        assert_eq!(told, expected);
    }
}
