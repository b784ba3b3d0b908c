//! Whether an empty scale shows nothing, and a known weight what it weighs: a check for a technician, no legal verification.
//!
//! Masses are whole tenths of a gram, so that nothing is off by the rounding of a fraction. What may differ, by our rule: an
//! empty platter one division, a known weight two divisions or 0.2 % of it, whichever is more.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Divisions that scales in shops have, in grams; it stands on their plate, `e = 5 g`.
pub(super) const DIVISIONS_G: [u16; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
/// The most common.
pub(super) const USUAL_G: u16 = 5;
/// Lightest weight to check with, in divisions: a scale need not weigh less rightly.
const LIGHTEST_DIVISIONS: i64 = 20;
/// Heaviest weight that a person lays on, in kilograms.
const HEAVIEST_KG: f64 = 1_000.0;
/// In a gram, and in a kilogram.
const PER_GRAM: i64 = 10;
const PER_KG: f64 = 10_000.0;
const POUND_KG: f64 = 0.453_592_37;

/// A mass, in tenths of a gram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mass(i64);

impl Mass {
    /// As a scale gives it.
    #[expect(clippy::cast_possible_truncation, reason = "it is clamped to what a scale can weigh")]
    pub(super) fn of_kg(kg: f64) -> Self {
        Self((kg * PER_KG).round().clamp(-1e9, 1e9) as i64)
    }

    #[expect(clippy::cast_precision_loss, reason = "it is far below 2^53")]
    pub(super) fn kg(self) -> f64 {
        self.0 as f64 / PER_KG
    }

    /// What lies on the platter, by what was seen of the scale in one reading: `weight_kg`, and as flags `stable`, `tared`,
    /// `at_zero`. Not while it moves, nor with a tare. Some scales at zero say only that they are there.
    pub(super) fn seen(seen: &Value) -> Option<Self> {
        let is = |flag: &str| seen[flag].as_f64().map(|value| value > 0.5);
        if is("stable") == Some(false) || is("tared") == Some(true) {
            return None;
        }
        let weight = seen["weight_kg"].as_f64().filter(|kg| kg.is_finite());
        let zero = || is("at_zero").filter(|at_zero| *at_zero).map(|_| 0.0);
        weight.or_else(zero).map(Self::of_kg)
    }
}

/// In kilograms, to the gram; to its tenth if it has one.
impl fmt::Display for Mass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0 % PER_GRAM == 0 { 3 } else { 4 };
        write!(f, "{:.decimals$} kg", self.kg())
    }
}

/// What somebody typed: kilograms with a point or a comma, or with a unit of its own, `500 g`, `5 lb`.
impl FromStr for Mass {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim().to_ascii_lowercase().replace(',', ".");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let in_kg = match text[digits.len()..].trim() {
            "" | "kg" => 1.0,
            "g" => 0.001,
            "lb" => POUND_KG,
            "oz" => POUND_KG / 16.0,
            _ => return Err(()),
        };
        let is_plain = digits.len() <= 10 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value: f64 = digits.parse().ok().filter(|_| is_plain).ok_or(())?;
        let kg = value * in_kg;
        if kg > 0.0 && kg <= HEAVIEST_KG { Ok(Self::of_kg(kg)) } else { Err(()) }
    }
}

/// The smallest step of a scale: one of [`DIVISIONS_G`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Division(u16);

impl Division {
    pub(super) const USUAL: Self = Self(USUAL_G);

    pub(super) const fn grams(self) -> u16 {
        self.0
    }

    pub(super) fn mass(self) -> Mass {
        Mass(i64::from(self.0) * PER_GRAM)
    }

    /// The lightest weight that can be checked with.
    pub(super) fn lightest(self) -> Mass {
        Mass(self.mass().0 * LIGHTEST_DIVISIONS)
    }
}

impl FromStr for Division {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let grams: u16 = text.parse().map_err(|_| ())?;
        if DIVISIONS_G.contains(&grams) { Ok(Self(grams)) } else { Err(()) }
    }
}

/// What an empty scale shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zero {
    pub read: Mass,
    pub division: Division,
}

impl Zero {
    /// Whether that is nothing.
    pub(super) fn is_good(self) -> bool {
        self.read.0.abs() <= self.division.mass().0
    }

    /// For the record.
    pub(super) fn record(self) -> String {
        let verdict = if self.is_good() { "within" } else { "more than" };
        format!(
            "scale zero check: the empty platter reads {}, {verdict} one division of {} g",
            self.read,
            self.division.grams()
        )
    }
}

/// Which rule gave the tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Two divisions are more.
    Divisions,
    /// 0.2 % is more.
    Share,
}

/// What a known weight weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weighing {
    pub laid: Mass,
    pub read: Mass,
    pub division: Division,
}

impl Weighing {
    /// How much more it reads than there is.
    pub(super) const fn difference(self) -> Mass {
        Mass(self.read.0 - self.laid.0)
    }

    /// How much it may differ, and by which rule.
    pub(super) fn tolerance(self) -> (Mass, Rule) {
        let divisions = Mass(self.division.mass().0 * 2);
        let share = Mass(self.laid.0 / 500);
        if share > divisions { (share, Rule::Share) } else { (divisions, Rule::Divisions) }
    }

