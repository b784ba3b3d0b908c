//! The agent as it is shipped: the binary of the profile `agent`, built here if it is not, with the defaults of the
//! product, as a process that cannot outlive this one.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::progress;
use crate::store::Store;
use crate::wait;

/// What ends the agent when we are gone without having said so. `$1` is its process id.
const WATCHDOG: &str = r#"read -r said; [ "$said" = ended ] || kill -9 "$1""#;
const END_LIMIT: Duration = Duration::from_secs(20);

/// What of the agent is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// As it is shipped.
    Whole,
    /// Without the clients of the till's database servers.
    Lean,
}

/// Where the binary of the shipped agent is; it is built first, which takes no time if nothing has changed.
pub(super) fn binary(build: Build) -> anyhow::Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let profile = ours.parent().context("a folder of our own")?;
    let target = profile.parent().context("the folder of what is built")?;
    // The two would replace each other.
    let target = if build == Build::Lean { target.join("lean") } else { target.to_owned() };
    progress::say("    building the agent as it is shipped …")?;
    let built = Command::new("cargo")
        // Where the workspace's own settings for builds are found.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--profile", "agent", "--package", "storepulse-agent", "--target-dir"])
        .arg(&target)
        .args(if build == Build::Lean { &["--no-default-features"][..] } else { &[] })
        .stdout(Stdio::null())
        .status()
        .context("cargo")?;
    anyhow::ensure!(built.success(), "the agent cannot be built: {built}");
    Ok(target.join("agent/storepulse-agent"))
}

/// A shipped agent and its configuration.
#[derive(Debug)]
pub(super) struct Shipped {
    binary: PathBuf,
    dir: PathBuf,
    pub(super) status: SocketAddr,
    pub(super) push: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    agent: Child,
    watchdog: Child,
}

impl Shipped {
    /// Writes the configuration of an agent: all defaults, but for where things are and how much the spool may hold.
    pub(super) fn install(store: &Store, cloud_url: &str, spool_max_size: &str) -> anyhow::Result<Self> {
        let devices = "  gateway: { host: { interval: 30s } }\n";
        Self::install_with(store, cloud_url, spool_max_size, devices)
    }

    /// The same, with these blocks of `devices:`.
    pub(super) fn install_with(
        store: &Store,
        cloud_url: &str,
        spool_max_size: &str,
        devices: &str,
    ) -> anyhow::Result<Self> {
        let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let agent = Self {
            binary: binary(Build::Whole)?,
            dir: store.dir.clone(),
            status: free()?,
            push: free()?,
            running: None,
        };
        let text = format!(
            "cloud:\n  url: {cloud_url}\n  key_file: store.key\n  ca_file: ca.pem\nstate_dir: spool\n\
             spool: {{ max_size: {spool_max_size} }}\nlocal: {{ listen: '{}' }}\npush: {{ listen: '{}' }}\n\
             devices:\n{devices}",
            agent.status, agent.push
        );
        std::fs::write(agent.dir.join("agent.yaml"), text)?;
        Ok(agent)
    }

    /// The folder of its spool.
    pub(super) fn spool_dir(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Starts it, and waits for nothing. Returns when that was.
    pub(super) fn start(&mut self) -> anyhow::Result<Instant> {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file())?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--config"]).arg(self.dir.join("agent.yaml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).env_remove("STOREPULSE_LOG");
        let begun = Instant::now();
        let agent = command.spawn().with_context(|| self.binary.display().to_string())?;
        let mut watchdog = Command::new("/bin/sh");
        watchdog.args(["-c", WATCHDOG, "watchdog", &agent.id().to_string()]).process_group(0);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = watchdog.spawn().context("the watchdog of the agent")?;
        self.running = Some(Running { agent, watchdog });
        Ok(begun)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.running.as_ref().context("the agent is not running")?.agent.id())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.agent.kill()?;
        running.end()
    }

    /// SIGTERM, and wait.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(running.agent.id())?), Signal::SIGTERM)?;
        let ended = async || Ok(running.agent.try_wait()?);
        wait::until("the shipped agent to end", END_LIMIT, ended).await?;
        running.end()
    }

    /// Its `/status`.
    pub(super) async fn read_status(&self) -> anyhow::Result<serde_json::Value> {
        let answer = reqwest::get(format!("http://{}/status", self.status)).await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// The last lines that it has said.
    pub(super) fn said(&self) -> String {
        let said = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("agent.log")
    }
}

impl Running {
    /// After the agent has been told to end.
    fn end(&mut self) -> anyhow::Result<()> {
        self.agent.wait()?;
        if let Some(mut stdin) = self.watchdog.stdin.take() {
            stdin.write_all(b"ended\n")?;
        }
        self.watchdog.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All of it fails only if it has been done already.
        let _ = self.agent.kill();
        let _ = self.end();
    }
}

/// Bytes of a file on disk.
pub(super) fn bytes_of(path: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len())
}
