//! Foreign programs as children that cannot outlive us.
//!
//! They do not know our pipe, so a shell beside them does: when its standard input closes, it ends the program.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};

/// `$@` is the program. Its exit code is ours, unless we end it.
const SCRIPT: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null & program=$!
(read -r _ <&3; kill "$program" 2>/dev/null) & watch=$!
wait "$program"; code=$?
kill "$watch" 2>/dev/null
exit "$code"
"#;

/// What a machine may have set for the way to the world outside, and what would stand between two processes on it.
const FOR_THE_WORLD_OUTSIDE: [&str; 8] = [
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "REQUESTS_CA_BUNDLE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
];
/// Lines of a program's log that are told.
const LINES_TOLD: usize = 10;

/// A running program.
pub(super) struct Program {
    shell: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it in the folder of `log`, where what it says goes.
    pub(super) fn start<A: AsRef<OsStr>>(
        program: &Path,
        args: &[A],
        environment: &[(&str, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let mut shell = Command::new("/bin/sh");
        if let Some(folder) = log.parent() {
            shell.current_dir(folder);
        }
        for variable in FOR_THE_WORLD_OUTSIDE {
            shell.env_remove(variable);
        }
        let shell = shell
            .args(["-c", SCRIPT, "beside"])
            .arg(program)
            .args(args)
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self { shell, log: log.to_owned() })
    }

    /// The last that it has said.
    pub(super) fn said(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES_TOLD)..].join("\n")
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.shell.try_wait()?)
    }

    /// Whether it has ended well; an error if it ended otherwise.
    pub(super) fn has_ended(&mut self) -> anyhow::Result<bool> {
        match self.ended()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("it ended with {status}\n{}", self.said()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        if let Err(error) = self.shell.wait() {
            tracing::warn!(%error, "a foreign program cannot be waited for");
        }
    }
}

/// The beginning of what a program says of its version.
pub(super) fn version(program: &Path, args: &[&str]) -> anyhow::Result<String> {
    let told = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("{} is not there; tests/peers.sh installs it", program.display()))?;
    let text = if told.stdout.is_empty() { told.stderr } else { told.stdout };
    let text = String::from_utf8_lossy(&text);
    if !told.status.success() {
        bail!("{} {args:?} ended with {}: {text}", program.display(), told.status);
    }
    let line = text.lines().next().unwrap_or_default();
    // Prometheus tells its branch and revision as well.
    Ok(line.split(" (").next().unwrap_or_default().replace(',', ""))
}
