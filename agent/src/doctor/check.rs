//! One thing that was looked at, and what came of it.

use std::fmt;

use serde::Serialize;
use storepulse_shared::ids::DeviceId;

use crate::finding::{Finding, Severity};

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// All is well.
    Pass,
    /// Not looked at, because of something else, or because there is nothing to look at.
    Skipped,
    /// Worth knowing; it works.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    /// `disk`, `certificate`; of a device `port`, `target`, `answer`.
    pub name: &'static str,
    /// Of which device.
    pub device: Option<DeviceId>,
    pub outcome: Outcome,
    /// What is wrong, if it fails or warns.
    pub finding: Option<Finding>,
    /// What was seen, or why it was not looked at; a line for people who know the matter.
    pub evidence: String,
}

impl Check {
    pub(crate) fn pass(name: &'static str, evidence: impl Into<String>) -> Self {
        Self { name, device: None, outcome: Outcome::Pass, finding: None, evidence: evidence.into() }
    }

    pub(crate) fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, ..Self::pass(name, why) }
    }

    /// Something is wrong: it fails, unless the problem is only worth a note.
    pub(crate) fn found(name: &'static str, finding: Finding, evidence: impl Into<String>) -> Self {
        let outcome = match finding.problem.severity() {
            Severity::Note => Outcome::Warn,
            Severity::Degraded | Severity::Broken => Outcome::Fail,
        };
        let evidence = evidence.into();
        let finding = Some(finding.shown_by(evidence.clone()));
        Self { outcome, finding, ..Self::pass(name, evidence) }
    }

    /// Something is not as it should be, and works.
    pub(crate) fn noted(name: &'static str, finding: Finding, evidence: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, ..Self::found(name, finding, evidence) }
    }

    /// Of this device.
    pub(crate) fn of(mut self, device: &DeviceId) -> Self {
        self.finding = self.finding.map(|finding| finding.of(device));
        self.device = Some(device.clone());
        self
    }

    /// `disk`, or `fridge-1 port`.
    pub(crate) fn title(&self) -> String {
        match &self.device {
            Some(device) => format!("{device} {}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// What is wrong with it explains itself by something else.
    pub(crate) fn explained(&mut self, why: &str) {
        self.evidence = format!("{why} ({})", self.evidence);
        self.outcome = Outcome::Skipped;
        self.finding = None;
    }

    /// It is wrong, and does not matter here.
    pub(crate) fn softened(&mut self) {
        if self.outcome == Outcome::Fail {
            self.outcome = Outcome::Warn;
        }
    }
}
