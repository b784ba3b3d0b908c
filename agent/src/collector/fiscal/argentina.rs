//! Hasar and Epson of Argentina, and PNP for Venezuela, as published drivers for them agree: one frame for both directions,
//! `02 seq cmd [1C field]* 03 BBBB`, where BBBB is the sum of all before it in four hexadecimal digits.
//!
//! The status is command 2A; its answer repeats number and command, and its first two fields are printer and controller,
//! sixteen bits each. Before it a printer may send DC2 (12) and DC4 (14): it is still at work. Hasar sends ACK (06) or NAK
//! (15) before its answer, counts in even numbers, and expects our ACK for the answer; Epson does not.
//!
//! | printer | bit | controller | bit |
//! |---|---|---|---|
//! | fault | 2 | memory | 0 |
//! | offline | 3 | working memory | 1 |
//! | journal near its end | 4 | memory full | 7 |
//! | receipt near its end | 5 | memory nearly full | 8 |
//! | cover open (Hasar) | 8 | close needed | 11 |
//! | paper out (Epson) | 14 | document open | 12, 13 |

use super::status::{Memory, Status};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread};
use crate::collector::printer::{Error, Paper};

/// What Hasar wants to hear when we have its answer.
pub(super) const ACK: &[u8] = b"\x06";

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const NAK: u8 = 0x15;
const SEPARATOR: u8 = 0x1c;
const STATUS: u8 = 0x2a;
const FIRST_NUMBER: u8 = 0x20;
const LAST_NUMBER: u8 = 0x7f;

/// Whose printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Hasar,
    Epson,
}

/// Numbers questions: a printer that sees a number again repeats its last answer.
#[derive(Debug)]
pub(super) struct Numbers {
    next: u8,
    step: u8,
}

impl Numbers {
    pub(super) fn new(maker: Maker) -> Self {
        Self { next: FIRST_NUMBER, step: if maker == Maker::Hasar { 2 } else { 1 } }
    }

    pub(super) fn take(&mut self) -> u8 {
        let number = self.next;
        self.next = number + self.step;
        if self.next > LAST_NUMBER {
            self.next = FIRST_NUMBER;
        }
        number
    }
}

/// Asks for the status.
pub(super) fn request(number: u8) -> Vec<u8> {
    let mut frame = vec![STX, number, STATUS, ETX];
    frame.extend(format!("{:04X}", sum(&frame)).bytes());
    frame
}

/// Whether a printer says that it is still at work.
pub(super) fn works(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, 0x12 | 0x14))
}

fn sum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(u16::from(*byte)))
}

fn hex(digits: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(digits).ok()?;
    let right = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    right.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// What the answer to the question of this number says.
pub(super) fn parse(bytes: &[u8], maker: Maker, number: u8) -> Parsed<Status> {
    let begin = bytes.iter().position(|byte| !matches!(byte, 0x06 | 0x12 | 0x14)).ok_or(Unread::Need(8))?;
    let frame = &bytes[begin..];
    match frame {
        [STX, ..] => {}
        [NAK, ..] => return Err(Unread::Bad(FaultKind::Nak)),
        _ => return Err(Unread::Bad(FaultKind::Framing)),
    }
    let end = frame.iter().position(|byte| *byte == ETX).ok_or(Unread::Need(5))?;
    let Some(check) = frame.get(end + 1..end + 5) else { return Err(Unread::Need(end + 5 - frame.len())) };
    let check = hex(check).ok_or(Unread::Bad(FaultKind::Framing))?;
    if check != sum(&frame[..=end]) {
        return Err(Unread::Bad(FaultKind::Checksum));
    }
    let &[answered, command, ref fields @ ..] = &frame[1..end] else {
        return Err(Unread::Bad(FaultKind::Framing));
    };
    if (answered, command) != (number, STATUS) {
        return Err(Unread::Bad(FaultKind::WrongDevice));
    }
    let mut fields = fields.split(|byte| *byte == SEPARATOR).skip(1);
    match (fields.next().and_then(hex), fields.next().and_then(hex)) {
        (Some(printer), Some(controller)) => Ok((decode(printer, controller, maker), begin + end + 5)),
        _ => Err(Unread::Bad(FaultKind::Parse)),
    }
}

fn decode(printer: u16, controller: u16, maker: Maker) -> Status {
    let printer = |bit: u16| printer & (1 << bit) != 0;
    let controller = |bit: u16| controller & (1 << bit) != 0;
    let mut status = Status {
        document_open: Some(controller(12) || controller(13)),
        close_needed: Some(controller(11)),
        ..Status::default()
    };
    status.seen.online = Some(!printer(3));
    status.seen.cover_open = (maker == Maker::Hasar).then(|| printer(8));
    status.seen.paper = Some(if maker == Maker::Epson && printer(14) {
        Paper::Out
    } else if printer(4) || printer(5) {
        Paper::NearEnd
    } else {
        Paper::Ok
    });
    status.seen.error = Some(match (controller(1), printer(2)) {
        (true, _) => Error::Unrecoverable,
        (false, true) => Error::Recoverable,
        (false, false) => Error::None,
    });
    // Some give the bit of an error together with that of a full memory.
    status.with_memory(match (controller(7), controller(0), controller(8)) {
        (true, _, _) => Memory::Full,
        (_, true, _) => Memory::Error,
        (_, _, true) => Memory::NearFull,
        _ => Memory::Ok,
    })
}

/// What the mutation run is given.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "fiscal/hasar",
        vectors: VECTORS,
        outcomes: OUTCOMES,
        outcome: |bytes| outcome(bytes, Maker::Hasar),
    },
    Subject {
        name: "fiscal/epson",
        vectors: VECTORS,
        outcomes: OUTCOMES,
        outcome: |bytes| outcome(bytes, Maker::Epson),
    },
];

