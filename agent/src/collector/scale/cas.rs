//! The frames of CAS.
//!
//! Asked (AP, SW-II, PD; Ohaus Aviator 7000 speaks it too): ENQ is answered with ACK, or with NAK for "ask again"; then DC1
//! with `SOH STX state sign weight(6) unit(2) BCC ETX EOT`. The state is `S` at rest or `U`, the sign a space, `-`, or `F` for
//! too much; the BCC is the XOR of state to unit.
//!
//! Talking by itself (CI, NT indicators): 22 bytes, `ST,GS,` id lamp `,` weight(8) space unit(2) CR LF. `ST` at rest, `US` not,
//! `OL` too much; `GS` gross, `NT` net; bit 0 of the lamp is the centre of zero. Id and lamp may be any byte, also one that
//! ends a line: a frame is found by its places.

use super::weighing::{Answer, Unit, Weight, all_plain, number, plain};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const ASKED_BYTES: usize = 15;
/// Length of a frame of the stream.
pub(super) const STREAM_BYTES: usize = 22;

/// Whether it will tell its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    AskAgain,
}

impl Ready {
    fn name(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::AskAgain => "ask_again",
        }
    }
}

/// An answer to ENQ.
pub(super) fn ready(bytes: &[u8]) -> Parsed<Ready> {
    match bytes.first().map(|byte| plain(*byte)) {
        None => Err(Unread::Need(1)),
        Some(ACK) => Ok((Ready::Yes, 1)),
        Some(NAK) => Ok((Ready::AskAgain, 1)),
        Some(_) => Err(Unread::Bad(FaultKind::Framing)),
    }
}

/// An answer to DC1.
pub(super) fn asked(bytes: &[u8]) -> Parsed<Answer> {
    let bytes = all_plain(bytes);
    if bytes.first() == Some(&NAK) {
        return Err(Unread::Bad(FaultKind::Nak));
    }
    must_be(&bytes, &[(0, 0x01), (1, 0x02), (13, 0x03), (14, 0x04)])?;
    let Some(frame) = bytes.first_chunk::<ASKED_BYTES>() else {
        return Err(Unread::Need(ASKED_BYTES - bytes.len()));
    };
    if frame[2..12].iter().fold(0, |sum, byte| sum ^ byte) != frame[12] {
        return Err(Unread::Bad(FaultKind::Checksum));
    }
    let answer = match (frame[2], frame[3]) {
        (b'S' | b'U', b'F') => Answer::Overload,
        (b'U', b' ' | b'-') => Answer::Unstable { at_zero: None },
        (b'S', sign @ (b' ' | b'-')) => {
            let value = number(&frame[4..10]).filter(|value| !value.is_sign_negative());
            let (value, unit) = both(value, Unit::parse(&frame[10..12]))?;
            let value = if sign == b'-' { -value } else { value };
            Answer::Weight(Weight { value, unit: Some(unit), is_net: false, at_zero: None })
        }
        _ => return Err(Unread::Bad(FaultKind::Parse)),
    };
    Ok((answer, ASKED_BYTES))
}

/// A frame of the stream.
pub(super) fn streamed(bytes: &[u8]) -> Parsed<Answer> {
    let bytes = all_plain(bytes.get(..STREAM_BYTES).unwrap_or(bytes));
    let is_one_of = |at: usize, words: &[&[u8; 2]]| {
        let found = bytes.get(at..).unwrap_or_default();
        words.iter().any(|word| word.iter().zip(found).all(|(a, b)| a == b))
    };
    must_be(&bytes, &[(2, b','), (5, b','), (8, b','), (17, b' '), (20, b'\r'), (21, b'\n')])?;
    if !is_one_of(0, &[b"ST", b"US", b"OL"]) || !is_one_of(3, &[b"GS", b"NT"]) {
        return Err(Unread::Bad(FaultKind::Framing));
    }
    let Some(frame) = bytes.first_chunk::<STREAM_BYTES>() else {
        return Err(Unread::Need(STREAM_BYTES - bytes.len()));
    };
    let at_zero = frame[7] & 1 != 0;
    let answer = match frame[0] {
        b'O' => Answer::Overload,
        b'U' => Answer::Unstable { at_zero: Some(at_zero) },
        _ => {
            let (value, unit) = both(number(&frame[9..17]), Unit::parse(&frame[18..20]))?;
            let is_net = frame[3] == b'N';
            Answer::Weight(Weight { value, unit: Some(unit), is_net, at_zero: Some(at_zero) })
        }
    };
    Ok((answer, STREAM_BYTES))
}

/// As far as the bytes go, these stand at these places.
fn must_be(bytes: &[u8], places: &[(usize, u8)]) -> Result<(), Unread> {
    let is_wrong = |(at, wanted): &(usize, u8)| bytes.get(*at).is_some_and(|byte| byte != wanted);
    if places.iter().any(is_wrong) { Err(Unread::Bad(FaultKind::Framing)) } else { Ok(()) }
}

fn both(value: Option<f64>, unit: Option<Unit>) -> Result<(f64, Unit), Unread> {
    value.zip(unit).ok_or(Unread::Bad(FaultKind::Parse))
}

pub(super) const READY: Subject = Subject {
    name: "scale/cas/ready",
    vectors: &[b"\x06", b"\x15", b"\x86"],
    outcomes: &["yes", "ask_again", "need", "framing"],
    outcome: |bytes| outcome(ready(bytes), Ready::name),
};

