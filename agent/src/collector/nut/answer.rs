//! The answer of `upsd` to `LIST VAR <ups>`, as lines that end with LF:
//!
//! ```text
//! BEGIN LIST VAR storeups
//! VAR storeups battery.charge "100"
//! END LIST VAR storeups
//! ```
//!
//! or one line `ERR <code>`. Values stand in quotes, in which `\` stands before `"` and `\`. Source: the network protocol chapter of
//! the developers' guide of Network UPS Tools; the vectors were captured from upsd 2.8.0.

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

/// Longest line.
const LINE_BYTES_MAX: usize = 4_096;
/// Most variables of a UPS; a large one has about a hundred.
const VARIABLES_MAX: usize = 1_000;

/// What upsd says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Names and values.
    Variables(Vec<(String, String)>),
    /// It refuses.
    Refused(Refusal),
}

/// Why it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    AccessDenied,
    UnknownUps,
    DriverNotConnected,
    DataStale,
    /// It does not know the question.
    NotUnderstood,
    /// Another code.
    Other,
}

impl Refusal {
    fn of(code: &str) -> Self {
        match code {
            "ACCESS-DENIED" => Self::AccessDenied,
            "UNKNOWN-UPS" => Self::UnknownUps,
            "DRIVER-NOT-CONNECTED" => Self::DriverNotConnected,
            "DATA-STALE" => Self::DataStale,
            "UNKNOWN-COMMAND" | "INVALID-ARGUMENT" => Self::NotUnderstood,
            _ => Self::Other,
        }
    }
}

/// Parses the answer about this UPS.
pub(super) fn parse(ups: &str, bytes: &[u8]) -> Parsed<Answer> {
    let (first, mut used) = line(bytes)?;
    let words = words(first)?;
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ERR", code, ..] => return Ok((Answer::Refused(Refusal::of(code)), used)),
        ["BEGIN", "LIST", "VAR", name] => is_ours(ups, name)?,
        _ => return Err(Unread::Bad(FaultKind::Framing)),
    }
    let mut variables = Vec::new();
    loop {
        let (next, length) = line(&bytes[used..])?;
        used += length;
        let mut words = self::words(next)?;
        match &mut words[..] {
            [var, name, variable, value] if var == "VAR" => {
                is_ours(ups, name)?;
                if variables.len() == VARIABLES_MAX {
                    return Err(Unread::Bad(FaultKind::TooLarge));
                }
                variables.push((std::mem::take(variable), std::mem::take(value)));
            }
            [end, list, var, name] if end == "END" && list == "LIST" && var == "VAR" => {
                is_ours(ups, name)?;
                return Ok((Answer::Variables(variables), used));
            }
            _ => return Err(Unread::Bad(FaultKind::Parse)),
        }
    }
}

fn is_ours(ups: &str, name: &str) -> Result<(), Unread> {
    if name == ups { Ok(()) } else { Err(Unread::Bad(FaultKind::WrongDevice)) }
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Result<(&[u8], usize), Unread> {
    match bytes.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n') {
        Some(at) => Ok((&bytes[..at], at + 1)),
        None if bytes.len() > LINE_BYTES_MAX => Err(Unread::Bad(FaultKind::TooLarge)),
        None => Err(Unread::Need(1)),
    }
}

