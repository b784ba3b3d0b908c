//! Which names and values from outside become part of a series, and its one spelling.
//!
//! Whoever speaks to us chooses its labels, and may put anything there: a customer, a card. So only labels that the
//! configuration lists are taken, and of them only values that look like a name of a thing: `[A-Za-z0-9_.:/-]{1,64}` without
//! 13 digits in a row, which is how short card numbers are. Hyphens between digits do not part them, since card numbers are
//! written so. `le` and `quantile` are taken without being listed, but only as numbers, and as we write them.
//!
//! Pure; who counts what was refused is the caller.

use storepulse_shared::series;

/// Longest value.
const VALUE_BYTES_MAX: usize = 64;
/// Digits in a row that can be a card number.
const CARD_DIGITS_MIN: usize = 13;
/// Longest number that is written as it is; longer ones are rounded.
const NUMBER_CHARS_MAX: usize = 12;
/// The label of a bucket, and that of a quantile.
const NUMBERS: [&str; 2] = ["le", "quantile"];

/// Why there is no series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// A listed label whose value is free text, or may be a card number.
    FreeText,
    /// The metric, a label or all together are no name of a series.
    NoName,
}

/// The series of a metric with those of its labels that are listed. Empty values are none.
///
/// # Errors
/// See [`Unnamed`].
pub(crate) fn series<'a>(
    metric: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    listed: &[String],
) -> Result<String, Unnamed> {
    if is_card_like(metric) {
        return Err(Unnamed::FreeText);
    }
    let mut numbers = Vec::new();
    let mut taken = Vec::new();
    for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
        if NUMBERS.contains(&name) {
            numbers.push((name, number(value).ok_or(Unnamed::FreeText)?));
        } else if listed.iter().any(|listed| listed == name) {
            taken.push((name, Some(value).filter(|value| is_taken(value)).ok_or(Unnamed::FreeText)?));
        }
    }
    taken.extend(numbers.iter().map(|(name, value)| (*name, value.as_str())));
    series::compose(metric, &taken).map_err(|_| Unnamed::NoName)
}

/// What is wrong with a list of labels in the configuration.
pub(crate) fn check_listed(listed: &[String]) -> Result<(), String> {
    let bad = |name: &&String| series::compose("m", &[(name.as_str(), "x")]).is_err();
    match listed.iter().find(bad) {
        Some(name) => Err(format!(
            "labels: {name:?} is not a label: a letter or '_', then letters, digits, '_' and '.'"
        )),
        None => Ok(()),
    }
}

/// Whether a value from outside may stand in a label.
pub(crate) fn is_taken(value: &str) -> bool {
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'/' | b'-');
    (1..=VALUE_BYTES_MAX).contains(&value.len()) && value.bytes().all(named) && !is_card_like(value)
}

/// Whether it holds as many digits in a row as a card number has, or more.
fn is_card_like(text: &str) -> bool {
    let mut digits = 0;
    text.bytes().any(|byte| {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'-' => {}
            _ => digits = 0,
        }
        digits >= CARD_DIGITS_MIN
    })
}

/// A bound, or a quantile. A long one is rounded to six digits: what computes bounds writes `0.30000000000000004`.
pub(crate) fn number(text: &str) -> Option<String> {
    let value: f64 = text.parse().ok()?;
    if value.is_nan() {
        return None;
    }
    if value.is_infinite() {
        return Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned());
    }
    let plain = value.to_string();
    if plain.len() <= NUMBER_CHARS_MAX {
        return Some(plain);
    }
    let rounded: f64 = format!("{value:.5e}").parse().ok()?;
    let plain = rounded.to_string();
    Some(if plain.len() <= NUMBER_CHARS_MAX { plain } else { format!("{rounded:e}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(labels: &[(&str, &str)]) -> Result<String, Unnamed> {
        series("m", labels.iter().copied(), &["mode".to_owned(), "cpu".to_owned()])
    }

    #[test]
    fn labels_that_are_listed_are_taken_and_others_are_dropped() {
        assert_eq!(
            named(&[("mode", "idle"), ("cpu", "0"), ("customer", "Ana Díaz")]).as_deref(),
            Ok(r#"m{cpu="0",mode="idle"}"#)
        );
        assert_eq!(named(&[("mode", "")]).as_deref(), Ok("m"));
        assert_eq!(named(&[("mode", "a"), ("mode", "b")]), Err(Unnamed::NoName), "twice");
    }

    #[test]
    fn a_list_of_labels_is_checked() {
        assert!(check_listed(&["service.name".to_owned(), "le".to_owned()]).is_ok());
        for bad in ["", "a-b", "1a", "a b"] {
            assert!(check_listed(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn free_text_and_card_numbers_are_refused() {
        let long = "a".repeat(65);
        for value in ["two words", "ñ", "a\"b", "a{", "4111111111111111", "x1234567890123", &long]
            .into_iter()
            .chain(["4111-1111-1111-1111", "12345678901234567890"])
        {
            assert_eq!(named(&[("mode", value)]), Err(Unnamed::FreeText), "{value}");
            assert!(!is_taken(value));
        }
        for value in ["/dev/sda1", "192.168.100.200:9100", "2026-11-21", "00:11:22:33:44:55", "123456789012"]
        {
            assert!(named(&[("mode", value)]).is_ok(), "{value}");
        }
        assert_eq!(series("m4111111111111111", std::iter::empty(), &[]), Err(Unnamed::FreeText));
        assert_eq!(series("a b", std::iter::empty(), &[]), Err(Unnamed::NoName));
    }

    #[test]
    fn bounds_are_numbers_in_one_spelling() {
        for (text, ours) in [
            ("+Inf", "+Inf"),
            ("1.0", "1"),
            ("1e+06", "1000000"),
            ("0.005", "0.005"),
            ("0.30000000000000004", "0.3"),
            ("0.3333333333333333", "0.333333"),
            ("4111111111111111", "4.11111e15"),
            ("1e21", "1e21"),
            ("1e-300", "1e-300"),
            ("-2.5", "-2.5"),
        ] {
            assert_eq!(number(text).as_deref(), Some(ours), "{text}");
        }
        assert_eq!(named(&[("le", "0.5")]).as_deref(), Ok(r#"m{le="0.5"}"#), "without being listed");
        assert_eq!(named(&[("le", "soon")]), Err(Unnamed::FreeText));
        assert_eq!(named(&[("quantile", "NaN")]), Err(Unnamed::FreeText));
    }
}
