//! Commands of documents that no test of this suite can run, each with what runs it instead. Short, and kept so: an entry that no
//! document has any more is an error, and so is one whose runner does not have it.

use std::path::Path;

use super::markdown::words;

/// A document, a command of it, and what runs that: a file (`.ci/run`, a workflow) and what a line of it has.
pub(super) type Elsewhere = (&'static str, &'static str, (&'static str, &'static str));

const CI: &str = ".ci/run";
/// Builds the images, composes the cloud with its own scripts, onboards a store there, loses the database and restores it.
const ENGINE: (&str, &str) = (LONG, "cargo engine");
/// Loses the server under load, and restores a backup that is an hour old.
const RESTORE: (&str, &str) = (CI, "cargo torture restore");
const LONG: &str = ".github/workflows/long.yml";

/// The testbed's own commands build and start everything anew; and who would run the suite inside the suite?
pub(super) const ELSEWHERE: &[Elsewhere] = &[
    ("README.md", "cargo demo --install", (LONG, "cargo demo --install")),
    ("README.md", "cargo test --workspace", (CI, "cargo test --workspace")),
    ("README.md", "cargo torture kills --rounds 100", (CI, "cargo torture kills")),
    ("README.md", "cargo torture power-cuts --rounds 500", (CI, "cargo torture power-cuts")),
    ("README.md", "cargo torture damage --rounds 500", (CI, "cargo torture damage")),
    ("README.md", "cargo isolation", (CI, "cargo isolation")),
    ("README.md", "cargo peers", (CI, "cargo peers")),
    ("README.md", "cargo peers schemathesis --long", (LONG, "cargo peers schemathesis --long")),
    ("README.md", "cargo browser", (CI, "cargo browser")),
    ("README.md", "cargo figures", (LONG, "cargo figures")),
    ("README.md", "cargo torture settings --rounds 100", (LONG, "cargo torture settings")),
    ("README.md", "cargo torture rolling", (CI, "cargo torture rolling")),
    ("README.md", "cargo torture restore", RESTORE),
    ("README.md", "cargo compat", (LONG, "cargo compat")),
    ("README.md", "cargo engine --install", ENGINE),
    ("deploy/store/gateway.md", "cargo engine --install", ENGINE),
    (
        "deploy/images/README.md",
        "docker build --file deploy/store/Dockerfile --tag storepulse/agent:0.1.0 .",
        ENGINE,
    ),
    (
        "deploy/images/README.md",
        "docker build --file deploy/cloud/Dockerfile --tag storepulse/cloud:0.1.0 .",
        ENGINE,
    ),
    ("deploy/cloud/README.md", "./prepare.sh --self-signed cloud.lan", ENGINE),
    ("deploy/cloud/README.md", "docker compose up -d", ENGINE),
    (
        "deploy/cloud/README.md",
        "docker compose run --rm cli onboard --tenant-id la-villa --company \"La Villa\" --stores 2 --cloud-url https://cloud.lan:8443 --ca /tls/ca.pem --no-validate --out /out/la-villa",
        ENGINE,
    ),
    ("deploy/cloud/README.md", "./backup.sh", ENGINE),
    ("deploy/cloud/README.md", "./restore.sh", ENGINE),
    ("deploy/cloud/README.md", "docker compose run --rm cli verify", ENGINE),
    ("README.md", "cargo sql", (CI, "storepulse-testbed -- sql")),
    ("README.md", ".ci/run", (".github/workflows/ci.yml", ".ci/run")),
];

/// Whether the runner is there and has it.
pub(super) fn check((file, text): (&str, &str), root: &Path) -> Result<(), String> {
    let there = std::fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
    let is_there = there.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(text));
    if is_there { Ok(()) } else { Err(format!("{file} has no {text:?}")) }
}

/// Whether a command of this name is meant.
pub(super) fn is_meant(entry: &Elsewhere, document: &str, name: &str) -> bool {
    entry.0 == document && entry.1 == name
}

/// Commands that stand in the scripts of the build, by their words: what prose may mention.
pub(super) fn of_scripts(root: &Path) -> Vec<Vec<String>> {
    let mut files = vec![root.join(CI)];
    let workflows = std::fs::read_dir(root.join(".github/workflows")).unwrap();
    files.extend(workflows.map(|entry| entry.unwrap().path()));
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.find("cargo ").map(|at| words(&line[at..]))).collect()
}
