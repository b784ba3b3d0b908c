//! From the bytes of a file to its lines. Pure.
//!
//! A line ends with LF; a CR before it does not count. The last line counts once its end is there. NUL bytes before a line
//! are none of it: a writer that goes on at its old place in a file that was cut leaves a hole, which reads as zeros.

use super::super::fault::FaultKind;
use super::super::parse::{Parsed, Unread};

/// Longest line that is read.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;

/// The first line of these bytes without its end, and how many bytes it takes. [`FaultKind::TooLarge`] if it is longer than
/// `bytes_max`, wherever it ends.
pub(super) fn line(bytes: &[u8], bytes_max: usize) -> Parsed<&[u8]> {
    let begin = bytes.iter().take_while(|byte| **byte == 0).count();
    let rest = &bytes[begin..];
    // One more for the CR.
    match rest.iter().take(bytes_max + 2).position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            if line.len() > bytes_max {
                return Err(Unread::Bad(FaultKind::TooLarge));
            }
            Ok((line, begin + end + 1))
        }
        None if rest.len() > bytes_max + 1 => Err(Unread::Bad(FaultKind::TooLarge)),
        None => Err(Unread::Need(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_lf_and_waits_for_it() {
        assert_eq!(line(b"ab\r\ncd", 16), Ok((b"ab".as_slice(), 4)));
        assert_eq!(line(b"\n", 16), Ok((b"".as_slice(), 1)));
        assert_eq!(line(b"cd", 16), Err(Unread::Need(1)));
        assert_eq!(line(b"cd\r", 16), Err(Unread::Need(1)));
        assert_eq!(line(b"", 16), Err(Unread::Need(1)));
        assert_eq!(line(b"\0\0\0ab\n", 16), Ok((b"ab".as_slice(), 6)));
    }

    #[test]
    fn a_line_that_is_too_long_is_known_before_its_end() {
        assert_eq!(line(b"0123\r\n", 4), Ok((b"0123".as_slice(), 6)));
        for long in [b"01234\n".as_slice(), b"01234\r\n", b"012345", b"0123456789\n"] {
            assert_eq!(line(long, 4), Err(Unread::Bad(FaultKind::TooLarge)), "{long:?}");
        }
        assert_eq!(line(b"01234", 4), Err(Unread::Need(1)), "its last byte may be a CR");
    }
}
