//! The Factory HKA (Venezuela, Panama, Dominican Republic), as published drivers for it agree: 9600 8E1.
//!
//! Status: ENQ (05) is answered with `02 STS1 STS2 03 LRC`, LRC the exclusive or of what stands between it and STX. Both
//! bytes are codes, not bits, and are compared as a whole; only bit 2 of STS1 (its buffer is full) is a bit.
//!
//! Counters: `02 "S1" 03 LRC` is answered with `02 data 03 LRC` or NAK (15). Its fields are separated by LF: twelve to fifteen
//! of old firmware, sixteen and more of new. Of new firmware two drivers disagree about which field counts the closes, so
//! that is not read from it. Amounts of sales are passed over.

use std::time::UNIX_EPOCH;

use super::status::{Memory, Status};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread};
use crate::collector::printer::{Error, Paper};

/// Asks for the status.
pub(super) const ENQ: &[u8] = b"\x05";
/// Asks for the counters.
pub(super) const S1: &[u8] = b"\x02S1\x03\x61";

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const NAK: u8 = 0x15;
const BUFFER_FULL: u8 = 0x04;

/// What a status frame says.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Status> {
    let &[stx, sts1, sts2, etx, lrc] = match bytes.first_chunk::<5>() {
        Some(frame) => frame,
        None if bytes.first().is_none_or(|first| *first == STX) => return Err(Unread::Need(5 - bytes.len())),
        None => return Err(Unread::Bad(FaultKind::Framing)),
    };
    if (stx, etx) != (STX, ETX) {
        return Err(Unread::Bad(FaultKind::Framing));
    }
    if lrc != sts1 ^ sts2 ^ etx {
        return Err(Unread::Bad(FaultKind::Checksum));
    }
    let status = decode(sts1 & !BUFFER_FULL, sts2).ok_or(Unread::Bad(FaultKind::Parse))?;
    Ok((status, 5))
}

fn decode(sts1: u8, sts2: u8) -> Option<Status> {
    // From 40 in training; from 60 fiscal, from 70 with a memory near full, from 68 with a full one.
    let memory = match sts1 {
        0x40..=0x42 | 0x60..=0x62 => Memory::Ok,
        0x70..=0x72 => Memory::NearFull,
        0x68..=0x6a => Memory::Full,
        _ => return None,
    };
    let mut status = Status { document_open: Some(sts1 & 0x03 != 0), ..Status::default() };
    status.seen.error = Some(Error::None);
    let memory = match sts2 {
        0x40..=0x43 => {
            status.seen.paper = Some(if sts2 & 0x01 != 0 { Paper::Out } else { Paper::Ok });
            if sts2 & 0x02 != 0 {
                status.seen.error = Some(Error::Recoverable);
            }
            memory
        }
        // The drawer, and what was wrong with the last command: these say nothing of paper.
        0x48 | 0x50 | 0x54 | 0x58 | 0x5c => memory,
        0x60 => {
            status.seen.error = Some(Error::Unrecoverable);
            memory
        }
        0x64 => Memory::Error,
        0x6c => Memory::Full,
        _ => return None,
    };
    Some(status.with_memory(memory))
}

/// What is read of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counters {
    /// Daily closes so far, if the firmware says so clearly.
    pub closings: Option<u32>,
    /// The printer's clock in seconds, as if it showed UTC.
    pub clock_s: i64,
}

/// What the counters say.
pub(super) fn parse_counters(bytes: &[u8]) -> Parsed<Counters> {
    let data = match bytes {
        [] => return Err(Unread::Need(1)),
        [NAK, ..] => return Err(Unread::Bad(FaultKind::Nak)),
        [STX, data @ ..] => data,
        _ => return Err(Unread::Bad(FaultKind::Framing)),
    };
    let end = data.iter().position(|byte| *byte == ETX).ok_or(Unread::Need(2))?;
    let lrc = *data.get(end + 1).ok_or(Unread::Need(1))?;
    if lrc != data[..=end].iter().fold(0, |sum, byte| sum ^ byte) {
        return Err(Unread::Bad(FaultKind::Checksum));
    }
    let counters = read(&data[..end]).ok_or(Unread::Bad(FaultKind::Parse))?;
    Ok((counters, end + 3))
}

