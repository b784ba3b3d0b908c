//! All checks, and what comes first of what they found.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::check::{Check, Outcome};
use crate::finding::{Finding, Problem, Severity};
use crate::language::Language;

/// Exit code for bad configuration (`EX_USAGE`), as of every command.
const BAD_CONFIG: u8 = 64;

/// What a doctor found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// In the order in which they were looked at.
    pub checks: Vec<Check>,
}

impl Report {
    /// What is wrong, the most fundamental first: what fails before what warns, samples that cannot be taken before those that
    /// cannot be sent, and then in the order of [`Problem`].
    ///
    /// That the agent does not run comes last of what fails: the doctor has asked everything itself, so it explains none of it,
    /// and whoever has stopped the agent to let the doctor ask knows it.
    pub(crate) fn findings(&self) -> Vec<&Check> {
        let mut found: Vec<&Check> = self.checks.iter().filter(|check| check.finding.is_some()).collect();
        found.sort_by_key(|check| (Reverse(check.outcome), rank(check.finding.as_ref())));
        found
    }

    /// What is named first.
    pub(crate) fn first(&self) -> Option<&Finding> {
        self.findings().first().and_then(|check| check.finding.as_ref())
    }

    /// The worst of all.
    pub(crate) fn outcome(&self) -> Outcome {
        let worst = self.checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Pass);
        if worst == Outcome::Skipped { Outcome::Pass } else { worst }
    }

    /// 0 if nothing fails, 64 if it is the configuration, otherwise 1.
    pub(crate) fn exit_code(&self) -> u8 {
        let fails = self.checks.iter().filter(|check| check.outcome == Outcome::Fail);
        let problems: Vec<_> = fails.map(|check| check.finding.as_ref().map(|f| f.problem)).collect();
        match problems.as_slice() {
            [] => 0,
            some if some.contains(&Some(Problem::ConfigBad)) => BAD_CONFIG,
            _ => 1,
        }
    }

    /// How many came out so.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    /// For programs: `{"version","outcome","first","findings":[…],"checks":[…]}`, findings in their order, `first` the problem
    /// of the first of them.
    pub(crate) fn to_json(&self, language: Language) -> Value {
        let all =
            |checks: Vec<&Check>| checks.iter().map(|check| of_check(check, language)).collect::<Vec<_>>();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "outcome": self.outcome(),
            "first": self.first().map(|finding| finding.problem),
            "findings": all(self.findings()),
            "checks": all(self.checks.iter().collect()),
        })
    }
}

fn rank(finding: Option<&Finding>) -> (bool, Reverse<Option<Severity>>, Option<Problem>) {
    let problem = finding.map(|finding| finding.problem);
    let explains_nothing = problem == Some(Problem::NotRunning);
    (explains_nothing, Reverse(problem.map(Problem::severity)), problem)
}

fn of_check(check: &Check, language: Language) -> Value {
    let Check { name, device, outcome, finding, evidence } = check;
    let mut told = json!({ "name": name, "device": device, "outcome": outcome, "evidence": evidence });
    if let Some(finding) = finding {
        told["problem"] = json!(finding.problem);
        told["severity"] = json!(finding.problem.severity());
        told["text"] = json!(finding.text(language));
        told["next"] = json!(finding.next(language));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problems: &[Problem]) -> Report {
        let check = |problem: &Problem| Check::found("x", Finding::new(*problem), "");
        Report { checks: problems.iter().map(check).collect() }
    }

    fn order(report: &Report) -> Vec<Problem> {
        report.findings().iter().map(|check| check.finding.as_ref().unwrap().problem).collect()
    }

    #[test]
    fn what_explains_others_comes_first() {
        use Problem::{ClockUnset, ClockWrong, CloudDns, DeviceSilent, DiskFull, NotRunning};
        let all = report(&[ClockUnset, DeviceSilent, NotRunning, CloudDns, DiskFull, ClockWrong]);
        assert_eq!(order(&all), [DiskFull, ClockWrong, CloudDns, DeviceSilent, NotRunning, ClockUnset]);
        assert_eq!(all.first().unwrap().problem, DiskFull);
    }

    #[test]
    fn what_only_warns_comes_after_what_fails() {
        let mut all = report(&[Problem::DeviceSilent, Problem::LinkDown]);
        all.checks[1].softened();
        assert_eq!(order(&all), [Problem::DeviceSilent, Problem::LinkDown]);
    }

    #[test]
    fn the_exit_code_tells_the_configuration_from_the_rest() {
        assert_eq!(report(&[]).exit_code(), 0);
        assert_eq!(report(&[Problem::ClockUnset]).exit_code(), 0);
        assert_eq!(report(&[Problem::CloudDns, Problem::ClockUnset]).exit_code(), 1);
        assert_eq!(report(&[Problem::CloudDns, Problem::ConfigBad]).exit_code(), 64);
        assert_eq!(Report { checks: vec![Check::skipped("x", "")] }.outcome(), Outcome::Pass);
    }
}
