//! The verdict: is all well in this shop, and if not, what comes first.

use serde::Serialize;

use super::AgentStatus;
use crate::finding::{Finding, Severity};

/// How the shop is as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Everything is read, kept and sent.
    #[default]
    Ok,
    /// Something needs a hand; what was read is kept.
    Degraded,
    /// Samples cannot be taken or kept.
    Broken,
}

/// The verdict and its reasons, what matters most first.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Verdict {
    pub level: Level,
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Of what was found, in any order.
    pub(crate) fn from_findings(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.problem.severity()), finding.problem));
        let level = match findings.first().map(|worst| worst.problem.severity()) {
            Some(Severity::Broken) => Level::Broken,
            Some(Severity::Degraded) => Level::Degraded,
            Some(Severity::Note) | None => Level::Ok,
        };
        Self { level, findings }
    }

    /// Of the agent as it is now.
    pub(crate) fn of(_status: &AgentStatus) -> Self {
        Self::from_findings(Vec::new())
    }
}
