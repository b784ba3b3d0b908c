//! The frames of NCI, also called ECR or SASI (Weigh-Tronix SCP-01 and SCP-02; PSC Magellan 8500, Ohaus Aviator 7000).
//!
//! Asked `W CR`, it answers `LF weight unit CR LF [S] h h … CR ETX`, or the status alone, `LF [S] h h … CR ETX`; what it
//! does not understand it answers with `LF ? CR ETX`. Bits 4 and 5 of a status byte are always set, bit 6 says that one more
//! follows. First byte: 0 motion, 1 at zero, 2 error of its memory, 3 of its settings. Second: 0 under, 1 over capacity,
//! 2 error of its program, 3 of its calibration. Third: 2 a tare is subtracted.

use super::weighing::{Answer, Unit, Weight, all_plain, number};
use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

const ETX: u8 = 0x03;
/// Longest frame, with room for a display of letters.
const FRAME_BYTES_MAX: usize = 32;
/// Bits that every status byte has.
const ALWAYS_SET: u8 = 0x30;

/// An answer to `W CR`.
pub(super) fn answer(bytes: &[u8]) -> Parsed<Answer> {
    let bytes = all_plain(bytes);
    match bytes.first() {
        None => return Err(Unread::Need(4)),
        Some(b'\n') => {}
        Some(_) => return Err(Unread::Bad(FaultKind::Framing)),
    }
    let Some(end) = bytes.iter().take(FRAME_BYTES_MAX).position(|byte| *byte == ETX) else {
        let is_endless = bytes.len() >= FRAME_BYTES_MAX;
        return Err(if is_endless { Unread::Bad(FaultKind::Framing) } else { Unread::Need(1) });
    };
    let body = bytes[1..end].strip_suffix(b"\r").ok_or(Unread::Bad(FaultKind::Framing))?;
    let answer = if body == b"?" { Answer::Unknown } else { of_body(body)? };
    Ok((answer, end + 1))
}

fn of_body(body: &[u8]) -> Result<Answer, Unread> {
    let (weight, status) = match body.windows(2).position(|pair| pair == b"\r\n") {
        Some(at) => (Some(&body[..at]), &body[at + 2..]),
        None => (None, body),
    };
    let status = status.strip_prefix(b"S").unwrap_or(status);
    let is_status =
        (2..=4).contains(&status.len()) && status.iter().all(|byte| byte & ALWAYS_SET == ALWAYS_SET);
    if !is_status {
        return Err(Unread::Bad(FaultKind::Parse));
    }
    let has = |byte: usize, bit: u8| status.get(byte).is_some_and(|byte| byte & (1 << bit) != 0);
    let at_zero = has(0, 1);
    Ok(if has(0, 2) || has(0, 3) || has(1, 2) || has(1, 3) {
        Answer::Defect
    } else if has(1, 1) {
        Answer::Overload
    } else if has(1, 0) {
        Answer::Underload
    } else if has(0, 0) {
        // The weight that comes with it is one of a moving platform, or a display of letters.
        Answer::Unstable { at_zero: Some(at_zero) }
    } else if let Some(weight) = weight {
        let (value, unit) = of_weight(weight).ok_or(Unread::Bad(FaultKind::Parse))?;
        Answer::Weight(Weight { value, unit: Some(unit), is_net: has(2, 2), at_zero: Some(at_zero) })
    } else {
        Answer::Unweighed { at_zero }
    })
}

/// `12.345LB`, ` 12.34 kg`, ` 1234g `.
fn of_weight(field: &[u8]) -> Option<(f64, Unit)> {
    let letters = field.iter().position(u8::is_ascii_alphabetic)?;
    let (digits, letters) = field.split_at(letters);
    Some((number(digits.trim_ascii_end())?, Unit::parse(letters)?))
}

