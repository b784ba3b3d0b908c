//! The HTML of the setup pages. What comes from outside, names, holders and errors, is put in by maud's escaping only.

mod drawer;
mod home;
mod label;
mod probe;
mod scale;

use maud::{Markup, html};

pub(super) use self::drawer::{start as drawer_start, step as drawer_step};
pub(super) use self::home::{Home, home};
pub(super) use self::label::label;
pub(super) use self::probe::answered;
pub(super) use self::scale::{bad_weight, start as scale_start, step as scale_step};
use super::words::Words;
use crate::local::reader::Reader;

/// Whoever reads, and the words for them.
#[derive(Clone, Copy)]
pub(super) struct For<'a> {
    pub reader: &'a Reader,
    pub words: Words,
}

impl<'a> For<'a> {
    pub(super) const fn new(reader: &'a Reader) -> Self {
        Self { reader, words: Words(reader.language) }
    }
}

/// The way back.
fn back(words: Words) -> Markup {
    html! { p { a href="/setup" { (words.say("back")) } } }
}

/// A form that does something; only for who is signed in, with the token of the session.
fn form(whom: For<'_>, path: &str, action: &str, inside: &Markup) -> Markup {
    let Some(session) = &whom.reader.session else { return html! {} };
    html! {
        form method="post" action=(path) data-action=(action) {
            input type="hidden" name="csrf" value=(session.csrf);
            (inside)
        }
    }
}

/// A field that nobody sees.
fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// What is not there for who is not signed in, said.
fn sign_in(whom: For<'_>, then: &str) -> Markup {
    let words = whom.words;
    if whom.reader.session.is_some() {
        return html! {};
    }
    if !whom.reader.can_sign_in {
        let command = words.fill("no_pin", &[("command", "storepulse-agent devices --probe")]);
        return html! { p.soft data-step="no_pin" { (command) } };
    }
    html! {
        p.soft data-step="sign_in" {
            (words.say("sign_in_first")) " "
            a href={ "/sign-in?then=" (then) } { (words.say("sign_in")) }
        }
    }
}

/// Text to be pasted, with a button that a script shows.
fn pasted(words: Words, text: &str) -> Markup {
    html! {
        div.paste {
            pre { code { (text) } }
            button type="button" hidden data-copy data-copied=(words.say("copied")) { (words.say("copy")) }
        }
    }
}

/// Whether an event was recorded.
fn recorded(words: Words, device: &str, problem: Option<&str>) -> Markup {
    match problem {
        None => html! { p.soft data-recorded="true" { (words.fill("recorded", &[("device", device)])) } },
        Some(why) => {
            html! { p.warning data-recorded="false" { (words.fill("not_recorded", &[("why", why)])) } }
        }
    }
}

/// It could not be read, and what to do.
fn unread(words: Words, device: &str, why: &str) -> Markup {
    html! {
        p.warning data-step="unread" { (words.fill("unread", &[("device", device), ("why", why)])) }
        p.next { (words.say("unread_next")) }
    }
}

/// What hostile text must not become.
#[cfg(test)]
const HOSTILE: &str = "<script>alert(1)</script>\"'&";

#[cfg(test)]
fn reader(is_signed_in: bool) -> Reader {
    let session = crate::local::reader::Session { csrf: "token-1".to_owned(), minutes_left: 30 };
    Reader {
        language: crate::language::Language::En,
        session: is_signed_in.then_some(session),
        can_sign_in: true,
    }
}

/// Whether hostile text stayed text.
#[cfg(test)]
fn assert_harmless(markup: &Markup) {
    let html = &markup.0;
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "{html}");
    assert!(!html.contains("<script>alert"), "{html}");
}
