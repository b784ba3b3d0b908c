//! What can be wrong in a shop, each thing once: the local page, `status` and `doctor` speak of it in the same words.
//!
//! A [`Problem`] is one word of a closed list; its order is how fundamental it is, so that the first of several explains the
//! others. A [`Finding`] is a problem met: with what, since when, by what evidence. What it is called and what to do about it
//! stands in `words/<language>.json`, in every language.

mod problem;
mod words;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

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
        self.fill(&words::of(language, self.problem).text)
    }

    /// What to do next, for somebody in the shop.
    #[must_use]
    pub fn next(&self, language: Language) -> String {
        self.fill(&words::of(language, self.problem).next)
    }

    fn fill(&self, template: &str) -> String {
        let device = self.device.as_ref().map(DeviceId::to_string);
        let device = device.as_ref().map(|id| ("device", id));
        let with = self.with.iter().map(|(name, value)| (*name, value));
        device.into_iter().chain(with).fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_particulars() {
        let device: DeviceId = "printer-2".parse().unwrap();
        let held = Finding::new(Problem::PortHeld).of(&device).with("path", "/dev/ttyUSB0").with("holder", "pos");
        for language in Language::ALL {
            let text = held.text(language);
            assert!(text.contains("printer-2") && text.contains("/dev/ttyUSB0") && text.contains("pos"), "{text}");
            assert!(!text.contains('{') && !held.next(language).contains('{'), "{text}");
        }
    }
}
