//! The engine, by its command line, as everybody has it: found where it runs, or started for this run from Debian's packages.

#![expect(
    clippy::disallowed_methods,
    reason = "which engine there is, and where its client is found, is the machine's to say"
)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What is told of a command that failed, at its end.
const TOLD_BYTES: usize = 3000;
/// How long a command may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// There is no engine to be had. This is no verdict on the product, and never a success.
#[derive(Debug)]
pub struct NoEngine(pub String);

impl std::fmt::Display for NoEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no Docker engine here, so nothing was tried: {}", self.0)
    }
}

impl std::error::Error for NoEngine {}

/// A running engine.
#[derive(Debug)]
pub(super) struct Engine {
    /// Where `docker` and `docker-compose` are found first.
    path: OsString,
    host: Option<String>,
    /// Of the server.
    pub version: String,
    pub driver: String,
    /// Our own daemon, which ends when its standard input closes.
    own: Option<Child>,
}

impl Engine {
    /// The one that runs; with `install`, one of our own in a folder where none does.
    pub(super) fn find(
        install: bool,
        script: &Path,
        folder: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        let mut engine = Self {
            path: search_path(),
            host: std::env::var("DOCKER_HOST").ok(),
            version: String::new(),
            driver: String::new(),
            own: None,
        };
        if let Err(error) = engine.ask_version() {
            if !install {
                let how = "start one, or let this command do it: cargo engine --install (Debian, as root)";
                return Err(NoEngine(format!("{error:#}; {how}")).into());
            }
            engine.start(script, &folder()?).map_err(|error| NoEngine(format!("{error:#}")))?;
            engine.ask_version().map_err(|error| NoEngine(format!("{error:#}")))?;
        }
        Ok(engine)
    }

    /// Whether it was started for this run.
    pub(super) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn ask_version(&mut self) -> anyhow::Result<()> {
        let told = self.docker(&["info", "--format", "{{.ServerVersion}} {{.Driver}}"])?;
        let (version, driver) = told.trim().split_once(' ').context("docker info tells no version")?;
        (self.version, self.driver) = (version.to_owned(), driver.to_owned());
        Ok(())
    }

    fn start(&mut self, script: &Path, folder: &Path) -> anyhow::Result<()> {
        let installed = Command::new(script).arg("install").stdout(Stdio::null()).status()?;
        anyhow::ensure!(installed.success(), "{} install ended with {installed}", script.display());
        self.path = search_path();
        let mut command = Command::new(script);
        command.arg("serve").arg(folder).env("PATH", &self.path).env_remove("DOCKER_HOST");
        // An interrupt at the terminal is for us: the engine is needed to take away what runs in it.
        command.process_group(0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("what it says")?).read_line(&mut line)?;
        let Some(address) = line.strip_prefix("ready ").and_then(|rest| rest.split_whitespace().next())
        else {
            bail!("{} serve ended with {}; it says why above", script.display(), child.wait()?);
        };
        self.host = Some(address.to_owned());
        self.own = Some(child);
        Ok(())
    }

    /// A program with the engine within its reach.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// What `docker` says; an error if it fails.
    pub(super) fn docker(&self, words: &[&str]) -> anyhow::Result<String> {
        said(self.command("docker").args(words))
    }

    /// Whether there is such an image on this machine.
    pub(super) fn has_image(&self, name: &str) -> bool {
        self.docker(&["image", "inspect", "--format", "{{.Id}}", name]).is_ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut own) = self.own.take() {
            drop(own.stdin.take());
            if let Err(error) = own.wait() {
                tracing::warn!(%error, "the engine of this run cannot be waited for");
            }
        }
    }
}

/// What a command says; an error with its last words if it fails.
pub(super) fn said(command: &mut Command) -> anyhow::Result<String> {
    let done = command.output().with_context(|| format!("{:?}", command.get_program()))?;
    judged(command, &done)
}

fn judged(command: &Command, done: &Output) -> anyhow::Result<String> {
    if !done.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("{} {}: {}: {}", command.get_program().display(), words.join(" "), done.status, tail(done));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// As [`said`], for what takes minutes: when this is dropped, the command is ended, with all that it has started.
pub(super) async fn said_in_time(command: &mut Command) -> anyhow::Result<String> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(out.try_clone()?).stderr(err.try_clone()?).process_group(0);
    let child = command.spawn().with_context(|| format!("{:?}", command.get_program()))?;
    let status = Group(child).ended().await?;
    let mut done = Output { status, stdout: Vec::new(), stderr: Vec::new() };
    for (file, text) in [(&mut out, &mut done.stdout), (&mut err, &mut done.stderr)] {
        file.rewind()?;
        file.read_to_end(text)?;
    }
    judged(command, &done)
}

/// A child with a process group of its own, which does not outlive this.
#[derive(Debug)]
struct Group(Child);

impl Group {
    async fn ended(mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Group {
    /// Politely first. A client that waits for a build hears nothing of that (20.10); without it, the engine gives the build up.
    fn drop(&mut self) {
        let Ok(group) = i32::try_from(self.0.id()).map(Pid::from_raw) else { return };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if !matches!(self.0.try_wait(), Ok(None)) || killpg(group, signal).is_err() {
                return;
            }
            let asked = Instant::now();
            while asked.elapsed() < PATIENCE && matches!(self.0.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// The last that it said, on both roads.
pub(super) fn tail(done: &Output) -> String {
    let all = [&done.stdout[..], &done.stderr[..]].concat();
    String::from_utf8_lossy(&all[all.len().saturating_sub(TOLD_BYTES)..]).into_owned()
}

/// A client that can build with BuildKit comes first: one of version 23 or later that lacks the plugin cannot.
fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let builds = |folder: &&PathBuf| {
        let docker = folder.join("docker");
        let asks =
            |words: &[&str]| Command::new(&docker).args(words).output().ok().filter(|it| it.status.success());
        let old = || {
            let told = asks(&["version", "--format", "{{.Client.Version}}"])
                .or_else(|| asks(&["--version"]))
                .map(|told| String::from_utf8_lossy(&told.stdout).replace("Docker version ", ""));
            told.and_then(|told| told.split('.').next()?.trim().parse::<u32>().ok())
                .is_some_and(|major| major < 23)
        };
        docker.exists() && (asks(&["buildx", "version"]).is_some() || old())
    };
    let Some(first) = folders.iter().find(builds).cloned() else { return path };
    let ordered = std::iter::once(first.clone()).chain(folders.into_iter().filter(|it| *it != first));
    std::env::join_paths(ordered).unwrap_or(path)
}
