//! Names of interfaces and the like as labels: what could be free text, or a card's number, is refused.

/// Longest label value from outside.
const BYTES_MAX: usize = 64;
/// A run of digits as long as a card's number.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// The value, if it may be one. Bytes of zero at the end, with which some devices fill up, are left out.
pub(super) fn label(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-');
    let like_a_card =
        || text.split(|c: char| !c.is_ascii_digit()).any(|digits| CARD_DIGITS.contains(&digits.len()));
    let fits = (1..=BYTES_MAX).contains(&text.len()) && text.chars().all(is_allowed) && !like_a_card();
    fits.then_some(text)
}

/// An index of a table: numbers, with dots between them.
pub(super) fn index(arcs: &[u32]) -> Option<String> {
    let text = arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    label(text.as_bytes()).is_some().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_are_labels_and_free_text_is_not() {
        for name in ["eth0", "GigabitEthernet1/0/24", "Gi0/1.100", "ge-0/0/0:2", "12345678901234567890"] {
            assert_eq!(label(name.as_bytes()), Some(name));
        }
        assert_eq!(label(b"lan1\0\0"), Some("lan1"));
        for name in [
            "",
            "to the till",
            "a\"b",
            "4111111111111111",
            "x4111111111111111y",
            "caf\u{e9}",
            &"x".repeat(65),
        ] {
            assert_eq!(label(name.as_bytes()), None, "{name}");
        }
        assert_eq!(index(&[1, 24]).as_deref(), Some("1.24"));
    }
}
