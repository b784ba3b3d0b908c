//! The box: what it is, how much it has left, what its clock is worth.

use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;
use storepulse_shared::settings::SettingsState;

use super::speaker::Speaker;
use super::spool::float;
use crate::status::{AgentStatus, Machine};
use crate::time::Authority;

/// The whole section.
pub(super) fn machine(speaker: Speaker, status: &AgentStatus) -> Markup {
    let machine = &status.machine;
    html! {
        section.card #box {
            h2 { (speaker.say("box")) }
            dl {
                (left(speaker, speaker.say("disk"), machine.disk_free_bytes, machine.disk_bytes))
                (left(speaker, speaker.say("memory"), machine.memory_free_bytes, machine.memory_bytes))
                @if let Some(temperature) = machine.temperature {
                    dt { (speaker.say("temperature")) } dd { (speaker.with_unit(temperature, 0, "°C")) }
                }
                @if let Some(weak) = machine.under_voltage {
                    dt { (speaker.say("power_supply")) }
                    dd { @if weak { span.warn { (speaker.say("too_weak")) } } @else { (speaker.say("good")) } }
                }
                (clock(speaker, status))
                (versions(speaker, status, machine))
            }
        }
    }
}

fn left(speaker: Speaker, what: &'static str, free: Option<u64>, all: Option<u64>) -> Markup {
    let Some(free) = free else { return html! {} };
    let free = speaker.bytes(float(free));
    html! {
        dt { (what) }
        dd {
            @match all {
                Some(all) => (speaker.fill("free_of", &[("free", &free), ("all", &speaker.bytes(float(all)))])),
                None => (speaker.fill("free", &[("free", &free)])),
            }
        }
    }
}

fn clock(speaker: Speaker, status: &AgentStatus) -> Markup {
    let clock = &status.clock;
    let seconds = clock.offset_ms.map(|ms| ms / 1_000).filter(|seconds| *seconds != 0);
    html! {
        dt { (speaker.say("clock")) }
        dd {
            (speaker.time(status.now_ms, status.now_ms)) ", "
            @match (clock.authority, clock.repairing) {
                (None, _) => span.warn { (speaker.say("clock_untold")) },
                (Some(_), true) => span.warn { (speaker.say("clock_repaired")) },
                (Some(Authority::Ntp), false) => (speaker.say("clock_by_network")),
                (Some(Authority::Cloud), false) => (speaker.say("clock_by_cloud")),
            }
            @if let Some(seconds) = seconds {
                " (" (speaker.fill("clock_off", &[("span", &speaker.span(float(seconds.unsigned_abs())))])) ")"
            }
        }
    }
}

/// What the cloud has set over `agent.yaml`, and what became of it; nothing if it never did.
fn settings(speaker: Speaker, status: &AgentStatus) -> Markup {
    let settings = &status.settings;
    let Some(state) = settings.state else { return html! {} };
    let word = match state {
        SettingsState::Trying => speaker.say("settings_trying"),
        SettingsState::Confirmed => speaker.say("settings_confirmed"),
        SettingsState::Reverted => speaker.say("settings_reverted"),
        SettingsState::Refused => speaker.say("settings_refused"),
    };
    let off: Vec<&str> = settings.off.iter().map(DeviceId::as_str).collect();
    html! {
        dt { (speaker.say("settings")) }
        dd #settings data-state=(state.as_str()) {
            (settings.version) ": " (word)
            @if let Some(why) = &settings.why { " (" (why) ")" }
            @if !off.is_empty() { " · " (speaker.say("settings_off")) " " (off.join(", ")) }
        }
    }
}

fn versions(speaker: Speaker, status: &AgentStatus, machine: &Machine) -> Markup {
    html! {
        @if let Some(uptime) = machine.uptime_s {
            dt { (speaker.say("box_runs")) } dd { (speaker.span(float(uptime))) }
        }
        dt { (speaker.say("agent_runs")) } dd { (speaker.between(status.started_ms, status.now_ms)) }
        dt { (speaker.say("agent_version")) } dd { (status.version) }
        (settings(speaker, status))
        @if let Some(system) = &machine.system { dt { (speaker.say("system")) } dd { (system) } }
        @if let Some(kernel) = &machine.kernel { dt { (speaker.say("kernel")) } dd { (kernel) } }
        @if let Some(name) = &machine.host_name { dt { (speaker.say("host_name")) } dd { (name) } }
        @if let Some(store) = &status.identity.store {
            dt { (speaker.say("store")) }
            dd { (store) @if let Some(tenant) = &status.identity.tenant { " (" (tenant) ")" } }
        }
        @if let Some(id) = &status.identity.key_id { dt { (speaker.say("key_id")) } dd { code { (id) } } }
        @if let Some(problem) = &status.identity.problem {
            dt { (speaker.say("key_id")) } dd { span.warn { (problem) } }
        }
    }
}