pub(super) const ANSWER: Subject = Subject {
    name: "scale/nci",
    vectors: &[
        b"\n01.234LB\r\nS00\r\x03",
        b"\n00.000KG\r\nS20\r\x03",
        b"\n 12.34kg\r\n0p4\r\x03",
        b"\nS10\r\x03",
        b"\nS0000\r\x03",
        b"\nS02\r\x03",
        b"\nS01\r\x03",
        b"\nS48\r\x03",
        b"\n?\r\x03",
    ],
    outcomes: &[
        "weight",
        "net",
        "unstable",
        "overload",
        "underload",
        "unweighed",
        "unknown",
        "defect",
        "need",
        "framing",
        "parse",
    ],
    outcome: |bytes| outcome(answer(bytes), Answer::name),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Parsed<Answer> {
        answer(text.as_bytes())
    }

    fn weight(value: f64, unit: Unit, at_zero: bool) -> Answer {
        Answer::Weight(Weight { value, unit: Some(unit), is_net: false, at_zero: Some(at_zero) })
    }

    #[test]
    fn a_weight_comes_with_its_unit_and_its_status() {
        assert_eq!(frame("\n01.234LB\r\nS00\r\x03"), Ok((weight(1.234, Unit::Lb, false), 16)));
        assert_eq!(frame("\n00.000KG\r\nS20\r\x03"), Ok((weight(0.0, Unit::Kg, true), 16)));
        assert_eq!(frame("\n -0.02kg\r\n00\r\x03"), Ok((weight(-0.02, Unit::Kg, false), 15)));
        assert_eq!(frame("\n 1234g \r\n00\r\x03"), Ok((weight(1_234.0, Unit::G, false), 14)));
        let Ok((Answer::Weight(net), _)) = frame("\n 12.34kg\r\n0p4\r\x03") else { panic!("no weight") };
        assert!(net.is_net);
    }

    #[test]
    fn a_frame_with_parity_bits_is_the_same_frame() {
        let even = |byte: &u8| if byte.count_ones() % 2 == 1 { byte | 0x80 } else { *byte };
        let bytes: Vec<u8> = b"\n01.234LB\r\nS00\r\x03".iter().map(even).collect();
        assert_eq!(answer(&bytes), Ok((weight(1.234, Unit::Lb, false), 16)));
    }

    #[test]
    fn a_status_tells_why_there_is_no_weight() {
        for (text, answer) in [
            ("\nS10\r\x03", Answer::Unstable { at_zero: Some(false) }),
            ("\nS30\r\x03", Answer::Unstable { at_zero: Some(true) }),
            ("\nS02\r\x03", Answer::Overload),
            ("\nS12\r\x03", Answer::Overload),
            ("\nS01\r\x03", Answer::Underload),
            ("\nS0000\r\x03", Answer::Unweighed { at_zero: false }),
            ("\nS40\r\x03", Answer::Defect),
            ("\nS80\r\x03", Answer::Defect),
            ("\nS04\r\x03", Answer::Defect),
            ("\nS08\r\x03", Answer::Defect),
            ("\n?\r\x03", Answer::Unknown),
            ("\n^^^^^^LB\r\nS02\r\x03", Answer::Overload),
        ] {
            assert_eq!(frame(text), Ok((answer, text.len())), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_told_apart() {
        let bad = |kind| Err(Unread::Bad(kind));
        assert_eq!(frame(""), Err(Unread::Need(4)));
        assert_eq!(frame("\n01.234LB\r\nS00"), Err(Unread::Need(1)));
        assert_eq!(frame("01.234LB\r\n"), bad(FaultKind::Framing));
        assert_eq!(frame("\nS00\x03"), bad(FaultKind::Framing));
        assert_eq!(frame(&format!("\n{}", "0".repeat(40))), bad(FaultKind::Framing));
        for text in [
            "\n\r\x03",
            "\nS0\r\x03",
            "\nSAB\r\x03",
            "\n1.2.3LB\r\nS00\r\x03",
            "\n1.23\r\nS00\r\x03",
            "\n1.23ZZ\r\nS00\r\x03",
        ] {
            assert_eq!(frame(text), bad(FaultKind::Parse), "{text:?}");
        }
    }
}
