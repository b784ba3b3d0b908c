//! The last 24 hours of a device as a strip: what is wrong is higher than what is well, so that it shows without colours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};
use storepulse_shared::ids::DeviceId;

use super::speaker::Speaker;
use crate::board::{Board, DeviceState, Strip};

/// The strips of all devices.
pub(crate) type Days = BTreeMap<DeviceId, Strip>;

/// Those of these devices, as the board knows them.
pub(super) fn days<'a>(board: &Board, devices: impl IntoIterator<Item = &'a DeviceId>) -> Days {
    devices.into_iter().map(|id| (id.clone(), board.history(id))).collect()
}

/// What is drawn alike: a class, where its middle is and how high it is, of twenty. What is well lies under what is not, which
/// is higher and covers it: so a day that is torn in many pieces costs each of them once.
const BANDS: [(&str, u8, u8, &[DeviceState]); 3] = [
    ("a", 15, 10, &[DeviceState::Ok, DeviceState::Stale, DeviceState::Fault, DeviceState::Unreachable]),
    ("b", 12, 16, &[DeviceState::Stale]),
    ("c", 10, 20, &[DeviceState::Fault, DeviceState::Unreachable]),
];

/// In words.
pub(super) fn words(speaker: Speaker, day: &Strip) -> String {
    let (mut ok, mut known, mut changes) = (0.0, 0.0, 0_u64);
    for slot in &day.slots {
        ok += slot.ok.unwrap_or_default() * slot.known;
        known += slot.known;
        changes += u64::from(slot.changes);
    }
    if known <= 0.0 {
        return speaker.say("strip_unknown").to_owned();
    }
    let percent = ok / known * 100.0;
    // Never 100 if it was away for a moment.
    let percent = if percent < 99.999 { percent.min(99.9) } else { 100.0 };
    let share = speaker.number(percent, usize::from(percent > 99.0 && percent < 100.0));
    let changes = speaker.count("strip_changes", changes);
    speaker.fill("strip_ok", &[("share", &share), ("changes", &changes)])
}

/// As a picture, with the same words.
pub(super) fn draw(speaker: Speaker, day: &Strip) -> Markup {
    let slots: Vec<Option<DeviceState>> = day.slots.iter().map(|slot| slot.worst).collect();
    html! {
        svg.strip role="img" aria-label=(words(speaker, day)) viewBox={ "0 0 " (slots.len().max(1)) " 20" }
            preserveAspectRatio="none" {
            @for (class, middle, height, states) in BANDS {
                @let path = path(&slots, middle, states);
                @if !path.is_empty() { path class=(class) stroke-width=(height) d=(path) {} }
            }
        }
    }
}

/// Lines through the slots of these states, one for each run of them, each from where the last one ended.
fn path(slots: &[Option<DeviceState>], middle: u8, states: &[DeviceState]) -> String {
    let mut path = String::new();
    let (mut at, mut drawn_to) = (0, 0);
    while at < slots.len() {
        let is_in = |slot: &Option<DeviceState>| slot.is_some_and(|state| states.contains(&state));
        let run = slots[at..].iter().take_while(|slot| is_in(slot)).count();
        if run > 0 {
            // A string takes everything.
            let _ = match path.is_empty() {
                true => write!(path, "M{at} {middle}h{run}"),
                false => write!(path, "m{} 0h{run}", at - drawn_to),
            };
            drawn_to = at + run;
        }
        at += run.max(1);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::DeviceState::{Fault, Ok, Unreachable};
    use super::*;
    use crate::board::{SLOT_MS, Slot};
    use crate::language::Language;

    #[test]
    fn runs_are_drawn_once_and_each_band_by_itself() {
        let slots = [None, Some(Ok), Some(Ok), Some(Fault), Some(Unreachable), Some(Ok)];
        assert_eq!(path(&slots, 15, &[Ok]), "M1 15h2m2 0h1");
        assert_eq!(path(&slots, 10, &[Fault, Unreachable]), "M3 10h2");
        assert_eq!(path(&[], 10, &[Ok]), "");
    }

    fn day(slots: &[Slot]) -> Strip {
        Strip { from_ms: 0, slot_ms: SLOT_MS, slots: slots.to_vec() }
    }

    fn slot(ok: f64, known: f64, changes: u16) -> Slot {
        Slot { ok: Some(ok), known, worst: Some(if ok < 1.0 { Unreachable } else { Ok }), changes }
    }

    #[test]
    fn it_says_in_words_what_it_shows() {
        let speaker = Speaker::new(Language::En);
        let said = |slots: &[Slot]| words(speaker, &day(slots));
        assert_eq!(said(&[slot(1.0, 1.0, 1), slot(0.94, 1.0, 2)]), "ok 97 % of 24 h, 3 changes");
        assert_eq!(said(&[slot(1.0, 1.0, 1), Slot::default()]), "ok 100 % of 24 h, 1 change");
        assert_eq!(said(&[slot(0.9999, 1.0, 2)]), "ok 99.9 % of 24 h, 2 changes");
        assert_eq!(said(&[slot(0.0, 0.5, 0), slot(1.0, 1.0, 0)]), "ok 67 % of 24 h, 0 changes");
        assert_eq!(said(&[Slot::default()]), "nothing known of the last 24 h");
        let drawn = draw(speaker, &day(&[slot(1.0, 1.0, 0), slot(0.94, 1.0, 3)])).into_string();
        assert!(
            drawn.contains("aria-label=\"ok 97 % of 24 h, 3 changes\"") && drawn.contains("role=\"img\"")
        );
    }
}
