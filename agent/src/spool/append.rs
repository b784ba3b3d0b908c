//! Accepting ticks and events into open batches.

use rusqlite::params;
use storepulse_shared::batch::{Event, Frame, Lane};
use storepulse_shared::limits::{EVENT_TEXT_BYTES_MAX, SPAN_SEALED};

use super::SpoolError;
use super::core::{Core, OpenBatch};

/// An open batch is sealed before its JSON grows beyond this, so that no body comes near the limits of the wire.
const JSON_BYTES_MAX: usize = 768 << 10;
/// Rows of an open batch at most.
const ROWS_MAX: i64 = 20_000;
/// Events of one batch at most.
const EVENT_ROWS_MAX: i64 = 1_000;
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
                    "insert into open_ticks (batch_id, n, shape_id, t, vals) values (?1, ?2, ?3, ?4, ?5)",
                    params![open.id, open.rows, shape, time, vals],
                )?;
                open.samples += samples;
                open.json_bytes += samples * SAMPLE_JSON_BYTES + 16;
                open.span = Some(open.span.map_or((*time, *time), |(a, b)| (a.min(*time), b.max(*time))));
                self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(vals.len() + 24);
            }
            self.keep_open(lane, open);
        }
        self.make_room(now_ms)
    }

    /// Appends events to the open batch of the critical lane. Texts that are too long are cut.
    pub(super) fn append_events(&mut self, events: &[Event<'_>], now_ms: i64) -> Result<(), SpoolError> {
        for event in events {
            let mut open = self.open_batch(Lane::Critical, now_ms)?;
            if open.rows >= EVENT_ROWS_MAX || open.json_bytes + event.text.len() > JSON_BYTES_MAX {
                self.seal(Lane::Critical, now_ms)?;
                open = self.open_batch(Lane::Critical, now_ms)?;
            }
            open.rows += 1;
            let text = cut(&event.text);
            self.change(
                "insert into open_events (batch_id, n, device, t, kind, text) values (?1, ?2, ?3, ?4, ?5, ?6)",
                params![open.id, open.rows, event.device, event.t, event.kind, text],
            )?;
            open.json_bytes += text.len() + event.device.len() + 128;
            self.unmeasured_bytes = self.unmeasured_bytes.saturating_add(text.len() + 64);
            self.keep_open(Lane::Critical, open);
        }
        self.make_room(now_ms)
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
