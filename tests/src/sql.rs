//! `cargo sql`: checks every query of the cloud against a migrated server and refreshes `cloud/.sqlx`.
//!
//! The macros write what they learned into a folder when asked to; this asks them, with a server of its own,
//! and puts the result in place (or, with `--check`, only compares).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use storepulse_cloud::embedded::{Embedded, Options};
use storepulse_cloud::schema;

use crate::run_dir::RunDir;

/// What `cargo run` told us of our own package. A build script that looks at it (ring's does) would run again in the
/// inner build and once more in the next outer one, and everything above ring would be compiled anew each time.
pub(crate) const OF_THE_RUNNING_PACKAGE: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Refreshes or, with `check`, compares.
///
/// # Errors
/// A query does not fit the schema (the compiler has said which), or the committed files are stale.
pub async fn run(check: bool, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let run_dir = RunDir::create("sql")?;
    let options = Options { dir: run_dir.pg(), durable: false, ephemeral: true, connections: 20 };
    let server = Embedded::start(options).await?;
    let admin = server.admin("postgres");
    schema::bootstrap(&admin, &server.role_passwords()).await?;
    schema::migrate(&admin).await?;

    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let fresh = run_dir.part("sqlx")?;
    // Cargo must expand the macros again though no source has changed; afterwards it must not notice.
    let source = workspace.join("cloud/src/lib.rs");
    let unchanged = std::fs::metadata(&source)?.modified()?;
    set_modified(&source, SystemTime::now())?;
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["check", "--quiet", "--package", "storepulse-cloud", "--lib"])
        .current_dir(workspace)
        .env("DATABASE_URL", Embedded::url(&admin))
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &fresh);
    for name in OF_THE_RUNNING_PACKAGE {
        command.env_remove(name);
    }
    let status = tokio::task::spawn_blocking(move || command.status()).await?;
    set_modified(&source, unchanged)?;
    let status = status?;
    server.stop().await;
    if !status.success() {
        bail!("cloud/ does not compile against its own schema; the compiler's messages are above");
    }
    let committed = workspace.join("cloud/.sqlx");
    let (new, old) = (read_all(&fresh)?, read_all(&committed).unwrap_or_default());
    if new.is_empty() {
        bail!("the compiler wrote no query at all");
    }
    if new == old {
        writeln!(out, "cloud/.sqlx is up to date: {} queries", new.len())?;
        return Ok(());
    }
    if check {
        bail!(
            "cloud/.sqlx is stale ({} queries, {} committed): run `cargo sql` and commit it",
            new.len(),
            old.len()
        );
    }
    if committed.exists() {
        std::fs::remove_dir_all(&committed)?;
    }
    std::fs::create_dir_all(&committed)?;
    for (name, text) in &new {
        std::fs::File::create(committed.join(name))?.write_all(text)?;
    }
    writeln!(out, "cloud/.sqlx refreshed: {} queries, {} before", new.len(), old.len())?;
    Ok(())
}

fn set_modified(path: &Path, time: SystemTime) -> anyhow::Result<()> {
    Ok(std::fs::OpenOptions::new().append(true).open(path)?.set_modified(time)?)
}

fn read_all(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    Ok(files)
}
