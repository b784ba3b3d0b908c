//! The verdict: one line, its reason and what to do next; then whatever else was found.

use maud::{Markup, html};

use super::shell::shape;
use super::speaker::Speaker;
use crate::finding::{Finding, Severity};
use crate::status::{AgentStatus, Level};

/// What else was found, as far as it is shown at once.
const OTHERS_SHOWN: usize = 4;

/// The name of a level in `data-verdict`.
pub(super) const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Degraded => "degraded",
        Level::Broken => "broken",
    }
}

/// The verdict of the whole.
pub(super) fn verdict(speaker: Speaker, status: &AgentStatus) -> Markup {
    let level = status.verdict.level;
    let findings = status.verdict.findings.as_slice();
    let (first, others) = match findings.split_first() {
        Some((first, others)) if level != Level::Ok => (Some(first), others),
        _ => (None, findings),
    };
    html! {
        section.card.verdict data-level=(level_name(level)) {
            @match first {
                Some(first) => (worst(speaker, level, first, status.now_ms)),
                None => (all_is_well(speaker, status)),
            }
            (rest(speaker, others, status.now_ms))
        }
    }
}

/// The verdict of an agent that cannot tell more than this.
pub(super) fn broken(speaker: Speaker, finding: &Finding) -> Markup {
    html! {
        section.card.verdict data-level=(level_name(Level::Broken)) { (worst(speaker, Level::Broken, finding, 0)) }
    }
}

/// What makes the verdict. Only this is read aloud when it changes, and its age is not part of it.
fn worst(speaker: Speaker, level: Level, finding: &Finding, now_ms: i64) -> Markup {
    let (picture, word) = match level {
        Level::Broken => ("unreachable", speaker.say("level_broken")),
        Level::Degraded | Level::Ok => ("fault", speaker.say("level_degraded")),
    };
    html! {
        div.first data-finding=(finding.problem.name()) {
            p.level { (shape(picture)) (word) }
            div aria-live="polite" {
                h1.text { (sentence(speaker, finding)) }
                p.next { (finding.next(speaker.language())) }
            }
            (particulars(speaker, finding, now_ms))
            @if let Some(evidence) = &finding.evidence { code.verbatim { (evidence) } }
        }
    }
}

fn all_is_well(speaker: Speaker, status: &AgentStatus) -> Markup {
    let devices = status.devices.len() as u64;
    html! {
        div.first {
            p.level { (shape("ok")) (speaker.say("level_ok")) }
            div aria-live="polite" { h1 { (speaker.say("all_is_well")) } }
            p.since {
                (speaker.count("devices_answer", devices))
                @if let Some(ack) = status.uplink.last_ack_ms {
                    " " (speaker.say("cloud_has_until")) " " (speaker.time(ack, status.now_ms)) "."
                }
            }
        }
    }
}

fn rest(speaker: Speaker, others: &[Finding], now_ms: i64) -> Markup {
    let (shown, hidden) = others.split_at(others.len().min(OTHERS_SHOWN));
    html! {
        @if !shown.is_empty() {
            ul.findings aria-label=(speaker.say("other_findings")) {
                @for finding in shown { (one(speaker, finding, now_ms)) }
                @if !hidden.is_empty() {
                    li #more-findings {
                        details {
                            summary { (speaker.count("more_findings", hidden.len() as u64)) }
                            ul { @for finding in hidden { (one(speaker, finding, now_ms)) } }
                        }
                    }
                }
            }
        }
    }
}

fn one(speaker: Speaker, finding: &Finding, now_ms: i64) -> Markup {
    let picture = if finding.problem.severity() == Severity::Note { "stale" } else { "fault" };
    html! {
        li data-finding=(finding.problem.name()) {
            p.tell { (shape(picture)) span.text { (sentence(speaker, finding)) } }
            p.next { (finding.next(speaker.language())) }
            (particulars(speaker, finding, now_ms))
            // What a device said stands with the device.
            @if let (Some(evidence), None) = (&finding.evidence, &finding.device) { code.verbatim { (evidence) } }
        }
    }
}

/// The text with a capital letter, unless it begins with the name of the device.
pub(super) fn sentence(speaker: Speaker, finding: &Finding) -> String {
    let text = finding.text(speaker.language());
    let is_named = finding.device.as_ref().is_some_and(|device| text.starts_with(device.as_str()));
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !is_named => first.to_uppercase().chain(letters).collect(),
        _ => text,
    }
}

/// Since when, and of which device.
fn particulars(speaker: Speaker, finding: &Finding, now_ms: i64) -> Markup {
    html! {
        @if finding.since_ms.is_some() || finding.device.is_some() {
            p.since.soft {
                @if let Some(since) = finding.since_ms {
                    (speaker.say("since")) " " (speaker.time(since, now_ms)) " (" (speaker.between(since, now_ms)) ") "
                }
                @if let Some(device) = &finding.device {
                    a href={ "/device/" (device) } { (speaker.fill("look_at", &[("device", device.as_str())])) }
                }
            }
        }
    }
}