/// The words of a line; one in quotes may hold spaces.
fn words(line: &[u8]) -> Result<Vec<String>, Unread> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut is_quoted = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            b' ' if !is_quoted => words.extend(word.take()),
            b'\\' => {
                let escaped = bytes.next().ok_or(Unread::Bad(FaultKind::Parse))?;
                word.get_or_insert_default().push(*escaped);
            }
            byte => word.get_or_insert_default().push(*byte),
        }
    }
    if is_quoted {
        return Err(Unread::Bad(FaultKind::Parse));
    }
    words.extend(word);
    Ok(words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

const LISTED: &[u8] = b"BEGIN LIST VAR storeups\nVAR storeups battery.charge \"100\"\nVAR storeups ups.mfr \"Store 12 \\\"back room\\\" \\\\UPS\"\n\
VAR storeups ups.status \"OL CHRG\"\nEND LIST VAR storeups\n";

pub(super) const SUBJECT: Subject = Subject {
    name: "nut/list",
    vectors: &[
        LISTED,
        b"BEGIN LIST VAR storeups\nEND LIST VAR storeups\n",
        b"ERR DRIVER-NOT-CONNECTED\n",
        b"ERR UNKNOWN-UPS\n",
        b"ERR DATA-STALE\n",
        b"ERR ACCESS-DENIED\n",
        b"ERR UNKNOWN-COMMAND\n",
        b"ERR VAR-NOT-SUPPORTED\n",
        b"BEGIN LIST VAR other\nEND LIST VAR other\n",
        b"BEGIN LIST VAR storeups\nVAR storeups ups.status \"OL\nEND LIST VAR storeups\n",
        &[b'x'; LINE_BYTES_MAX + 20],
    ],
    outcomes: &[
        "variables",
        "access_denied",
        "unknown_ups",
        "driver_not_connected",
        "data_stale",
        "not_understood",
        "other",
        "need",
        "framing",
        "parse",
        "wrong_device",
        "too_large",
    ],
    outcome: |bytes| {
        outcome(parse("storeups", bytes), |answer| match answer {
            Answer::Variables(_) => "variables",
            Answer::Refused(Refusal::AccessDenied) => "access_denied",
            Answer::Refused(Refusal::UnknownUps) => "unknown_ups",
            Answer::Refused(Refusal::DriverNotConnected) => "driver_not_connected",
            Answer::Refused(Refusal::DataStale) => "data_stale",
            Answer::Refused(Refusal::NotUnderstood) => "not_understood",
            Answer::Refused(Refusal::Other) => "other",
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(bytes: &[u8]) -> FaultKind {
        match parse("storeups", bytes) {
            Err(Unread::Bad(kind)) => kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_captured_list_is_read_with_its_quotes_and_backslashes() {
        let pairs = [
            ("battery.charge", "100"),
            ("ups.mfr", r#"Store 12 "back room" \UPS"#),
            ("ups.status", "OL CHRG"),
        ];
        let wanted = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(parse("storeups", LISTED), Ok((Answer::Variables(wanted), LISTED.len())));
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let bytes = b"BEGIN LIST VAR u\nVAR u ups.alarm \"\"\nEND LIST VAR u\n";
        let Ok((Answer::Variables(variables), _)) = parse("u", bytes) else { panic!() };
        assert_eq!(variables, [("ups.alarm".to_owned(), String::new())]);
    }

    #[test]
    fn a_list_that_has_not_ended_needs_more() {
        for end in 0..LISTED.len() {
            assert_eq!(parse("storeups", &LISTED[..end]), Err(Unread::Need(1)), "{end}");
        }
    }

    #[test]
    fn each_refusal_is_told_apart() {
        for (line, refusal) in [
            (&b"ERR ACCESS-DENIED\n"[..], Refusal::AccessDenied),
            (b"ERR UNKNOWN-UPS\n", Refusal::UnknownUps),
            (b"ERR DRIVER-NOT-CONNECTED\n", Refusal::DriverNotConnected),
            (b"ERR DATA-STALE\n", Refusal::DataStale),
            (b"ERR UNKNOWN-COMMAND\n", Refusal::NotUnderstood),
            (b"ERR FEATURE-NOT-CONFIGURED\n", Refusal::Other),
        ] {
            assert_eq!(parse("storeups", line), Ok((Answer::Refused(refusal), line.len())));
        }
    }

    #[test]
    fn the_list_of_another_ups_is_not_taken() {
        assert_eq!(bad(b"BEGIN LIST VAR office\n"), FaultKind::WrongDevice);
        assert_eq!(bad(b"BEGIN LIST VAR storeups\nVAR office a \"1\"\n"), FaultKind::WrongDevice);
    }

    #[test]
    fn bad_lines_have_their_kinds() {
        assert_eq!(bad(b"HTTP/1.1 400 Bad Request\r\n"), FaultKind::Framing);
        assert_eq!(bad(b"\n"), FaultKind::Framing);
        assert_eq!(bad(b"BEGIN LIST VAR storeups\nVAR storeups a \"1\n"), FaultKind::Parse);
        assert_eq!(bad(b"BEGIN LIST VAR storeups\nVAR storeups a\n"), FaultKind::Parse);
        assert_eq!(bad(&[b'a'; LINE_BYTES_MAX + 1]), FaultKind::TooLarge);
    }

    #[test]
    fn more_variables_than_a_ups_can_have_are_refused() {
        let mut text = b"BEGIN LIST VAR storeups\n".to_vec();
        for _ in 0..=VARIABLES_MAX {
            text.extend_from_slice(b"VAR storeups a \"1\"\n");
        }
        assert_eq!(bad(&text), FaultKind::TooLarge);
    }
}
