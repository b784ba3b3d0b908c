//! The verdict: is all well in this shop, and if not, what comes first.
//!
//! Pure: it is about a status, and looks at nothing else. What the way to the cloud lacks is judged in [`way`], the box in
//! [`boxed`], the devices in [`devices`], and what devices say of themselves in [`said`].

mod boxed;
mod devices;
mod said;
mod way;

use serde::Serialize;

use super::{AgentStatus, units};
use crate::finding::{Finding, Problem, Severity};
use crate::language::Language;

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
    pub(crate) fn of(status: &AgentStatus) -> Self {
        let mut findings = Vec::new();
        findings.extend(status.identity.finding.clone());
        findings.extend(way::finding(status));
        boxed::look(status, &mut findings);
        spool(status, &mut findings);
        devices::look(status, &mut findings);
        if let Some(until_ms) = status.maintenance_until_ms.filter(|until_ms| *until_ms > status.now_ms) {
            let left = units::duration(until_ms - status.now_ms);
            findings.push(Finding::new(Problem::Maintenance).with("until", left));
        }
        Self::from_findings(findings)
    }

    /// As JSON, with the words of the findings in this language.
    pub(crate) fn to_json(&self, language: Language) -> serde_json::Value {
        let findings: Vec<_> = self.findings.iter().map(|finding| finding.to_json(language)).collect();
        serde_json::json!({ "level": self.level, "findings": findings })
    }
}

fn spool(status: &AgentStatus, findings: &mut Vec<Finding>) {
    if let Some(why) = &status.spool_problem {
        findings.push(Finding::new(Problem::SpoolFailing).shown_by(why));
    }
    let spool = &status.spool;
    if spool.lost_samples_day > 0 {
        let reasons: std::collections::BTreeSet<&str> = spool
            .latest_losses
            .iter()
            .filter(|loss| loss.samples > 0 && loss.reason != "quarantined")
            .map(|loss| loss.reason.as_str())
            .collect();
        let lost = Finding::new(Problem::SamplesLost).with("samples", spool.lost_samples_day.to_string());
        findings.push(lost.shown_by(reasons.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if let Some(first) = spool.quarantine.first() {
        let batches = spool.quarantine.len().to_string();
        let refused = Finding::new(Problem::Quarantined).with("batches", batches);
        findings.push(refused.shown_by(format!("{}: {}", first.batch, first.refusal)));
    }
}

#[cfg(test)]
mod tests;
