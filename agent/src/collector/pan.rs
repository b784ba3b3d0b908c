//! Card numbers: found in text and dropped, before anybody matches, counts or stores it.
//!
//! A number is card-like if it has 13 to 19 digits, the last of which is the check digit of ISO/IEC 7812 (Luhn), however
//! people space it: up to three spaces or dashes may stand between any two groups of digits, but a number begins and ends
//! with a group. What no issuer's numbers begin with is left alone, since one in ten of all numbers passes the check: a
//! leading 0, and a leading 1 or 20, 21, 28, 29 unless there are 15 digits. That keeps times since 1970 in milliseconds,
//! microseconds and nanoseconds, and dates that are written as one number. More than 19 digits in one piece are dropped
//! whatever they are: records of fixed width have no spaces around a card number.
//!
//! Digits are ASCII's: no other ever becomes a value, since it parses as none.

use std::borrow::Cow;
use std::ops::Range;

/// Digits of a card number.
const DIGITS: Range<usize> = 13..20;
/// Most separators between two groups.
const SEPARATORS_MAX: usize = 3;

/// Puts `placeholder` where card-like numbers stand.
pub(crate) fn scrub<'a>(text: &'a str, placeholder: &str) -> Cow<'a, str> {
    let found = find(text, is_separator);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for range in found {
        clean.push_str(&text[from..range.start]);
        clean.push_str(placeholder);
        from = range.end;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// Whether text from outside may be a name or the value of a label: up to 64 letters, digits and `_.:/-`, no 13 digits in a
/// row, and no card number, whichever of these signs stand between its digits.
pub(crate) fn is_label_value(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || is_sign(c))
        && is_clean_name(text)
}

/// Whether a name from outside holds neither 13 digits in a row nor a card number with signs between its digits.
pub(crate) fn is_clean_name(text: &str) -> bool {
    groups(text, is_sign).iter().flatten().all(|group| group.len() < DIGITS.start)
        && find(text, is_sign).is_empty()
}

fn is_sign(c: char) -> bool {
    matches!(c, '_' | '.' | ':' | '/' | '-')
}

/// Whether a number is card-like, however it was written: with a point, an exponent, or signs that a parser undoes.
pub(crate) fn is_card_value(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() >= 1e12 && value.abs() < 1e19 && {
        let text = format!("{}", value.abs());
        is_card(chain_digits(text.as_bytes(), 0..text.len()), text.len())
    }
}

fn is_separator(c: char) -> bool {
    // What word processors and receipts put for a space or a dash.
    matches!(
        c,
        ' ' | '-' | '\u{a0}' | '\u{ad}' | '\u{2000}'..='\u{200b}' | '\u{2010}'..='\u{2015}' | '\u{202f}' | '\u{2212}'
    )
}

/// Where card-like numbers stand, in order, apart from each other.
fn find(text: &str, separator: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    for chain in groups(text, separator) {
        for (at, first) in chain.iter().enumerate() {
            let mut digits = 0;
            let mut end = None;
            for last in &chain[at..] {
                digits += last.len();
                let is_card = || is_card(chain_digits(bytes, first.start..last.end), digits);
                if (digits >= DIGITS.end && last == first) || (DIGITS.contains(&digits) && is_card()) {
                    end = Some(last.end);
                }
                if digits >= DIGITS.end {
                    break;
                }
            }
            match (end, found.last_mut()) {
                (Some(end), Some(before)) if first.start < before.end => before.end = before.end.max(end),
                (Some(end), _) => found.push(first.start..end),
                (None, _) => {}
            }
        }
    }
    found
}

/// Groups of digits, those together that only separators stand between.
fn groups(text: &str, separator: impl Fn(char) -> bool) -> Vec<Vec<Range<usize>>> {
    let mut chains: Vec<Vec<Range<usize>>> = Vec::new();
    // How many separators stand behind the last digit; `None` if something else does.
    let mut behind: Option<usize> = None;
    for (at, c) in text.char_indices() {
        if !c.is_ascii_digit() {
            behind = behind.filter(|count| *count < SEPARATORS_MAX && separator(c)).map(|count| count + 1);
            continue;
        }
        let digit = at..at + 1;
        match (behind, chains.last_mut()) {
            (Some(0), Some(chain)) => {
                if let Some(group) = chain.last_mut() {
                    group.end = digit.end;
                }
            }
            (Some(_), Some(chain)) => chain.push(digit),
            _ => chains.push(vec![digit]),
        }
        behind = Some(0);
    }
    chains
}

fn chain_digits(bytes: &[u8], range: Range<usize>) -> impl DoubleEndedIterator<Item = u8> + Clone {
    bytes[range].iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0')
}

fn is_card(digits: impl DoubleEndedIterator<Item = u8> + Clone, count: usize) -> bool {
    let mut front = digits.clone();
    let issued = match (front.next(), front.next()) {
        (Some(2), Some(2..=7)) | (Some(3..=9), _) => true,
        (Some(1 | 2), _) => count == 15,
        _ => false,
    };
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit) {
            (0, digit) => u32::from(digit),
            (_, digit @ 0..=4) => u32::from(digit) * 2,
            (_, digit) => u32::from(digit) * 2 - 9,
        })
        .sum();
    issued && sum.is_multiple_of(10)
}

