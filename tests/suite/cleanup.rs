//! Nothing stays behind: no process, no folder, also when a run is interrupted or killed.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use storepulse_testbed::wait;

use crate::setting::{folder, testbed};

const LIMIT: Duration = Duration::from_secs(60);

/// A run in a process group of its own, whose folder for temporary files is `tmp`.
fn start(program: &Path, args: &[&str], tmp: &Path) -> Child {
    std::fs::create_dir_all(tmp).unwrap();
    // The private server's account must be able to pass through.
    std::fs::set_permissions(tmp, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.args(args).env("TMPDIR", tmp).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Processes whose command line mentions a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&folder) {
            found.push(format!("{}: {line}", entry.file_name().display()));
        }
    }
    found
}

async fn ends_without_a_trace(program: &Path, args: &[&str], how: impl FnOnce(&mut Child)) {
    let tmp = folder().await.join("tmp");
    let mut run = start(program, args, &tmp);
    let running = wait::until("an agent to run", LIMIT, async || {
        anyhow::ensure!(run.try_wait()?.is_none(), "the run ended by itself");
        let agents = processes_of(&tmp).iter().filter(|line| line.contains("agent run")).count();
        Ok((agents == 1).then_some(()))
    });
    running.await.unwrap();
    how(&mut run);
    run.wait().unwrap();
    let gone = wait::until("everything to be gone", LIMIT, async || {
        let processes = processes_of(&tmp);
        anyhow::ensure!(processes.is_empty(), "{processes:#?}");
        let files: Vec<_> = std::fs::read_dir(&tmp)?.flatten().map(|e| e.path()).collect();
        anyhow::ensure!(files.is_empty(), "{files:?}");
        Ok(Some(()))
    });
    gone.await.unwrap();
}

fn interrupt(run: &mut Child) {
    // The whole group, as a terminal does.
    let group = Pid::from_raw(-i32::try_from(run.id()).unwrap());
    kill(group, Signal::SIGINT).unwrap();
}

const DEMO: [&str; 5] = ["demo", "--for", "10m", "--stores", "1"];

#[tokio::test]
async fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    ends_without_a_trace(testbed(), &DEMO, interrupt).await;
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_nothing_behind() {
    ends_without_a_trace(testbed(), &DEMO, |run| run.kill().unwrap()).await;
}

#[tokio::test]
async fn a_test_run_that_is_interrupted_leaves_nothing_behind() {
    let this = std::env::current_exe().unwrap();
    ends_without_a_trace(&this, &["--exact", "delivery::a_link_that_is_cut_loses_nothing"], interrupt).await;
}
