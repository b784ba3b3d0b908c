//! Where the PIN is typed.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::shell::{self, Sheet};
use super::speaker::Speaker;
use crate::local::reader::Reader;

/// The page with the form. `then` is the path of ours to go to afterwards, `problem` what was wrong with the last attempt.
#[must_use]
pub(crate) fn sign_in(reader: &Reader, then: &str, problem: Option<&str>) -> Response {
    shell::respond(StatusCode::OK, sign_in_markup(reader, then, problem))
}

/// The same as HTML.
pub(super) fn sign_in_markup(reader: &Reader, then: &str, problem: Option<&str>) -> Markup {
    let speaker = Speaker::new(reader.language);
    let title = speaker.say("sign_in");
    let body = html! {
        p.back { a href="/" { "\u{2039} " (speaker.say("back")) } }
        section.card {
            h1 { (title) }
            @if reader.can_sign_in { (form(speaker, then, problem)) } @else {
                p { (speaker.say("no_pin")) }
                code.verbatim { "local:" br; "\u{a0}\u{a0}pin_file: page.pin" }
            }
        }
    };
    shell::whole(&Sheet { reader, title, verdict: None, fresh: None, body })
}

fn form(speaker: Speaker, then: &str, problem: Option<&str>) -> Markup {
    html! {
        p.soft { (speaker.say("pin_why")) }
        form #sign-in method="post" action="/sign-in" {
            input type="hidden" name="then" value=(then);
            @if let Some(problem) = problem { p.problem #pin-problem role="alert" { (problem) } }
            label for="pin" { (speaker.say("pin")) }
            input #pin type="password" name="pin" inputmode="numeric" autocomplete="off" minlength="6" required autofocus
                aria-invalid=[problem.map(|_| "true")] aria-describedby=[problem.map(|_| "pin-problem")];
            button.primary { (speaker.say("sign_in")) }
        }
    }
}
