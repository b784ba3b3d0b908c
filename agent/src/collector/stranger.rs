//! Who is it, if not the device that the configuration names? Every kind's own status question, put to a port whose device does
//! not answer as it should, and what came back, in bytes. Only when a person asks for it, and only on a port that nobody else
//! has open; what is asked is what [`super::probe`] asks.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use storepulse_shared::ids::DeviceId;
use tokio::time::Instant;

use super::fault::Fault;
use super::link::{Question, ask};
use super::probe::Introduction;
use super::serial::{Line, Port, PortSettings, Ports};
use super::tape::Tape;
use super::{FaultKind, Kind};

/// For an answer, as with [`super::probe`].
const TIMEOUT: Duration = Duration::from_millis(400);
/// Answers before a kind is believed: noise may look like one.
const ANSWERS: usize = 3;
/// Longest answer; no kind's first question has one that is longer.
const ANSWER_BYTES_MAX: usize = 512;

/// What was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Whose question it is, `an ESC/POS printer`.
    pub what: &'static str,
    /// Its kind, `escpos`.
    pub kind: &'static str,
    /// The line at which it was asked.
    pub line: Line,
    /// The question.
    pub asked: &'static [u8],
    /// All that came back to the last question; empty if nothing did.
    pub heard: Vec<u8>,
    /// It was answered well, three times.
    pub is_understood: bool,
}

/// Asks on a port, at this line, with the questions of the kinds that `wanted` names, until one is understood or the time is up.
///
/// # Errors
/// The port cannot be opened.
pub(crate) async fn introduce(
    ports: &Ports,
    settings: &PortSettings,
    line: Line,
    wanted: impl Fn(&'static str) -> bool,
    until: Instant,
) -> Result<Vec<Answered>, Fault> {
    let device: DeviceId = "doctor".parse().map_err(|_| Fault::new(FaultKind::Internal, "no device id"))?;
    // How the line is set is what is tried here.
    let settings = PortSettings { baud: None, format: None, ..settings.clone() };
    let mut port = ports.open(&device, &settings, line).await?;
    let mut all = Vec::new();
    for introduction in Kind::INTRODUCTIONS.iter().copied().flatten() {
        if introduction.lines.is_empty() || !wanted(introduction.kind) {
            continue;
        }
        if Instant::now() >= until {
            break;
        }
        let answered = put(&mut port, introduction, line).await;
        let found = answered.is_understood;
        all.push(answered);
        if found {
            break;
        }
    }
    Ok(all)
}

/// The lines at which strangers of a kind are asked, the usual one first.
pub(crate) fn lines_of(kind: &str) -> &'static [Line] {
    let of_kind = Kind::INTRODUCTIONS.iter().copied().flatten().filter(|known| known.kind == kind);
    of_kind.map(|known| known.lines).find(|lines| !lines.is_empty()).unwrap_or_default()
}

async fn put(port: &mut Port, introduction: &'static Introduction, line: Line) -> Answered {
    let heard = Mutex::new(Vec::new());
    let tape = Tape::default();
    let question = Question {
        bytes: introduction.request,
        timeout: TIMEOUT,
        answer_bytes_max: ANSWER_BYTES_MAX,
        ended: FaultKind::MissingPort,
        tape: &tape,
    };
    let mut understood = 0;
    while understood < ANSWERS {
        let parse = |bytes: &[u8]| {
            // The parser sees all bytes since the question, each time.
            bytes.clone_into(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
            (introduction.is_answer)(bytes)
        };
        if ask(&mut port.stream, question, parse).await.is_err() {
            break;
        }
        understood += 1;
    }
    Answered {
        what: introduction.what,
        kind: introduction.kind,
        line,
        asked: introduction.request,
        heard: heard.into_inner().unwrap_or_else(PoisonError::into_inner),
        is_understood: understood == ANSWERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::rig::{Rig, plug};

    async fn asked(answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Vec<Answered> {
        let rig = Rig::new();
        let device = plug(&rig.dir.path().join("tty"), answer);
        let settings = PortSettings::plain(&device.path.display().to_string());
        let until = Instant::now() + Duration::from_secs(10);
        introduce(&rig.ctx.ports, &settings, Line::eight_n_one(9_600), |_| true, until).await.unwrap()
    }

    #[tokio::test]
    async fn who_is_there_is_told_with_what_was_said() {
        let all = asked(|asked| if asked == b"W" { b"\x0201.234\r".to_vec() } else { Vec::new() }).await;
        let scale = all.last().unwrap();
        assert!(scale.is_understood && scale.kind == "scale", "{scale:?}");
        assert_eq!((scale.asked, scale.heard.as_slice()), (&b"W"[..], &b"\x0201.234\r"[..]));
        assert!(all.iter().rev().skip(1).all(|other| !other.is_understood && other.heard.is_empty()));
    }

    #[tokio::test]
    async fn rubbish_is_kept_and_not_understood() {
        let all = asked(|_| vec![0xff, 0x00]).await;
        assert!(
            all.len() > 3 && all.iter().all(|one| !one.is_understood && one.heard == [0xff, 0x00]),
            "{all:?}"
        );
    }

    #[test]
    fn kinds_that_are_asked_have_their_lines() {
        assert_eq!(lines_of("escpos").first(), Some(&Line::eight_n_one(9_600)));
        assert_eq!(lines_of("scanner"), []);
    }
}
