//! Requests and answers of Modbus, as bytes: pure, and for reading only, since a [`Table`] has no function that writes.
//!
//! RTU: `unit function address(2) count(2) crc(2)`, answered by `unit function bytes data… crc(2)`; the checksum's low byte
//! is first, all else is big-endian. TCP: `transaction(2) 0000 length(2) unit` before the same without a checksum; the length
//! counts from the unit on. Who refuses sets the function's high bit and gives one byte, the exception's code. Defined by the
//! MODBUS Application Protocol, over Serial Line, and Messaging on TCP/IP; the vectors agree with pymodbus 3.16.1.
//!
//! A whole frame whose checksum is right is judged by its unit, its function and its length, in this order. A TCP answer to
//! another transaction is one that came too late: it is skipped.

use serde::Deserialize;

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};
use crate::collector::probe::{Introduction, is_answer};
use crate::collector::serial::Line;

/// Longest answer on a line.
pub(super) const RTU_BYTES_MAX: usize = 256;
/// Longest answer over TCP, and three that came too late before it.
pub(super) const TCP_BYTES_MAX: usize = 4 * 260;
/// Most bytes of data in an answer: 125 registers, or 2,000 bits.
const DATA_BYTES_MAX: u8 = 250;
/// What the length of a TCP frame can be: unit, function and code, to unit, function, count and data.
const TCP_LENGTHS: std::ops::RangeInclusive<usize> = 3..=253;
/// Transaction, protocol and length.
const TCP_HEADER: usize = 6;
/// In the function of an answer: it is an exception.
const REFUSED: u8 = 0x80;

/// What is read: one of the four tables of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Table {
    /// Outputs of one bit.
    Coil = 1,
    /// Inputs of one bit.
    Discrete = 2,
    /// Registers that others can write.
    Holding = 3,
    /// Registers that are only read.
    Input = 4,
}

impl Table {
    /// The function that reads it.
    const fn function(self) -> u8 {
        self as u8
    }

    pub(super) const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// As it is written in the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// What is put to a stranger: unit 1, the address that devices come with, for its first input register. That it refuses is an
/// answer too.
const STRANGER: Request = Request { unit: 1, table: Table::Input, address: 0, count: 1 };
const STRANGER_RTU: &[u8] = b"\x01\x04\x00\x00\x00\x01\x31\xca";
const STRANGER_TCP: &[u8] = b"\x00\x01\x00\x00\x00\x06\x01\x04\x00\x00\x00\x01";

pub(super) const INTRODUCTIONS: &[Introduction] = &[
    Introduction {
        what: "a Modbus unit with the address 1",
        lines: &Line::EIGHT_N_ONE,
        tcp: None,
        request: STRANGER_RTU,
        is_answer: |bytes| is_answer(STRANGER.parse_rtu(bytes)),
        kind: "modbus",
        settings: &["unit: 1", "registers: []  # of its manual, or preset: …"],
    },
    Introduction {
        what: "a Modbus unit with the address 1",
        lines: &[],
        tcp: Some(502),
        request: STRANGER_TCP,
        is_answer: |bytes| is_answer(STRANGER.parse_tcp(1, bytes)),
        kind: "modbus",
        settings: &["unit: 1", "registers: []  # of its manual, or preset: …"],
    },
];

/// A question to one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub unit: u8,
    pub table: Table,
    /// Of the first, from 0, as on the wire.
    pub address: u16,
    /// Registers or bits.
    pub count: u16,
}

/// What a unit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Registers of two bytes each, or bits from the lowest of the first byte on.
    Data(Vec<u8>),
    /// It refuses, with this code.
    Exception(u8),
}

impl Request {
    fn body(self) -> [u8; 6] {
        let ([a, b], [c, d]) = (self.address.to_be_bytes(), self.count.to_be_bytes());
        [self.unit, self.table.function(), a, b, c, d]
    }

