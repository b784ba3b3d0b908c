//! `hrPrinterDetectedErrorState` (RFC 2790): a string of bits. Bit 0 is the highest bit of the first octet, as SMIv1 counts the
//! bits of an octet string; documents that count from the lowest are wrong. A printer may leave out octets that are zero, all of
//! them too.

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

/// Two octets are defined; a few more may come with a later edition.
const OCTETS_MAX: usize = 8;

/// The bits that are set, as one number: the first octet is the high one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ErrorState(u16);

/// A bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Bit {
    LowPaper = 0x8000,
    NoPaper = 0x4000,
    LowToner = 0x2000,
    NoToner = 0x1000,
    DoorOpen = 0x0800,
    Jammed = 0x0400,
    Offline = 0x0200,
    Service = 0x0100,
    /// The tray that is used.
    InputTrayEmpty = 0x0004,
}

impl ErrorState {
    pub(super) const fn has(self, bit: Bit) -> bool {
        self.0 & bit as u16 != 0
    }
}

/// Decodes the octets.
pub(super) fn decode(octets: &[u8]) -> Parsed<ErrorState> {
    if octets.len() > OCTETS_MAX {
        return Err(Unread::Bad(FaultKind::TooLarge));
    }
    let octet = |at: usize| octets.get(at).copied().unwrap_or(0);
    Ok((ErrorState(u16::from_be_bytes([octet(0), octet(1)])), octets.len()))
}

pub(super) const SUBJECT: Subject = Subject {
    name: "snmp/hrPrinterDetectedErrorState",
    vectors: &[
        b"\x80",
        b"\x40\x04",
        b"\x00",
        b"\x08\x00",
        b"\x00\x02",
        b"\xff\xff\x00\x00\x00\x00\x00\x00\x00",
    ],
    outcomes: &["none", "errors", "too_large"],
    outcome: |bytes| outcome(decode(bytes), |state| if state.0 == 0 { "none" } else { "errors" }),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_0_is_the_highest() {
        for (octet, bit) in [
            (0x80, Bit::LowPaper),
            (0x40, Bit::NoPaper),
            (0x20, Bit::LowToner),
            (0x10, Bit::NoToner),
            (0x08, Bit::DoorOpen),
            (0x04, Bit::Jammed),
            (0x02, Bit::Offline),
            (0x01, Bit::Service),
        ] {
            let (state, _) = decode(&[octet]).unwrap();
            assert!(state.has(bit), "{bit:?}");
            assert_eq!(state.0, u16::from(octet) << 8, "and nothing else");
        }
        assert!(decode(&[0x00, 0x04]).unwrap().0.has(Bit::InputTrayEmpty));
    }

    #[test]
    fn no_octets_are_no_errors() {
        assert_eq!(decode(&[]), Ok((ErrorState(0), 0)));
    }

    #[test]
    fn a_long_string_is_something_else() {
        assert_eq!(decode(&[0; 9]), Err(Unread::Bad(FaultKind::TooLarge)));
    }
}
