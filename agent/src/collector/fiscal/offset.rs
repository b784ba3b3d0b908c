//! `utc_offset:` in the configuration, since a printer's clock shows the time of its shop and no zone.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Seconds that local time is ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UtcOffset(i64);

impl UtcOffset {
    /// How many seconds a clock that shows local time is ahead of ours.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are far below 2^53")]
    pub(super) fn skew_s(self, clock_s: i64, now_ms: i64) -> f64 {
        // A clock that shows whole seconds says no more.
        ((clock_s - self.0) * 1_000 - now_ms).div_euclid(1_000) as f64
    }
}

impl<'de> Deserialize<'de> for UtcOffset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom(format_args!("{text:?} is no offset such as \"-04:00\"")))
    }
}

fn parse(text: &str) -> Option<UtcOffset> {
    let &[sign, h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h2)?, number(m1, m2)?);
    let seconds = (hours <= 14 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
    match sign {
        b'+' => Some(UtcOffset(seconds)),
        b'-' => Some(UtcOffset(-seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_in_its_own_zone() {
        let caracas = parse("-04:00").unwrap();
        // 10:30:05 there is 14:30:05 UTC.
        assert_eq!(caracas.skew_s(1_795_343_405, 1_795_357_805_000), 0.0);
        assert_eq!(caracas.skew_s(1_795_343_465, 1_795_357_805_000), 60.0);
        assert_eq!(parse("+05:30").unwrap().skew_s(19_800, 5_000), -5.0);
        for text in ["", "-4", "04:00", "-04:60", "-15:00", "-0a:00", "−04:00"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
