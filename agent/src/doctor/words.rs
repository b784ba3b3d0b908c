//! Figures as people read them, in evidence; sizes and long times are those of [`crate::status::units`].

use std::time::Duration;

/// Bytes that are shown.
const SHOWN: usize = 24;

/// `2s 100ms`, down to milliseconds.
pub(super) fn took(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

/// Bytes in hexadecimal with blanks between them, the first of them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text: Vec<String> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN {
        text.push(format!("… ({} bytes)", bytes.len()));
    }
    text.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(took(Duration::from_micros(12_345)), "12ms");
        assert_eq!(hex(&[0x10, 0x04, 0x01]), "10 04 01");
        assert!(hex(&[0; 100]).ends_with("… (100 bytes)"));
    }
}
