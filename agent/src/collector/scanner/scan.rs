//! One scan: where it ends, and what is kept of it. Pure.

use super::symbology::Symbology;
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

/// Longest scan; a QR code holds 2,953 bytes at most.
pub(super) const SCAN_BYTES_MAX: usize = 4_096;

/// How a scanner was set up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setup<'a> {
    pub prefix: &'a [u8],
    /// Empty for CR, LF or both.
    pub suffix: &'a [u8],
    pub aim: bool,
    /// Empty if it says nothing when it read nothing.
    pub no_read: &'a [u8],
}

/// What is kept of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    Good {
        symbology: Symbology,
        /// Bytes, without identifier.
        length: usize,
    },
    /// The scanner says that it read nothing.
    NoRead,
    /// An EAN or UPC that is not whole.
    WrongCheckDigit,
}

impl Scan {
    fn name(&self) -> &'static str {
        match self {
            Self::Good { symbology, .. } => symbology.name(),
            Self::NoRead => "no_read",
            Self::WrongCheckDigit => "check_digit",
        }
    }
}

impl Setup<'_> {
    /// If these bytes end with what ends a scan: how many of them are before that.
    pub(super) fn before_end(&self, bytes: &[u8]) -> Option<usize> {
        match (self.suffix, bytes) {
            ([], [before @ .., b'\r' | b'\n']) => Some(before.len()),
            ([], _) => None,
            (suffix, bytes) => bytes.strip_suffix(suffix).map(<[u8]>::len),
        }
    }

    /// What a scan says, without what ends it.
    pub(super) fn read(&self, scan: &[u8]) -> Result<Scan, FaultKind> {
        let scan = scan.strip_prefix(self.prefix).ok_or(FaultKind::Framing)?;
        let found = Symbology::parse(scan).filter(|_| self.aim);
        let data = if found.is_some() { &scan[3..] } else { scan };
        if !self.no_read.is_empty() && data == self.no_read {
            return Ok(Scan::NoRead);
        }
        let symbology = found.unwrap_or(Symbology::Unknown);
        if data.is_empty() || !(symbology.holds_any_bytes() || is_text(data)) {
            return Err(FaultKind::Framing);
        }
        if !symbology.check_digit_is_right(data) {
            return Ok(Scan::WrongCheckDigit);
        }
        Ok(Scan::Good { symbology, length: data.len() })
    }

    /// Both, on all bytes since the last scan. Ends without a scan before them are skipped.
    fn parse(&self, bytes: &[u8]) -> Parsed<Scan> {
        let begin =
            bytes.iter().take_while(|byte| self.suffix.is_empty() && matches!(byte, b'\r' | b'\n')).count();
        for end in begin + 1..=bytes.len() {
            if let Some(before) = self.before_end(&bytes[begin..end]) {
                return match self.read(&bytes[begin..begin + before]) {
                    Ok(scan) => Ok((scan, end)),
                    Err(kind) => Err(Unread::Bad(kind)),
                };
            }
            if end - begin > SCAN_BYTES_MAX {
                return Err(Unread::Bad(FaultKind::TooLarge));
            }
        }
        Err(Unread::Need(1))
    }
}

/// Text as a wrong speed would hardly make it: UTF-8, and no control characters but tab and those of GS1.
fn is_text(data: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | 0x04 | 0x1d | 0x1e);
    !data.iter().any(is_control) && std::str::from_utf8(data).is_ok()
}

