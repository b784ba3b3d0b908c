//! The frames of Toledo.
//!
//! 8217 (PSC Magellan 8500 service manual, table 6.1.4.3): asked `W`, it answers `STX "01.234" CR`, an `N` before the CR
//! if a tare is subtracted, or `STX ? status CR` when there is no weight to give. Bits of the status: 0 motion, 1 over
//! capacity, 2 under zero, 3 outside the range in which zero can be set, 4 centre of zero, 5 net, 6 always set.
//!
//! Toledo do Brasil and Filizola: asked ENQ (P05) or STX (P06), it answers `STX field ETX`. The field is five digits whose
//! last three are decimals, or digits with a point (a published simulator of P06), or five equal letters instead: `I`
//! unstable, `N` negative, `S` too much.

use super::weighing::{Answer, Weight, all_plain, number};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const CR: u8 = 0x0d;
/// Longest field of either: eight digits, a point, a letter.
const FIELD_BYTES_MAX: usize = 10;
/// Digits after the point, where a model of Brazil sends none.
pub(super) const DECIMALS: u8 = 3;

/// An answer to `W`.
pub(super) fn standard(bytes: &[u8]) -> Parsed<Answer> {
    let bytes = all_plain(bytes);
    // A status byte is whatever it is: here the place counts, not the end.
    if let [STX, b'?', rest @ ..] = bytes.as_slice() {
        return match rest {
            [] => Err(Unread::Need(2)),
            [_] => Err(Unread::Need(1)),
            [status, CR, ..] => Ok((of_status(*status)?, 4)),
            _ => Err(Unread::Bad(FaultKind::Framing)),
        };
    }
    let field = field(&bytes, CR)?;
    let (digits, is_net) = match field.split_last() {
        Some((b'N', digits)) => (digits, true),
        _ => (field, false),
    };
    // Without a point nobody knows what the last digit is worth.
    let value = number(digits).filter(|value| digits.contains(&b'.') && !value.is_sign_negative());
    let value = value.ok_or(Unread::Bad(FaultKind::Parse))?;
    Ok((Answer::Weight(Weight { value, unit: None, is_net, at_zero: None }), field.len() + 2))
}

fn of_status(status: u8) -> Result<Answer, Unread> {
    let has = |bit: u8| status & (1 << bit) != 0;
    if !has(6) {
        return Err(Unread::Bad(FaultKind::Parse));
    }
    Ok(if has(1) {
        Answer::Overload
    } else if has(2) {
        Answer::Underload
    } else if has(0) {
        Answer::Unstable { at_zero: Some(has(4)) }
    } else {
        Answer::Unweighed { at_zero: has(4) }
    })
}

/// An answer to ENQ or STX, with so many decimals if it has no point.
pub(super) fn brazil(bytes: &[u8], decimals: u8) -> Parsed<Answer> {
    let bytes = all_plain(bytes);
    let field = field(&bytes, ETX)?;
    let answer = match field {
        b"IIIII" => Answer::Unstable { at_zero: None },
        b"NNNNN" => Answer::Underload,
        b"SSSSS" => Answer::Overload,
        digits => {
            let has_point = digits.contains(&b'.');
            let is_field = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
                && (has_point || digits.len() == 5);
            let value = number(digits).filter(|_| is_field).ok_or(Unread::Bad(FaultKind::Parse))?;
            let value = if has_point { value } else { value / 10_f64.powi(i32::from(decimals)) };
            // Here the frame says nothing, and all models weigh in kilograms.
            let unit = Some(super::weighing::Unit::Kg);
            Answer::Weight(Weight { value, unit, is_net: false, at_zero: None })
        }
    };
    Ok((answer, field.len() + 2))
}

/// What stands between STX and this end.
fn field(bytes: &[u8], end: u8) -> Result<&[u8], Unread> {
    match bytes.first() {
        None => return Err(Unread::Need(3)),
        Some(&STX) => {}
        Some(_) => return Err(Unread::Bad(FaultKind::Framing)),
    }
    match bytes[1..].iter().take(FIELD_BYTES_MAX + 1).position(|byte| *byte == end) {
        Some(at) => Ok(&bytes[1..=at]),
        None if bytes.len() > FIELD_BYTES_MAX + 1 => Err(Unread::Bad(FaultKind::Framing)),
        None => Err(Unread::Need(1)),
    }
}

pub(super) const STANDARD: Subject = Subject {
    name: "scale/toledo_8217",
    vectors: &[
        b"\x0201.234\r",
        b"\x0200.450N\r",
        // With parity bits, as an 8N1 line shows them.
        &[0x82, 0x30, 0xb1, 0x2e, 0xb2, 0x33, 0xb4, 0x8d],
        b"\x02?\x41\r",
        b"\x02?\x42\r",
        b"\x02?\x44\r",
        b"\x02?\x50\r",
        b"\x02?\x60\r",
    ],
    outcomes: &[
        "weight",
        "net",
        "unstable",
        "overload",
        "underload",
        "unweighed",
        "need",
        "framing",
        "parse",
    ],
    outcome: |bytes| outcome(standard(bytes), Answer::name),
};

