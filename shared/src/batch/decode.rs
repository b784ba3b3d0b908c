//! Reads the agent form, in one pass, with every check that needs no clock and no database.
//!
//! Strings are borrowed from the body, values go straight into their columns. The path of an error is
//! found by a second, slower pass, so that a good body does not pay for it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::IgnoredAny};

use super::object::{self, Object};
use super::{BODY_VERSION, Batch, BatchError, Column, Event, Frame, Loss};
use crate::ids::{BatchId, check_device};
use crate::limits::{
    COLUMNS_MAX, EVENT_TEXT_BYTES_MAX, EVENTS_MAX, FRAMES_MAX, KIND_BYTES_MAX, LOSSES_MAX, SAMPLES_MAX,
    SPAN_MAX,
};
use crate::series;

/// Reads and checks the JSON text of a batch.
///
/// # Errors
/// See [`BatchError`]; the message names the place, the value and what is allowed.
pub fn decode(body: &[u8]) -> Result<Batch<'_>, BatchError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = Object::<Body<'_>>::deserialize(&mut json).and_then(|parsed| json.end().map(|()| parsed));
    match parsed {
        Ok(parsed) => check(parsed.0),
        Err(_) => Err(locate(body)),
    }
}

/// Parses once more, keeping track of the path, and says where and why it failed.
fn locate(body: &[u8]) -> BatchError {
    let mut json = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, Object<Body<'_>>>(&mut json) {
        Err(error) => {
            let path = error.path().to_string();
            let at = if path == "." { "body".to_owned() } else { path };
            BatchError::malformed(at, error.inner())
        }
        Ok(_) => match json.end() {
            Err(error) => BatchError::malformed("body", error),
            Ok(()) => BatchError::malformed("body", "could not be read"),
        },
    }
}