    /// The frame for a line.
    pub(super) fn rtu(self) -> Vec<u8> {
        let body = self.body();
        [&body[..], &crc(&body).to_le_bytes()].concat()
    }

    /// The frame for a connection.
    pub(super) fn tcp(self, transaction: u16) -> Vec<u8> {
        let body = self.body();
        [&transaction.to_be_bytes()[..], &[0, 0, 0, 6], &body].concat()
    }

    /// How many bytes of data its answer has.
    fn data_bytes(self) -> usize {
        let count = usize::from(self.count);
        if self.table.is_bits() { count.div_ceil(8) } else { count * 2 }
    }

    /// Reads an answer from a line.
    pub(super) fn parse_rtu(self, bytes: &[u8]) -> Parsed<Answer> {
        let &[_, function, third, ..] = bytes else { return Err(Unread::Need(3 - bytes.len())) };
        let length = match function {
            0x81..=0x84 => 5,
            0x01..=0x04 if third <= DATA_BYTES_MAX => 5 + usize::from(third),
            _ => return Err(Unread::Bad(FaultKind::Framing)),
        };
        let Some((frame, _)) = bytes.split_at_checked(length) else {
            return Err(Unread::Need(length - bytes.len()));
        };
        let (body, sum) = frame.split_at(length - 2);
        if crc(body).to_le_bytes() != sum {
            return Err(Unread::Bad(FaultKind::Checksum));
        }
        Ok((self.judge(body)?, length))
    }

    /// Reads the answer to this transaction from a connection.
    pub(super) fn parse_tcp(self, transaction: u16, bytes: &[u8]) -> Parsed<Answer> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let &[t1, t2, p1, p2, l1, l2, ..] = rest else {
                return Err(Unread::Need(TCP_HEADER - rest.len()));
            };
            let length = usize::from(u16::from_be_bytes([l1, l2]));
            if [p1, p2] != [0, 0] || !TCP_LENGTHS.contains(&length) {
                return Err(Unread::Bad(FaultKind::Framing));
            }
            let end = TCP_HEADER + length;
            let Some(body) = rest.get(TCP_HEADER..end) else {
                return Err(Unread::Need(end - rest.len()));
            };
            used += end;
            if u16::from_be_bytes([t1, t2]) == transaction {
                return Ok((self.judge(body)?, used));
            }
        }
    }

    /// Judges what both ways have in common: `unit function …`.
    fn judge(self, body: &[u8]) -> Result<Answer, Unread> {
        let function = self.table.function();
        match body {
            [unit, ..] if *unit != self.unit => Err(Unread::Bad(FaultKind::WrongDevice)),
            [_, refused, code] if *refused == function | REFUSED => Ok(Answer::Exception(*code)),
            [_, answered, count, data @ ..]
                if *answered == function
                    && usize::from(*count) == data.len()
                    && data.len() == self.data_bytes() =>
            {
                Ok(Answer::Data(data.to_owned()))
            }
            _ => Err(Unread::Bad(FaultKind::Parse)),
        }
    }
}

/// The name of an exception's code.
pub(super) const fn exception(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "an exception that has no name",
    }
}

/// Whether an exception is about what was asked; the others are about the device, whatever it is asked.
pub(super) const fn is_about_the_question(code: u8) -> bool {
    matches!(code, 1..=3)
}

/// CRC-16 with the reflected polynomial A001, from FFFF.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 })
    })
}

const OUTCOMES: &[&str] = &["data", "exception", "need", "checksum", "wrong_device", "parse", "framing"];

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Data(_) => "data",
        Answer::Exception(_) => "exception",
    }
}

/// What the vectors are answers to.
const ASKED: Request = Request { unit: 1, table: Table::Holding, address: 0, count: 2 };

