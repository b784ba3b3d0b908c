//! Figures as people read them, in evidence.

use std::time::Duration;

/// `3.4 GB`, `120 MB`, `12 kB`.
pub(super) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", of(1_000_000_000)),
        1_000_000.. => format!("{:.0} MB", of(1_000_000)),
        1_000.. => format!("{:.0} kB", of(1_000)),
        _ => format!("{bytes} B"),
    }
}

/// `2s 100ms`, down to milliseconds.
pub(super) fn took(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

/// The two largest units of a time: `2years 11days`, `3h 20m`.
pub(super) fn about(ms: u64) -> String {
    let seconds = Duration::from_secs(ms / 1_000);
    let text = humantime::format_duration(seconds).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Bytes in hexadecimal with blanks between them, the first of them.
pub(super) fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
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
        assert_eq!([12, 12_400, 3_400_000, 4_250_000_000].map(bytes), ["12 B", "12 kB", "3 MB", "4.2 GB"]);
        assert_eq!(about(63_115_200_000 + 86_400_000), "2years 1day");
        assert_eq!(took(Duration::from_micros(12_345)), "12ms");
        assert_eq!(hex(&[0x10, 0x04, 0x01]), "10 04 01");
        assert!(hex(&[0; 100]).ends_with("… (100 bytes)"));
    }
}
