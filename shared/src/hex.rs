//! Hashes as text: lower-case hex digits, one spelling each.

/// The digits of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The 32 bytes of a SHA-256.
pub(crate) fn decode(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = [0xa5; 32];
        assert_eq!(decode(&encode(&hash)), Some(hash));
        assert_eq!(decode(&encode(&hash).to_uppercase()), None);
        assert_eq!(decode(&encode(&hash)[1..]), None);
    }
}