pub(super) const BRAZIL: Subject = Subject {
    name: "scale/toledo_br",
    vectors: &[b"\x0201234\x03", b"\x0201.234\x03", b"\x02IIIII\x03", b"\x02NNNNN\x03", b"\x02SSSSS\x03"],
    outcomes: &["weight", "unstable", "overload", "underload", "need", "framing", "parse"],
    outcome: |bytes| outcome(brazil(bytes, DECIMALS), Answer::name),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::scale::weighing::Unit;

    fn weight(value: f64) -> Answer {
        Answer::Weight(Weight { value, unit: None, is_net: false, at_zero: None })
    }

    #[test]
    fn a_weight_of_8217_is_read_with_and_without_parity_bits() {
        assert_eq!(standard(b"\x0201.234\r"), Ok((weight(1.234), 8)));
        let with_parity = [0x82, 0x30, 0xb1, 0x2e, 0xb2, 0x33, 0xb4, 0x8d];
        assert_eq!(standard(&with_parity), Ok((weight(1.234), 8)));
        assert_eq!(standard(b"\x02 12.34\rmore"), Ok((weight(12.34), 8)));
        let net = Answer::Weight(Weight { value: 0.45, unit: None, is_net: true, at_zero: None });
        assert_eq!(standard(b"\x0200.450N\r"), Ok((net, 9)));
    }

    #[test]
    fn a_status_of_8217_tells_why_there_is_no_weight() {
        for (status, answer) in [
            (0x41, Answer::Unstable { at_zero: Some(false) }),
            (0x51, Answer::Unstable { at_zero: Some(true) }),
            (0x42, Answer::Overload),
            (0x43, Answer::Overload),
            (0x44, Answer::Underload),
            (0x48, Answer::Unweighed { at_zero: false }),
            (0x50, Answer::Unweighed { at_zero: true }),
            (0x60, Answer::Unweighed { at_zero: false }),
            (0xc1, Answer::Unstable { at_zero: Some(false) }),
        ] {
            assert_eq!(standard(&[STX, b'?', status, CR]), Ok((answer, 4)), "{status:02x}");
        }
    }

    #[test]
    fn what_is_no_frame_of_8217_is_told_apart() {
        let bad = |kind| Err(Unread::Bad(kind));
        assert_eq!(standard(b""), Err(Unread::Need(3)));
        assert_eq!(standard(b"\x02?"), Err(Unread::Need(2)));
        assert_eq!(standard(b"\x0201.2"), Err(Unread::Need(1)));
        assert_eq!(standard(b"01.234\r"), bad(FaultKind::Framing), "its beginning was missed");
        assert_eq!(standard(b"\x02?\x41\x41"), bad(FaultKind::Framing));
        assert_eq!(standard(b"\x0200000000000000"), bad(FaultKind::Framing), "it has no end");
        assert_eq!(standard(b"\x02?\x01\r"), bad(FaultKind::Parse), "bit 6 is always set");
        for frame in ["\x02\r", "\x02N\r", "\x0201234\r", "\x021.2.3\r", "\x02-1.234\r", "\x021x.23\r"] {
            assert_eq!(standard(frame.as_bytes()), bad(FaultKind::Parse), "{frame:?}");
        }
    }

    #[test]
    fn a_field_of_brazil_is_digits_or_five_letters() {
        let kg = |value| Answer::Weight(Weight { value, unit: Some(Unit::Kg), is_net: false, at_zero: None });
        assert_eq!(brazil(b"\x0201234\x03", 3), Ok((kg(1.234), 7)));
        assert_eq!(brazil(b"\x0201234\x03", 2), Ok((kg(12.34), 7)));
        assert_eq!(brazil(b"\x0201.234\x03", 2), Ok((kg(1.234), 8)), "a point says it better");
        assert_eq!(brazil(b"\x02IIIII\x03", 3), Ok((Answer::Unstable { at_zero: None }, 7)));
        assert_eq!(brazil(b"\x02NNNNN\x03", 3), Ok((Answer::Underload, 7)));
        assert_eq!(brazil(b"\x02SSSSS\x03", 3), Ok((Answer::Overload, 7)));
        assert_eq!(brazil(b"\x0201234", 3), Err(Unread::Need(1)));
        assert_eq!(brazil(b"\x150", 3), Err(Unread::Bad(FaultKind::Framing)));
        for frame in
            ["\x02\x03", "\x02IIII\x03", "\x02INSIN\x03", "\x02 1234\x03", "\x02-1234\x03", "\x021234\x03"]
        {
            assert_eq!(brazil(frame.as_bytes(), 3), Err(Unread::Bad(FaultKind::Parse)), "{frame:?}");
        }
    }
}
