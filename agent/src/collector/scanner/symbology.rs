//! What a code is, by its AIM identifier: `]`, a letter, a modifier (ISO/IEC 15424).

/// A closed set: what we do not know is [`Self::Other`], and what does not say it [`Self::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Symbology {
    Aztec,
    Codabar,
    Code128,
    Code39,
    Code93,
    DataBar,
    DataMatrix,
    /// With UPC-A, which becomes an EAN-13 as soon as identifiers are sent, and with or without an add-on.
    Ean13,
    Ean8,
    /// The two or five digits beside an EAN alone.
    EanAddOn,
    Gs1128,
    Gs1DataMatrix,
    Gs1Qr,
    Itf,
    MaxiCode,
    Msi,
    Other,
    Pdf417,
    Qr,
    Unknown,
}

impl Symbology {
    /// Of an identifier, if these bytes begin with one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[b']', letter, modifier, ..] = bytes else { return None };
        if !letter.is_ascii_alphabetic() || !modifier.is_ascii_alphanumeric() {
            return None;
        }
        Some(match (letter, modifier) {
            (b'A', _) => Self::Code39,
            (b'C', b'1') => Self::Gs1128,
            (b'C', _) => Self::Code128,
            (b'd', b'2') => Self::Gs1DataMatrix,
            (b'd', _) => Self::DataMatrix,
            (b'E', b'0' | b'3') => Self::Ean13,
            (b'E', b'1' | b'2') => Self::EanAddOn,
            (b'E', b'4') => Self::Ean8,
            (b'e', _) => Self::DataBar,
            (b'F', _) => Self::Codabar,
            (b'G', _) => Self::Code93,
            (b'I', _) => Self::Itf,
            (b'L', _) => Self::Pdf417,
            (b'M', _) => Self::Msi,
            (b'Q', b'3') => Self::Gs1Qr,
            (b'Q', _) => Self::Qr,
            (b'U', _) => Self::MaxiCode,
            (b'z', _) => Self::Aztec,
            _ => Self::Other,
        })
    }

    /// As a label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Aztec => "aztec",
            Self::Codabar => "codabar",
            Self::Code128 => "code128",
            Self::Code39 => "code39",
            Self::Code93 => "code93",
            Self::DataBar => "databar",
            Self::DataMatrix => "datamatrix",
            Self::Ean13 => "ean13",
            Self::Ean8 => "ean8",
            Self::EanAddOn => "ean_addon",
            Self::Gs1128 => "gs1_128",
            Self::Gs1DataMatrix => "gs1_datamatrix",
            Self::Gs1Qr => "gs1_qr",
            Self::Itf => "itf",
            Self::MaxiCode => "maxicode",
            Self::Msi => "msi",
            Self::Other => "other",
            Self::Pdf417 => "pdf417",
            Self::Qr => "qr",
            Self::Unknown => "unknown",
        }
    }

    /// Two-dimensional codes may hold any bytes.
    pub(super) const fn holds_any_bytes(self) -> bool {
        matches!(
            self,
            Self::Aztec
                | Self::DataMatrix
                | Self::Gs1DataMatrix
                | Self::Gs1Qr
                | Self::MaxiCode
                | Self::Pdf417
                | Self::Qr
        )
    }

    /// Whether the data ends, or would end, with the right check digit, where there is one to look at.
    pub(super) fn check_digit_is_right(self, data: &[u8]) -> bool {
        match self {
            // A UPC-A may come without its leading zero; an add-on has two or five digits more.
            Self::Ean13 => {
                let code = match data.len() {
                    12 | 14 | 17 => 12,
                    13 | 15 | 18 => 13,
                    _ => return false,
                };
                data.iter().all(u8::is_ascii_digit) && is_mod_10(&data[..code])
            }
            Self::Ean8 => data.len() == 8 && data.iter().all(u8::is_ascii_digit) && is_mod_10(data),
            _ => true,
        }
    }
}

/// Of digits: from the right, they count once and three times by turns, and the sum ends with 0.
fn is_mod_10(digits: &[u8]) -> bool {
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 =
        digits.iter().rev().zip(weights).map(|(digit, weight)| u32::from(digit & 0x0f) * weight).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_says_the_symbology() {
        for (text, name) in [
            ("]E0", "ean13"),
            ("]E3", "ean13"),
            ("]E4", "ean8"),
            ("]E1", "ean_addon"),
            ("]C0", "code128"),
            ("]C1", "gs1_128"),
            ("]A0", "code39"),
            ("]e0", "databar"),
            ("]d1", "datamatrix"),
            ("]d2", "gs1_datamatrix"),
            ("]Q1", "qr"),
            ("]Q3", "gs1_qr"),
            ("]L0", "pdf417"),
            ("]I0", "itf"),
            ("]F0", "codabar"),
            ("]G0", "code93"),
            ("]M0", "msi"),
            ("]U0", "maxicode"),
            ("]z0", "aztec"),
            ("]X0", "other"),
            ("]Sa", "other"),
        ] {
            assert_eq!(Symbology::parse(text.as_bytes()).map(Symbology::name), Some(name), "{text}");
        }
        for text in ["", "]", "]E", "]E-", "]]0", "E00", "]\u{e9}0"] {
            assert_eq!(Symbology::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn check_digits_of_ean_and_upc_are_looked_at() {
        for data in [
            "5901234123457",
            "4006381333931",
            "036000291452",
            "0036000291452",
            "590123412345712",
            "590123412345751234",
        ] {
            assert!(Symbology::Ean13.check_digit_is_right(data.as_bytes()), "{data}");
        }
        for data in ["5901234123458", "590123412345", "5901234", "", "59O1234123457", "5901234123457AB"] {
            assert!(!Symbology::Ean13.check_digit_is_right(data.as_bytes()), "{data}");
        }
        assert!(Symbology::Ean8.check_digit_is_right(b"73513537"));
        assert!(!Symbology::Ean8.check_digit_is_right(b"73513536"));
        assert!(!Symbology::Ean8.check_digit_is_right(b"5901234123457"));
        assert!(Symbology::Code128.check_digit_is_right(b"anything"));
    }
}
