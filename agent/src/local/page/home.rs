//! The home page: everything that a glance needs, what matters most first.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::shell::{self, Sheet};
use super::speaker::Speaker;
use super::strip::Days;
use super::verdict::{level_name, verdict};
use super::{actions, devices, machine, spool, uplink};
use crate::finding::{Finding, Problem};
use crate::local::reader::Reader;
use crate::status::AgentStatus;

/// Seconds between two looks of the script.
const FRESH_SECONDS: u32 = 5;

/// The whole page.
#[must_use]
pub(crate) fn home(reader: &Reader, status: &AgentStatus, days: &Days) -> Response {
    shell::respond(StatusCode::OK, home_markup(reader, status, days))
}

/// The same as HTML.
pub(super) fn home_markup(reader: &Reader, status: &AgentStatus, days: &Days) -> Markup {
    let speaker = Speaker::new(reader.language);
    let title = status.identity.store.as_deref().unwrap_or_else(|| speaker.say("this_store"));
    let fresh = format!("/fragment?lang={}", reader.language.code());
    shell::whole(&Sheet {
        reader,
        title,
        verdict: Some(level_name(status.verdict.level)),
        fresh: Some((&fresh, FRESH_SECONDS)),
        body: inside(reader, status, days),
    })
}

/// What is inside of its main part, for the script.
#[must_use]
pub(crate) fn fragment(reader: &Reader, status: &AgentStatus, days: &Days) -> Response {
    shell::respond(StatusCode::OK, inside(reader, status, days))
}

/// The same as HTML.
pub(super) fn inside(reader: &Reader, status: &AgentStatus, days: &Days) -> Markup {
    let speaker = Speaker::new(reader.language);
    html! {
        p.place {
            (status.identity.store.as_deref().unwrap_or_else(|| speaker.say("this_store")))
            span { (speaker.say("as_of")) " " (speaker.time(status.now_ms, status.now_ms)) }
        }
        (verdict(speaker, status))
        (devices::devices(speaker, status, days))
        (uplink::uplink(speaker, status))
        (spool::spool(speaker, status))
        (machine::machine(speaker, status))
        (actions::actions(reader, status))
    }
}

/// The page of an agent whose spool does not answer: there is nothing else to show then, and nothing worse. With a path the
/// whole page, which comes again from there; else its inside.
pub(super) fn failing(reader: &Reader, error: &str, path: Option<&str>) -> Response {
    let speaker = Speaker::new(reader.language);
    let finding = Finding::new(Problem::SpoolFailing).shown_by(error);
    let body = super::verdict::broken(speaker, &finding);
    let markup = match path {
        Some(path) => {
            let title = speaker.say("level_broken");
            let fresh = Some((path, FRESH_SECONDS));
            shell::whole(&Sheet { reader, title, verdict: Some("broken"), fresh, body })
        }
        None => body,
    };
    shell::respond(StatusCode::SERVICE_UNAVAILABLE, markup)
}
