//! Series of what a scale said, whatever its protocol.

use std::time::Instant;

use super::Settings;
use super::weighing::{Answer, Unit, Weight};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::poll::Reading;

/// What has been counted since the agent started, and what was seen last.
#[derive(Debug)]
pub(super) struct Counts {
    unit: Unit,
    idle_below_kg: f64,
    tells_weight: bool,
    reads: u32,
    unstable: u32,
    overload: u32,
    underload: u32,
    /// When something was last weighed.
    weighed: Option<Instant>,
    last: Last,
}

/// Of the last answer alone: what it does not say is not told.
#[derive(Debug, Default)]
struct Last {
    at_zero: Option<bool>,
    idle_kg: Option<f64>,
    weight_kg: Option<f64>,
    /// A tare is subtracted.
    tared: Option<bool>,
    /// At rest, as far as it says.
    stable: Option<bool>,
    overload: bool,
    underload: bool,
}

impl Counts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            unit: settings.unit,
            idle_below_kg: settings.idle_below_kg,
            tells_weight: settings.weight,
            reads: 0,
            unstable: 0,
            overload: 0,
            underload: 0,
            weighed: None,
            last: Last::default(),
        }
    }

    /// Counts an answer.
    ///
    /// # Errors
    /// [`FaultKind::Nak`] if the scale did not understand, [`FaultKind::Exception`] if it has a defect.
    pub(super) fn note(&mut self, answer: Answer, now: Instant) -> Result<(), Fault> {
        self.last = Last::default();
        match answer {
            Answer::Weight(weight) => self.note_weight(weight, now),
            Answer::Unstable { at_zero } => {
                self.unstable = self.unstable.wrapping_add(1);
                self.last.at_zero = at_zero;
                self.last.stable = Some(false);
            }
            Answer::Overload => {
                self.overload = self.overload.wrapping_add(1);
                self.last.at_zero = Some(false);
                self.last.overload = true;
            }
            Answer::Underload => self.note_underload(),
            Answer::Unweighed { at_zero } => self.last.at_zero = Some(at_zero),
            Answer::Unknown => {
                return Err(Fault::new(
                    FaultKind::Nak,
                    "the scale does not know the question; is the protocol right?",
                ));
            }
            Answer::Defect => {
                return Err(Fault::new(
                    FaultKind::Exception,
                    "the scale reports an error of its memory or its calibration; it needs service",
                ));
            }
        }
        Ok(())
    }

    fn note_weight(&mut self, weight: Weight, now: Instant) {
        let kg = weight.unit.unwrap_or(self.unit).kg(weight.value);
        self.last.weight_kg = Some(kg);
        self.last.tared = Some(weight.is_net);
        self.last.stable = Some(true);
        if kg <= -self.idle_below_kg && !weight.is_net {
            return self.note_underload();
        }
        self.reads = self.reads.wrapping_add(1);
        // With a tare, nothing and a little are those of a container: they say nothing about the platform.
        if !weight.is_net {
            self.last.at_zero = weight.at_zero.or(Some(kg == 0.0));
            self.last.idle_kg = Some(kg).filter(|kg| kg.abs() < self.idle_below_kg);
        }
        if kg >= self.idle_below_kg {
            self.weighed = Some(now);
        }
    }

    fn note_underload(&mut self) {
        self.underload = self.underload.wrapping_add(1);
        self.last.at_zero = Some(false);
        self.last.underload = true;
    }

    /// What people see who stand before it, for setting its zero: the weight in kilograms, whatever its own unit. Only what
    /// the last answer says.
    fn show(&self, reading: &mut Reading) {
        let Last { at_zero, weight_kg, tared, stable, overload, underload, .. } = self.last;
        if let Some(kg) = weight_kg {
            reading.see("weight_kg", kg);
        }
        let flags = [("at_zero", at_zero), ("stable", stable), ("tared", tared)];
        for (name, is) in flags.into_iter().filter_map(|(name, is)| Some((name, is?))) {
            reading.see(name, f64::from(u8::from(is)));
        }
        reading.see("overload", f64::from(u8::from(overload)));
        reading.see("underload", f64::from(u8::from(underload)));
    }

    /// What there is to tell.
    pub(super) fn reading(&self, now: Instant) -> Reading {
        let mut reading = Reading::default();
        reading.value("retail.scale.reads", f64::from(self.reads));
        reading.value("retail.scale.unstable", f64::from(self.unstable));
        reading.value("retail.scale.overload", f64::from(self.overload));
        reading.value("retail.scale.underload", f64::from(self.underload));
        if let Some(is) = self.last.at_zero {
            reading.flag("retail.scale.zero", is);
        }
        if let Some(kg) = self.last.idle_kg {
            reading.value("retail.scale.idle.weight", kg);
        }
        if let Some(at) = self.weighed {
            // Whole seconds: more would be noise, and noise does not compress.
            let age = now.saturating_duration_since(at).as_secs_f64().round();
            reading.value("retail.scale.last_weighing.age", age);
        }
        if let Some(kg) = self.last.weight_kg.filter(|_| self.tells_weight && !self.last.underload) {
            reading.value("retail.scale.weight", kg);
        }
        self.show(&mut reading);
        reading
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn counts(more: &str) -> Counts {
        let yaml = format!("{{ port: /dev/null, protocol: toledo_8217 {more} }}");
        Counts::new(&serde_yaml::from_str(&yaml).unwrap())
    }

    fn told(counts: &Counts, now: Instant) -> BTreeMap<String, f64> {
        let values = counts.reading(now).values;
        values.into_iter().map(|(s, v)| (s.trim_start_matches("retail.scale.").to_owned(), v)).collect()
    }

    fn weight(value: f64) -> Answer {
        Answer::Weight(Weight { value, unit: None, is_net: false, at_zero: None })
    }

    fn net(value: f64) -> Answer {
        Answer::Weight(Weight { value, unit: None, is_net: true, at_zero: None })
    }

    #[test]
    fn an_empty_platform_shows_its_drift_and_a_full_one_does_not() {
        let (mut counts, now) = (counts(""), Instant::now());
        for (value, idle, zero) in
            [(0.0, Some(0.0), 1.0), (0.005, Some(0.005), 0.0), (-0.015, Some(-0.015), 0.0), (1.2, None, 0.0)]
        {
            counts.note(weight(value), now).unwrap();
            let told = told(&counts, now);
            assert_eq!(told.get("idle.weight").copied(), idle, "{value}");
            assert_eq!(told["zero"], zero, "{value}");
            assert_eq!(told.get("weight"), None, "nobody asked for it");
        }
        assert_eq!(told(&counts, now)["reads"], 4.0);
    }

    #[test]
    fn who_stands_before_it_sees_what_it_says_now_and_nothing_of_before() {
        let (mut counts, now) = (counts(", unit: lb"), Instant::now());
        for (answer, seen) in [
            (weight(1.0), "weight_kg 0.4536, at_zero 0, stable 1, tared 0, overload 0, underload 0"),
            (net(-0.5), "weight_kg -0.2268, stable 1, tared 1, overload 0, underload 0"),
            (weight(-1.0), "weight_kg -0.4536, at_zero 0, stable 1, tared 0, overload 0, underload 1"),
            (Answer::Unstable { at_zero: Some(true) }, "at_zero 1, stable 0, overload 0, underload 0"),
            (Answer::Unweighed { at_zero: true }, "at_zero 1, overload 0, underload 0"),
            (Answer::Overload, "at_zero 0, overload 1, underload 0"),
        ] {
            counts.note(answer, now).unwrap();
            let told: Vec<String> =
                counts.reading(now).seen.iter().map(|(name, value)| format!("{name} {value}")).collect();
            assert_eq!(told.join(", "), seen, "{answer:?}");
        }
    }

    #[test]
    fn a_tare_hides_the_platform() {
        let (mut counts, now) = (counts(""), Instant::now());
        counts.note(net(0.0), now).unwrap();
        counts.note(net(-0.5), now).unwrap();
        let told = told(&counts, now);
        assert_eq!((told["reads"], told["underload"]), (2.0, 0.0));
        assert_eq!((told.get("zero"), told.get("idle.weight")), (None, None));
    }

    #[test]
    fn what_is_not_weighed_is_counted_and_leaves_no_weight() {
        let (mut counts, now) = (counts(", weight: true"), Instant::now());
        counts.note(weight(1.2), now).unwrap();
        assert_eq!(told(&counts, now)["weight"], 1.2);
        for answer in [
            Answer::Unstable { at_zero: None },
            Answer::Overload,
            Answer::Underload,
            weight(-0.02),
            Answer::Unweighed { at_zero: true },
        ] {
            counts.note(answer, now).unwrap();
            assert_eq!(told(&counts, now).get("weight"), None, "{answer:?}");
        }
        let told = told(&counts, now);
        let all = ["reads", "unstable", "overload", "underload", "zero"].map(|name| told[name]);
        assert_eq!(all, [1.0, 1.0, 1.0, 2.0, 1.0]);
    }

    #[test]
    fn the_age_is_that_of_the_last_thing_weighed() {
        let (mut counts, now) = (counts(", unit: lb"), Instant::now());
        counts.note(weight(0.0), now).unwrap();
        assert_eq!(told(&counts, now).get("last_weighing.age"), None, "nothing was weighed yet");
        counts.note(weight(2.5), now).unwrap();
        counts.note(weight(0.02), now + Duration::from_secs(7)).unwrap();
        let told = told(&counts, now + Duration::from_millis(8_400));
        assert_eq!(told["last_weighing.age"], 8.0);
        assert_eq!(told["idle.weight"], 0.0091, "in kilograms");
    }

    #[test]
    fn a_scale_that_says_no_is_a_fault_of_its_kind() {
        let (mut counts, now) = (counts(""), Instant::now());
        assert_eq!(counts.note(Answer::Unknown, now).unwrap_err().kind, FaultKind::Nak);
        assert_eq!(counts.note(Answer::Defect, now).unwrap_err().kind, FaultKind::Exception);
        assert_eq!(told(&counts, now)["reads"], 0.0);
    }
}