fn check(body: Body<'_>) -> Result<Batch<'_>, BatchError> {
    if body.v != BODY_VERSION {
        return Err(BatchError::malformed("v", format!("{} is not a known version: {BODY_VERSION}", body.v)));
    }
    within("frames", "too_many_frames", body.frames.len(), FRAMES_MAX)?;
    within("events", "too_many_events", body.events.len(), EVENTS_MAX)?;
    within("losses", "too_many_losses", body.losses.len(), LOSSES_MAX)?;
    let mut batch = Batch {
        frames: Vec::with_capacity(body.frames.len()),
        events: body.events,
        losses: body.losses,
        recovers: body.recovers,
    };
    for (at, frame) in body.frames.into_iter().enumerate() {
        batch.frames.push(check_frame(at, frame)?);
    }
    for (at, event) in batch.events.iter().enumerate() {
        check_event(event)
            .map_err(|(field, why)| BatchError::malformed(format!("events[{at}].{field}"), why))?;
    }
    for (at, loss) in batch.losses.iter().enumerate() {
        check_loss(loss)
            .map_err(|(field, why)| BatchError::malformed(format!("losses[{at}].{field}"), why))?;
    }
    check_whole(&batch)?;
    Ok(batch)
}

/// What holds for a batch in either form: something in it, not too many samples, not too long a span.
pub(super) fn check_whole(batch: &Batch<'_>) -> Result<(), BatchError> {
    if batch.is_empty() {
        return Err(BatchError::malformed("body", "an empty batch: no frames, no events, no losses"));
    }
    within("samples", "too_many_samples", batch.samples(), SAMPLES_MAX)?;
    let span_ms = batch.span().map_or(0, |(first, last)| last.abs_diff(first));
    if u128::from(span_ms) > SPAN_MAX.as_millis() {
        return Err(BatchError::SpanTooLong { span_ms });
    }
    Ok(())
}

pub(super) fn within(
    what: &'static str,
    code: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), BatchError> {
    if count > limit { Err(BatchError::TooLarge { code, what, count, limit }) } else { Ok(()) }
}

fn check_frame(at: usize, frame: RawFrame<'_>) -> Result<Frame<'_>, BatchError> {
    let place = |field: &str| format!("frames[{at}].{field}");
    check_device(&frame.device.0).map_err(|why| BatchError::malformed(place("device"), why))?;
    check_kind(&frame.kind.0).map_err(|why| BatchError::malformed(place("kind"), why))?;
    if frame.t.0.is_empty() {
        return Err(BatchError::malformed(place("t"), "a frame without times"));
    }
    if frame.m.0.is_empty() {
        return Err(BatchError::malformed(place("m"), "a frame without series"));
    }
    within("series in a frame", "too_many_columns", frame.m.0.len(), COLUMNS_MAX)?;
    for column in &frame.m.0 {
        let of_column = || place(&format!("m[{:?}]", column.series));
        series::check(&column.series).map_err(|why| BatchError::malformed(of_column(), why))?;
        if column.values.len() != frame.t.0.len() {
            let why = format!("{} values for {} times", column.values.len(), frame.t.0.len());
            return Err(BatchError::malformed(of_column(), why));
        }
    }
    if let Some(twice) = first_duplicate(&frame.m.0) {
        return Err(BatchError::malformed(place("m"), format!("duplicate key {twice:?}")));
    }
    Ok(Frame { device: frame.device.0, kind: frame.kind.0, times: frame.t.0, columns: frame.m.0 })
}

fn first_duplicate<'a>(columns: &'a [Column<'_>]) -> Option<&'a str> {
    let mut names: Vec<&str> = columns.iter().map(|c| &*c.series).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// A kind is a short dotted word: `modbus`, `printer.cover_open`.
pub(super) fn check_kind(kind: &str) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.');
    let good = kind.len() <= KIND_BYTES_MAX
        && kind.bytes().all(word)
        && kind.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if good {
        Ok(())
    } else {
        Err(format!("{kind:.80?} is not a kind: 1 to {KIND_BYTES_MAX} of a-z, 0-9, '_', '.'"))
    }
}

/// What holds for every event, wherever it comes from; the error names the field.
///
/// # Errors
/// The field and what is wrong with it.
pub fn check_event(event: &Event<'_>) -> Result<(), (&'static str, String)> {
    check_device(&event.device).map_err(|e| ("device", e.to_string()))?;
    check_kind(&event.kind).map_err(|e| ("kind", e))?;
    if event.text.len() > EVENT_TEXT_BYTES_MAX {
        return Err(("text", format!("{} bytes: at most {EVENT_TEXT_BYTES_MAX}", event.text.len())));
    }
    if event.text.contains('\0') {
        return Err(("text", "a NUL character, which no database stores".to_owned()));
    }
    Ok(())
}

fn check_loss(loss: &Loss) -> Result<(), (&'static str, String)> {
    if loss.from > loss.to {
        return Err(("from", format!("{} is after to={}", loss.from, loss.to)));
    }
    let counts_fit = i64::try_from(loss.samples).is_ok() && i64::try_from(loss.events).is_ok();
    if !counts_fit {
        return Err(("samples", "more than 2^63".to_owned()));
    }
    let reason = loss.reason.as_str();
    let plain = reason.bytes().all(|b| b.is_ascii_graphic());
    if reason.is_empty() || reason.len() > KIND_BYTES_MAX || !plain {
        return Err((
            "reason",
            format!("{reason:.80?} is not a reason: 1 to {KIND_BYTES_MAX} visible ASCII characters"),
        ));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    v: u64,
    #[serde(borrow, default, deserialize_with = "object::list")]
    frames: Vec<RawFrame<'a>>,
    #[serde(borrow, default, deserialize_with = "object::list")]
    events: Vec<Event<'a>>,
    #[serde(default, deserialize_with = "object::list")]
    losses: Vec<Loss>,
    #[serde(default)]
    recovers: Option<BatchId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFrame<'a> {
    #[serde(borrow)]
    device: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    t: Times,
    #[serde(borrow)]
    m: Columns<'a>,
}

/// A string, borrowed from the body unless it holds an escape.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

/// Times: the first absolute, then differences above 0.
struct Times(Vec<i64>);

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;
        impl<'de> Visitor<'de> for Steps {
            type Value = Times;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("whole milliseconds: a time, then steps above 0")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Times, A::Error> {
                let mut times: Vec<i64> = Vec::new();
                while let Some(step) = seq.next_element::<i64>()? {
                    let time = match times.last() {
                        None => step,
                        Some(_) if step <= 0 => {
                            return Err(de::Error::custom(format_args!("step {step} is not above 0")));
                        }
                        Some(previous) => previous.checked_add(step).ok_or_else(|| {
                            de::Error::custom(format_args!("step {step} is beyond all time"))
                        })?,
                    };
                    if times.len() >= SAMPLES_MAX {
                        return Err(de::Error::custom(format_args!(
                            "more than {SAMPLES_MAX} times in a frame"
                        )));
                    }
                    times.push(time);
                }
                Ok(Times(times))
            }
        }
        deserializer.deserialize_seq(Steps)
    }
}

/// The columns of a frame, in the order of the body.
struct Columns<'a>(Vec<Column<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Columns<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("series names with their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns<'de>, A::Error> {
                let mut columns: Vec<Column<'de>> = Vec::new();
                while let Some(series) = map.next_key::<Text<'de>>()? {
                    if columns.len() > COLUMNS_MAX {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let like = columns.last().map_or(0, |c| c.values.len());
                    let values = map.next_value_seed(Values { like })?;
                    columns.push(Column { series: series.0, values });
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// The values of a column, `null` as NaN. `like` is the length to expect.
struct Values {
    like: usize,
}

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Vec<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<f64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Vec<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers and nulls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<f64>, A::Error> {
        let mut values = Vec::with_capacity(self.like);
        while let Some(value) = seq.next_element::<Option<f64>>()? {
            if values.len() >= SAMPLES_MAX {
                return Err(de::Error::custom(format_args!("more than {SAMPLES_MAX} values in a column")));
            }
            values.push(value.unwrap_or(f64::NAN));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests;
