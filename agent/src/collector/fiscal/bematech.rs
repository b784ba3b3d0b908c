//! Bematech ECF (Brazil; also bodies for Venezuela and Argentina), as published drivers for it agree.
//!
//! A command is `02 NBL NBH 1B cmd … CSL CSH`: N counts what follows it, CS is the sum of what stands between, both with the
//! low byte first. The status is command 13. It is answered with ACK (06) and two bytes of bits, or with NAK (15). There is no
//! check on the answer.

use super::status::{Memory, Status};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread};
use crate::collector::printer::{Error, Paper};

/// Asks for the status.
pub(super) const STATUS: &[u8] = b"\x02\x04\x00\x1b\x13\x2e\x00";

const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

/// What the two bytes say.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Status> {
    let (st1, st2) = match *bytes {
        [] => return Err(Unread::Need(3)),
        [NAK, ..] => return Err(Unread::Bad(FaultKind::Nak)),
        [ACK] => return Err(Unread::Need(2)),
        [ACK, _] => return Err(Unread::Need(1)),
        [ACK, st1, st2, ..] => (st1, st2),
        _ => return Err(Unread::Bad(FaultKind::Framing)),
    };
    // No ESC, no such command, wrong parameters: our question was not understood.
    if st1 & 0x0d != 0 || st2 & 0x80 != 0 {
        return Err(Unread::Bad(FaultKind::Exception));
    }
    let mut status = Status { document_open: Some(st1 & 0x02 != 0), ..Status::default() };
    status.seen.paper = Some(match st1 & 0xc0 {
        0x00 => Paper::Ok,
        0x40 => Paper::NearEnd,
        _ => Paper::Out,
    });
    // Its working memory, or the printer.
    status.seen.error = Some(match (st2 & 0x20 != 0, st1 & 0x10 != 0) {
        (true, _) => Error::Unrecoverable,
        (false, true) => Error::Recoverable,
        (false, false) => Error::None,
    });
    Ok((status.with_memory(if st2 & 0x40 != 0 { Memory::Full } else { Memory::Ok }), 3))
}

/// What the mutation run is given.
pub(super) const SUBJECTS: &[Subject] = &[Subject {
    name: "fiscal/bematech",
    vectors: &[b"\x06\x00\x00", b"\x06\x42\x00", b"\x06\x80\x40", b"\x06\x04\x00", b"\x15"],
    outcomes: &["status", "need", "nak", "framing", "exception"],
    outcome: |bytes| crate::collector::parse::outcome(parse(bytes), |_| "status"),
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_the_one_of_the_manual() {
        let command = &STATUS[3..5];
        let sum: u16 = command.iter().map(|byte| u16::from(*byte)).sum();
        assert_eq!(&STATUS[1..3], u16::try_from(command.len() + 2).unwrap().to_le_bytes());
        assert_eq!(&STATUS[5..], sum.to_le_bytes());
    }

    #[test]
    fn every_bit_says_what_the_manual_says() {
        let read = |st1, st2| parse(&[ACK, st1, st2]).map(|(status, _)| status);
        let well = read(0, 0).unwrap();
        assert_eq!(well.seen.paper, Some(Paper::Ok));
        assert_eq!((well.seen.error, well.memory), (Some(Error::None), Some(Memory::Ok)));
        assert_eq!((well.document_open, well.seen.cover_open), (Some(false), None));
        assert_eq!(read(0x40, 0).unwrap().seen.paper, Some(Paper::NearEnd));
        assert_eq!(read(0xc0, 0).unwrap().seen.paper, Some(Paper::Out));
        assert_eq!(read(0x10, 0).unwrap().seen.error, Some(Error::Recoverable));
        assert_eq!(read(0x02, 0).unwrap().document_open, Some(true));
        assert_eq!(read(0, 0x20).unwrap().seen.error, Some(Error::Unrecoverable));
        assert_eq!(read(0, 0x40).unwrap().memory, Some(Memory::Full));
        // The clock, and rates that are not programmed, are no matter of ours.
        assert_eq!(read(0x20, 0x1c).unwrap(), well);
        for (st1, st2) in [(0x01, 0), (0x04, 0), (0x08, 0), (0, 0x80)] {
            assert_eq!(read(st1, st2), Err(Unread::Bad(FaultKind::Exception)), "{st1:02x} {st2:02x}");
        }
    }
}
