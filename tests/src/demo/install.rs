//! `cargo demo --install`: PostgreSQL's server from the system's own packages, by name.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;
use storepulse_cloud::embedded::{Binaries, PACKAGE_HINT};

/// Debian asks this file whether an installation may start daemons. We use the programs only.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs the server, starting no daemon.
pub(super) async fn postgresql() -> anyhow::Result<()> {
    tokio::task::spawn_blocking(install).await??;
    Binaries::find()?;
    Ok(())
}

fn install() -> anyhow::Result<()> {
    let has = |program: &str| {
        Path::new("/usr/bin").join(program).exists() || Path::new("/sbin").join(program).exists()
    };
    if has("apt-get") {
        let forbid = !Path::new(POLICY).exists();
        if forbid {
            as_root(&[
                "sh",
                "-c",
                &format!("printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod +x {POLICY}"),
            ])?;
        }
        let installed = as_root(&["apt-get", "update"]).and_then(|()| {
            as_root(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "postgresql"])
        });
        if forbid {
            as_root(&["rm", "-f", POLICY])?;
        }
        installed
    } else if has("dnf") {
        as_root(&["dnf", "install", "--assumeyes", "postgresql-server"])
    } else if has("apk") {
        as_root(&["apk", "add", "postgresql15"])
    } else {
        bail!("no known package manager: {PACKAGE_HINT}")
    }
}

/// Runs a command as root, through sudo if we are not.
fn as_root(command: &[&str]) -> anyhow::Result<()> {
    let mut words = command.to_vec();
    if !geteuid().is_root() {
        words.insert(0, "sudo");
    }
    let status = Command::new(words[0]).args(&words[1..]).status().with_context(|| words.join(" "))?;
    if !status.success() {
        bail!("{} ended with {status}", words.join(" "));
    }
    Ok(())
}
