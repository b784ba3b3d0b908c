//! Sealing: from the rows of an open batch to a compressed body, in one change.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::params;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::BodyDigest;
use storepulse_shared::batch::{Batch, Column, Event, Frame, Lane, Loss};
use storepulse_shared::gzip;

use super::SpoolError;
use super::core::{Core, integer, lane_number, slot, state};

impl Core {
    /// Seals the open batch of a lane, if there is one.
    pub(super) fn seal(&mut self, lane: Lane, now_ms: i64) -> Result<(), SpoolError> {
        let Some(open) = self.open[slot(lane)].take() else { return Ok(()) };
        let batch = self.read_open(open.id)?;
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
                bytes = ?8
            where id = ?1",
            params![
                id,
                state::SEALED,
                now_ms,
                integer(batch.samples() as u64),
                integer(batch.events.len() as u64),
                t_min,
                t_max,
                integer(body.len() as u64)
            ],
        )?;
        self.put_body(id, &body)?;
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

    pub(super) fn put_body(&mut self, id: i64, body: &[u8]) -> Result<(), SpoolError> {
        self.news = true;
        let digest = BodyDigest::of(body);
        self.change(
            "insert into bodies (batch_id, digest, body) values (?1, ?2, ?3)",
            params![id, digest.0.as_slice(), body],
        )?;
        self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(body.len() + 64);
        Ok(())
    }

    fn read_open(&self, id: i64) -> Result<Batch<'static>, SpoolError> {
        Ok(Batch {
            frames: self.read_frames(id)?,
            events: self.read_events(id)?,
            losses: self.read_losses(id)?,
        })
    }

    /// Ticks of one shape become one frame as long as their times ascend.
    fn read_frames(&self, id: i64) -> Result<Vec<Frame<'static>>, SpoolError> {
        let mut frames: Vec<Frame<'static>> = Vec::new();
        let mut current: HashMap<i64, usize> = HashMap::new();
        let mut statement = self
            .db()
            .prepare_cached("select shape_id, t, vals from open_ticks where batch_id = ?1 order by n")?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            let (shape, time): (i64, i64) = (row.get(0)?, row.get(1)?);
            let vals = row.get_ref(2)?.as_blob().map_err(|e| SpoolError::Damaged(format!("ticks: {e}")))?;
            let fits = |at: &usize| frames[*at].times.last().is_some_and(|last| *last < time);
            let at = match current.get(&shape).copied().filter(fits) {
                Some(at) => at,
                None => {
                    frames.push(self.empty_frame(shape)?);
                    current.insert(shape, frames.len() - 1);
                    frames.len() - 1
                }
            };
            let frame = &mut frames[at];
            if vals.len() != frame.columns.len() * 8 {
                return Err(SpoolError::Damaged(format!("a tick of shape {shape} has {} bytes", vals.len())));
            }
            frame.times.push(time);
            for (column, bytes) in frame.columns.iter_mut().zip(vals.chunks_exact(8)) {
                let mut value = [0; 8];
                value.copy_from_slice(bytes);
                column.values.push(f64::from_le_bytes(value));
            }
        }
        Ok(frames)
    }

    fn empty_frame(&self, shape: i64) -> Result<Frame<'static>, SpoolError> {
        let (device, kind, series) = self
            .db()
            .prepare_cached("select device, kind, series from shapes where id = ?1")?
            .query_row([shape], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })?;
        let columns =
            series.split('\n').map(|s| Column { series: Cow::Owned(s.to_owned()), values: Vec::new() });
        Ok(Frame { device: device.into(), kind: kind.into(), times: Vec::new(), columns: columns.collect() })
    }

    fn read_events(&self, id: i64) -> Result<Vec<Event<'static>>, SpoolError> {
        let mut statement = self
            .db()
            .prepare_cached("select device, t, kind, text from open_events where batch_id = ?1 order by n")?;
        let events = statement.query_map([id], |row| {
            Ok(Event {
                device: row.get::<_, String>(0)?.into(),
                t: row.get(1)?,
                kind: row.get::<_, String>(2)?.into(),
                text: row.get::<_, String>(3)?.into(),
            })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    fn read_losses(&self, id: i64) -> Result<Vec<Loss>, SpoolError> {
        let mut statement = self
            .db()
            .prepare_cached("select json from losses where batch_id = ?1 order by recorded_ms, id")?;
        let texts = statement.query_map([id], |row| row.get::<_, String>(0))?;
        texts
            .map(|text| serde_json::from_str(&text?).map_err(|e| SpoolError::Damaged(format!("a loss: {e}"))))
            .collect()
    }
}
