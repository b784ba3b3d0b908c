//! What an answer says: names, values, and what stands in place of a value.
//!
//! `snmp2` takes the BER apart (RFC 3416 and RFC 1157); here its types become ours, owned and without borrowed bytes, and here is
//! decided what of an answer is a fault. An object that is not there (`noSuchObject`, `noSuchInstance`, `endOfMibView`) is no value:
//! it is left out, never zero.

use snmp2::v3::AuthErrorKind;
use snmp2::{Error, MessageType, Pdu};

use crate::collector::fault::FaultKind;
use crate::collector::parse::Subject;

/// Most arcs of a name, by RFC 3416.
const ARCS_MAX: usize = 128;
/// Most pairs of an answer; we never ask for so many.
const ROWS_MAX: usize = 256;
/// Longest text that can be a number.
const NUMBER_BYTES_MAX: usize = 32;

/// The name of an object.
pub(super) type Name = Vec<u32>;
/// Names with their values.
pub(super) type Rows = Vec<(Name, Value)>;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Integers, gauges, counters of 32 bits, hundredths of seconds.
    Whole(i64),
    /// A counter of 64 bits.
    Count(u64),
    /// Text or bits.
    Bytes(Vec<u8>),
    /// A name.
    Name(Name),
    /// There is no such object.
    Missing,
    /// Something that we do not read.
    Other,
}

impl Value {
    /// An integer.
    pub(super) const fn whole(&self) -> Option<i64> {
        match self {
            Self::Whole(whole) => Some(*whole),
            _ => None,
        }
    }

    /// A number; some devices write theirs as text.
    #[expect(clippy::cast_precision_loss, reason = "samples are doubles")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(*whole as f64),
            Self::Count(count) => Some(*count as f64),
            Self::Bytes(bytes) if bytes.len() <= NUMBER_BYTES_MAX => {
                let text = str::from_utf8(bytes).ok()?.trim();
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// `error-status`: 0, or what went wrong.
    pub status: u32,
    /// `error-index`: which pair it is about, from 1.
    pub index: u32,
    pub rows: Rows,
}

/// What an answer holds.
pub(super) fn answer(pdu: &Pdu<'_>) -> Result<Answer, FaultKind> {
    let mut rows = Vec::new();
    for (name, value) in pdu.varbinds.clone() {
        if rows.len() == ROWS_MAX {
            return Err(FaultKind::TooLarge);
        }
        rows.push((arcs(name.as_bytes()).ok_or(FaultKind::Parse)?, of(value)?));
    }
    Ok(Answer { status: pdu.error_status, index: pdu.error_index, rows })
}

fn of(value: snmp2::Value<'_>) -> Result<Value, FaultKind> {
    Ok(match value {
        snmp2::Value::Integer(whole) => Value::Whole(whole),
        snmp2::Value::Counter32(whole) | snmp2::Value::Unsigned32(whole) | snmp2::Value::Timeticks(whole) => {
            Value::Whole(whole.into())
        }
        snmp2::Value::Counter64(count) => Value::Count(count),
        snmp2::Value::OctetString(bytes) => Value::Bytes(bytes.to_vec()),
        snmp2::Value::ObjectIdentifier(name) => Value::Name(arcs(name.as_bytes()).ok_or(FaultKind::Parse)?),
        snmp2::Value::NoSuchObject
        | snmp2::Value::NoSuchInstance
        | snmp2::Value::EndOfMibView
        | snmp2::Value::Null => Value::Missing,
        _ => Value::Other,
    })
}

/// The arcs of a name: the first two share a number, each number is written in groups of seven bits.
fn arcs(bytes: &[u8]) -> Option<Name> {
    let mut arcs = Vec::with_capacity(bytes.len() + 1);
    let mut arc = 0_u32;
    let mut is_begun = false;
    for byte in bytes {
        if arc > u32::MAX >> 7 || arcs.len() > ARCS_MAX {
            return None;
        }
        arc = arc << 7 | u32::from(byte & 0x7f);
        is_begun = byte & 0x80 != 0;
        if !is_begun {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= first * 40;
            }
            arcs.push(std::mem::take(&mut arc));
        }
    }
    (!is_begun).then_some(arcs)
}

/// Which failure an error of the crate is.
pub(super) const fn kind_of(error: &Error) -> FaultKind {
    match error {
        Error::AsnParse
        | Error::AsnInvalidLen
        | Error::AsnWrongType
        | Error::AsnUnsupportedType
        | Error::AsnEof
        | Error::UnsupportedVersion => FaultKind::Framing,
        Error::AsnIntOverflow | Error::ValueOutOfRange => FaultKind::Parse,
        Error::RequestIdMismatch
        | Error::CommunityMismatch
        | Error::AuthFailure(
            AuthErrorKind::EngineIdMismatch
            | AuthErrorKind::EngineBootsMismatch
            | AuthErrorKind::EngineTimeMismatch
            | AuthErrorKind::UsernameMismatch,
        ) => FaultKind::WrongDevice,
        Error::BufferOverflow => FaultKind::TooLarge,
        Error::Send | Error::Receive => FaultKind::Refused,
        Error::AuthFailure(_) | Error::AuthUpdated => FaultKind::Denied,
        Error::Crypto(_) | Error::Mib(_) => FaultKind::Internal,
    }
}

