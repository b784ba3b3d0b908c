//! `@`, `offset` and durations of the parser in milliseconds.

use std::time::{Duration, UNIX_EPOCH};

use promql_parser::parser::{AtModifier, Offset};

use super::{Steps, When};

/// Farthest from 1970 that a time may be, and longest that a duration may be: beyond, sums would overflow.
const MS_MAX: i64 = i64::MAX / 16;

/// # Errors
/// The duration is beyond all time.
pub(super) fn milliseconds(duration: Duration) -> Result<i64, String> {
    let ms = i64::try_from(duration.as_millis()).ok().filter(|ms| *ms <= MS_MAX);
    ms.ok_or_else(|| format!("a duration of {} seconds is too long", duration.as_secs()))
}

/// # Errors
/// A time is beyond all time.
pub(super) fn when(at: Option<&AtModifier>, offset: Option<&Offset>, query: Steps) -> Result<When, String> {
    let at = match at {
        None => None,
        Some(AtModifier::Start) => Some(query.start),
        Some(AtModifier::End) => Some(query.end),
        Some(AtModifier::At(time)) => Some(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => milliseconds(after)?,
            Err(before) => -milliseconds(before.duration())?,
        }),
    };
    let offset = match offset {
        None => 0,
        Some(Offset::Pos(back)) => milliseconds(*back)?,
        Some(Offset::Neg(ahead)) => -milliseconds(*ahead)?,
    };
    Ok(When { at, offset })
}
