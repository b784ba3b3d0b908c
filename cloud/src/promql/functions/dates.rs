//! Parts of a date, UTC, from seconds since 1970. What is beyond the year 9999 has none: NaN.

use time::OffsetDateTime;

use super::{Element, Shape};

pub(super) fn find(name: &str) -> Option<Shape> {
    let compute: fn(f64, &[f64]) -> Option<f64> = match name {
        "minute" => |v, _| part(v, |t| t.minute().into()),
        "hour" => |v, _| part(v, |t| t.hour().into()),
        "day_of_week" => |v, _| part(v, |t| t.weekday().number_days_from_sunday().into()),
        "day_of_month" => |v, _| part(v, |t| t.day().into()),
        "day_of_year" => |v, _| part(v, |t| t.ordinal().into()),
        "days_in_month" => |v, _| part(v, |t| t.month().length(t.year()).into()),
        "month" => |v, _| part(v, |t| u8::from(t.month()).into()),
        "year" => |v, _| part(v, |t| t.year().into()),
        _ => return None,
    };
    Some(Shape::Date(Element { compute }))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of all functions of a value")]
fn part(seconds: f64, part: impl Fn(OffsetDateTime) -> f64) -> Option<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole seconds are meant, and a cast stays within bounds"
    )]
    let time = OffsetDateTime::from_unix_timestamp(seconds as i64);
    Some(if seconds.is_nan() { f64::NAN } else { time.map_or(f64::NAN, part) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day_by_hand() {
        // 2024-02-29T23:59:30Z, a Thursday.
        for (name, expected) in [
            ("minute", 59.0),
            ("hour", 23.0),
            ("day_of_week", 4.0),
            ("day_of_month", 29.0),
            ("day_of_year", 60.0),
            ("days_in_month", 29.0),
            ("month", 2.0),
            ("year", 2024.0),
        ] {
            let Some(Shape::Date(element)) = find(name) else { panic!("{name}") };
            assert_eq!((element.compute)(1_709_251_170.0, &[]), Some(expected), "{name}");
            assert!((element.compute)(1e300, &[]).unwrap().is_nan());
        }
    }
}
