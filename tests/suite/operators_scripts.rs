//! The scripts in `deploy/cloud`, where something is wrong. What they do with containers is tried by `cargo engine`, a whole restore
//! by `cargo torture restore`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::setting::folder;

const SCRIPTS: [&str; 6] = ["pg.sh", "compose.sh", "prepare.sh", "backup.sh", "restore.sh", "rolling.sh"];
/// A docker that knows the health of two instances, and restarts them; and one tenant of two that can be exported.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
case "$*" in
    'compose ps -q '*) echo "${4}" ;;
    inspect*) cat "health-$4" ;;
    'compose up '*cloud-[12]) for last; do :; done; cat after >"health-$last" ;;
    *'tenant list') [ ! -e no-list ] || exit 1; printf '{"tenant_id":"aa"}\n{"tenant_id":"bb"}\n' ;;
    *'export --tenant aa '*) exit 1 ;;
    *pg.sh' archiving') [ ! -e not-archived ] ;;
    *pg.sh' '*) echo 20261122T210000Z ;;
esac
"#;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cloud")
}

/// A copy of the scripts, with programs of this folder before those of the machine.
async fn scripts() -> PathBuf {
    let dir = folder().await;
    for script in SCRIPTS {
        std::fs::copy(deploy().join(script), dir.join(script)).unwrap();
    }
    std::fs::create_dir(dir.join("bin")).unwrap();
    dir
}