/// For the list of parsers.
pub(crate) fn outcome(bytes: &[u8]) -> &'static str {
    match scrub(&String::from_utf8_lossy(bytes), "*") {
        Cow::Borrowed(_) => "clean",
        Cow::Owned(_) => "card",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The test numbers that card schemes and payment services publish.
    pub(crate) const CARDS: [&str; 22] = [
        "4111111111111111",
        "4012888888881881",
        "4222222222222",
        "4000056655665556",
        "5555555555554444",
        "5105105105105100",
        "2223003122003222",
        "2720992593319364",
        "378282246310005",
        "371449635398431",
        "341111111111111",
        "30569309025904",
        "38520000023237",
        "6011111111111117",
        "6011000990139424",
        "3530111333300000",
        "3566002020360505",
        "6205500000000000004",
        "6759649826438453",
        "5019717010103742",
        "135412345678911",
        "2200000000000004",
    ];

    /// As people, printers and programs write it.
    pub(crate) fn spellings(card: &str) -> Vec<String> {
        let grouped = |size: usize, between: &str| {
            let parts: Vec<&str> =
                (0..card.len()).step_by(size).map(|at| &card[at..card.len().min(at + size)]).collect();
            parts.join(between)
        };
        let amex = |between: &str| [&card[..4], &card[4..10], &card[10..]].join(between);
        let mut all = vec![card.to_owned()];
        for between in [" ", "-", "  ", " - ", "\u{a0}", "\u{2009}", "\u{2011}"] {
            all.extend([grouped(4, between), amex(between), grouped(1, between), grouped(2, between)]);
        }
        all
    }

    #[test]
    fn every_test_card_in_every_spelling_and_place_is_dropped() {
        for card in CARDS {
            for text in spellings(card) {
                for (before, after) in [
                    ("", ""),
                    ("card=", " ok"),
                    ("PAN:", "=25121010000012345678"),
                    ("x", "y"),
                    ("17 ", " 3"),
                    ("20 ", "-1"),
                    ("\"", "\","),
                    ("ñ ", " ñ"),
                ] {
                    let line = format!("{before}{text}{after}");
                    let clean = scrub(&line, "*");
                    assert!(matches!(clean, Cow::Owned(_)), "{line} was not found");
                    let left: String = clean.chars().filter(char::is_ascii_digit).collect();
                    assert!(
                        !left.contains(&card[..8]) && !left.contains(&card[5..]),
                        "{line} became {clean}"
                    );
                    assert!(!clean.contains(&text), "{line} became {clean}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_card_number_stays_as_it_is() {
        for line in [
            "2026-11-21 10:30:00,123 ERROR [main] pos.Tender - took 320 ms",
            "{\"ts\":1763700000123,\"ns\":1763700000123456784,\"ms\":320}",
            "20261121103000 17 320",
            "4111111111111112",
            "411111111111",
            "4111.1111.1111.1111",
            "0000000000000000",
            "no 17, lane 3, total 41.11",
            "",
        ] {
            assert!(matches!(scrub(line, "*"), Cow::Borrowed(_)), "{line} became {}", scrub(line, "*"));
        }
        // All times of a minute, most of which pass the check somewhere.
        for ms in 1_763_700_000_000_u64..1_763_700_060_000 {
            assert!(find(&ms.to_string(), is_separator).is_empty(), "{ms}");
        }
    }

    #[test]
    fn two_cards_and_what_stands_between_are_kept_apart() {
        let line = "a 4111111111111111, 5555-5555-5555-4444; b";
        assert_eq!(scrub(line, "*"), "a *, *; b");
        assert_eq!(scrub("r 00014111111111111111009925 x", "*"), "r * x");
    }

    #[test]
    fn a_long_line_of_digits_costs_little() {
        let line = "4 ".repeat(8_192);
        let begun = std::time::Instant::now();
        let _ = scrub(&line, "*");
        let _ = scrub(&"4".repeat(16_384), "*");
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_number_is_a_card_number_however_it_was_written() {
        for text in ["4111111111111111", "4.111111111111111e15", "411111111111111.1e1", "-378282246310005"] {
            assert!(is_card_value(text.parse().unwrap()), "{text}");
        }
        for value in [0.0, 320.5, 1e300, f64::NAN, 4_111_111_111_111_112.0, 1_763_700_000_000.0, 2e12] {
            assert!(!is_card_value(value), "{value}");
        }
    }

    #[test]
    fn a_label_holds_no_free_text_and_no_card() {
        for good in ["lane-3", "cash", "a", "10.0.0.1:80", "2026-11-21", "v1.2.3", &"x".repeat(64)] {
            assert!(is_label_value(good), "{good}");
        }
        for card in CARDS {
            for between in ["", "-", "_", ".", ":", "/", "--"] {
                let text = [&card[..4], &card[4..8], &card[8..12], &card[12..]].join(between);
                assert!(!is_label_value(&text), "{text}");
                assert!(!is_label_value(&format!("x{text}y")), "{text}");
            }
        }
        for bad in ["", "a b", "ñ", "a\"b", "1763700000123", "a=b", &"x".repeat(65)] {
            assert!(!is_label_value(bad), "{bad}");
        }
    }
}
