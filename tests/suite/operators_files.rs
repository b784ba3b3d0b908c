//! The files in `deploy/cloud` speak of things that are there: metrics, settings, programs. What the scripts do with containers is
//! tried by `cargo engine`, a whole restore by `cargo torture restore`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, samples};
use storepulse_testbed::cloud::http_client;
use storepulse_testbed::upkeep::{self, as_admin};
use storepulse_testbed::wait;

use crate::setting::{Setting, folder, now_ms};

const PREFIX: &str = "storepulse_cloud_";
const COMPOSE: &str = include_str!("../../deploy/cloud/docker-compose.yml");
const UNIT: &str = include_str!("../../deploy/cloud/systemd/storepulse-cloud@.service");
const ALERTS: &str = include_str!("../../deploy/cloud/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/cloud/monitoring/dashboard.json");
const SCRIPTS: [&str; 6] = ["pg.sh", "compose.sh", "prepare.sh", "backup.sh", "restore.sh", "rolling.sh"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cloud")
}

/// Names of the service's metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(PREFIX)
        .map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect())
        .collect()
}

fn alerts() -> Vec<String> {
    let rules: Value = serde_yaml::from_str(ALERTS).unwrap();
    let rules =
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect()
}

fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// `/metrics` of a service that has done something of every kind.
async fn metrics() -> String {
    let setting = Setting::new().await;
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(setting.by_hand().send(&batch).await.unwrap().status, 200);
    upkeep::run(&setting.db).await.unwrap();
    let suspend = "update tenants set status = 'suspended' returning tenant_id";
    as_admin(&setting.db, suspend).await.unwrap();
    let refused = async || Ok((setting.by_hand().send(&batch).await?.status == 403).then_some(()));
    wait::until("the tenant to be refused", std::time::Duration::from_secs(10), refused).await.unwrap();
    let url = format!("{}/metrics", setting.cloud.url());
    http_client(None).unwrap().get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_metrics_that_the_service_has() {
    let (alerts, panels, served) = (alerts(), panels(), metrics().await);
    assert!(alerts.len() > 10 && panels.len() > 10);
    for expr in alerts.iter().chain(&panels) {
        promql_parser::parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
    }
    let served = names(&served.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    let asked = names(&[alerts, panels].concat().join("\n"));
    let unknown: Vec<_> = asked.difference(&served).collect();
    assert!(unknown.is_empty(), "asked for and not there: {unknown:?}; there are {served:?}");
}

#[test]
fn images_are_of_this_version_and_settings_are_such_that_the_program_reads() {
    let image = format!("storepulse/cloud:{}}}", env!("CARGO_PKG_VERSION"));
    assert!(COMPOSE.contains(&image), "docker-compose.yml names another version than {image}");
    let read = [
        include_str!("../../cloud/src/config.rs"),
        include_str!("../../cloud/src/commands/certificate.rs"),
        include_str!("../../cloud/src/commands/health.rs"),
    ]
    .concat();
    let given = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("STOREPULSE_")?.split(':').next());
    let of_unit =
        UNIT.lines().filter_map(|line| line.strip_prefix("Environment=STOREPULSE_")?.split('=').next());
    let all: Vec<_> = given.chain(of_unit).collect();
    assert!(all.len() > 10, "{all:?}");
    for name in all {
        assert!(
            read.contains(&format!("\"STOREPULSE_{name}\"")),
            "STOREPULSE_{name} is given and never read"
        );
    }
}

fn sh(dir: &Path, script: &str, args: &[&str]) -> Output {
    let mut command = Command::new("/bin/sh");
    command.arg(script).args(args).current_dir(dir).stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_script_is_understood_by_the_shell() {
    for script in SCRIPTS {
        let read = Command::new("/bin/sh").arg("-n").arg(deploy().join(script)).output().unwrap();
        assert!(read.status.success(), "{script}: {}", said(&read));
        let mode = std::fs::metadata(deploy().join(script)).unwrap().permissions().mode();
        assert!(mode & 0o111 == 0o111 || script == "compose.sh", "{script} is not executable");
    }
}

#[tokio::test]
async fn prepare_makes_what_is_missing_and_changes_nothing_that_is_there() {
    let dir = folder().await;
    std::fs::copy(deploy().join("prepare.sh"), dir.join("prepare.sh")).unwrap();
    let first = sh(&dir, "./prepare.sh", &[]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(
        said(&first).contains("private/tls/server.pem"),
        "what is still missing is said: {}",
        said(&first)
    );
    let secrets = || {
        ["admin", "app", "control"]
            .map(|name| std::fs::read(dir.join(format!("private/{name}.password"))).unwrap())
    };
    let made = secrets();
    assert!(made.iter().all(|secret| secret.len() == 32) && made[0] != made[1], "{made:?}");
    let mode = |path: &str| std::fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
    // Containers are given the files; nobody else on the machine gets as far.
    assert_eq!((mode("private"), mode("private/app.password"), mode("private/tls")), (0o700, 0o444, 0o755));

    let before = std::fs::read_to_string(dir.join(".env")).unwrap();
    let second = sh(&dir, "./prepare.sh", &[]);
    assert!(second.status.success() && secrets() == made, "{}", said(&second));
    assert_eq!(std::fs::read_to_string(dir.join(".env")).unwrap(), before);
    let wrong = sh(&dir, "./prepare.sh", &["--selfsigned"]);
    assert!(
        !wrong.status.success() && said(&wrong).contains("--selfsigned is not understood"),
        "{}",
        said(&wrong)
    );
}

#[tokio::test]
async fn a_file_of_the_wal_is_archived_once_and_never_overwritten_by_another() {
    let dir = folder().await;
    std::fs::copy(deploy().join("pg.sh"), dir.join("pg.sh")).unwrap();
    let name = "000000010000000000000001";
    std::fs::write(dir.join(name), [7; 4096]).unwrap();
    let here = dir.display().to_string();
    let archive = || sh(&dir, "./pg.sh", &["archive", name, name, &here]);
    for _ in 0..2 {
        let done = archive();
        assert!(done.status.success(), "{}", said(&done));
    }
    let fetched = sh(&dir, "./pg.sh", &["fetch", name, "out", &here]);
    assert!(fetched.status.success(), "{}", said(&fetched));
    assert_eq!(std::fs::read(dir.join("out")).unwrap(), [7; 4096]);
    assert!(
        !sh(&dir, "./pg.sh", &["fetch", "000000010000000000000002", "out", &here]).status.success(),
        "the end"
    );

    std::fs::write(dir.join(name), [8; 4096]).unwrap();
    let refused = archive();
    assert!(!refused.status.success() && said(&refused).contains("another content"), "{}", said(&refused));
    let no_backup = sh(&dir, "./pg.sh", &["restore", "20260101T000000Z", "data", "latest", &here]);
    assert!(
        !no_backup.status.success() && said(&no_backup).contains("there is no base backup"),
        "{}",
        said(&no_backup)
    );
}