/// Both parsers.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "modbus/rtu",
        vectors: &[
            // Two registers, a refusal, another unit, another function, a function that is nobody's.
            b"\x01\x03\x04\x00\x17\x02\xa5\x8b\x2c",
            b"\x01\x83\x0b\x00\xf7",
            b"\x02\x03\x04\x00\x17\x02\xa5\xb8\x2c",
            b"\x01\x04\x02\xff\x47\xb8\xf2",
            b"\x01\x84\x02\xc2\xc1",
            b"\x01\x10\x00\x00\x00\x02\x41\xc8",
        ],
        outcomes: OUTCOMES,
        outcome: |bytes| outcome(ASKED.parse_rtu(bytes), name),
    },
    Subject {
        name: "modbus/tcp",
        vectors: &[
            b"\x00\x02\x00\x00\x00\x07\x01\x03\x04\xc1\x94\x00\x00",
            b"\x00\x02\x00\x00\x00\x03\x01\x83\x02",
            // One that came too late before ours, another unit, another function, another protocol.
            b"\x00\x01\x00\x00\x00\x05\x01\x04\x02\xff\x47\x00\x02\x00\x00\x00\x07\x01\x03\x04\x00\x17\x02\xa5",
            b"\x00\x02\x00\x00\x00\x07\x02\x03\x04\xc1\x94\x00\x00",
            b"\x00\x02\x00\x00\x00\x05\x01\x04\x02\xff\x47",
            b"\x00\x02\x00\x01\x00\x07\x01\x03\x04\xc1\x94\x00\x00",
        ],
        outcomes: &["data", "exception", "need", "wrong_device", "parse", "framing"],
        outcome: |bytes| outcome(ASKED.parse_tcp(2, bytes), name),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const fn ask(table: Table, address: u16, count: u16) -> Request {
        Request { unit: 1, table, address, count }
    }

    #[test]
    fn a_stranger_is_asked_in_the_words_of_a_request() {
        assert_eq!(STRANGER.rtu(), STRANGER_RTU);
        assert_eq!(STRANGER.tcp(1), STRANGER_TCP);
    }

    #[test]
    fn requests_are_those_of_the_manuals() {
        assert_eq!(ask(Table::Input, 0, 1).rtu(), b"\x01\x04\x00\x00\x00\x01\x31\xca");
        assert_eq!(ask(Table::Input, 1, 2).rtu(), b"\x01\x04\x00\x01\x00\x02\x20\x0b");
        assert_eq!(ask(Table::Holding, 0, 2).rtu(), b"\x01\x03\x00\x00\x00\x02\xc4\x0b");
        assert_eq!(ask(Table::Input, 0, 1).tcp(1), b"\x00\x01\x00\x00\x00\x06\x01\x04\x00\x00\x00\x01");
    }

    #[test]
    fn nothing_but_reading_can_be_asked() {
        let tables = [Table::Coil, Table::Discrete, Table::Holding, Table::Input];
        assert_eq!(tables.map(|table| ask(table, 9, 1).rtu()[1]), [1, 2, 3, 4]);
    }

    #[test]
    fn answers_on_a_line_are_read() {
        let cold = ask(Table::Input, 0, 1).parse_rtu(b"\x01\x04\x02\xff\x47\xb8\xf2").unwrap();
        assert_eq!(cold, (Answer::Data(vec![0xff, 0x47]), 7));
        let two = ASKED.parse_rtu(b"\x01\x03\x04\x00\x17\x02\xa5\x8b\x2c").unwrap();
        assert_eq!(two, (Answer::Data(vec![0x00, 0x17, 0x02, 0xa5]), 9));
        let refused = ask(Table::Input, 900, 1).parse_rtu(b"\x01\x84\x02\xc2\xc1").unwrap();
        assert_eq!(refused, (Answer::Exception(2), 5));
        assert_eq!(ASKED.parse_rtu(b"\x01\x83\x0b\x00\xf7").unwrap().0, Answer::Exception(11));
        assert_eq!(exception(11), "gateway target device failed to respond");
    }

    #[test]
    fn what_is_wrong_with_an_answer_on_a_line_is_told_apart() {
        let with_crc = |body: &[u8]| [body, &crc(body).to_le_bytes()].concat();
        for (bytes, why) in [
            (with_crc(&[2, 3, 4, 0, 1, 0, 2]), FaultKind::WrongDevice),
            (with_crc(&[2, 0x83, 2]), FaultKind::WrongDevice),
            (with_crc(&[1, 4, 4, 0, 1, 0, 2]), FaultKind::Parse),
            (with_crc(&[1, 0x84, 2]), FaultKind::Parse),
            (with_crc(&[1, 3, 2, 0, 1]), FaultKind::Parse),
            (with_crc(&[1, 3, 3, 0, 1, 2]), FaultKind::Parse),
            (b"\x01\x03\x04\x00\x17\x02\xa5\x8b\x2d".to_vec(), FaultKind::Checksum),
            (b"\x01\x06\x00".to_vec(), FaultKind::Framing),
            (b"\x01\x03\xff".to_vec(), FaultKind::Framing),
            (b"\x00\x00\x00".to_vec(), FaultKind::Framing),
        ] {
            assert_eq!(ASKED.parse_rtu(&bytes), Err(Unread::Bad(why)), "{bytes:02x?}");
        }
        assert_eq!(ASKED.parse_rtu(b"\x01\x03\x04\x00"), Err(Unread::Need(5)));
    }

    #[test]
    fn over_tcp_an_answer_that_came_too_late_is_skipped() {
        let asked = ask(Table::Input, 0, 1);
        let late = b"\x00\x01\x00\x00\x00\x05\x01\x04\x02\xff\x47";
        assert_eq!(asked.parse_tcp(2, late), Err(Unread::Need(6)));
        let both = [&late[..], b"\x00\x02\x00\x00\x00\x05\x01\x04\x02\x00\x07"].concat();
        assert_eq!(asked.parse_tcp(2, &both), Ok((Answer::Data(vec![0, 7]), 22)));
        assert_eq!(asked.parse_tcp(1, late), Ok((Answer::Data(vec![0xff, 0x47]), 11)));
    }

    #[test]
    fn what_is_wrong_with_an_answer_over_tcp_is_told_apart() {
        for (bytes, why) in [
            (&b"\x00\x02\x00\x00\x00\x07\x02\x03\x04\xc1\x94\x00\x00"[..], FaultKind::WrongDevice),
            (b"\x00\x02\x00\x00\x00\x07\x01\x04\x04\xc1\x94\x00\x00", FaultKind::Parse),
            (b"\x00\x02\x00\x00\x00\x07\x01\x03\x05\xc1\x94\x00\x00", FaultKind::Parse),
            (b"\x00\x02\x00\x00\x00\x05\x01\x03\x02\xc1\x94", FaultKind::Parse),
            (b"\x00\x02\x00\x00\xff\xff", FaultKind::Framing),
            (b"\x00\x02\x00\x00\x00\x02", FaultKind::Framing),
            (b"HTTP/1.1 400 Bad Request\r\n", FaultKind::Framing),
        ] {
            assert_eq!(ASKED.parse_tcp(2, bytes), Err(Unread::Bad(why)), "{bytes:02x?}");
        }
    }

    #[test]
    fn the_longest_answers_are_taken() {
        for (table, count, bytes) in
            [(Table::Input, 125, 250), (Table::Coil, 2_000, 250), (Table::Coil, 9, 2)]
        {
            let asked = ask(table, 0, count);
            let body = [&[1, table.function(), bytes][..], &vec![0x55; usize::from(bytes)]].concat();
            let rtu = [&body[..], &crc(&body).to_le_bytes()].concat();
            assert!(rtu.len() < RTU_BYTES_MAX && asked.parse_rtu(&rtu).is_ok(), "{table:?} {count}");
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            let tcp = [&[0, 9, 0, 0][..], &length, &body].concat();
            assert!(asked.parse_tcp(9, &tcp).is_ok(), "{table:?} {count}");
        }
    }
}
