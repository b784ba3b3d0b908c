//! The labels, to be printed: one for the box, a small one for each socket.

use maud::{Markup, html};

use super::{For, back};
use crate::local::setup::label::Label;

/// On a screen the same labels stand in a page; on paper they stand alone.
pub(in crate::local::setup) fn label(whom: For<'_>, label: &Label) -> Markup {
    let words = whom.words;
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "\u{2013}".to_owned());
    let key_id = label.key_id.clone().unwrap_or_else(|| words.say("no_key").to_owned());
    let address = label.address.clone().unwrap_or_else(|| words.say("only_here").to_owned());
    html! {
        div.on-screen {
            h1 { (words.say("label")) }
            p.soft { (words.say("label_hint")) }
        }
        article.label #label aria-label=(words.say("label")) {
            p.name { "StorePulse" }
            p.big data-label="store" { (or_dash(&label.store)) }
            dl {
                dt { (words.say("tenant")) } dd data-label="tenant" { (or_dash(&label.tenant)) }
                dt { (words.say("store")) } dd { (or_dash(&label.store)) }
                dt { (words.say("key_id")) } dd data-label="key_id" { (key_id) }
                dt { (words.say("host_name")) } dd data-label="host" { (or_dash(&label.host_name)) }
                dt { (words.say("address")) } dd data-label="address" { (address) }
                dt { (words.say("version")) } dd data-label="version" { (label.version) }
                dt { (words.say("date")) } dd data-label="date" { (label.date) }
            }
        }
        @if !label.sockets.is_empty() {
            h2.on-screen { (words.say("socket_labels")) }
        }
        @for socket in &label.sockets {
            article.label.socket data-socket=(socket.device) {
                p.big { (socket.device) " \u{2192} " (words.say("this_socket")) }
                p.tiny { (socket.place) }
            }
        }
        div.on-screen { (back(words)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HOSTILE, assert_harmless, reader};
    use super::*;
    use crate::local::setup::label::Socket;

    fn shown(label: &Label) -> Markup {
        super::label(For::new(&reader(false)), label)
    }

    #[test]
    fn a_label_names_the_box_and_its_sockets() {
        let socket = Socket { device: "printer-1".to_owned(), place: "/dev/serial/by-path/pci-1".to_owned() };
        let label = Label {
            store: Some("madrid-01".to_owned()),
            key_id: Some("k1234567".to_owned()),
            version: "0.1.0",
            sockets: vec![socket],
            ..Label::default()
        };
        let html = shown(&label).into_string();
        for part in [
            "madrid-01",
            "k1234567",
            "0.1.0",
            "on this box only",
            "printer-1 \u{2192} this socket",
            "by-path/pci-1",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(shown(&Label::default()).into_string().contains("no usable key yet"));
    }

    #[test]
    fn a_host_of_a_strange_name_stays_text() {
        assert_harmless(&shown(&Label { host_name: Some(HOSTILE.to_owned()), ..Label::default() }));
    }
}
