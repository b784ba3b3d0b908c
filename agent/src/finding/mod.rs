//! What can be wrong in a shop, each thing once: the local page, `status` and `doctor` speak of it in the same words.
//!
//! A [`Problem`] is one word of a closed list; its order is how fundamental it is, so that the first of several explains the
//! others. A [`Finding`] is a problem met: with what, since when, by what evidence. What it is called and what to do about it
//! stands in `words/<language>.json`, in every language.

mod fault;
mod problem;
mod words;

use serde::{Serialize, Serializer};
use storepulse_shared::ids::DeviceId;

pub use self::fault::{Place, of_fault};
pub use self::problem::{Problem, Severity};
use crate::language::Language;

/// A problem met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub problem: Problem,
    /// The device that it is about; otherwise it is about the box, the agent or the way to the cloud.
    pub device: Option<DeviceId>,
    /// What the words name: `path`, `holder`, `host` …
    #[serde(serialize_with = "as_map")]
    pub with: Vec<(&'static str, String)>,
    /// Since when, Unix milliseconds UTC, if that is known.
    pub since_ms: Option<i64>,
    /// What was seen, verbatim, in the words of the machine.
    pub evidence: Option<String>,
}

impl Finding {
    /// A problem without particulars.
    #[must_use]
    pub const fn new(problem: Problem) -> Self {
        Self { problem, device: None, with: Vec::new(), since_ms: None, evidence: None }
    }

    /// Of this device.
    #[must_use]
    pub fn of(mut self, device: &DeviceId) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// With this particular, which the words may name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.with.push((name, value.into()));
        self
    }

    /// Since then.
    #[must_use]
    pub const fn since(mut self, ms: Option<i64>) -> Self {
        self.since_ms = ms;
        self
    }

    /// Shown by this.
    #[must_use]
    pub fn shown_by(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }

    /// What it is, in a sentence without a full stop.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        self.fill(language, &words::of(language, self.problem).text)
    }

    /// What to do next, for somebody in the shop.
    #[must_use]
    pub fn next(&self, language: Language) -> String {
        self.fill(language, &words::of(language, self.problem).next)
    }

    /// The finding as JSON, with its words in this language.
    #[must_use]
    pub fn to_json(&self, language: Language) -> serde_json::Value {
        // Nothing in it can fail to be JSON: names and texts.
        let mut json = serde_json::json!(self);
        json["severity"] = serde_json::json!(self.problem.severity());
        json["text"] = self.text(language).into();
        json["next"] = self.next(language).into();
        json
    }

    /// Every `{name}` is a particular of this finding, or what stands for it if it is not known.
    fn fill(&self, language: Language, template: &str) -> String {
        let words = words::of(language, self.problem);
        let mut parts = template.split('{');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap_or((part, ""));
            text.push_str(self.particular(name).unwrap_or_else(|| words.unknown(language, name)));
            text.push_str(rest);
        }
        text
    }

    fn particular(&self, name: &str) -> Option<&str> {
        if name == "device" {
            return self.device.as_ref().map(DeviceId::as_str);
        }
        self.with.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

fn as_map<S: Serializer>(with: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(with.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_particulars() {
        let device: DeviceId = "printer-2".parse().unwrap();
        let held =
            Finding::new(Problem::PortHeld).of(&device).with("path", "/dev/ttyUSB0").with("holder", "pos");
        for language in Language::ALL {
            let text = held.text(language);
            assert!(
                text.contains("printer-2") && text.contains("/dev/ttyUSB0") && text.contains("pos"),
                "{text}"
            );
            assert!(!text.contains('{') && !held.next(language).contains('{'), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_leaves_no_hole() {
        for language in Language::ALL {
            for &problem in Problem::ALL {
                let finding = Finding::new(problem);
                for said in [finding.text(language), finding.next(language)] {
                    assert!(!said.contains(['{', '}']) && !said.contains("  "), "{problem:?}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_particular_is_text_and_no_template() {
        let held = Finding::new(Problem::PortHeld).with("holder", "{path}{device").with("path", "/dev/ttyS0");
        let text = held.text(Language::En);
        assert_eq!(text, "the device cannot be read because {path}{device has /dev/ttyS0 open");
    }

    #[test]
    fn as_json_it_brings_its_words() {
        let out = Finding::new(Problem::PaperOut).of(&"printer-2".parse().unwrap()).since(Some(7));
        let json = Finding::to_json(&out.with("path", "x"), Language::Es);
        assert_eq!(json["text"], "printer-2 no tiene papel");
        assert_eq!(
            (json["problem"].as_str(), json["severity"].as_str()),
            (Some("paper_out"), Some("degraded"))
        );
        assert_eq!((&json["with"]["path"], &json["since_ms"]), (&"x".into(), &7.into()));
    }
}
