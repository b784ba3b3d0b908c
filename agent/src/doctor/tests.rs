//! What explains what: which of several findings is named first.

use super::*;

fn found(name: &'static str, problem: Problem) -> Check {
    Check::found(name, Finding::new(problem), "seen")
}

fn explained(checks: impl IntoIterator<Item = Check>, is_reached: bool) -> Report {
    let mut checks: Vec<Check> = checks.into_iter().collect();
    explain(&mut checks, is_reached);
    Report { checks }
}

#[test]
fn without_a_network_the_name_of_the_cloud_is_no_finding_of_its_own() {
    let checks = || [found(network::LINK, Problem::LinkDown), found(cloud::NAME, Problem::CloudDns)];
    let report = explained(checks(), false);
    assert_eq!(report.first().unwrap().problem, Problem::LinkDown);
    assert_eq!((report.checks[1].outcome, &report.checks[1].finding), (Outcome::Skipped, &None));
    assert!(
        report.checks[1].evidence.contains("does not lead out") && report.checks[1].evidence.contains("seen")
    );
}

#[test]
fn a_network_that_reaches_the_cloud_is_not_what_is_wrong() {
    let report = explained(
        [found(network::GATEWAY, Problem::NoGateway), found(cloud::ANSWER, Problem::KeyRefused)],
        true,
    );
    assert_eq!(report.first().unwrap().problem, Problem::KeyRefused);
    assert_eq!(report.checks[0].outcome, Outcome::Warn);
}

#[test]
fn an_agent_that_cannot_run_is_explained_by_what_holds_it_up() {
    for (name, problem) in [
        (disk::FOLDER, Problem::StateDenied),
        (disk::DISK, Problem::DiskFull),
        (spool::SPOOL, Problem::SpoolDamaged),
    ] {
        let report = explained([found(agent::AGENT, Problem::NotRunning), found(name, problem)], false);
        assert_eq!(report.findings().len(), 1);
        assert_eq!(report.first().unwrap().problem, problem);
    }
    let alone =
        explained([found(agent::AGENT, Problem::NotRunning), found(cloud::NAME, Problem::CloudDns)], false);
    assert_eq!(alone.findings().len(), 2);
}

#[tokio::test]
async fn what_was_planned_is_what_is_done() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    let count = async |config: Option<&Config>| {
        let mut told = Vec::new();
        let report = run(&path, config, &mut |done, total, _| told.push((done, total))).await;
        assert_eq!(told.len(), report.checks.len());
        assert_eq!(told.last(), Some(&(told.len(), told.len())), "the last one is the last one");
        report
    };
    let without = count(None).await;
    assert_eq!(without.first().unwrap().problem, Problem::ConfigBad);
    assert_eq!(without.exit_code(), 64);
    let text = "cloud: { url: 'https://127.0.0.1:1', key_file: none }\nstate_dir: spool\nlocal: { listen: '127.0.0.1:1' }\n\
                devices:\n  box: { host: {} }\n  printer: { escpos: { port: /nowhere } }\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let with = count(Some(&config)).await;
    let problems: Vec<_> =
        with.findings().iter().map(|check| check.finding.as_ref().unwrap().problem).collect();
    for expected in
        [Problem::KeyUnreadable, Problem::CloudUnreachable, Problem::PortMissing, Problem::NotRunning]
    {
        assert!(problems.contains(&expected), "{expected:?} in {problems:?}");
    }
    assert_eq!(with.exit_code(), 1);
}
