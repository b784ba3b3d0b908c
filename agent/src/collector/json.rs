//! JSON from outside, with a limit on everything: bytes are the caller's, depth and number of values are looked at before
//! anything is built, since two bytes of text can become a hundred of memory.

use serde_json::Value;

use super::fault::FaultKind;

/// Deepest nesting. What devices and OTLP send has less than 20.
const DEPTH_MAX: usize = 32;
/// Most values: numbers, texts, lists, objects and names of members, all together. About 10 MB of memory at worst.
const VALUES_MAX: usize = 50_000;

/// Reads a document.
///
/// # Errors
/// [`FaultKind::ShortFrame`] if it ends too early, [`FaultKind::TooLarge`] beyond a limit, else [`FaultKind::Parse`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, FaultKind> {
    check_size(bytes)?;
    serde_json::from_slice(bytes)
        .map_err(|error| if error.is_eof() { FaultKind::ShortFrame } else { FaultKind::Parse })
}

/// Counts brackets and what parts values; whether they are JSON is not asked.
fn check_size(bytes: &[u8]) -> Result<(), FaultKind> {
    let (mut depth, mut values, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        if depth > DEPTH_MAX || values > VALUES_MAX {
            return Err(FaultKind::TooLarge);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_deep_or_too_much_is_not_built() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(deep(DEPTH_MAX + 1).as_bytes()), Err(FaultKind::TooLarge));
        assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(FaultKind::TooLarge));
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        assert_eq!(parse(many.as_bytes()), Err(FaultKind::TooLarge));
        let text = format!("{:?}", "[{,:\"\\".repeat(VALUES_MAX));
        assert!(parse(text.as_bytes()).is_ok(), "brackets in a text are none");
    }

    #[test]
    fn what_was_cut_is_told_from_what_is_none() {
        for cut in ["", "{", "{\"a\":", "{\"a\":1", "[1,", "\"a", "tru"] {
            assert_eq!(parse(cut.as_bytes()), Err(FaultKind::ShortFrame), "{cut}");
        }
        for bad in ["<html>", "{a:1}", "1 2", "\u{feff}{}", "[1]]", "nul1"] {
            assert_eq!(parse(bad.as_bytes()), Err(FaultKind::Parse), "{bad}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(FaultKind::Parse));
    }
}
