//! Binary values of the servers: what sqlx hands over as bytes.
//!
//! - PostgreSQL: numbers in network order; `numeric` as digits of base 10,000 (`ndigits weight sign dscale digit…`, each two
//!   bytes; sign 0 or 0x4000, other signs are no numbers); times as microseconds since 2000-01-01 00:00, `timestamptz` in UTC
//!   (source: PostgreSQL's `numeric_send` and `timestamp_send`).
//! - MySQL and MariaDB: numbers in little-endian order, `decimal` as text, times as a length and `year:2 month day hour
//!   minute second microsecond:4`, cut off where the rest is zero (source: "Binary Protocol Value" of the protocol's manual).
//!
//! That a value has the type that its column says is not relied upon: all are total.

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Subject, Unread, outcome};
use super::moment;

/// From 1970 to 2000, in seconds.
#[cfg(feature = "till-databases")]
const TO_2000_S: f64 = 946_684_800.0;
/// Digits of base 10,000 that are read; money has fewer than ten.
const DIGITS_MAX: usize = 40;

const BAD: Unread = Unread::Bad(FaultKind::Parse);

pub(super) const NUMERIC: Subject = Subject {
    name: "sql/numeric",
    vectors: &[
        // 0; 1234.50; -12345678.9012; 0.0001; NaN; 1e200.
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 2, 0, 0, 0, 0, 0, 2, 0x04, 0xd2, 0x13, 0x88],
        &[0, 3, 0, 1, 0x40, 0, 0, 4, 0x04, 0xd2, 0x16, 0x2e, 0x23, 0x34],
        &[0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 1],
        &[0, 0, 0, 0, 0xc0, 0, 0, 0],
        &[0, 1, 0, 50, 0, 0, 0, 0, 0, 1],
        // More digits than are read.
        &[0x01, 0, 0, 0, 0, 0, 0, 0],
    ],
    outcomes: &["number", "need", "parse", "too_large"],
    outcome: |bytes| outcome(numeric(bytes), |_| "number"),
};

pub(super) const DATETIME: Subject = Subject {
    name: "sql/datetime",
    vectors: &[
        // 2026-11-21; with 10:30:15; with a quarter of a second.
        &[4, 0xea, 0x07, 11, 21],
        &[7, 0xea, 0x07, 11, 21, 10, 30, 15],
        &[11, 0xea, 0x07, 11, 21, 10, 30, 15, 0x90, 0xd0, 0x03, 0],
        // No day.
        &[4, 0, 0, 0, 0],
    ],
    outcomes: &["time", "need", "parse"],
    outcome: |bytes| outcome(datetime(bytes), |_| "time"),
};

/// PostgreSQL's `numeric`.
pub(super) fn numeric(bytes: &[u8]) -> Parsed<f64> {
    let word = |at: usize| -> Result<u16, Unread> {
        let two = bytes.get(at * 2..at * 2 + 2).ok_or_else(|| Unread::Need(at * 2 + 2 - bytes.len()))?;
        Ok(u16::from_be_bytes([two[0], two[1]]))
    };
    let count = usize::from(word(0)?);
    let weight = word(1)?.cast_signed();
    let sign = match word(2)? {
        0 => "",
        0x4000 => "-",
        // NaN, and both infinities.
        _ => return Err(BAD),
    };
    word(3)?;
    if count > DIGITS_MAX {
        return Err(Unread::Bad(FaultKind::TooLarge));
    }
    let mut digits = String::from("0");
    for at in 0..count {
        let digit = word(4 + at)?;
        if digit > 9_999 {
            return Err(BAD);
        }
        digits.push_str(&format!("{digit:04}"));
    }
    // Decimal text is what Rust rounds correctly.
    let exponent = 4 * (i32::from(weight) - i32::try_from(count).unwrap_or(0) + 1);
    let value: f64 = format!("{sign}{digits}e{exponent}").parse().map_err(|_| BAD)?;
    if value.is_finite() { Ok((value, 8 + 2 * count)) } else { Err(Unread::Bad(FaultKind::TooLarge)) }
}

/// MySQL's `datetime`, `timestamp` and `date`, in seconds since 1970 of a clock on a wall.
pub(super) fn datetime(bytes: &[u8]) -> Parsed<f64> {
    let length = usize::from(*bytes.first().ok_or(Unread::Need(1))?);
    if !matches!(length, 4 | 7 | 11) {
        return Err(BAD);
    }
    let value = bytes.get(1..=length).ok_or_else(|| Unread::Need(length + 1 - bytes.len()))?;
    let at = |index: usize| u32::from(value.get(index).copied().unwrap_or(0));
    let day = moment::midnight(at(0) | at(1) << 8, at(2), at(3)).ok_or(BAD)?;
    let micros = at(7) | at(8) << 8 | at(9) << 16 | at(10) << 24;
    if micros >= 1_000_000 {
        return Err(BAD);
    }
    let time = moment::clock(at(4), at(5), f64::from(at(6)) + f64::from(micros) / 1e6).ok_or(BAD)?;
    Ok((day + time, length + 1))
}