fn read(data: &[u8]) -> Option<Counters> {
    let mut fields: Vec<&str> = std::str::from_utf8(data).ok()?.strip_prefix("S1")?.split('\n').collect();
    while fields.last().is_some_and(|field| field.is_empty()) {
        fields.pop();
    }
    let (closings, time, date) = match fields.as_slice() {
        [.., _] if fields.len() >= 16 => (None, fields[14], fields[15]),
        [.., _] if fields.len() >= 12 => (Some(digits(fields[6])?), fields[10], fields[11]),
        _ => return None,
    };
    Some(Counters { closings, clock_s: clock(time, date)? })
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// HHMMSS and DDMMYY.
fn clock(time: &str, date: &str) -> Option<i64> {
    if time.len() != 6 || date.len() != 6 || digits(time).and(digits(date)).is_none() {
        return None;
    }
    let text = format!(
        "20{}-{}-{}T{}:{}:{}Z",
        &date[4..],
        &date[2..4],
        &date[..2],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    let seconds = humantime::parse_rfc3339(&text).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok()
}

/// What the mutation run is given.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "fiscal/hka",
        vectors: &[
            b"\x02\x60\x40\x03\x23",
            b"\x02\x60\x41\x03\x22",
            b"\x02\x61\x42\x03\x20",
            b"\x02\x68\x6c\x03\x07",
            b"\x02\x70\x40\x03\x33",
            // A code that nobody has described.
            b"\x02\x20\x40\x03\x63",
        ],
        outcomes: &["well", "paper_out", "error", "memory", "need", "framing", "checksum", "parse"],
        outcome: |bytes| {
            crate::collector::parse::outcome(parse(bytes), |status| match status {
                Status { memory: Some(Memory::NearFull | Memory::Full | Memory::Error), .. } => "memory",
                _ if status.seen.error != Some(Error::None) => "error",
                _ if status.seen.paper == Some(Paper::Out) => "paper_out",
                _ => "well",
            })
        },
    },
    Subject {
        name: "fiscal/hka/counters",
        vectors: &[
            OLD,
            NEW,
            b"\x15",
            // Too few fields.
            b"\x02S100\n1\x03\x5a",
        ],
        outcomes: &["closings", "clock", "need", "nak", "framing", "checksum", "parse"],
        outcome: |bytes| {
            crate::collector::parse::outcome(parse_counters(bytes), |counters| {
                if counters.closings.is_some() { "closings" } else { "clock" }
            })
        },
    },
];

/// Cashier, sales, last invoice, invoices today, last other document, those today, closes, reports, tax number, serial
/// number, time, date.
const OLD: &[u8] =
    b"\x02S100\n00000000012345678\n00001234\n00012\n00000056\n00003\n0412\n0007\nJ-31171197-3\nZ1B1234567\n\
    143005\n221126\n\x03\x33";
/// The same of new firmware, with debit and credit notes.
const NEW: &[u8] = b"\x02S101\n00000000000012345\n00000345\n00002\n00000001\n00000\n00000009\n00000\n00000021\n00001\n0033\n\
    0034\nRIF\nZPA1234567\n000000\n010126\n\x03\x7e";

#[cfg(test)]
mod tests {
    use super::*;

    fn status(sts1: u8, sts2: u8) -> Parsed<Status> {
        parse(&[STX, sts1, sts2, ETX, sts1 ^ sts2 ^ ETX])
    }

    #[test]
    fn the_frames_of_the_manual_are_read() {
        let (well, used) = parse(b"\x02\x60\x40\x03\x23").unwrap();
        assert_eq!((well.seen.paper, well.seen.error, used), (Some(Paper::Ok), Some(Error::None), 5));
        assert_eq!((well.memory, well.document_open), (Some(Memory::Ok), Some(false)));
        let (out, _) = parse(b"\x02\x60\x41\x03\x22").unwrap();
        assert_eq!(out.seen.paper, Some(Paper::Out));
    }