pub(super) const SCAN: Subject = Subject {
    name: "scanner",
    vectors: &[
        b"]E05901234123457\r",
        b"\r\n]E473513537\r\n",
        b"]E05901234123458\r",
        b"]E105\r",
        b"]C0LOYALTY-0042\r",
        b"]C10109501101530003\r",
        b"]A0ABC-123\r",
        b"]e0010950110153000317\r",
        b"]d1x\r",
        b"]d20109501101530003\x1d10ABC\r",
        b"]Q1https://example.net/\xff\r",
        b"]Q30109501101530003\r",
        b"]L0LICENCE\r",
        b"]I012345670\r",
        b"]F0A1234B\r",
        b"]G0ABC\r",
        b"]M01234\r",
        b"]U0x\r",
        b"]z0x\r",
        b"]X0x\r",
        b"036000291452\n",
        b"NR\r",
        b"\x00\xff\x80\r",
        &[b'x'; SCAN_BYTES_MAX + 1],
    ],
    outcomes: &[
        "aztec",
        "codabar",
        "code128",
        "code39",
        "code93",
        "databar",
        "datamatrix",
        "ean13",
        "ean8",
        "ean_addon",
        "gs1_128",
        "gs1_datamatrix",
        "gs1_qr",
        "itf",
        "maxicode",
        "msi",
        "other",
        "pdf417",
        "qr",
        "unknown",
        "no_read",
        "check_digit",
        "need",
        "framing",
        "too_large",
    ],
    outcome: |bytes| {
        let setup = Setup { aim: true, no_read: b"NR", ..Setup::default() };
        outcome(setup.parse(bytes), Scan::name)
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Setup<'_> = Setup { prefix: b"", suffix: b"", aim: true, no_read: b"NR" };

    fn good(symbology: Symbology, length: usize) -> Result<Scan, FaultKind> {
        Ok(Scan::Good { symbology, length })
    }

    #[test]
    fn of_a_scan_its_symbology_and_its_length_are_kept() {
        assert_eq!(PLAIN.read(b"]E05901234123457"), good(Symbology::Ean13, 13));
        assert_eq!(PLAIN.read(b"]C1010950110153000310ABC\x1d21X"), good(Symbology::Gs1128, 25));
        assert_eq!(PLAIN.read(b"]Q1\x00\xff\x80"), good(Symbology::Qr, 3), "any bytes");
        assert_eq!(PLAIN.read("]A0Zw\u{f6}lf".as_bytes()), good(Symbology::Code39, 6));
        assert_eq!(
            PLAIN.read(b"5901234123458"),
            good(Symbology::Unknown, 13),
            "nothing says that it is an EAN"
        );
        assert_eq!(PLAIN.read(b"]E05901234123458"), Ok(Scan::WrongCheckDigit));
        assert_eq!(PLAIN.read(b"]E0590123"), Ok(Scan::WrongCheckDigit), "cut short");
    }

    #[test]
    fn nothing_read_is_what_the_scanner_calls_so() {
        assert_eq!(PLAIN.read(b"NR"), Ok(Scan::NoRead));
        assert_eq!(PLAIN.read(b"]X0NR"), Ok(Scan::NoRead));
        let none = Setup { no_read: b"", ..PLAIN };
        assert_eq!(none.read(b"NR"), good(Symbology::Unknown, 2));
    }

    #[test]
    fn a_prefix_and_a_suffix_are_taken_off() {
        let setup = Setup { prefix: b"S>", suffix: b"<E", aim: true, no_read: b"" };
        assert_eq!(setup.before_end(b"S>12\r34<E"), Some(7), "CR is data here");
        assert_eq!(setup.before_end(b"S>12\r"), None);
        assert_eq!(setup.read(b"S>]A012"), good(Symbology::Code39, 2));
        assert_eq!(setup.read(b">]A012"), Err(FaultKind::Framing), "its beginning was missed");
        assert_eq!(PLAIN.before_end(b"12\n"), Some(2));
        assert_eq!(PLAIN.before_end(b"12"), None);
    }

    #[test]
    fn without_identifiers_a_bracket_is_data() {
        let setup = Setup { aim: false, ..PLAIN };
        assert_eq!(setup.read(b"]E05901234123458"), good(Symbology::Unknown, 16));
    }

    #[test]
    fn bytes_of_a_wrong_speed_are_no_scan() {
        for garbage in [&b"\x00\xff\x80"[..], b"\xf0\x90", b"ab\x07", b"\x7f", b"]E0", b"]C0\x01\x02", b""] {
            assert_eq!(PLAIN.read(garbage), Err(FaultKind::Framing), "{garbage:02x?}");
        }
    }

    #[test]
    fn an_endless_scan_is_too_large() {
        assert_eq!(PLAIN.parse(&[b'x'; SCAN_BYTES_MAX + 1]), Err(Unread::Bad(FaultKind::TooLarge)));
        assert_eq!(PLAIN.parse(&[b'x'; SCAN_BYTES_MAX]), Err(Unread::Need(1)));
        assert_eq!(PLAIN.parse(b"\r\nNR\rNR"), Ok((Scan::NoRead, 5)));
    }
}
