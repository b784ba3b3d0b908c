//! The answers to `DLE EOT n` (10 04 n, n from 1 to 4), as Epson's command reference gives them: one byte each.
//!
//! Every answer has the form `0xx1xx10`. Unasked, a printer may also send XON (11), XOFF (13) and, if somebody has enabled
//! its automatic status (ASB), frames of four bytes: the first `0xx1xx00`, three `0xx0xxxx`. They are told apart and passed
//! over; whatever else comes is no printer of this kind, or another speed.
//!
//! | n | bit 2 | bit 3 | bit 5 | bit 6 |
//! |---|---|---|---|---|
//! | 1 | drawer pin 3 high | offline | – | – |
//! | 2 | cover open | feed button | paper end | error |
//! | 3 | by model | cutter | unrecoverable | goes away by itself |
//! | 4 | near end | near end | paper end | paper end |
//!
//! Some printers set only one bit of a pair in the last row, one a sensor. What bit 2 of the third says depends on the
//! model, so it counts only through the error bit of the second.

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread};
use crate::collector::printer::{Error, Paper, Seen};

/// All that is ever sent: neither moves anything nor enables anything, and the printer answers also when it is offline.
pub(super) const QUESTIONS: [&[u8]; 4] = [b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x03", b"\x10\x04\x04"];

const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
/// What follows the first byte of an automatic status.
const ASB_REST: usize = 3;

/// What a printer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub offline: bool,
    /// The level of the drawer's switch, whose meaning depends on the drawer.
    pub drawer_high: bool,
    pub cover_open: bool,
    pub paper: Paper,
    pub cutter_error: bool,
    pub error: Error,
}

const fn is_answer(byte: u8) -> bool {
    byte & 0x93 == 0x12
}

/// The one answer to one question. More than one is nobody's: a printer says one byte each.
pub(super) fn parse(bytes: &[u8]) -> Parsed<u8> {
    let mut answer = None;
    let mut asb_rest = 0;
    for &byte in bytes {
        match byte {
            XON | XOFF => {}
            _ if is_answer(byte) && answer.is_none() => answer = Some(byte),
            _ if byte & 0x93 == 0x10 && asb_rest == 0 => asb_rest = ASB_REST,
            _ if byte & 0x90 == 0x00 && asb_rest > 0 => asb_rest -= 1,
            _ => return Err(Unread::Bad(FaultKind::Framing)),
        }
    }
    match answer {
        // An answer in the middle of an automatic status: its rest must not be taken for the next answer.
        Some(answer) if asb_rest == 0 => Ok((answer, bytes.len())),
        Some(_) => Err(Unread::Need(asb_rest)),
        None => Err(Unread::Need(asb_rest + 1)),
    }
}

impl Status {
    /// From the four answers.
    pub(super) fn of([printer, offline, error, roll]: [u8; 4]) -> Self {
        let paper = if roll & 0x60 != 0 || offline & 0x20 != 0 {
            Paper::Out
        } else if roll & 0x0c != 0 {
            Paper::NearEnd
        } else {
            Paper::Ok
        };
        let cutter_error = error & 0x08 != 0;
        let error = if error & 0x20 != 0 {
            Error::Unrecoverable
        } else if cutter_error || error & 0x40 != 0 || offline & 0x40 != 0 {
            Error::Recoverable
        } else {
            Error::None
        };
        Self {
            offline: printer & 0x08 != 0,
            drawer_high: printer & 0x04 != 0,
            cover_open: offline & 0x04 != 0,
            paper,
            cutter_error,
            error,
        }
    }

    /// As all printers tell it. A printer without a sensor for the near end has nothing to say of it.
    pub(super) fn seen(self, near_end_sensor: bool) -> Seen {
        let paper = match self.paper {
            Paper::NearEnd if !near_end_sensor => Paper::Ok,
            paper => paper,
        };
        Seen {
            online: Some(!self.offline),
            cover_open: Some(self.cover_open),
            paper: Some(paper),
            error: Some(self.error),
        }
    }
}

/// What the mutation run is given: an answer, and four of them.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "escpos/answer",
        vectors: &[
            b"\x12",
            b"\x16",
            b"\x1e",
            b"\x72",
            b"\x7e",
            b"\x11\x13\x12",
            b"\x10\x00\x00\x00\x16",
            b"\x10\x00\x12\x00\x00",
            b"\x12\x12",
        ],
        outcomes: &["answer", "need", "framing"],
        outcome: |bytes| crate::collector::parse::outcome(parse(bytes), |_| "answer"),
    },
    Subject {
        name: "escpos/status",
        vectors: &[
            b"\x16\x12\x12\x12",
            b"\x16\x12\x12\x1e",
            b"\x1e\x32\x12\x72",
            b"\x1e\x16\x12\x12",
            b"\x1e\x52\x1a\x12",
            b"\x1e\x52\x32\x12",
            b"\x1e\x76\x12\x7e",
            b"\x1a\x1a\x12\x12",
        ],
        outcomes: &[
            "need",
            "framing",
            "well",
            "near_end",
            "out",
            "cover_open",
            "cutter_error",
            "error",
            "unrecoverable",
            "offline",
        ],
        outcome: outcome_of_four,
    },
];

