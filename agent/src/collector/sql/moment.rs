//! Times as databases give them: an instant, or what a clock on a wall showed.
//!
//! SQLite has no type for times; tills write them as ISO 8601 text (`2026-11-21 10:30:00`, `2026-11-21T10:30:00.250Z`,
//! `…+02:00`), or as seconds or milliseconds since 1970.

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Unread};

/// A time, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// Of UTC.
    Instant(f64),
    /// Of a clock on a wall, whose zone is not told.
    Local(f64),
}

/// A number larger than this counts milliseconds: as seconds it would be after the year 5000, as milliseconds it is of 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// Seconds since 1970, or milliseconds, as tells their size.
pub(super) fn of_number(n: f64) -> Moment {
    Moment::Instant(if n.abs() >= MILLISECONDS_FROM { n / 1_000.0 } else { n })
}

const BAD: Unread = Unread::Bad(FaultKind::Parse);

/// Reads a text. A date alone is its midnight.
pub(super) fn parse(text: &[u8]) -> Parsed<Moment> {
    let mut scan = Scan { text, at: 0 };
    let day = scan.date()?;
    if scan.is_at_end() {
        return Ok((Moment::Local(day), scan.at));
    }
    if !matches!(scan.next()?, b' ' | b'T') {
        return Err(BAD);
    }
    let seconds = day + scan.time()?;
    let moment = match scan.zone()? {
        Some(east) => Moment::Instant(seconds - east),
        None => Moment::Local(seconds),
    };
    if scan.is_at_end() { Ok((moment, scan.at)) } else { Err(BAD) }
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Unread> {
        let byte = self.peek().ok_or(Unread::Need(1))?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Unread> {
        if self.next()? == wanted { Ok(()) } else { Err(BAD) }
    }

    fn number(&mut self, digits: usize) -> Result<u32, Unread> {
        let mut number = 0;
        for _ in 0..digits {
            let digit = char::from(self.next()?).to_digit(10).ok_or(BAD)?;
            number = number * 10 + digit;
        }
        Ok(number)
    }

    fn date(&mut self) -> Result<f64, Unread> {
        let year = self.number(4)?;
        self.expect(b'-')?;
        let month = self.number(2)?;
        self.expect(b'-')?;
        let day = self.number(2)?;
        midnight(year, month, day).ok_or(BAD)
    }

    fn time(&mut self) -> Result<f64, Unread> {
        let hour = self.number(2)?;
        self.expect(b':')?;
        let minute = self.number(2)?;
        let mut second = 0.0;
        if self.peek() == Some(b':') {
            self.at += 1;
            second = f64::from(self.number(2)?) + self.fraction()?;
        }
        clock(hour, minute, second).ok_or(BAD)
    }

    fn fraction(&mut self) -> Result<f64, Unread> {
        if self.peek() != Some(b'.') {
            return Ok(0.0);
        }
        self.at += 1;
        let (mut value, mut scale) = (0.0, 0.1);
        let first = self.at;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(10)) {
            value += f64::from(digit) * scale;
            scale /= 10.0;
            self.at += 1;
        }
        if self.at > first {
            Ok(value)
        } else if self.is_at_end() {
            Err(Unread::Need(1))
        } else {
            Err(BAD)
        }
    }

    /// Seconds east of Greenwich: `Z`, `±hh`, `±hh:mm` or `±hhmm`.
    fn zone(&mut self) -> Result<Option<f64>, Unread> {
        let sign = match self.peek() {
            None => return Ok(None),
            Some(b'Z' | b'z') => {
                self.at += 1;
                return Ok(Some(0.0));
            }
            Some(b'+') => 1.0,
            Some(b'-') => -1.0,
            Some(_) => return Err(BAD),
        };
        self.at += 1;
        let hours = self.number(2)?;
        if self.peek() == Some(b':') {
            self.at += 1;
        }
        let minutes = if self.is_at_end() { 0 } else { self.number(2)? };
        Ok(Some(sign * clock(hours, minutes, 0.0).ok_or(BAD)?))
    }
}

/// The time of day in seconds; a leap second is taken.
pub(super) fn clock(hour: u32, minute: u32, second: f64) -> Option<f64> {
    let is_one = hour < 24 && minute < 60 && (0.0..61.0).contains(&second);
    is_one.then(|| f64::from(hour * 3_600 + minute * 60) + second)
}

/// The midnight that begins a day, in seconds since 1970; `None` if there is no such day.
pub(super) fn midnight(year: u32, month: u32, day: u32) -> Option<f64> {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || !(1..=9_999).contains(&year) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of one; 719,468 days lie from 0000-03-01 to 1970.
    let years = i64::from(if month > 2 { year } else { year - 1 });
    let of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let days = years * 365 + years / 4 - years / 100 + years / 400 + of_year - 719_468;
    i32::try_from(days).ok().map(|days| f64::from(days) * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Moment> {
        parse(text.as_bytes()).ok().map(|(moment, _)| moment)
    }

    #[test]
    fn texts_are_read_as_the_time_they_tell() {
        // By `date -d … +%s`.
        for (text, moment) in [
            ("1970-01-01", Moment::Local(0.0)),
            ("2026-11-21", Moment::Local(1_795_219_200.0)),
            ("2026-11-21 10:30", Moment::Local(1_795_257_000.0)),
            ("2026-11-21 10:30:15", Moment::Local(1_795_257_015.0)),
            ("2026-11-21T10:30:00.25", Moment::Local(1_795_257_000.25)),
            ("2026-11-21T10:30:00Z", Moment::Instant(1_795_257_000.0)),
            ("2026-11-21T10:30:00.500-04:00", Moment::Instant(1_795_271_400.5)),
            ("2026-11-21 10:30:00+02", Moment::Instant(1_795_249_800.0)),
            ("2026-11-21 10:30:00+0530", Moment::Instant(1_795_237_200.0)),
            ("2024-02-29 23:59:60", Moment::Local(1_709_251_200.0)),
            ("2000-03-01", Moment::Local(951_868_800.0)),
            ("1969-12-31 23:59:59", Moment::Local(-1.0)),
        ] {
            assert_eq!(read(text), Some(moment), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "0000-00-00",
            "2026-11-21 24:00",
            "2026-11-21 10:30:00 UTC",
            "2026-11-21 10:30:00.",
            "2026-11-21 10:30:00+2",
            "21/11/2026",
            "4111111111111111",
            "2026-11-21 10:30:00.x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds_by_their_size() {
        assert_eq!(of_number(1_795_257_000.0), Moment::Instant(1_795_257_000.0));
        assert_eq!(of_number(1_795_257_000_250.0), Moment::Instant(1_795_257_000.25));
    }
}