/// What snmpsim 1.2.2 said to a GET of hrPrinterDetectedErrorState.1: `04 01 80`.
const LOW_PAPER: &[u8] =
    b"\x30\x2a\x02\x01\x01\x04\x06public\xa2\x1d\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x12\
\x30\x10\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x01\x04\x01\x80";
/// The same object, which another device does not have.
const MISSING: &[u8] =
    b"\x30\x29\x02\x01\x01\x04\x06public\xa2\x1c\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x11\
\x30\x0f\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x01\x81\x00";
/// The same of version 1, which refuses as a whole: `error-status` 2, `error-index` 1.
const NO_SUCH_NAME: &[u8] =
    b"\x30\x29\x02\x01\x00\x04\x06public\xa2\x1c\x02\x01\x01\x02\x01\x02\x02\x01\x01\x30\x11\
\x30\x0f\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x01\x05\x00";
/// The question itself, come back.
const QUESTION: &[u8] =
    b"\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x11\
\x30\x0f\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x01\x05\x00";
/// A name that ends in the middle of a number.
const HALF_A_NAME: &[u8] =
    b"\x30\x29\x02\x01\x01\x04\x06public\xa2\x1c\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x11\
\x30\x0f\x06\x0b\x2b\x06\x01\x02\x01\x19\x03\x05\x01\x02\x81\x05\x00";
/// A version that needs what this question did not have.
const VERSION_3: &[u8] = b"\x30\x06\x02\x01\x03\x04\x01p";

pub(super) const SUBJECT: Subject = Subject {
    name: "snmp/answer",
    vectors: &[LOW_PAPER, MISSING, NO_SUCH_NAME, QUESTION, HALF_A_NAME, VERSION_3],
    outcomes: &["values", "missing", "error_status", "no_answer", "framing", "parse", "denied"],
    outcome: |bytes| match Pdu::from_bytes(bytes) {
        Err(error) => kind_of(&error).name(),
        Ok(pdu) if pdu.message_type != MessageType::Response => "no_answer",
        Ok(pdu) => match answer(&pdu) {
            Err(kind) => kind.name(),
            Ok(answer) if answer.status != 0 => "error_status",
            Ok(answer) if answer.rows.iter().any(|(_, value)| *value != Value::Missing) => "values",
            Ok(_) => "missing",
        },
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Answer {
        answer(&Pdu::from_bytes(bytes).unwrap()).unwrap()
    }

    #[test]
    fn the_captured_answer_is_read() {
        let name = vec![1, 3, 6, 1, 2, 1, 25, 3, 5, 1, 2, 1];
        assert_eq!(read(LOW_PAPER).rows, [(name.clone(), Value::Bytes(vec![0x80]))]);
        assert_eq!(read(MISSING).rows, [(name, Value::Missing)]);
        let refused = read(NO_SUCH_NAME);
        assert_eq!((refused.status, refused.index), (2, 1));
    }

    #[test]
    fn minus_three_is_minus_three() {
        let mut bytes = LOW_PAPER.to_vec();
        let at = bytes.len() - 3;
        bytes[at..].copy_from_slice(b"\x02\x01\xfd");
        assert_eq!(read(&bytes).rows[0].1, Value::Whole(-3));
    }

    #[test]
    fn names_of_large_numbers_are_read_and_too_large_ones_are_not() {
        assert_eq!(arcs(b"\x2b\x06\x01\x04\x01\x82\x3e\x01").unwrap(), [1, 3, 6, 1, 4, 1, 318, 1]);
        assert_eq!(arcs(b"\x2b\x8f\xff\xff\xff\x7f").unwrap(), [1, 3, u32::MAX]);
        assert_eq!(arcs(b"\x2b\x9f\xff\xff\xff\x7f"), None);
        assert_eq!(arcs(b"\x2b\x81"), None);
        assert_eq!(arcs(&[1; 200]), None);
    }

    #[test]
    fn text_is_a_number_only_if_it_is_one() {
        let of = |text: &str| Value::Bytes(text.as_bytes().to_vec()).number();
        assert_eq!(
            [of(" 23.5 "), of("-3"), of("23 C"), of("inf"), of("")],
            [Some(23.5), Some(-3.0), None, None, None]
        );
    }
}