fn program(dir: &Path, name: &str, text: &str) {
    let path = dir.join("bin").join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn sh(dir: &Path, script: &str, args: &[&str]) -> Output {
    let mut command = Command::new("/bin/sh");
    command.arg(script).args(args).current_dir(dir).stdin(Stdio::null());
    command.env("PATH", format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", dir.display()));
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
    let dir = scripts().await;
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
    assert!(before.starts_with("COMPOSE_PROJECT_NAME=storepulse-cloud\n"), "{before}");
    // What somebody has written before is completed; a folder of an earlier version keeps the project of its name.
    std::fs::write(
        dir.join(".env"),
        "STOREPULSE_CLOUD_IMAGE=here:1\nSTOREPULSE_TLS_NAMES=old.lan,localhost\n",
    )
    .unwrap();
    let other = sh(&dir, "./prepare.sh", &["--self-signed", "new.lan"]);
    assert!(!other.status.success() && said(&other).contains("for other names: old.lan"), "{}", said(&other));
    let env = std::fs::read_to_string(dir.join(".env")).unwrap();
    assert!(env.starts_with("STOREPULSE_CLOUD_IMAGE=here:1\n") && env.contains("\nSTOREPULSE_UID="), "{env}");
    assert!(!env.contains("COMPOSE_PROJECT_NAME"), "{env}");
    let wrong = sh(&dir, "./prepare.sh", &["--selfsigned"]);
    assert!(
        !wrong.status.success() && said(&wrong).contains("--selfsigned is not understood"),
        "{}",
        said(&wrong)
    );
}

#[tokio::test]
async fn a_file_of_the_wal_is_archived_once_and_never_overwritten_by_another() {
    let dir = scripts().await;
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

    // PostgreSQL takes 1 for the end of what there is, and only more than 128 for an error.
    std::fs::write(dir.join("wal/000000010000000000000002.gz"), "no gzip").unwrap();
    let damaged = sh(&dir, "./pg.sh", &["fetch", "000000010000000000000002", "out", &here]);
    assert_eq!(damaged.status.code(), Some(255), "{}", said(&damaged));
    std::fs::remove_file(dir.join("wal/000000010000000000000002.gz")).unwrap();

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

#[tokio::test]
async fn a_backup_that_is_damaged_leaves_the_database_and_one_that_is_not_forgets_an_earlier_restore() {
    let dir = scripts().await;
    let make = "mkdir -p in/pg_wal base/20261122T210000Z data && echo old >data/PG_VERSION
        printf 'port = 5433\\nrecovery_target_time = long_ago\\nrestore_command = old\\n' >in/postgresql.auto.conf
        tar -czf base/20261122T210000Z/base.tar.gz -C in . && tar -czf base/20261122T210000Z/pg_wal.tar.gz -C in/pg_wal .
        : >base/20261122T210000Z/backup_manifest";
    std::fs::write(dir.join("make.sh"), make).unwrap();
    assert!(sh(&dir, "./make.sh", &[]).status.success());
    let restore = |until: &str| {
        let here = dir.display().to_string();
        sh(&dir, "./pg.sh", &["restore", "20261122T210000Z", &format!("{here}/data"), until, &here])
    };
    let entries = || {
        let all = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut all: Vec<_> = all.map(|name| name.to_string_lossy().into_owned()).collect();
        all.retain(|name| name.starts_with("data"));
        all.sort();
        all
    };
    program(&dir, "pg_verifybackup", "#!/bin/sh\nexit 1\n");
    let damaged = restore("latest");
    assert!(!damaged.status.success() && said(&damaged).contains("is damaged"), "{}", said(&damaged));
    assert_eq!(entries(), ["data"]);
    assert_eq!(std::fs::read_to_string(dir.join("data/PG_VERSION")).unwrap(), "old\n");

    program(&dir, "pg_verifybackup", "#!/bin/sh\nexit 0\n");
    let whole = restore("latest");
    assert!(whole.status.success(), "{}", said(&whole));
    let settings = std::fs::read_to_string(dir.join("data/postgresql.auto.conf")).unwrap();
    assert!(settings.contains("port = 5433") && settings.contains(" fetch %f "), "{settings}");
    assert!(!settings.contains("long_ago") && !settings.contains("old"), "{settings}");
    let entries = entries();
    assert!(entries.len() == 2 && entries[1].starts_with("data.replaced-"), "{entries:?}");
}

#[tokio::test]
async fn an_instance_that_is_not_healthy_is_restarted_first_and_two_of_them_not_at_all() {
    let dir = scripts().await;
    program(&dir, "docker", DOCKER);
    program(&dir, "sleep", "#!/bin/sh\n");
    let health = |first: &str, second: &str, after: &str| {
        for (name, health) in [("health-cloud-1", first), ("health-cloud-2", second), ("after", after)] {
            std::fs::write(dir.join(name), format!("{health}\n")).unwrap();
        }
        std::fs::write(dir.join("calls"), "").unwrap();
        let done = sh(&dir, "./rolling.sh", &[]);
        let calls = std::fs::read_to_string(dir.join("calls")).unwrap();
        let restarted = calls.lines().filter(|call| call.contains("--force-recreate"));
        let restarted: Vec<_> =
            restarted.filter_map(|call| call.rsplit(' ').next().map(str::to_owned)).collect();
        (done.status.success(), restarted, said(&done))
    };
    let (ok, restarted, text) = health("healthy", "healthy", "healthy");
    assert!(ok && restarted == ["cloud-1", "cloud-2"], "{restarted:?} {text}");
    let (ok, restarted, text) = health("healthy", "healthy", "unhealthy");
    assert!(!ok && restarted == ["cloud-1"] && text.contains("back to what it was"), "{restarted:?} {text}");
    // As that says: the image of before, and again.
    let (ok, restarted, text) = health("unhealthy", "healthy", "healthy");
    assert!(ok && restarted == ["cloud-1", "cloud-2"], "{restarted:?} {text}");
    let (ok, restarted, text) = health("healthy", "unhealthy", "healthy");
    assert!(ok && restarted == ["cloud-2", "cloud-1"], "{restarted:?} {text}");
    let (ok, restarted, text) = health("unhealthy", "unhealthy", "healthy");
    assert!(!ok && restarted.is_empty() && text.contains("neither"), "{restarted:?} {text}");
}

#[tokio::test]
async fn a_backup_that_is_not_all_of_it_says_so() {
    let dir = scripts().await;
    program(&dir, "docker", DOCKER);
    let whole = sh(&dir, "./backup.sh", &[]);
    assert!(whole.status.success() && said(&whole).contains("base backup 2026"), "{}", said(&whole));
    let partly = sh(&dir, "./backup.sh", &["tenants"]);
    assert!(!partly.status.success() && said(&partly).contains("not exported: aa"), "{}", said(&partly));
    let calls = std::fs::read_to_string(dir.join("calls")).unwrap();
    assert!(calls.contains("export --tenant bb"), "one that fails keeps no other from it: {calls}");
    for (flag, words) in [("no-list", "cannot be listed"), ("not-archived", "the WAL is not archived")] {
        std::fs::write(dir.join(flag), "").unwrap();
        let failed = sh(&dir, "./backup.sh", &["tenants"]);
        assert!(!failed.status.success() && said(&failed).contains(words), "{}", said(&failed));
    }
}
