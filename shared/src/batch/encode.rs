//! Writes the agent form. Numbers are as short as they can be and still read back to the same bits:
//! whole ones without a point, others by the shortest round-trip digits.

use std::io::Write as _;

use serde::Serialize;

use super::{BODY_VERSION, Batch, Frame};

/// Largest whole number that `f64` and every JSON reader agree on.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The JSON text of a batch, not yet compressed.
#[must_use]
pub fn encode(batch: &Batch<'_>) -> Vec<u8> {
    let cells: usize = batch.frames.iter().map(|f| f.times.len() * (f.columns.len() + 1)).sum();
    let mut out = Vec::with_capacity(64 + cells * 6 + batch.frames.len() * 64 + batch.events.len() * 96);
    out.extend_from_slice(b"{\"v\":");
    put_integer(&mut out, BODY_VERSION.cast_signed());
    out.extend_from_slice(b",\"frames\":[");
    for (at, frame) in batch.frames.iter().enumerate() {
        comma(&mut out, at);
        put_frame(&mut out, frame);
    }
    out.push(b']');
    if !batch.events.is_empty() {
        out.extend_from_slice(b",\"events\":");
        put_json(&mut out, &batch.events);
    }
    if !batch.losses.is_empty() {
        out.extend_from_slice(b",\"losses\":");
        put_json(&mut out, &batch.losses);
    }
    if let Some(recovers) = batch.recovers {
        out.extend_from_slice(b",\"recovers\":");
        put_json(&mut out, &recovers);
    }
    out.push(b'}');
    out
}

fn put_frame(out: &mut Vec<u8>, frame: &Frame<'_>) {
    out.extend_from_slice(b"{\"device\":");
    put_json(out, &frame.device);
    out.extend_from_slice(b",\"kind\":");
    put_json(out, &frame.kind);
    out.extend_from_slice(b",\"t\":[");
    let mut previous = 0;
    for (at, time) in frame.times.iter().enumerate() {
        comma(out, at);
        put_integer(out, time - previous);
        previous = *time;
    }
    out.extend_from_slice(b"],\"m\":{");
    for (at, column) in frame.columns.iter().enumerate() {
        comma(out, at);
        put_json(out, &column.series);
        out.extend_from_slice(b":[");
        for (at, value) in column.values.iter().enumerate() {
            comma(out, at);
            put_value(out, *value);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
}

fn comma(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

fn put_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if value.fract() == 0.0 && value.abs() <= WHOLE_MAX && !(value == 0.0 && value.is_sign_negative())
    {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        put_integer(out, value as i64);
    } else {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    }
}

fn put_json(out: &mut Vec<u8>, value: &impl Serialize) {
    #[expect(clippy::expect_used, reason = "writing JSON of strings and numbers to a Vec cannot fail")]
    serde_json::to_writer(out.by_ref(), value).expect("encode into memory");
}
