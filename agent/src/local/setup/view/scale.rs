//! The steps with a scale: empty it, lay a known weight on it, what it reads.

use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;

use super::{For, back, form, hidden, recorded, sign_in, unread};
use crate::local::setup::outcome::ScaleStep;
use crate::local::setup::weight::{DIVISIONS_G, Division, Mass, Rule, Weighing, Zero};
use crate::local::setup::words::Words;

/// The first step.
pub(in crate::local::setup) fn start(whom: For<'_>, device: &DeviceId) -> Markup {
    html! {
        (heading(whom, device))
        (emptying(whom, device, Division::USUAL))
        (sign_in(whom, &path(device)))
        (back(whom.words))
    }
}

/// How a step ended, with the next.
pub(in crate::local::setup) fn step(
    whom: For<'_>,
    device: &DeviceId,
    division: Division,
    step: &ScaleStep,
) -> Markup {
    let words = whom.words;
    // What was to be done is to be done again: the weight, or the zero.
    let again = |laid_kg: &Option<f64>| match laid_kg {
        Some(kg) => laying(whom, device, division, Some(Mass::of_kg(*kg))),
        None => emptying(whom, device, division),
    };
    let ended = match step {
        ScaleStep::Empty { read_kg, record } => {
            let zero = Zero { read: Mass::of_kg(*read_kg), division };
            html! {
                (empty(whom, device, zero))
                (recorded(words, device.as_str(), record.as_deref()))
            }
        }
        ScaleStep::Weighed { laid_kg, read_kg, record } => {
            let weighing = Weighing { laid: Mass::of_kg(*laid_kg), read: Mass::of_kg(*read_kg), division };
            html! {
                (weighed(words, weighing))
                (recorded(words, device.as_str(), record.as_deref()))
                (laying(whom, device, division, None))
            }
        }
        ScaleStep::NoWeight { laid_kg } => html! {
            p.warning data-step="no_weight" { (words.say("no_weight")) }
            p.next { (words.say("no_weight_next")) }
            (again(laid_kg))
        },
        ScaleStep::Unread { why, laid_kg } => html! {
            (unread(words, device.as_str(), why))
            (again(laid_kg))
        },
    };
    html! { (heading(whom, device)) (ended) (back(words)) }
}

fn path(device: &DeviceId) -> String {
    format!("/setup/scale/{device}")
}

fn heading(whom: For<'_>, device: &DeviceId) -> Markup {
    html! {
        h1 { (whom.words.fill("scale_title", &[("device", device.as_str())])) }
        p.soft { (whom.words.say("scale_note")) }
    }
}

fn emptying(whom: For<'_>, device: &DeviceId, division: Division) -> Markup {
    let words = whom.words;
    let inside = html! {
        (hidden("step", "empty"))
        label {
            (words.say("scale_division"))
            select name="division" {
                @for grams in DIVISIONS_G {
                    option value=(grams) selected[grams == division.grams()] { (grams) " g" }
                }
            }
        }
        button { (words.say("scale_emptied")) }
    };
    html! {
        section data-step="empty" {
            p.next { "1. " (words.say("scale_empty")) }
            (form(whom, &path(device), "scale", &inside))
        }
    }
}

fn laying(whom: For<'_>, device: &DeviceId, division: Division, laid: Option<Mass>) -> Markup {
    let words = whom.words;
    let value = laid.map(|laid| words.mass(laid));
    let inside = html! {
        (hidden("step", "weight"))
        (hidden("division", &division.grams().to_string()))
        label {
            (words.say("scale_weight"))
            input name="weight" inputmode="decimal" maxlength="16" required autocomplete="off" value=[value];
        }
        button { (words.say("scale_laid")) }
    };
    html! {
        section data-step="weight" {
            p.next { "2. " (words.say("scale_lay")) }
            (form(whom, &path(device), "scale", &inside))
        }
    }
}

fn empty(whom: For<'_>, device: &DeviceId, zero: Zero) -> Markup {
    let words = whom.words;
    let division = format!("{} g", zero.division.grams());
    let read = words.mass(zero.read);
    let with = [("read", read.as_str()), ("division", &division)];
    if zero.is_good() {
        return html! {
            p.good data-step="zero" data-good="true" { (words.fill("zero_good", &with)) }
            (laying(whom, device, zero.division, None))
        };
    }
    html! {
        p.warning data-step="zero" data-good="false" { (words.fill("zero_off", &with)) }
        p.next { (words.say("zero_off_next")) }
        (emptying(whom, device, zero.division))
    }
}

