//! What answers, with the blocks of configuration to be pasted.

use maud::{Markup, html};

use super::{For, back, pasted};
use crate::local::setup::outcome::Answered;
use crate::local::setup::words::Words;

/// The outcome of asking strangers.
pub(in crate::local::setup) fn answered(whom: For<'_>, places: &[Answered]) -> Markup {
    let words = whom.words;
    html! {
        h1 { (words.say("asked")) }
        @if places.is_empty() { p.soft { (words.say("no_free")) } }
        @for place in places { (one(words, place)) }
        (back(words))
    }
}

fn one(words: Words, answered: &Answered) -> Markup {
    let Answered { place, found, problem } = answered;
    html! {
        section data-probed=(place) data-answers=(found.len()) {
            h2 { (place) }
            @if let Some(problem) = problem {
                p.warning { (problem) }
            } @else if found.is_empty() {
                p.soft { (words.say("nothing_answers")) }
            }
            @for known in found {
                p.good { (words.find(&format!("what.{}", known.what)).unwrap_or(&known.what)) }
                p { (words.say("paste")) }
                (pasted(words, &known.configuration))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HOSTILE, assert_harmless, reader};
    use super::*;
    use crate::local::setup::outcome::Known;

    fn shown(answered: Answered) -> Markup {
        super::answered(For::new(&reader(true)), &[answered])
    }

    #[test]
    fn what_answers_is_there_to_be_pasted() {
        let known = Known {
            what: "an ESC/POS printer".to_owned(),
            configuration: "  escpos-1:\n    escpos:\n      tcp: 192.0.2.1:9100\n".to_owned(),
        };
        let place = "192.0.2.1".to_owned();
        let html = shown(Answered { place, found: vec![known], problem: None }).into_string();
        assert!(html.contains("<pre><code>  escpos-1:\n    escpos:"), "{html}");
        assert!(html.contains("a receipt printer (ESC/POS)") && html.contains("hidden data-copy"), "{html}");
        assert!(html.contains(r#"data-probed="192.0.2.1" data-answers="1""#), "{html}");
    }

    #[test]
    fn silence_and_refusal_are_told_apart() {
        let place = || "/dev/ttyUSB0".to_owned();
        let silent = shown(Answered { place: place(), found: Vec::new(), problem: None }).into_string();
        assert!(silent.contains("Nothing that we know answers"), "{silent}");
        let problem = Some(HOSTILE.to_owned());
        let refused = shown(Answered { place: place(), found: Vec::new(), problem });
        assert_harmless(&refused);
        assert!(!refused.0.contains("Nothing that we know answers"));
        assert_harmless(&shown(Answered { place: HOSTILE.to_owned(), found: Vec::new(), problem: None }));
    }
}
