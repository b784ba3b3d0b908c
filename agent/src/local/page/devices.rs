//! The devices: those that need a look first, and of each its state, its value with the age, and what went wrong.
//!
//! No answer is not zero, and an old value is not a present one: what a device said before it fell silent is grey, and says so.

use std::cmp::Reverse;

use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;

use super::shell::shape;
use super::speaker::Speaker;
use super::strip::{self, Days};
use super::values;
use crate::board::{DeviceState, DeviceStatus, LastError};
use crate::status::AgentStatus;

/// An error of a device that is well again is told of for so long.
const ERROR_SHOWN_MS: i64 = 86_400_000;
/// A value that is so much older than the last reading is not part of it any more.
const LEFT_BEHIND_MS: i64 = 600_000;

/// The name of a state in `data-state`.
pub(super) const fn state_name(state: Option<DeviceState>) -> &'static str {
    match state {
        Some(DeviceState::Ok) => "ok",
        Some(DeviceState::Stale) => "stale",
        Some(DeviceState::Fault) => "fault",
        Some(DeviceState::Unreachable) => "unreachable",
        None => "unknown",
    }
}

/// A state as a word.
pub(super) fn state_word(speaker: Speaker, state: Option<DeviceState>) -> &'static str {
    match state {
        Some(DeviceState::Ok) => speaker.say("state_ok"),
        Some(DeviceState::Stale) => speaker.say("state_stale"),
        Some(DeviceState::Fault) => speaker.say("state_fault"),
        Some(DeviceState::Unreachable) => speaker.say("state_unreachable"),
        None => speaker.say("state_unknown"),
    }
}

/// What a kind is called.
pub(super) fn kind_word(speaker: Speaker, kind: &str) -> &str {
    speaker.call("kind", kind).unwrap_or(kind)
}

/// What a kind of error is called.
pub(super) fn fault_word(speaker: Speaker, fault: &str) -> &str {
    speaker.call("fault", fault).unwrap_or(fault)
}

/// All of them.
pub(super) fn devices(speaker: Speaker, status: &AgentStatus, days: &Days) -> Markup {
    let found = |id: &DeviceId| status.verdict.findings.iter().any(|f| f.device.as_ref() == Some(id));
    // Of those alike, the order of their names stays.
    let mut ordered: Vec<(&DeviceId, &DeviceStatus)> = status.devices.iter().collect();
    ordered.sort_by_key(|(id, device)| Reverse((rank(device.state), found(id))));
    let well = ordered.iter().filter(|(_, device)| device.state == Some(DeviceState::Ok)).count();
    html! {
        section.card #devices {
            div.head {
                h2 { (speaker.say("devices")) }
                @if !ordered.is_empty() {
                    p.soft {
                        (speaker.fill("devices_well", &[
                            ("well", &speaker.whole(well as u64)),
                            ("all", &speaker.whole(ordered.len() as u64)),
                        ]))
                    }
                }
            }
            @if ordered.is_empty() {
                p.soft { (speaker.say("no_devices")) }
            } @else {
                ul.devices {
                    @for (id, device) in ordered { (one(speaker, status, id, device, days)) }
                }
            }
        }
    }
}

/// How much it needs a look.
const fn rank(state: Option<DeviceState>) -> u8 {
    match state {
        Some(DeviceState::Unreachable) => 4,
        Some(DeviceState::Fault) => 3,
        Some(DeviceState::Stale) => 2,
        None => 1,
        Some(DeviceState::Ok) => 0,
    }
}

fn one(speaker: Speaker, status: &AgentStatus, id: &DeviceId, device: &DeviceStatus, days: &Days) -> Markup {
    let state = state_name(device.state);
    html! {
        li.device id={ "device-" (id) } data-device=(id) data-state=(state) {
            (shape(state))
            a.name href={ "/device/" (id) } { (id) }
            (value(speaker, status.now_ms, device))
            (error(speaker, status, device))
            @if let Some(day) = days.get(id) { (strip::draw(speaker, day)) }
        }
    }
}

/// Whether a value of the device is no present one.
pub(super) fn is_stale(device: &DeviceStatus, t: i64) -> bool {
    let left_behind = device.last_good_ms.is_some_and(|good| good.saturating_sub(t) > LEFT_BEHIND_MS);
    device.state != Some(DeviceState::Ok) || left_behind
}

fn value(speaker: Speaker, now_ms: i64, device: &DeviceStatus) -> Markup {
    let about = html! {
        p.about { b { (state_word(speaker, device.state)) } " \u{b7} " (kind_word(speaker, device.kind)) }
    };
    html! {
        @match values::most_telling(&device.values) {
            Some((series, reading)) => {
                @let stale = is_stale(device, reading.t);
                p.value data-stale[stale] { (values::write(speaker, series, reading.value)) }
                div.meta {
                    (about)
                    p.age {
                        @if stale { (speaker.say("last_value")) ", " } @else { (values::name(speaker, series)) ", " }
                        (speaker.ago(reading.t, now_ms))
                    }
                }
            }
            None => {
                p.value data-stale { "\u{2013}" }
                div.meta { (about) p.age { (speaker.say("no_value")) } }
            }
        }
    }
}

/// The last error, with those of its kind that came before.
fn error(speaker: Speaker, status: &AgentStatus, device: &DeviceStatus) -> Markup {
    let Some(error) = &device.last_error else { return html! {} };
    let age_ms = status.now_ms.saturating_sub(error.at_ms);
    if device.state == Some(DeviceState::Ok) {
        return html! {
            @if age_ms < ERROR_SHOWN_MS {
                p.error { (speaker.say("last_error")) ": " (fault_word(speaker, error.kind)) ", " (speaker.ago(error.at_ms, status.now_ms)) }
            }
        };
    }
    html! {
        p.error {
            b { (fault_word(speaker, error.kind)) }
            " \u{b7} " (pooled(speaker, status, device, error))
            br;
            span.soft { (error.text) }
        }
    }
}

/// How often, the last time when, counted since when.
pub(super) fn pooled(
    speaker: Speaker,
    status: &AgentStatus,
    device: &DeviceStatus,
    error: &LastError,
) -> Markup {
    let times = device.errors.get(error.kind).copied().unwrap_or(1);
    html! {
        (speaker.count("times", times)) " " (speaker.say("since")) " " (speaker.time(status.started_ms, status.now_ms))
        ", " (speaker.say("last_time")) " " (speaker.ago(error.at_ms, status.now_ms))
    }
}
