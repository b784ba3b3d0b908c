//! Accepting ticks and events into open batches.

use rusqlite::params;
use storepulse_shared::batch::{Event, Frame, Lane};
use storepulse_shared::ids::AGENT_DEVICE;
use storepulse_shared::limits::{EVENT_TEXT_BYTES_MAX, SPAN_SEALED};

use super::bursts::{Merged, Told};
use super::core::{Core, OpenBatch, slot};
use super::{SpoolError, check};

/// An open batch is sealed before its JSON grows beyond this, so that no body comes near the limits of the wire.
const JSON_BYTES_MAX: usize = 768 << 10;
/// Rows of an open batch at most.
const ROWS_MAX: i64 = 20_000;
/// Events of one batch at most.
const EVENT_ROWS_MAX: i64 = 1_000;
/// What a sample needs in the database until it is sealed, with its share of its tick.
const CELL_BYTES: usize = 24;
/// What a sample adds to the JSON, at most on average.
const SAMPLE_JSON_BYTES: usize = 16;

impl Core {
    /// Appends every tick of these frames to the open batch of the lane, sealing it whenever it is full.
    pub(super) fn append_frames(
        &mut self,
        lane: Lane,
        frames: &[Frame<'_>],
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let cells: usize = frames.iter().map(|f| f.times.len() * f.columns.len()).sum();
        self.make_room(cells * CELL_BYTES, now_ms)?;
        self.transaction_bytes += cells * CELL_BYTES;
        for frame in frames {
            let series: Vec<&str> = frame.columns.iter().map(|c| &*c.series).collect();
            let shape = self.shape(&frame.device, &frame.kind, &series.join("\n"))?;
            let name_bytes = frame.device.len() + series.iter().map(|s| s.len()).sum::<usize>();
            let mut open = self.open_batch(lane, now_ms)?;
            open.json_bytes += name_bytes + 64;
            let mut vals = Vec::with_capacity(frame.columns.len() * 8);
            for (at, time) in frame.times.iter().enumerate() {
                vals.clear();
                let mut samples = 0;
                for column in &frame.columns {
                    let value = column.values[at];
                    samples += usize::from(!value.is_nan());
                    vals.extend_from_slice(&value.to_le_bytes());
                }
                if samples == 0 {
                    continue;
                }
                if self.is_full(&open, samples, *time) {
                    self.keep_open(lane, open);
                    self.seal(lane, now_ms)?;
                    open = self.open_batch(lane, now_ms)?;
                    open.json_bytes += name_bytes + 64;
                }
                open.rows += 1;
                self.change(
                    "insert into open_ticks (batch_id, n, shape_id, t, vals, crc) values (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        open.id,
                        open.rows,
                        shape,
                        time,
                        vals,
                        check::tick(open.id, open.rows, shape, *time, &vals)
                    ],
                )?;
                open.samples += samples;
                open.json_bytes += samples * SAMPLE_JSON_BYTES + 16;
                open.span = Some(open.span.map_or((*time, *time), |(a, b)| (a.min(*time), b.max(*time))));
            }
            self.keep_open(lane, open);
        }
        Ok(())
    }

    /// Appends an event of the agent itself.
    pub(super) fn append_own_event(
        &mut self,
        kind: &'static str,
        text: String,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let event = Event { device: AGENT_DEVICE.into(), t: now_ms, kind: kind.into(), text: text.into() };
        self.append_events(&[event], now_ms)
    }

    /// Appends events to the open batch of the critical lane. Texts that are too long are cut, bursts are merged.
    pub(super) fn append_events(&mut self, events: &[Event<'_>], now_ms: i64) -> Result<(), SpoolError> {
        for event in events {
            match self.bursts.count(&event.device, &event.kind, now_ms) {
                Told::Alone => {
                    self.append_event(event, &event.text, now_ms)?;
                }
                Told::Merged(merged) => self.merge_event(event, merged, now_ms)?,
            }
        }
        self.make_room(0, now_ms)
    }

    /// Returns the batch and the row that hold it.
    fn append_event(&mut self, event: &Event<'_>, text: &str, now_ms: i64) -> Result<(i64, i64), SpoolError> {
        let mut open = self.open_batch(Lane::Critical, now_ms)?;
        if open.rows >= EVENT_ROWS_MAX || open.json_bytes + text.len() > JSON_BYTES_MAX {
            self.seal(Lane::Critical, now_ms)?;
            open = self.open_batch(Lane::Critical, now_ms)?;
        }
        open.rows += 1;
        let event = Event { text: cut(text).into(), ..event.clone() };
        let (text, crc) = (&event.text, check::event(&event));
        self.change(
            "insert into open_events (batch_id, n, device, t, kind, text, crc) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![open.id, open.rows, event.device, event.t, event.kind, text, crc],
        )?;
        open.json_bytes += text.len() + event.device.len() + 128;
        self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(text.len() + 64);
        self.keep_open(Lane::Critical, open);
        Ok((open.id, open.rows))
    }

    /// Counts an event into the one that stands for its burst, while that has not been sealed; otherwise begins another.
    fn merge_event(
        &mut self,
        event: &Event<'_>,
        merged: Option<Merged>,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let is_open = |m: &Merged| self.open[slot(Lane::Critical)].is_some_and(|open| open.id == m.batch_id);
        let merged = match merged.filter(is_open) {
            Some(merged) => {
                let merged = Merged { count: merged.count + 1, ..merged };
                let text = cut(&burst_text(merged.count, merged.first_t, event));
                let event = Event { text: text.into(), ..event.clone() };
                self.change(
                    "update open_events set t = ?3, text = ?4, crc = ?5 where batch_id = ?1 and n = ?2",
                    params![merged.batch_id, merged.row, event.t, event.text, check::event(&event)],
                )?;
                merged
            }
            None => {
                let (batch_id, row) = self.append_event(event, &burst_text(1, event.t, event), now_ms)?;
                Merged { batch_id, row, count: 1, first_t: event.t }
            }
        };
        self.bursts.keep(&event.device, &event.kind, merged);
        Ok(())
    }

    fn is_full(&self, open: &OpenBatch, samples: usize, time: i64) -> bool {
        let span = open.span.map_or(0, |(a, b)| b.max(time).abs_diff(a.min(time)));
        open.samples > 0
            && (open.samples + samples > self.limits.batch_samples_max
                || open.json_bytes > JSON_BYTES_MAX
                || open.rows >= ROWS_MAX
                || u128::from(span) > SPAN_SEALED.as_millis())
    }
}

/// What an event says that stands for others.
fn burst_text(count: u64, first_t: i64, last: &Event<'_>) -> String {
    let seconds = last.t.abs_diff(first_t) / 1_000;
    format!("{count} more like this within {seconds} s, the last: {}", last.text)
}

/// At most the bytes that an event's text may have, cut between characters; NUL is no text.
fn cut(text: &str) -> String {
    let mut end = text.len().min(EVENT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::{EVENT_TEXT_BYTES_MAX, cut};

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ñ".repeat(EVENT_TEXT_BYTES_MAX);
        assert_eq!(cut(&text).len(), EVENT_TEXT_BYTES_MAX);
        assert_eq!(cut("a\0b"), "a b");
        assert_eq!(cut(&format!("x{text}")).len(), EVENT_TEXT_BYTES_MAX - 1);
    }
}