/// An integer of any width, in network order.
#[cfg(feature = "till-databases")]
#[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
pub(super) fn integer_be(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        [a] => Some(f64::from(a.cast_signed())),
        [a, b] => Some(f64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(f64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => Some(i64::from_be_bytes(bytes.try_into().ok()?) as f64),
    }
}

/// A number of four or eight bytes in network order.
#[cfg(feature = "till-databases")]
pub(super) fn float_be(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        [a, b, c, d] => Some(f64::from(f32::from_be_bytes([a, b, c, d]))),
        _ => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

/// PostgreSQL's `timestamp` and `timestamptz`, in seconds since 1970; "infinity" is none.
#[cfg(feature = "till-databases")]
#[expect(clippy::cast_precision_loss, reason = "microseconds of today are below 2^53")]
pub(super) fn timestamp(bytes: &[u8]) -> Option<f64> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    let is_finite = micros != i64::MAX && micros != i64::MIN;
    is_finite.then(|| micros as f64 / 1e6 + TO_2000_S)
}

/// PostgreSQL's `date`, in seconds since 1970.
#[cfg(feature = "till-databases")]
pub(super) fn date(bytes: &[u8]) -> Option<f64> {
    let days = i32::from_be_bytes(bytes.try_into().ok()?);
    (days != i32::MAX && days != i32::MIN).then(|| f64::from(days) * 86_400.0 + TO_2000_S)
}

/// MySQL's integers, of which only the column knows whether they have a sign.
#[cfg(feature = "till-databases")]
#[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
pub(super) fn integer_le(bytes: &[u8], is_unsigned: bool) -> Option<f64> {
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    if !is_unsigned && bytes.last()? & 0x80 != 0 {
        wide[bytes.len()..].fill(0xff);
    }
    let number = u64::from_le_bytes(wide);
    Some(if is_unsigned { number as f64 } else { number.cast_signed() as f64 })
}

/// MySQL's `bit`, in network order and as short as it can be.
#[cfg(feature = "till-databases")]
#[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
pub(super) fn bits(bytes: &[u8]) -> Option<f64> {
    let is_short = bytes.len() <= 8;
    is_short.then(|| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)) as f64)
}

/// MySQL's `float` and `double`.
#[cfg(feature = "till-databases")]
pub(super) fn float_le(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        [a, b, c, d] => Some(f64::from(f32::from_le_bytes([a, b, c, d]))),
        _ => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_are_read_digit_by_digit() {
        let values: Vec<_> = NUMERIC.vectors.iter().map(|bytes| numeric(bytes)).collect();
        assert_eq!(values[0], Ok((0.0, 8)));
        assert_eq!(values[1], Ok((1_234.5, 12)));
        assert_eq!(values[2], Ok((-12_345_678.901_2, 14)));
        assert_eq!(values[3], Ok((0.000_1, 10)));
        assert_eq!(values[4], Err(BAD));
        assert_eq!(values[5], Ok((1e200, 10)));
        assert_eq!(values[6], Err(Unread::Bad(FaultKind::TooLarge)));
        assert_eq!(numeric(&[0, 1, 0, 100, 0, 0, 0, 0, 0, 1]), Err(Unread::Bad(FaultKind::TooLarge)));
        assert_eq!(numeric(&[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]), Err(BAD));
    }

    #[test]
    fn times_of_mysql_are_as_long_as_they_must_be() {
        let values: Vec<_> = DATETIME.vectors.iter().map(|bytes| datetime(bytes)).collect();
        assert_eq!(values[0], Ok((1_795_219_200.0, 5)));
        assert_eq!(values[1], Ok((1_795_257_015.0, 8)));
        assert_eq!(values[2], Ok((1_795_257_015.25, 12)));
        assert_eq!(values[3], Err(BAD));
        assert_eq!(datetime(&[5, 0, 0, 0, 0, 0]), Err(BAD));
    }

    #[cfg(feature = "till-databases")]
    #[test]
    fn numbers_of_all_widths_keep_their_sign() {
        assert_eq!(integer_be(&(-2_i16).to_be_bytes()), Some(-2.0));
        assert_eq!(integer_be(&7_i64.to_be_bytes()), Some(7.0));
        assert_eq!(integer_be(&[1, 2, 3]), None);
        assert_eq!(integer_le(&(-2_i32).to_le_bytes(), false), Some(-2.0));
        assert_eq!(integer_le(&[0xfe], true), Some(254.0));
        assert_eq!(integer_le(&[0; 9], true), None);
        assert_eq!(integer_le(&[], false), None);
        assert_eq!(float_le(&1.5_f32.to_le_bytes()), Some(1.5));
        assert_eq!(float_be(&2.5_f64.to_be_bytes()), Some(2.5));
        assert_eq!(timestamp(&0_i64.to_be_bytes()), Some(TO_2000_S));
        assert_eq!(timestamp(&i64::MAX.to_be_bytes()), None);
        assert_eq!(date(&1_i32.to_be_bytes()), Some(TO_2000_S + 86_400.0));
    }
}
