//! What a technician can have done. Forms are there only after the PIN; each brings the token of its session back.

use maud::{Markup, html};

use super::speaker::Speaker;
use crate::local::reader::{Reader, Session};
use crate::status::AgentStatus;

/// How long a maintenance may be chosen to take, in minutes.
const MAINTENANCE_MINUTES: [u32; 5] = [30, 60, 120, 240, 480];
/// What is chosen at first.
const MINUTES_CHOSEN: u32 = 60;
/// Longest note of a visit.
const NOTE_CHARS_MAX: u32 = 200;

/// Those of the whole shop.
pub(super) fn actions(reader: &Reader, status: &AgentStatus) -> Markup {
    let speaker = Speaker::new(reader.language);
    html! {
        section.card #actions {
            h2 { (speaker.say("actions")) }
            @match &reader.session {
                Some(session) => {
                    div.actions {
                        (maintenance(speaker, session, status))
                        (identify(speaker, session, None))
                        (bundle(speaker, session))
                        (sign_out(speaker, session))
                    }
                }
                None => (before_signing_in(reader, speaker, "/")),
            }
        }
        nav.links aria-label=(speaker.say("more")) {
            a href="/setup" { (speaker.say("link_setup")) }
            a href="/label" { (speaker.say("link_label")) }
            a href={ "/status?lang=" (speaker.language().code()) } { (speaker.say("link_status")) }
        }
    }
}

/// Those of one device.
pub(super) fn of_device(reader: &Reader, device: &str) -> Markup {
    let speaker = Speaker::new(reader.language);
    html! {
        section.card #actions {
            h2 { (speaker.say("actions")) }
            @match &reader.session {
                Some(session) => {
                    div.actions {
                        form method="post" action={ "/device/" (device) "/test" } data-action="test" {
                            (token(session))
                            p.soft { (speaker.say("test_what")) }
                            button.primary { (speaker.say("test")) }
                        }
                        (identify(speaker, session, Some(device)))
                    }
                }
                None => (before_signing_in(reader, speaker, &format!("/device/{device}"))),
            }
        }
    }
}

fn before_signing_in(reader: &Reader, speaker: Speaker, then: &str) -> Markup {
    html! {
        @if reader.can_sign_in {
            p.soft { (speaker.say("actions_behind_pin")) }
            a.button.primary href={ "/sign-in?then=" (then) } { (speaker.say("sign_in")) }
        } @else {
            p.soft { (speaker.say("no_pin")) }
            code.verbatim { "local:" br; "\u{a0}\u{a0}pin_file: page.pin" }
        }
    }
}

fn token(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

fn maintenance(speaker: Speaker, session: &Session, status: &AgentStatus) -> Markup {
    if let Some(until) = status.maintenance_until_ms {
        return html! {
            form method="post" action="/maintenance/end" data-action="maintenance-end" {
                (token(session))
                p { (speaker.say("maintenance_until")) " " (speaker.time(until, status.now_ms)) "." }
                button { (speaker.say("maintenance_end")) }
            }
        };
    }
    html! {
        form method="post" action="/maintenance" data-action="maintenance" {
            (token(session))
            p.soft { (speaker.say("maintenance_what")) }
            label { (speaker.say("for_how_long"))
                select name="minutes" {
                    @for minutes in MAINTENANCE_MINUTES {
                        option value=(minutes) selected[minutes == MINUTES_CHOSEN] { (speaker.span(f64::from(minutes) * 60.0)) }
                    }
                }
            }
            label { (speaker.say("note")) input name="note" maxlength=(NOTE_CHARS_MAX) autocomplete="off"; }
            button { (speaker.say("maintenance")) }
        }
    }
}

fn identify(speaker: Speaker, session: &Session, device: Option<&str>) -> Markup {
    html! {
        form method="post" action="/identify" data-action="identify" {
            (token(session))
            @if let Some(device) = device { input type="hidden" name="device" value=(device); }
            p.soft { (speaker.say("identify_what")) }
            button { (speaker.say("identify")) }
        }
    }
}

fn bundle(speaker: Speaker, session: &Session) -> Markup {
    html! {
        form method="post" action="/support-bundle" data-action="bundle" {
            (token(session))
            p.soft { (speaker.say("bundle_what")) }
            button { (speaker.say("bundle")) }
        }
    }
}

fn sign_out(speaker: Speaker, session: &Session) -> Markup {
    html! {
        form method="post" action="/sign-out" data-action="sign-out" {
            (token(session))
            p.soft { (speaker.count("session_lasts", session.minutes_left)) }
            button { (speaker.say("sign_out")) }
        }
    }
}
