//! Durations (`30s`, `5m`) and sizes (`256MiB`) as people write them.

use std::time::Duration;

use serde::Deserialize as _;
use serde::de::{Deserializer, Error as _};

/// For `#[serde(deserialize_with = …)]`: a duration above zero.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        Ok(_) => Err(D::Error::custom(format_args!("{text:?} is not above zero"))),
        Err(error) => {
            Err(D::Error::custom(format_args!("{text:?} is not a duration such as 30s or 5m: {error}")))
        }
    }
}

/// For `#[serde(deserialize_with = …)]`: a number of bytes.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text)
        .ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a size such as 64MiB or 1GiB")))
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_bytes("256MiB"), Some(256 << 20));
        assert_eq!(parse_bytes("8 GiB"), Some(8 << 30));
        assert_eq!(parse_bytes("4096"), Some(4096));
        for bad in ["", "MiB", "256MB", "-1", "1.5GiB", "99999999999GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