const VECTORS: &[&[u8]] = &[
    b"\x02\x20\x2a\x1cC080\x1c0600\x030228",
    b"\x06\x12\x14\x02\x20\x2a\x1cC080\x1c0600\x030228",
    b"\x15",
    // The answer to another question, and one without fields.
    b"\x02\x22\x2a\x1cC080\x1c0600\x03022A",
    b"\x02\x20\x2a\x03004F",
    // An answer to nothing.
    b"\x02\x030005",
];
const OUTCOMES: &[&str] = &["status", "need", "nak", "framing", "checksum", "wrong_device", "parse"];

fn outcome(bytes: &[u8], maker: Maker) -> &'static str {
    crate::collector::parse::outcome(parse(bytes, maker, FIRST_NUMBER), |_| "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(printer: u16, controller: u16, maker: Maker) -> Status {
        let mut frame = format!("\x02\x20\x2a\x1c{printer:04X}\x1c{controller:04X}\x1cmore\x03").into_bytes();
        frame.extend(format!("{:04x}", sum(&frame)).bytes());
        let (status, used) = parse(&frame, maker, 0x20).unwrap();
        assert_eq!(used, frame.len());
        status
    }

    #[test]
    fn question_and_answer_are_those_of_the_manual() {
        assert_eq!(request(0x20), b"\x02\x20\x2a\x03004F");
        let (status, used) = parse(VECTORS[0], Maker::Hasar, 0x20).unwrap();
        assert_eq!(used, VECTORS[0].len());
        assert_eq!((status.seen.online, status.seen.paper), (Some(true), Some(Paper::Ok)));
        assert_eq!((status.memory, status.document_open), (Some(Memory::Ok), Some(false)));
        let (later, used) = parse(VECTORS[1], Maker::Hasar, 0x20).unwrap();
        assert_eq!((later, used), (status, VECTORS[1].len()));
        // Bit 14 is the drawer of one maker and the paper of the other.
        assert_eq!(parse(VECTORS[0], Maker::Epson, 0x20).unwrap().0.seen.paper, Some(Paper::Out));
    }

    #[test]
    fn every_bit_says_what_the_manual_says() {
        let hasar = |printer, controller| read(printer, controller, Maker::Hasar);
        let well = hasar(0, 0);
        assert_eq!((well.seen.cover_open, well.close_needed), (Some(false), Some(false)));
        assert_eq!(hasar(1 << 2, 0).seen.error, Some(Error::Recoverable));
        assert_eq!(hasar(1 << 3, 0).seen.online, Some(false));
        assert_eq!(hasar(1 << 4, 0).seen.paper, Some(Paper::NearEnd));
        assert_eq!(hasar(1 << 5, 0).seen.paper, Some(Paper::NearEnd));
        assert_eq!(hasar(1 << 8, 0).seen.cover_open, Some(true));
        assert_eq!(read(1 << 8, 0, Maker::Epson).seen.cover_open, None);
        assert_eq!(hasar(0, 1).memory, Some(Memory::Error));
        assert_eq!(hasar(0, 1 << 1).seen.error, Some(Error::Unrecoverable));
        assert_eq!(hasar(0, 1 << 7).memory, Some(Memory::Full));
        assert_eq!(hasar(0, 1 << 8).memory, Some(Memory::NearFull));
        assert_eq!(hasar(0, 1 << 11).close_needed, Some(true));
        assert_eq!(hasar(0, 1 << 12).document_open, Some(true));
        assert_eq!(hasar(0, 1 << 13).document_open, Some(true));
        // What was wrong with somebody's command, a full buffer, a low battery, a certified controller: none of ours.
        assert_eq!(hasar(1 << 6 | 1 << 15, 0x067c), well);
    }

    #[test]
    fn a_broken_answer_is_told_apart() {
        let bad = |bytes: &[u8]| parse(bytes, Maker::Epson, 0x20).unwrap_err();
        assert_eq!(bad(b"\x12\x12"), Unread::Need(8));
        assert_eq!(bad(b"\x02\x20\x2a\x1cC080\x1c0600\x0302"), Unread::Need(2));
        for (bytes, kind) in [
            (&b"\x15"[..], FaultKind::Nak),
            (b"\x02\x20\x2a\x1cC080\x1c0600\x030229", FaultKind::Checksum),
            (b"\x02\x20\x2a\x1cC080\x1c0600\x03+228", FaultKind::Framing),
            (b"\x02\x22\x2a\x1cC080\x1c0600\x03022A", FaultKind::WrongDevice),
            (b"\x02\x20\x2a\x03004F", FaultKind::Parse),
            (b"\x02\x030005", FaultKind::Framing),
            (b"\xff", FaultKind::Framing),
        ] {
            assert_eq!(bad(bytes), Unread::Bad(kind), "{bytes:02x?}");
        }
    }

    #[test]
    fn questions_are_numbered_as_each_maker_wants_it() {
        let mut hasar = Numbers::new(Maker::Hasar);
        let numbers: Vec<u8> = (0..49).map(|_| hasar.take()).collect();
        assert_eq!((numbers[0], numbers[1], numbers[47], numbers[48]), (0x20, 0x22, 0x7e, 0x20));
        let mut epson = Numbers::new(Maker::Epson);
        let numbers: Vec<u8> = (0..97).map(|_| epson.take()).collect();
        assert_eq!((numbers[1], numbers[95], numbers[96]), (0x21, 0x7f, 0x20));
    }
}
