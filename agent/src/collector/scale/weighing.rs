//! What a scale can say, whatever its protocol, and the fields that several protocols have in common.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Digits of a weight; more are no weight of a scale in a shop.
const DIGITS_MAX: usize = 8;
/// Kilograms are kept to a tenth of a gram: what a conversion adds beyond that is noise.
const PER_KG: f64 = 10_000.0;

/// An answer, or a frame of a scale that talks by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    /// A weight at rest.
    Weight(Weight),
    /// The platform moves.
    Unstable { at_zero: Option<bool> },
    /// More than it can weigh.
    Overload,
    /// Less than nothing, beyond what it takes for nothing.
    Underload,
    /// It says how it is, and not what it weighs.
    Unweighed { at_zero: bool },
    /// It did not understand.
    Unknown,
    /// It reports a defect of its own.
    Defect,
}

/// A weight at rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weight {
    pub value: f64,
    /// If the frame says it.
    pub unit: Option<Unit>,
    /// A tare is subtracted: it says nothing about the zero of the scale.
    pub is_net: bool,
    /// If the frame says it.
    pub at_zero: Option<bool>,
}

impl Answer {
    /// The name of the variant, for the mutation run.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Weight(weight) if weight.is_net => "net",
            Self::Weight(_) => "weight",
            Self::Unstable { .. } => "unstable",
            Self::Overload => "overload",
            Self::Underload => "underload",
            Self::Unweighed { .. } => "unweighed",
            Self::Unknown => "unknown",
            Self::Defect => "defect",
        }
    }
}

/// A unit of mass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    Kg,
    G,
    Lb,
    Oz,
    T,
}

impl Unit {
    /// Of letters in a frame, spaces around them.
    pub(super) fn parse(letters: &[u8]) -> Option<Self> {
        Some(match letters.trim_ascii().to_ascii_lowercase().as_slice() {
            b"kg" => Self::Kg,
            b"g" => Self::G,
            b"lb" => Self::Lb,
            b"oz" => Self::Oz,
            b"t" => Self::T,
            _ => return None,
        })
    }

    /// In kilograms, to a tenth of a gram.
    pub(super) fn kg(self, value: f64) -> f64 {
        // The pound is defined by the kilogram, the ounce by the pound.
        let kg = match self {
            Self::Kg => value,
            Self::G => value / 1_000.0,
            Self::Lb => value * 0.453_592_37,
            Self::Oz => value * 0.453_592_37 / 16.0,
            Self::T => value * 1_000.0,
        };
        // Adding zero makes a negative zero a zero.
        (kg * PER_KG).round() / PER_KG + 0.0
    }
}

/// A parity bit that an 8-bit line shows is not part of a character.
pub(super) const fn plain(byte: u8) -> u8 {
    byte & 0x7f
}

/// All bytes without their parity bits.
pub(super) fn all_plain(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| plain(*byte)).collect()
}

/// Digits, perhaps with one point among them, perhaps after spaces and a sign.
pub(super) fn number(field: &[u8]) -> Option<f64> {
    let field = field.trim_ascii_start();
    let (is_negative, digits) = match field.first()? {
        b'-' => (true, field[1..].trim_ascii_start()),
        b'+' => (false, field[1..].trim_ascii_start()),
        _ => (false, field),
    };
    let count = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
    let points = digits.iter().filter(|byte| **byte == b'.').count();
    if count == 0 || count > DIGITS_MAX || points > 1 || count + points != digits.len() {
        return None;
    }
    let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if is_negative { -value } else { value })
}

/// For `#[serde(deserialize_with = …)]`: a mass such as `20g` or `0.05lb`, in kilograms.
pub(super) fn mass_kg<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let digits = &text[..text.len() - letters.len()];
    match (number(digits.as_bytes()), Unit::parse(letters.as_bytes())) {
        (Some(value), Some(unit)) => Ok(unit.kg(value)),
        _ => Err(D::Error::custom(format_args!("{text:?} is not a mass such as 20g or 0.05lb"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_digits_and_at_most_one_point() {
        for (field, value) in [
            ("01.234", 1.234),
            ("  1.20", 1.2),
            ("-000.005", -0.005),
            ("- 12.5", -12.5),
            ("+00013.5", 13.5),
            ("00042", 42.0),
        ] {
            assert_eq!(number(field.as_bytes()), Some(value), "{field:?}");
        }
        for field in ["", " ", ".", "-", "1.2.3", "1 2", "123456789", "1e3", "inf", "^^.^^^", "--1"] {
            assert_eq!(number(field.as_bytes()), None, "{field:?}");
        }
    }

    #[test]
    fn all_units_become_kilograms() {
        assert_eq!(Unit::parse(b"LB").unwrap().kg(2.0), 0.9072);
        assert_eq!(Unit::parse(b"oz").unwrap().kg(16.0), 0.4536);
        assert_eq!(Unit::parse(b" g").unwrap().kg(1_234.0), 1.234);
        assert_eq!(Unit::parse(b"t ").unwrap().kg(0.5), 500.0);
        assert_eq!(Unit::parse(b"kg").unwrap().kg(1.234), 1.234);
        assert_eq!(Unit::parse(b"st"), None);
        assert!(Unit::Kg.kg(-0.000_01).is_sign_positive(), "there is no negative zero");
    }

    #[test]
    fn a_mass_in_the_configuration_has_a_unit() {
        #[derive(Debug, Deserialize)]
        struct Block(#[serde(deserialize_with = "mass_kg")] f64);
        assert_eq!(serde_yaml::from_str::<Block>("20g").unwrap().0, 0.02);
        assert_eq!(serde_yaml::from_str::<Block>("0.05 lb").unwrap().0, 0.0227);
        for text in ["'20'", "g", "-5g", "1.2.3kg", "5 stone"] {
            let error = serde_yaml::from_str::<Block>(text).unwrap_err().to_string();
            assert!(error.contains("not a mass"), "{text}: {error}");
        }
    }
}