fn outcome_of_four(bytes: &[u8]) -> &'static str {
    let Some(&four) = bytes.first_chunk::<4>() else { return "need" };
    if !four.into_iter().all(is_answer) {
        return FaultKind::Framing.name();
    }
    let status = Status::of(four);
    match status {
        Status { error: Error::Unrecoverable, .. } => "unrecoverable",
        Status { cutter_error: true, .. } => "cutter_error",
        Status { error: Error::Recoverable, .. } => "error",
        Status { cover_open: true, .. } => "cover_open",
        Status { paper: Paper::Out, .. } => "out",
        Status { offline: true, .. } => "offline",
        Status { paper: Paper::NearEnd, .. } => "near_end",
        _ => "well",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_form_of_byte_is_an_answer() {
        for byte in 0..=u8::MAX {
            let parsed = parse(&[byte]);
            match byte {
                0x11 | 0x13 => assert_eq!(parsed, Err(Unread::Need(1)), "{byte:02x}"),
                _ if byte & 0x93 == 0x12 => assert_eq!(parsed, Ok((byte, 1)), "{byte:02x}"),
                _ if byte & 0x93 == 0x10 => assert_eq!(parsed, Err(Unread::Need(4)), "{byte:02x}"),
                _ => assert_eq!(parsed, Err(Unread::Bad(FaultKind::Framing)), "{byte:02x}"),
            }
        }
    }

    #[test]
    fn flow_control_and_automatic_status_are_passed_over() {
        for (bytes, answer) in [
            (&b"\x13\x11\x16"[..], 0x16),
            (b"\x14\x00\x0f\x00\x12", 0x12),
            (b"\x10\x00\x00\x00\x10\x08\x13\x0c\x00\x1a", 0x1a),
            (b"\x16\x10\x00\x00\x00", 0x16),
            (b"\x10\x16\x00\x11\x00\x00", 0x16),
        ] {
            assert_eq!(parse(bytes), Ok((answer, bytes.len())), "{bytes:02x?}");
        }
        assert_eq!(parse(b"\x16\x10\x00"), Err(Unread::Need(2)), "the rest of an automatic status");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b"\x12\x12"[..],
            b"HTTP/1.1 400",
            b"\x00",
            b"\xff",
            b"\x03",
            b"\x10\x00\x10",
            b"\x10\x00\x00\x00\x00",
        ] {
            assert_eq!(parse(bytes), Err(Unread::Bad(FaultKind::Framing)), "{bytes:02x?}");
        }
        assert_eq!(parse(b"\x10\x04\x01"), Err(Unread::Need(2)), "an echo is no answer");
    }

    #[test]
    fn every_bit_says_what_the_manual_says() {
        let well = Status {
            offline: false,
            drawer_high: false,
            cover_open: false,
            paper: Paper::Ok,
            cutter_error: false,
            error: Error::None,
        };
        for (four, status) in [
            ([0x12; 4], well),
            ([0x16, 0x12, 0x12, 0x12], Status { drawer_high: true, ..well }),
            ([0x1a, 0x12, 0x12, 0x12], Status { offline: true, ..well }),
            ([0x1a, 0x16, 0x12, 0x12], Status { offline: true, cover_open: true, ..well }),
            ([0x1a, 0x32, 0x12, 0x72], Status { offline: true, paper: Paper::Out, ..well }),
            ([0x1a, 0x32, 0x12, 0x12], Status { offline: true, paper: Paper::Out, ..well }),
            ([0x12, 0x12, 0x12, 0x1e], Status { paper: Paper::NearEnd, ..well }),
            ([0x12, 0x12, 0x12, 0x16], Status { paper: Paper::NearEnd, ..well }),
            ([0x12, 0x12, 0x12, 0x1a], Status { paper: Paper::NearEnd, ..well }),
            ([0x12, 0x12, 0x12, 0x7e], Status { paper: Paper::Out, ..well }),
            ([0x12, 0x12, 0x12, 0x32], Status { paper: Paper::Out, ..well }),
            ([0x12, 0x12, 0x12, 0x52], Status { paper: Paper::Out, ..well }),
            ([0x12, 0x52, 0x12, 0x12], Status { error: Error::Recoverable, ..well }),
            ([0x12, 0x12, 0x1a, 0x12], Status { cutter_error: true, error: Error::Recoverable, ..well }),
            ([0x12, 0x52, 0x32, 0x12], Status { error: Error::Unrecoverable, ..well }),
            ([0x12, 0x12, 0x52, 0x12], Status { error: Error::Recoverable, ..well }),
            // What bit 2 of the third says depends on the model; the feed button is no fault.
            ([0x12, 0x1a, 0x16, 0x12], well),
        ] {
            assert_eq!(Status::of(four), status, "{four:02x?}");
        }
        let all = Status::of([0x1e, 0x76, 0x7a, 0x7e]);
        assert!(all.offline && all.cover_open && all.cutter_error && all.drawer_high);
        assert_eq!((all.paper, all.error), (Paper::Out, Error::Unrecoverable));
    }

    #[test]
    fn a_printer_without_a_sensor_for_the_near_end_does_not_tell_of_it() {
        let near = Status::of([0x12, 0x12, 0x12, 0x1e]);
        assert_eq!(near.seen(true).paper, Some(Paper::NearEnd));
        assert_eq!(near.seen(false).paper, Some(Paper::Ok));
        assert_eq!(Status::of([0x12, 0x12, 0x12, 0x7e]).seen(false).paper, Some(Paper::Out));
    }
}