fn weighed(words: Words, weighing: Weighing) -> Markup {
    let (tolerance, rule) = weighing.tolerance();
    let rule = match rule {
        Rule::Divisions => words.say("rule.divisions"),
        Rule::Share => words.say("rule.share"),
    };
    html! {
        section data-step="weighed" data-good=(weighing.is_good()) {
            @if weighing.is_good() {
                p.good { (words.say("weight_good")) }
            } @else {
                p.warning { (words.say("weight_off")) }
                p.next { (words.say("weight_off_next")) }
            }
            dl.facts {
                dt { (words.say("laid")) } dd { (words.mass(weighing.laid)) }
                dt { (words.say("reads")) } dd { (words.mass(weighing.read)) }
                dt { (words.say("difference")) } dd { (words.mass(weighing.difference())) }
                dt { (words.say("tolerance")) } dd { (words.mass(tolerance)) " (" (rule) ")" }
            }
        }
    }
}

/// Why a weight cannot be checked with, and the step again.
pub(in crate::local::setup) fn bad_weight(
    whom: For<'_>,
    device: &DeviceId,
    division: Division,
    is_too_light: bool,
) -> Markup {
    let words = whom.words;
    let lightest = words.mass(division.lightest());
    html! {
        (heading(whom, device))
        p.warning data-step="bad_weight" {
            @if is_too_light {
                (words.fill("weight_light", &[("lightest", &lightest)]))
            } @else {
                (words.say("weight_bad"))
            }
        }
        (laying(whom, device, division, None))
        (back(words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HOSTILE, assert_harmless, reader};
    use super::*;
    use crate::language::Language;

    fn shown(ended: &ScaleStep) -> String {
        let mut whom = reader(true);
        whom.language = Language::Es;
        step(For::new(&whom), &"scale-1".parse().unwrap(), "5".parse().unwrap(), ended).into_string()
    }

    #[test]
    fn only_a_good_zero_leads_to_the_weight() {
        let zero = |read_kg| shown(&ScaleStep::Empty { read_kg, record: None });
        let good = zero(0.005);
        assert!(good.contains(r#"data-good="true""#) && good.contains(r#"data-step="weight""#), "{good}");
        assert!(good.contains("0,005 kg") && good.contains(r#"name="division" value="5""#));
        let off = zero(0.012);
        assert!(off.contains(r#"data-good="false""#) && off.contains(r#"data-step="empty""#), "{off}");
        assert!(off.contains("tecla de cero de la propia balanza") && !off.contains(r#"data-step="weight""#));
    }

    #[test]
    fn the_figures_and_the_rule_stand_beside_the_verdict() {
        let weighed = |read_kg| shown(&ScaleStep::Weighed { laid_kg: 10.0, read_kg, record: None });
        let good = weighed(10.015);
        for figure in ["10,000 kg", "10,015 kg", "0,015 kg", "0,020 kg (0,2 %)", "no una verificación legal"]
        {
            assert!(good.contains(figure), "{figure} is not in {good}");
        }
        assert!(weighed(9.9).contains(r#"data-step="weighed" data-good="false""#));
    }

    #[test]
    fn what_failed_is_to_be_done_again() {
        let unread = ScaleStep::Unread { why: HOSTILE.to_owned(), laid_kg: Some(2.0) };
        let whom = reader(true);
        let markup = step(For::new(&whom), &"scale-1".parse().unwrap(), Division::USUAL, &unread);
        assert_harmless(&markup);
        assert!(markup.0.contains(r#"data-step="weight""#) && markup.0.contains(r#"value="2.000 kg""#));
        let moving = shown(&ScaleStep::NoWeight { laid_kg: None });
        assert!(moving.contains(r#"data-step="no_weight""#) && moving.contains(r#"data-step="empty""#));
        let unrecorded = ScaleStep::Empty { read_kg: 0.0, record: Some("the spool is full".to_owned()) };
        assert!(shown(&unrecorded).contains(r#"data-recorded="false""#));
    }
}