    #[test]
    fn codes_are_compared_as_a_whole() {
        let told =
            |sts1, sts2| status(sts1, sts2).map(|(status, _)| (status.memory.unwrap(), status.document_open));
        assert_eq!(told(0x61, 0x40), Ok((Memory::Ok, Some(true))));
        assert_eq!(told(0x42, 0x40), Ok((Memory::Ok, Some(true))));
        assert_eq!(told(0x64, 0x40), Ok((Memory::Ok, Some(false))), "its buffer is full, no more");
        assert_eq!(told(0x70, 0x40), Ok((Memory::NearFull, Some(false))));
        // Those that test bits take this for the code 6A.
        assert_eq!(told(0x7a, 0x40), Err(Unread::Bad(FaultKind::Parse)));
        assert_eq!(told(0x68, 0x40), Ok((Memory::Full, Some(false))));
        assert_eq!(told(0x60, 0x64), Ok((Memory::Error, Some(false))));
        assert_eq!(told(0x60, 0x6c), Ok((Memory::Full, Some(false))));
        for sts2 in 0..=u8::MAX {
            let known = [0x40, 0x41, 0x42, 0x43, 0x48, 0x50, 0x54, 0x58, 0x5c, 0x60, 0x64, 0x6c];
            assert_eq!(status(0x60, sts2).is_ok(), known.contains(&sts2), "{sts2:02x}");
        }
    }

    #[test]
    fn a_code_about_the_last_command_says_nothing_of_paper() {
        for (sts2, paper, error) in [
            (0x42, Some(Paper::Ok), Error::Recoverable),
            (0x43, Some(Paper::Out), Error::Recoverable),
            (0x50, None, Error::None),
            (0x5c, None, Error::None),
            (0x60, None, Error::Unrecoverable),
        ] {
            let seen = status(0x60, sts2).unwrap().0.seen;
            assert_eq!((seen.paper, seen.error), (paper, Some(error)), "{sts2:02x}");
        }
    }

    #[test]
    fn a_broken_frame_is_told_apart() {
        assert_eq!(parse(b"\x02\x60"), Err(Unread::Need(3)));
        assert_eq!(parse(b"\x02\x60\x40\x03\x22"), Err(Unread::Bad(FaultKind::Checksum)));
        for bytes in [&b"\x15"[..], b"\x00", b"\x02\x60\x40\x04\x23"] {
            assert_eq!(parse(bytes), Err(Unread::Bad(FaultKind::Framing)), "{bytes:02x?}");
        }
    }

    #[test]
    fn counters_give_the_clock_and_only_old_firmware_the_closes() {
        let old = parse_counters(OLD).unwrap().0;
        // 2026-11-22T14:30:05.
        assert_eq!(old, Counters { closings: Some(412), clock_s: 1_795_357_805 });
        let new = parse_counters(NEW).unwrap().0;
        assert_eq!(new, Counters { closings: None, clock_s: 1_767_225_600 });
        assert_eq!(parse_counters(OLD).unwrap().1, OLD.len());
    }

    #[test]
    fn counters_that_make_no_sense_are_refused() {
        for (time, date, good) in [
            ("143005", "221126", true),
            ("143005", "310226", false),
            ("253005", "221126", false),
            ("000000", "000000", false),
            ("14300", "221126", false),
            ("+43005", "221126", false),
            ("14300é", "221126", false),
        ] {
            assert_eq!(clock(time, date).is_some(), good, "{time} {date}");
        }
        assert_eq!(parse_counters(b"\x15"), Err(Unread::Bad(FaultKind::Nak)));
        assert_eq!(parse_counters(b"\x02S100\n1\x03\x5a"), Err(Unread::Bad(FaultKind::Parse)));
        assert_eq!(parse_counters(&OLD[..OLD.len() - 2]), Err(Unread::Need(2)));
    }
}
