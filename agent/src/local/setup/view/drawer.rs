//! The steps with a cash drawer: close it, open it, what that says.

use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;

use super::{For, back, form, hidden, pasted, recorded, sign_in, unread};
use crate::local::setup::drawer::{Level, Polarity};
use crate::local::setup::outcome::DrawerStep;

/// The first step.
pub(in crate::local::setup) fn start(whom: For<'_>, device: &DeviceId) -> Markup {
    let path = path(device);
    html! {
        (heading(whom, device))
        p { (whom.words.say("drawer_why")) }
        (closing(whom, device))
        (sign_in(whom, &path))
        (back(whom.words))
    }
}

/// How a step ended, with the next.
pub(in crate::local::setup) fn step(whom: For<'_>, device: &DeviceId, step: &DrawerStep) -> Markup {
    let words = whom.words;
    let ended = match step {
        DrawerStep::Closed(level) => match level.parse() {
            Ok(level) => opening(whom, device, level),
            Err(()) => closing(whom, device),
        },
        DrawerStep::Compared { closed, open, record } => match (closed.parse(), open.parse()) {
            (Ok(closed), Ok(open)) => html! {
                (compared(whom, device, Polarity::of(closed, open)))
                (recorded(words, device.as_str(), record.as_deref()))
            },
            _ => closing(whom, device),
        },
        DrawerStep::NoLevel => html! {
            p.warning data-step="no_level" { (words.say("drawer_no_level")) }
        },
        DrawerStep::Unread { why, closed } => {
            let closed = closed.as_ref().and_then(|level| level.parse().ok());
            html! {
                (unread(words, device.as_str(), why))
                @if let Some(level) = closed { (opening(whom, device, level)) } @else { (closing(whom, device)) }
            }
        }
    };
    html! { (heading(whom, device)) (ended) (back(words)) }
}

fn path(device: &DeviceId) -> String {
    format!("/setup/drawer/{device}")
}

fn heading(whom: For<'_>, device: &DeviceId) -> Markup {
    html! { h1 { (whom.words.fill("drawer_title", &[("device", device.as_str())])) } }
}

fn closing(whom: For<'_>, device: &DeviceId) -> Markup {
    let words = whom.words;
    let inside = html! {
        (hidden("step", "closed"))
        button { (words.say("drawer_closed")) }
    };
    html! {
        section data-step="closed" {
            p.next { "1. " (words.say("drawer_close")) }
            (form(whom, &path(device), "drawer", &inside))
        }
    }
}

fn opening(whom: For<'_>, device: &DeviceId, closed: Level) -> Markup {
    let words = whom.words;
    let inside = html! {
        (hidden("step", "open"))
        (hidden("closed", &closed.to_string()))
        button { (words.say("drawer_opened")) }
    };
    html! {
        section data-step="open" data-closed=(closed) {
            p { (words.fill("drawer_first", &[("level", level(whom, closed))])) }
            p.next { "2. " (words.say("drawer_open")) }
            (form(whom, &path(device), "drawer", &inside))
        }
    }
}

fn compared(whom: For<'_>, device: &DeviceId, polarity: Polarity) -> Markup {
    let words = whom.words;
    match polarity {
        Polarity::OpenWhen(open) => html! {
            section data-step="result" data-open-when=(open) {
                p { (words.fill("drawer_result", &[("level", level(whom, open)), ("device", device.as_str())])) }
                (pasted(words, &polarity.configuration().unwrap_or_default()))
            }
        },
        Polarity::Unchanged(both) => html! {
            section data-step="unchanged" {
                p.warning { (words.fill("drawer_unchanged", &[("level", level(whom, both))])) }
                p.next { (words.say("drawer_unchanged_next")) }
                p { a href=(path(device)) { (words.say("begin_again")) } }
            }
        },
    }
}

fn level(whom: For<'_>, level: Level) -> &'static str {
    whom.words.find(&format!("level.{level}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{HOSTILE, assert_harmless, reader};
    use super::*;

    fn shown(ended: &DrawerStep) -> String {
        step(For::new(&reader(true)), &"printer-1".parse().unwrap(), ended).into_string()
    }

    #[test]
    fn the_steps_follow_each_other() {
        let device = "printer-1".parse().unwrap();
        let first = start(For::new(&reader(true)), &device).into_string();
        assert!(
            first.contains(r#"action="/setup/drawer/printer-1""#) && first.contains(r#"data-step="closed""#)
        );
        assert!(first.contains(r#"name="csrf" value="token-1""#), "{first}");
        let second = shown(&DrawerStep::Closed("low".to_owned()));
        assert!(second.contains(r#"name="closed" value="low""#) && second.contains(r#"data-step="open""#));
        let compared = |closed: &str, open: &str| {
            shown(&DrawerStep::Compared { closed: closed.to_owned(), open: open.to_owned(), record: None })
        };
        assert!(compared("low", "high").contains("drawer: { open_when: high }"));
        let same = compared("low", "low");
        assert!(same.contains(r#"data-step="unchanged""#) && !same.contains("open_when"), "{same}");
        assert!(compared("low", "forged").contains(r#"data-step="closed""#), "it begins again");
    }

    #[test]
    fn a_printer_that_does_not_answer_keeps_the_step() {
        let why = HOSTILE.to_owned();
        let unread = DrawerStep::Unread { why, closed: Some("high".to_owned()) };
        let whom = reader(true);
        let shown = step(For::new(&whom), &"printer-1".parse().unwrap(), &unread);
        assert_harmless(&shown);
        assert!(shown.0.contains(r#"name="closed" value="high""#));
    }

    #[test]
    fn who_is_not_signed_in_gets_no_form() {
        let shown = start(For::new(&reader(false)), &"printer-1".parse().unwrap()).into_string();
        assert!(
            !shown.contains("<form") && shown.contains("/sign-in?then=/setup/drawer/printer-1"),
            "{shown}"
        );
    }
}
