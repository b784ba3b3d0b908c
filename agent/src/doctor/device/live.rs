//! A device while no agent runs: one reading, and if that fails on a serial port, who answers there instead, and at which speed.

use std::time::Duration;

use storepulse_shared::ids::DeviceId;
use tokio::time::Instant;

use super::ANSWER;
use super::scratch::Scratch;
use super::told::{exchange, values};
use crate::board::{DeviceState, DeviceStatus};
use crate::collector::{Answered, Kind, Line, PortSettings, Ports, Reached, introduce, lines_of};
use crate::doctor::check::Check;
use crate::doctor::words::hex;
use crate::finding::{self, Finding, Problem};
use crate::status::what_it_says;

/// For one reading.
const LIMIT: Duration = Duration::from_secs(6);

/// Reads it once, and judges what came of it.
pub(super) async fn ask(scratch: &Scratch, id: &DeviceId, kind: &Kind, until: Instant, deep: bool) -> Check {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Check::skipped(ANSWER, "not asked: the devices before it took the time");
    }
    let Some(status) = scratch.read(id, kind, LIMIT.min(left)).await else {
        return Check::skipped(ANSWER, "it cannot be read here");
    };
    let port = match kind.reached() {
        Reached::Serial { port, line } => Some((port, line)),
        _ => None,
    };
    match (status.state, &status.last_error) {
        // It answers; what it says may be bad news.
        (Some(DeviceState::Ok), _) => match what_it_says(id, &status).into_iter().next() {
            Some(finding) => Check::found(ANSWER, finding, good(&status)),
            None => Check::pass(ANSWER, good(&status)),
        },
        (_, None) => Check::skipped(ANSWER, "nothing came in the time that the doctor takes"),
        (_, Some(error)) => {
            let path = port.map(|(port, _)| port.name.to_string());
            let place = finding::Place {
                line: port.map(|(_, line)| line.to_string()),
                ..finding::Place::on(path.as_deref())
            };
            let finding = finding::of_fault(error.kind, id, &place, &error.text);
            let mut evidence = vec![error.text.clone(), exchange(&serde_json::json!(status.exchange))];
            let mut finding = finding;
            if let Some((port, line)) = port.filter(|_| may_be_another(finding.problem)) {
                let answered = strangers(kind.name(), port, line, until, deep).await;
                let (problem, more) = diagnose(kind.name(), line, finding.problem, &answered);
                finding = Finding { problem, ..finding };
                evidence.push(more);
            }
            evidence.retain(|text| !text.is_empty());
            Check::found(ANSWER, finding, evidence.join("; "))
        }
    }
}

fn good(status: &DeviceStatus) -> String {
    let said = exchange(&serde_json::json!(status.exchange));
    let values = values(&serde_json::json!(status.values));
    if said.is_empty() { values } else { format!("{said}: {values}") }
}

/// Failures that another device, another speed or no device would explain.
fn may_be_another(problem: Problem) -> bool {
    matches!(
        problem,
        Problem::DeviceSilent | Problem::LineWrong | Problem::DeviceFault | Problem::WrongDevice
    )
}

/// Asks who is there: at the configured line all kinds, and at the others, if something was heard or all is to be tried, this
/// kind.
async fn strangers(
    kind: &'static str,
    port: &PortSettings,
    line: Line,
    until: Instant,
    deep: bool,
) -> Vec<Answered> {
    let ports = Ports::default();
    let mut all: Vec<Answered> = Vec::new();
    // Its own kind is asked first, whatever is asked then.
    for own in [true, false] {
        let wanted = |asked: &'static str| (asked == kind) == own;
        all.extend(introduce(&ports, port, line, wanted, until).await.unwrap_or_default());
        if all.last().is_some_and(|one| one.is_understood) {
            return all;
        }
    }
    if deep || all.iter().any(|one| !one.heard.is_empty()) {
        for other in lines_of(kind).iter().filter(|other| **other != line) {
            all.extend(
                introduce(&ports, port, *other, |asked| asked == kind, until).await.unwrap_or_default(),
            );
            if all.last().is_some_and(|one| one.is_understood) {
                return all;
            }
        }
    }
    all
}

/// What their answers mean, and what to show of them.
fn diagnose(kind: &str, line: Line, known: Problem, all: &[Answered]) -> (Problem, String) {
    if let Some(found) = all.iter().find(|one| one.is_understood) {
        let said = format!("asked {}, answered {}", hex(found.asked), hex(&found.heard));
        let what = format!("{} answers at {}: {said}", found.what, found.line);
        let problem = match (found.kind == kind, found.line == line) {
            (false, _) => Problem::WrongDevice,
            (true, false) => Problem::LineWrong,
            // It answers this question, and not the configured one: another protocol, or another unit.
            (true, true) if known == Problem::DeviceSilent => Problem::WrongDevice,
            (true, true) => known,
        };
        return (problem, what);
    }
    match all.iter().find(|one| !one.heard.is_empty()) {
        Some(heard) => {
            let said = format!(
                "asked {}, answered {}, which nobody we know would say",
                hex(heard.asked),
                hex(&heard.heard)
            );
            (if known == Problem::DeviceSilent { Problem::LineWrong } else { known }, said)
        }
        None => {
            let asked = all.first().map(|first| format!("asked {}, no answer", hex(first.asked)));
            (known, asked.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line::eight_n_one(9_600);

    fn answered(kind: &'static str, baud: u32, heard: &[u8], is_understood: bool) -> Answered {
        let line = Line::eight_n_one(baud);
        Answered { what: "it", kind, line, asked: b"\x10\x04\x01", heard: heard.to_owned(), is_understood }
    }

    #[test]
    fn who_answers_instead_explains_the_failure() {
        let of = |all: &[Answered]| diagnose("escpos", LINE, Problem::DeviceSilent, all);
        assert_eq!(of(&[]).0, Problem::DeviceSilent);
        let (problem, said) = of(&[answered("escpos", 9_600, b"", false)]);
        assert!(problem == Problem::DeviceSilent && said == "asked 10 04 01, no answer", "{said}");
        let (problem, said) = of(&[answered("escpos", 9_600, b"\xff", false)]);
        assert!(problem == Problem::LineWrong && said.contains("answered ff"), "{said}");
        let silent = answered("escpos", 9_600, b"", false);
        assert_eq!(of(&[silent.clone(), answered("scale", 9_600, b"x", true)]).0, Problem::WrongDevice);
        let (problem, said) = of(&[silent, answered("escpos", 19_200, b"\x12", true)]);
        assert!(problem == Problem::LineWrong && said.contains("19200 8N1"), "{said}");
    }
}