pub(super) const ASKED: Subject = Subject {
    name: "scale/cas",
    vectors: &[
        b"\x01\x02S 01.234kg\x65\x03\x04",
        b"\x81\x02S-00.005lb\x6b\x03\x04",
        b"\x01\x02U 01.234kg\x63\x03\x04",
        b"\x01\x02SF00.000kg\x07\x03\x04",
        // A state that nobody knows, with the right check character.
        b"\x01\x02X 01.234kg\x6e\x03\x04",
        b"\x15",
    ],
    outcomes: &["weight", "unstable", "overload", "need", "framing", "checksum", "parse", "nak"],
    outcome: |bytes| outcome(asked(bytes), Answer::name),
};

pub(super) const STREAMED: Subject = Subject {
    name: "scale/cas_stream",
    vectors: &[
        b"ST,GS,1\xc4,0001.234 kg\r\n",
        b"ST,NT,1\xc2,-000.450 kg\r\n",
        b"US,GS,\r\n,0001.200 lb\r\n",
        b"OL,GS,1\x84,         kg\r\n",
    ],
    outcomes: &["weight", "net", "unstable", "overload", "need", "framing", "parse"],
    outcome: |bytes| outcome(streamed(bytes), Answer::name),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(value: f64, unit: Unit) -> Answer {
        Answer::Weight(Weight { value, unit: Some(unit), is_net: false, at_zero: None })
    }

    /// A frame with the right check character.
    fn frame(text: &str) -> Vec<u8> {
        let check = text.bytes().fold(0, |sum, byte| sum ^ byte);
        [b"\x01\x02", text.as_bytes(), &[check, 0x03, 0x04]].concat()
    }

    #[test]
    fn the_vector_of_the_reference_is_read() {
        let bytes =
            [0x01, 0x02, 0x53, 0x20, 0x30, 0x31, 0x2e, 0x32, 0x33, 0x34, 0x6b, 0x67, 0x65, 0x03, 0x04];
        assert_eq!(asked(&bytes), Ok((weight(1.234, Unit::Kg), 15)));
        let with_parity: Vec<u8> = bytes.iter().map(|byte| byte | 0x80).collect();
        assert_eq!(asked(&with_parity), Ok((weight(1.234, Unit::Kg), 15)));
    }

    #[test]
    fn state_and_sign_are_told_apart() {
        assert_eq!(asked(&frame("S- 0.005kg")), Ok((weight(-0.005, Unit::Kg), 15)));
        assert_eq!(asked(&frame("S 02.500lb")), Ok((weight(2.5, Unit::Lb), 15)));
        assert_eq!(asked(&frame("U 01.234kg")), Ok((Answer::Unstable { at_zero: None }, 15)));
        assert_eq!(asked(&frame("SF00.000kg")), Ok((Answer::Overload, 15)));
        for text in ["X 01.234kg", "S+01.234kg", "S 0x.234kg", "S 01.234zz"] {
            assert_eq!(asked(&frame(text)), Err(Unread::Bad(FaultKind::Parse)), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_check_character_is_a_checksum_error_and_a_cut_frame_needs_more() {
        let mut bytes = frame("S 01.234kg");
        bytes[7] ^= 1;
        assert_eq!(asked(&bytes), Err(Unread::Bad(FaultKind::Checksum)));
        assert_eq!(asked(&bytes[..9]), Err(Unread::Need(6)));
        assert_eq!(asked(b"\x01\x03"), Err(Unread::Bad(FaultKind::Framing)));
        assert_eq!(asked(b"\x15"), Err(Unread::Bad(FaultKind::Nak)));
        assert_eq!(ready(b"\x86"), Ok((Ready::Yes, 1)));
        assert_eq!(ready(b"\x15"), Ok((Ready::AskAgain, 1)));
        assert_eq!(ready(b"W"), Err(Unread::Bad(FaultKind::Framing)));
    }

    #[test]
    fn a_frame_of_the_stream_is_read_by_its_places() {
        let stable = streamed(b"ST,GS,1\xc5,0000.000 kg\r\nST,").unwrap();
        let at_zero = Weight { value: 0.0, unit: Some(Unit::Kg), is_net: false, at_zero: Some(true) };
        assert_eq!(stable, (Answer::Weight(at_zero), 22));
        let Ok((Answer::Weight(net), _)) = streamed(b"ST,NT,1\xc2,-000.450 kg\r\n") else {
            panic!("no weight")
        };
        assert_eq!((net.value, net.is_net, net.at_zero), (-0.45, true, Some(false)));
        // An id and a lamp that look like the end of a line.
        assert_eq!(
            streamed(b"US,GS,\r\n,0001.200 lb\r\n"),
            Ok((Answer::Unstable { at_zero: Some(false) }, 22))
        );
        assert_eq!(streamed(b"OL,GS,1\x84,         kg\r\n"), Ok((Answer::Overload, 22)));
        assert_eq!(streamed(b"ST,GS,1\xc4,000x.234 kg\r\n"), Err(Unread::Bad(FaultKind::Parse)));
        assert_eq!(streamed(b"S"), Err(Unread::Need(21)));
        assert_eq!(streamed(b"T,GS,1"), Err(Unread::Bad(FaultKind::Framing)));
        assert_eq!(streamed(b"ST,GS,1\xc4,0001.234 kg\n\r"), Err(Unread::Bad(FaultKind::Framing)));
    }
}
