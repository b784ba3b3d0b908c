//! The folder of one run: everything a demo, a torture or a test leaves on disk lies in it, and it is
//! deleted when the process ends, however it ends.
//!
//! A small shell holds the other end of a pipe, as the watchdog of the embedded server does: when we are
//! gone it waits for the server, or an engine for containers, to have left its folder, then deletes all.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;

/// `$1` is the folder. The server's own watchdog deletes `pg/data`, and `engine.sh` deletes `docker`; deleting it under what
/// still runs would make that fail noisily.
const SCRIPT: &str = r#"
read -r _
tries=0
while { [ -e "$1/pg/data" ] || [ -e "$1/docker" ]; } && [ "$tries" -lt 300 ]; do tries=$((tries + 1)); sleep 0.1; done
rm -rf -- "$1"
"#;

/// A temporary folder with a watchdog.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    watchdog: Child,
    stdin: Option<ChildStdin>,
}

impl RunDir {
    /// Makes a folder for `what` under the system's folder for temporary files.
    ///
    /// # Errors
    /// The folder cannot be made, or there is no shell.
    pub fn create(what: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("storepulse-{what}-")).tempdir();
        let path = dir.context("a folder for the run")?.keep();
        // The server's account must be able to pass through.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "watchdog"]).arg(&path).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchdog = command.spawn().context("the watchdog of the run's folder")?;
        let stdin = watchdog.stdin.take();
        Ok(Self { path, watchdog, stdin })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the embedded server.
    #[must_use]
    pub fn pg(&self) -> PathBuf {
        self.path.join("pg")
    }

    /// A sub-folder for a part of the run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn part(&self, name: &str) -> anyhow::Result<PathBuf> {
        let part = self.path.join(name);
        std::fs::create_dir_all(&part).with_context(|| part.display().to_string())?;
        Ok(part)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Err(error) = self.watchdog.wait() {
            tracing::warn!(%error, "the watchdog of the run's folder cannot be waited for");
        }
    }
}
