//! One device: all its values with their ages, its errors with what they mean and what to do, what was said on its line.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;

use super::devices::{fault_word, is_stale, kind_word, pooled, state_name, state_word};
use super::shell::{self, Sheet, shape};
use super::speaker::Speaker;
use super::strip::{self, Days};
use super::verdict::sentence;
use super::{actions, values};
use crate::board::{DeviceState, DeviceStatus, Exchange, Strip};
use crate::finding::{self, Finding, Place};
use crate::local::reader::Reader;
use crate::status::AgentStatus;

/// Seconds between two looks of the script.
const FRESH_SECONDS: u32 = 5;

/// The page of this device; 404 if there is none.
#[must_use]
pub(crate) fn device(reader: &Reader, status: &AgentStatus, id: &DeviceId, days: &Days) -> Response {
    match device_markup(reader, status, id, days) {
        Some(markup) => shell::respond(StatusCode::OK, markup),
        None => not_found(reader),
    }
}

/// A page that says that there is nothing here.
#[must_use]
pub(crate) fn not_found(reader: &Reader) -> Response {
    let speaker = Speaker::new(reader.language);
    let title = speaker.say("not_found");
    let body = html! { section.card { h1 { (title) } p { a href="/" { (speaker.say("back")) } } } };
    let sheet = Sheet { reader, title, verdict: None, fresh: None, body };
    shell::respond(StatusCode::NOT_FOUND, shell::whole(&sheet))
}

/// The same as HTML.
pub(super) fn device_markup(
    reader: &Reader,
    status: &AgentStatus,
    id: &DeviceId,
    days: &Days,
) -> Option<Markup> {
    let speaker = Speaker::new(reader.language);
    let device = status.devices.get(id)?;
    let body = html! {
        p.back { a href="/" { "\u{2039} " (speaker.say("back")) } }
        (top(speaker, status, id, device, days.get(id)))
        (all_values(speaker, status, device))
        (errors(speaker, status, id, device))
        (line(speaker, status, device))
        (actions::of_device(reader, id.as_str()))
    };
    let fresh = format!("/device/{id}?lang={}", reader.language.code());
    let fresh = Some((fresh.as_str(), FRESH_SECONDS));
    Some(shell::whole(&Sheet { reader, title: id.as_str(), verdict: None, fresh, body }))
}

fn top(
    speaker: Speaker,
    status: &AgentStatus,
    id: &DeviceId,
    device: &DeviceStatus,
    day: Option<&Strip>,
) -> Markup {
    let state = state_name(device.state);
    let found = status.verdict.findings.iter().filter(|finding| finding.device.as_ref() == Some(id));
    html! {
        section.card data-device=(id) data-state=(state) {
            div {
                h1 { (id) }
                p.soft { (kind_word(speaker, device.kind)) }
            }
            p.tell { (shape(state)) (state_word(speaker, device.state)) }
            @for finding in found { (explained(speaker, finding)) }
            dl {
                dt { (speaker.say("last_good")) }
                dd { @match device.last_good_ms {
                    Some(good) => { (speaker.ago(good, status.now_ms)) ", " (speaker.time(good, status.now_ms)) }
                    None => (speaker.say("never_since_start")),
                } }
                dt { (speaker.say("samples_read")) } dd { (speaker.whole(device.samples)) }
            }
            @if let Some(day) = day {
                figure {
                    p.small.soft aria-hidden="true" { (strip::words(speaker, day)) }
                    (strip::draw(speaker, day))
                    figcaption { span { (speaker.say("a_day_ago")) } span { (speaker.say("now")) } }
                }
            }
        }
    }
}

fn explained(speaker: Speaker, finding: &Finding) -> Markup {
    html! {
        div data-finding=(finding.problem.name()) {
            p.text { (sentence(speaker, finding)) }
            p.next { (finding.next(speaker.language())) }
        }
    }
}

