//! What every page has: the head, the languages, the policy of its content, nothing kept by the browser.
//!
//! The policy lets nothing run or load that is not a file of ours, so what a device or a server is called is text only. The
//! referrer is told within the box: without it a browser calls the origin of a form `null`, and the form would be refused.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::files::{ICON, SCRIPT, STYLE};
use super::speaker::Speaker;
use crate::language::Language;
use crate::local::reader::Reader;

/// Nothing but our own files, in no frame of anybody's, and forms that go nowhere else.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Told with every page.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Shapes that say a state without its colour: each is drawn once, and used by its name.
const SHAPES: &str = r##"<svg class="shapes" aria-hidden="true"><symbol id="s-ok" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7"/><path d="m4.5 8.3 2.4 2.4 4.6-5"/></symbol><symbol id="s-stale" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2" class="line"/><path d="M8 4.5V8l2.5 1.6" class="line"/></symbol><symbol id="s-fault" viewBox="0 0 16 16"><path class="full" d="M8 1 15.4 14.5H.6z"/><path d="M8 6v4M8 12v.6"/></symbol><symbol id="s-unreachable" viewBox="0 0 16 16"><rect x="1.5" y="1.5" width="13" height="13" rx="2"/><path d="m5 5 6 6m0-6-6 6"/></symbol><symbol id="s-unknown" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2" class="line" stroke-dasharray="2.6 2.2"/></symbol></svg>"##;

/// One page.
pub(super) struct Sheet<'a> {
    pub reader: &'a Reader,
    pub title: &'a str,
    /// `data-verdict` of its main part.
    pub verdict: Option<&'a str>,
    /// Where the script finds it anew, and how often: a path of ours and seconds.
    pub fresh: Option<(&'a str, u32)>,
    pub body: Markup,
}

/// A page with this title and this main part.
#[must_use]
pub(crate) fn shell(reader: &Reader, title: &str, body: Markup) -> Response {
    respond(StatusCode::OK, whole(&Sheet { reader, title, verdict: None, fresh: None, body }))
}

/// HTML with the headers of all pages.
pub(super) fn respond(status: StatusCode, markup: Markup) -> Response {
    let mut response = (status, markup.into_string()).into_response();
    for (name, value) in ALWAYS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The whole page. Without a script it comes again by itself, less often.
pub(super) fn whole(sheet: &Sheet<'_>) -> Markup {
    let speaker = Speaker::new(sheet.reader.language);
    let again = sheet.fresh.map(|(_, seconds)| if seconds > 1 { 30 } else { 2 });
    html! {
        (DOCTYPE)
        html lang=(speaker.language().code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (sheet.title) " \u{b7} StorePulse" }
                link rel="icon" type="image/svg+xml" href=(ICON.address());
                link rel="stylesheet" href=(STYLE.address());
                script src=(SCRIPT.address()) defer {}
                @if let Some(seconds) = again {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
            }
            body {
                a.skip href="#main" { (speaker.say("skip")) }
                (PreEscaped(SHAPES))
                header {
                    a.brand href="/" { "StorePulse" }
                    (languages(speaker))
                }
                p #silent role="status" data-text=(speaker.say("silent")) {}
                main #main data-verdict=[sheet.verdict] data-fresh=[sheet.fresh.map(|(path, _)| path)]
                    data-every=[sheet.fresh.map(|(_, seconds)| seconds)] { (sheet.body) }
            }
        }
    }
}

fn languages(speaker: Speaker) -> Markup {
    html! {
        nav.languages aria-label=(speaker.say("languages")) {
            @for language in Language::ALL {
                @let code = language.code();
                a href={ "?lang=" (code) } hreflang=(code) lang=(code) aria-label={ (code.to_uppercase()) " " (language.name()) }
                    aria-current=[(language == speaker.language()).then_some("true")] { (code.to_uppercase()) }
            }
        }
    }
}

/// The shape of a state; its word stands beside it.
pub(super) fn shape(state: &str) -> Markup {
    html! { svg.shape data-shape=(state) aria-hidden="true" { use href={ "#s-" (state) } {} } }
}
