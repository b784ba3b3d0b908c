//! The version before, built from the repository's own history into `target/compat`, once for each commit.
//!
//! Its sources lie in a folder of their own, unpacked from git: nothing is checked out over what is being worked on. What both
//! versions depend on is taken from what is built already, by hard links, so that only our own crates are compiled anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::sql::OF_THE_RUNNING_PACKAGE;

const PROGRAM: &str = "storepulse-testbed";

/// A version in the history.
#[derive(Debug)]
pub(super) struct Commit {
    id: String,
    /// For people.
    pub(super) title: String,
}

fn workspace() -> anyhow::Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")
}

fn git(args: &[&str]) -> anyhow::Result<String> {
    let done = Command::new("git").args(args).current_dir(workspace()?).output().context("git")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "git {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

/// Which one to compare with: what was said; else the newest release below this one; else what the main branch had before this.
pub(super) fn version_before(said: Option<&str>) -> anyhow::Result<Commit> {
    let found = match said {
        Some(said) => git(&["rev-parse", "--verify", &format!("{said}^{{commit}}")])?,
        None => default_version().context(
            "no version before this one was found in the history (a shallow clone has none): name one with --against REF",
        )?,
    };
    let title = git(&["show", "--no-patch", "--format=%h of %cs: %s", &found])?;
    Ok(Commit { id: found, title })
}

fn default_version() -> anyhow::Result<String> {
    let head = git(&["rev-parse", "HEAD"])?;
    if let Ok(tag) = git(&["describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"]) {
        return git(&["rev-parse", &format!("{tag}^{{commit}}")]);
    }
    for main in ["origin/main", "main"] {
        match git(&["merge-base", "HEAD", main]) {
            Ok(base) if base != head => return Ok(base),
            _ => {}
        }
    }
    git(&["rev-parse", "HEAD^1"])
}

/// Builds it, unless it is there.
pub(super) fn program_of(commit: &Commit) -> anyhow::Result<PathBuf> {
    let all = workspace()?.join("target/compat");
    let own = all.join(&commit.id[..12]);
    let program = own.join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let source = own.join("source");
    unpack(&commit.id, &source)?;
    let target = all.join("target");
    take_what_is_built(&target)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", PROGRAM, "--target-dir"]).arg(&target);
    for name in OF_THE_RUNNING_PACKAGE {
        cargo.env_remove(name);
    }
    let status = cargo.current_dir(&source).stdin(Stdio::null()).status().context("cargo")?;
    ensure!(status.success(), "{} cannot be built; the compiler's messages are above", commit.title);
    // Under its name it is whole.
    let unfinished = own.join("unfinished");
    std::fs::copy(target.join("debug").join(PROGRAM), &unfinished)?;
    std::fs::rename(&unfinished, &program)?;
    Ok(program)
}

fn unpack(commit: &str, source: &Path) -> anyhow::Result<()> {
    if source.exists() {
        std::fs::remove_dir_all(source)?;
    }
    std::fs::create_dir_all(source).with_context(|| source.display().to_string())?;
    let mut archive = Command::new("git");
    archive.args(["archive", "--format=tar", commit]).current_dir(workspace()?);
    let mut archive = archive.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("git")?;
    let packed = archive.stdout.take().context("the output of git")?;
    let unpacked =
        Command::new("tar").args(["-x", "-C"]).arg(source).stdin(packed).status().context("tar")?;
    ensure!(archive.wait()?.success() && unpacked.success(), "the sources of {commit} cannot be unpacked");
    Ok(())
}

/// Links what is compiled of others' crates; ours differ.
fn take_what_is_built(target: &Path) -> anyhow::Result<()> {
    if target.exists() {
        return Ok(());
    }
    for part in ["deps", "build", ".fingerprint"] {
        let (from, to) = (workspace()?.join("target/debug").join(part), target.join("debug").join(part));
        std::fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
        for entry in std::fs::read_dir(&from).into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.contains("storepulse") && !name.starts_with("suite-") {
                link(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

/// Cargo writes its small files in place, which would change those of the target that they come from; so these are copied.
const COPIED_BYTES_MAX: u64 = 1 << 20;

fn link(from: &Path, to: &Path) -> anyhow::Result<()> {
    let about = std::fs::metadata(from)?;
    if about.is_file() {
        // Links end at the border of a file system.
        let is_linked = about.len() > COPIED_BYTES_MAX && std::fs::hard_link(from, to).is_ok();
        if !is_linked {
            copy_with_time(from, to, &about).with_context(|| to.display().to_string())?;
        }
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        link(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Cargo compares times.
fn copy_with_time(from: &Path, to: &Path, about: &std::fs::Metadata) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::OpenOptions::new().append(true).open(to)?.set_modified(about.modified()?)
}