fn all_values(speaker: Speaker, status: &AgentStatus, device: &DeviceStatus) -> Markup {
    html! {
        section.card #values {
            h2 { (speaker.say("values")) }
            @if device.state != Some(DeviceState::Ok) && !device.values.is_empty() {
                p.soft { (speaker.say("values_are_old")) }
            }
            @if device.values.is_empty() { p.soft { (speaker.say("no_value")) } }
            @else {
                table {
                    thead { tr { th { (speaker.say("value_name")) } th.n { (speaker.say("value_is")) } th.n { (speaker.say("value_age")) } } }
                    tbody { @for (series, reading) in &device.values {
                        tr data-series=(series) {
                            td title=(series) { (values::name(speaker, series)) }
                            td.n { span.value data-stale[is_stale(device, reading.t)] { (values::write(speaker, series, reading.value)) } }
                            td.n { span.age { (speaker.between(reading.t, status.now_ms)) } }
                        }
                    } }
                }
            }
        }
    }
}

fn errors(speaker: Speaker, status: &AgentStatus, id: &DeviceId, device: &DeviceStatus) -> Markup {
    let last = device.last_error.as_ref();
    let is_other = |kind: &str| last.is_none_or(|last| last.kind != kind);
    let all = device.errors.iter().map(|(kind, count)| (*kind, *count));
    let others: Vec<(&str, u64)> = all.filter(|(kind, _)| is_other(kind)).collect();
    html! {
        section.card #errors {
            h2 { (speaker.say("errors")) }
            @if device.errors.is_empty() { p.tell { (shape("ok")) (speaker.say("no_errors")) } }
            @if let Some(error) = last {
                div.error data-error=(error.kind) {
                    p.tell { (shape("fault")) (fault_word(speaker, error.kind)) }
                    p.soft.small { (pooled(speaker, status, device, error)) }
                    (meaning(speaker, status, id, error.kind))
                    code.verbatim { (error.text) }
                    @if let Some(bytes) = &error.bytes { (said(speaker, bytes)) }
                }
            }
            @if !others.is_empty() { ul.rows {
                @for (kind, count) in others {
                    li data-error=(kind) {
                        p { b { (fault_word(speaker, kind)) } " \u{b7} " (speaker.count("times", count)) }
                        (meaning(speaker, status, id, kind))
                    }
                }
            } }
        }
    }
}

/// What a kind of error means and what to do, unless that stands at the top of the page already.
fn meaning(speaker: Speaker, status: &AgentStatus, id: &DeviceId, kind: &str) -> Markup {
    let meaning = finding::of_fault(kind, id, &Place::default(), "");
    let is_told = |told: &Finding| told.device.as_ref() == Some(id) && told.problem == meaning.problem;
    html! {
        @if !status.verdict.findings.iter().any(is_told) {
            p.small { (sentence(speaker, &meaning)) }
            p.next.small { (meaning.next(speaker.language())) }
        }
    }
}

/// What was last said on the line, if the kind may show that.
fn line(speaker: Speaker, status: &AgentStatus, device: &DeviceStatus) -> Markup {
    let Some(exchange) = &device.exchange else { return html! {} };
    html! {
        section.card #exchange {
            div.head { h2 { (speaker.say("last_exchange")) } p.soft { (speaker.ago(exchange.at_ms, status.now_ms)) } }
            (said(speaker, exchange))
        }
    }
}

/// A question and its answer.
pub(super) fn said(speaker: Speaker, exchange: &Exchange) -> Markup {
    said_bytes(speaker, &exchange.asked, &exchange.answered)
}

/// The same of its bytes.
pub(super) fn said_bytes(speaker: Speaker, asked: &str, answered: &str) -> Markup {
    html! {
        dl {
            @if !asked.is_empty() { dt { (speaker.say("asked")) } dd.bytes { (asked) } }
            dt { (speaker.say("answered")) }
            dd.bytes { @if answered.is_empty() { span.soft { (speaker.say("nothing_answered")) } } @else { (answered) } }
        }
    }
}