    /// Whether it is within.
    pub(super) fn is_good(self) -> bool {
        self.difference().0.abs() <= self.tolerance().0.0
    }

    /// For the record.
    pub(super) fn record(self) -> String {
        let (tolerance, rule) = self.tolerance();
        let rule = match rule {
            Rule::Divisions => format!("two divisions of {} g", self.division.grams()),
            Rule::Share => "0.2 %".to_owned(),
        };
        let verdict = if self.is_good() { "within" } else { "outside" };
        let sign = if self.difference().0 > 0 { "+" } else { "" };
        format!(
            "scale weight check (no legal verification): {} laid on, reads {}, difference {sign}{}; {verdict} {tolerance} ({rule})",
            self.laid,
            self.read,
            self.difference(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mass(text: &str) -> Mass {
        text.parse().unwrap_or_else(|()| panic!("{text}"))
    }

    fn weighing(laid: &str, read_kg: f64, grams: u16) -> Weighing {
        Weighing { laid: mass(laid), read: Mass::of_kg(read_kg), division: Division(grams) }
    }

    #[test]
    fn a_mass_is_typed_as_people_of_all_three_languages_do() {
        for (text, kg) in [
            ("2", 2.0),
            ("2.5", 2.5),
            ("2,5", 2.5),
            (" 0,500 kg ", 0.5),
            ("500 g", 0.5),
            ("500g", 0.5),
            ("5 lb", 2.268),
            ("16oz", 0.4536),
            ("1000", 1000.0),
        ] {
            assert_eq!(mass(text).kg(), kg, "{text:?}");
        }
        for bad in
            ["", "0", "-1", "1e3", "inf", "NaN", "2.000,5", "1001", "2 st", "0x10", "1 2", "9999999999999"]
        {
            assert_eq!(bad.parse::<Mass>(), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn only_divisions_of_scales_come_back_from_a_form() {
        assert_eq!("5".parse(), Ok(Division::USUAL));
        for forged in ["0", "3", "-5", "65000", "5 g", ""] {
            assert_eq!(forged.parse::<Division>(), Err(()), "{forged:?}");
        }
        assert_eq!(Division(5).lightest(), mass("100 g"));
    }

    #[test]
    fn an_empty_scale_may_show_one_division_either_way() {
        for (kg, good) in [(0.0, true), (0.005, true), (-0.005, true), (0.0051, false), (-0.006, false)] {
            let zero = Zero { read: Mass::of_kg(kg), division: Division(5) };
            assert_eq!(zero.is_good(), good, "{kg}");
        }
        let off = Zero { read: Mass::of_kg(0.012), division: Division(2) };
        assert_eq!(
            off.record(),
            "scale zero check: the empty platter reads 0.012 kg, more than one division of 2 g"
        );
    }

    #[test]
    fn a_known_weight_may_differ_by_the_larger_of_both_rules() {
        assert_eq!(weighing("2", 2.0, 5).tolerance(), (mass("10 g"), Rule::Divisions));
        assert_eq!(weighing("5", 5.0, 5).tolerance(), (mass("10 g"), Rule::Divisions), "the same by both");
        assert_eq!(weighing("10", 10.0, 5).tolerance(), (mass("20 g"), Rule::Share));
        for (laid, read, good) in [
            ("2", 2.010, true),
            ("2", 1.990, true),
            ("2", 2.011, false),
            ("10", 10.02, true),
            ("10", 9.979, false),
            // A scale that shows pounds where kilograms are expected.
            ("2", 4.409, false),
        ] {
            assert_eq!(weighing(laid, read, 5).is_good(), good, "{laid} {read}");
        }
    }

    #[test]
    fn the_record_has_all_figures_and_calls_it_a_check() {
        assert_eq!(
            weighing("5 lb", 2.27, 2).record(),
            "scale weight check (no legal verification): 2.268 kg laid on, reads 2.270 kg, difference +0.002 kg; \
             within 0.0045 kg (0.2 %)"
        );
        let off = weighing("1", 0.985, 5).record();
        assert!(off.contains("difference -0.015 kg; outside 0.010 kg (two divisions of 5 g)"), "{off}");
    }

    #[test]
    fn only_a_weight_at_rest_and_without_a_tare_counts() {
        let seen = |seen: Value| Mass::seen(&seen);
        assert_eq!(seen(json!({ "weight_kg": -0.002, "stable": 1.0, "tared": 0.0 })), Some(Mass(-20)));
        assert_eq!(seen(json!({ "at_zero": 1.0 })), Some(Mass(0)), "it says that it is empty, and no weight");
        for none in [
            json!({}),
            json!({ "at_zero": 0.0 }),
            json!({ "overload": 1.0, "at_zero": 0.0 }),
            json!({ "stable": 0.0, "at_zero": 1.0 }),
            json!({ "weight_kg": 0.0, "stable": 1.0, "tared": 1.0 }),
        ] {
            assert_eq!(seen(none.clone()), None, "{none}");
        }
    }
}
